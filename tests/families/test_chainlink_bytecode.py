"""Chainlink's own contracts on anvil: what the indexer counts is what the proxies showed, block after block.

Two FluxAggregators behind an AggregatorProxy of each kind: the one of most feeds (0.6), which tells no change of its
aggregator, and the newer one (0.7), which does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address

from indexer import app
from indexer.ledger.connect import Database
from indexer.settings import load_settings
from tests.demochain.artifacts import Artifact, NotObtainable, own, package
from tests.demochain.deploy import MULTICALL3, place_multicall
from tests.demochain.node import CHAIN_ID, GENESIS, ZERO, Node, Reverted, running_node

CHAINLINK = "@chainlink/contracts@0.1.9"
FLUX = "(address,uint128,uint32,address,int256,int256,uint8,string)"
LATEST = "latestRoundData()->(uint80,int256,uint256,uint256,uint80)"
ORACLES = "changeOracles(address[],address[],address[],uint32,uint32,uint32)"
DAY, BLOCKS = 86_400, 10  # blocks of a day
FINAL = 70  # blocks on top: anvil calls final what is 64 deep
CHANGED = (2, 6)  # day and block at which the proxies go to the second aggregator
HEAD = """
[protocol]
id = "feeds"
name = "Under test"
category = "price_feed"
methodology = "None."
"""
FEED = """
[[deployment]]
chain = "local"
name = "{name}"
family = "chainlink_feed"
start_block = 0
exactness = "None."
contracts.proxy = "{proxy}"
options.token = "{token}"
sources.start_block = "The chain's first block."
sources.proxy = "Deployed by this test."
"""


def chainlink(name: str, constructor: str) -> Artifact:
    """A published artifact by version and name, such as `0.6/AggregatorProxy`."""
    text = (package(CHAINLINK) / "truffle" / f"v{name}.js").read_text()
    made = re.search(r'"bytecode": \{.*?"object": "0x([0-9a-f]+)"', text, re.DOTALL)
    assert made is not None
    return Artifact(bytes.fromhex(made[1]), constructor)


@dataclass
class Story:
    """The node, the proxies and aggregators, and by proxy and day the answers that it showed."""

    node: Node
    owner: str
    oracle: str
    aggregators: list[str] = field(default_factory=list)
    proxies: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    shown: dict[str, dict[int, list[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    last: dict[str, int] = field(default_factory=dict)
    rounds: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def submit(self, aggregator: int, answer: int) -> None:
        """The oracle's answer makes a round of its own."""
        contract = self.aggregators[aggregator]
        self.rounds[contract] += 1
        self.node.transact(self.oracle, contract, "submit(uint256,int256)", self.rounds[contract], answer)

    def look(self, day: int) -> None:
        """After a block: a new round of the phase that a proxy pointed to before is what it showed."""
        for name, proxy in self.proxies.items():
            try:
                known, answer, *_ = self.node.call(proxy, LATEST)
            except Reverted:  # no data present
                continue
            before = self.last.get(name, 1 << 64)
            if known != before and known >> 64 == before >> 64:
                self.shown[name][day].append(answer)
            self.last[name] = known


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """Four days: the second aggregator is tested on day 1, the first one answers late on day 3."""
    with ExitStack() as running:
        try:
            silent = chainlink("0.6/EACAggregatorProxy", "(address,address)")
            loud = chainlink("0.7/AggregatorProxy", "(address)")
            flux = chainlink("0.6/FluxAggregator", FLUX)
            node = running.enter_context(running_node())
        except NotObtainable as reason:
            pytest.skip(str(reason))
        place_multicall(node)
        yield play(node, silent, loud, flux)


def play(node: Node, silent: Artifact, loud: Artifact, flux: Artifact) -> Story:
    owner, oracle = node.accounts()[:2]
    told = Story(node, owner, oracle)
    for number in range(2):
        contract = node.deploy(owner, flux, ZERO, 0, 0, ZERO, -(2**100), 2**100, 8, f"feed {number}")
        node.transact(owner, contract, ORACLES, [], [oracle], [oracle], 1, 1, 0)
        told.aggregators.append(contract)
    told.proxies["silent"] = node.deploy(owner, silent, told.aggregators[0], ZERO)
    told.proxies["loud"] = node.deploy(owner, loud, told.aggregators[0])
    told.tokens = {name: node.deploy(owner, own("Token"), name, name, 18, 0) for name in told.proxies}
    for day in range(4):
        for index in range(BLOCKS):
            act(told, day, index)
            node.mine(GENESIS + day * DAY + (index + 1) * 600)
            told.look(day)
    node.rpc("anvil_mine", hex(FINAL), hex(12))
    return told


def act(told: Story, day: int, index: int) -> None:
    """What happens in a block of a day."""
    place, price = (day, index), 3000 * 10**8 + 7 * (10 * day + index) * 10**6 + 1
    if place == CHANGED:
        for proxy in told.proxies.values():
            told.node.transact(told.owner, proxy, "proposeAggregator(address)", told.aggregators[1])
            told.node.transact(told.owner, proxy, "confirmAggregator(address)", told.aggregators[1])
    elif index in (1, 4, 8) and place > (0, 0):
        told.submit(int(place > CHANGED), price)
    elif day == 1 and index in (2, 3):
        told.submit(1, 10**8)  # a test
    elif place == (3, 5):
        told.submit(0, 99_999 * 10**8)  # when nobody should listen
    elif place == (3, 6):
        told.submit(1, -5)  # no price


async def index(told: Story, url: str, folder: Path) -> None:
    file = folder / "feeds.toml"
    file.write_text(
        HEAD
        + "".join(
            FEED.format(name=name, proxy=to_checksum_address(proxy), token=to_checksum_address(told.tokens[name]))
            for name, proxy in told.proxies.items()
        )
    )
    chain = {
        "rpc": [told.node.url], "chain_id": CHAIN_ID, "block_ms": 12_000, "multicall3": to_checksum_address(MULTICALL3),
    }  # fmt: skip
    settings = load_settings(
        None, {"database": url, "start": 0, "protocols": ["feeds"], "chains": {"local": chain}}, environment=False
    )
    async with app.ledger(settings) as database:
        await app.up(settings, app.catalogue(settings, [file]), database, app.Run(), once=True, on_close=lambda: None)


async def test_what_counts_is_what_the_proxies_showed(
    story: Story, url: str, database: Database, tmp_path: Path
) -> None:
    await index(story, url, tmp_path)
    for name, token in story.tokens.items():
        rows = await database.fetch(
            "SELECT day - date '2026-01-01' AS day, answers, mean_usd FROM answer_daily WHERE token = $1 ORDER BY day",
            bytes.fromhex(token[2:]),
        )
        found: dict[int, Fraction] = defaultdict(Fraction)
        counts: dict[int, int] = defaultdict(int)
        for row in rows:
            found[row["day"]] += row["answers"] * Fraction(row["mean_usd"])
            counts[row["day"]] += row["answers"]
        told = {day: [answer for answer in answers if answer > 0] for day, answers in story.shown[name].items()}
        told.pop(3)  # the last day is not over yet
        assert counts == {day: len(answers) for day, answers in told.items()}
        for day, answers in told.items():
            assert abs(found[day] - Fraction(sum(answers), 10**8)) < Fraction(1, 10**9)


async def test_the_change_is_dated_to_its_block(story: Story, url: str, database: Database, tmp_path: Path) -> None:
    await index(story, url, tmp_path)
    changed = CHANGED[0] * BLOCKS + CHANGED[1] + 1
    rows = await database.fetch("SELECT * FROM feed_phase WHERE phase = 2 ORDER BY feed")
    assert [(row["feed"], row["seen_first"]) for row in rows] == [
        ("feeds.local.loud", changed),
        ("feeds.local.silent", changed),
    ]
    loud, silent = rows
    assert silent["tx_hash"] is None
    assert loud["tx_hash"] is not None
    assert [bytes.fromhex(story.aggregators[1][2:])] * 2 == [row["aggregator"] for row in rows]


def test_the_story_has_what_it_is_about(story: Story) -> None:
    """Both proxies showed the same: tests and the late answer are not among it."""
    assert story.shown["silent"] == story.shown["loud"]
    shown = [answer for answers in story.shown["silent"].values() for answer in answers]
    assert not {10**8, 99_999 * 10**8} & set(shown)
    assert -5 in shown
    assert {len(answers) for answers in story.shown["silent"].values()} == {3, 4}
