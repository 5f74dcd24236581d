"""Real StakingRewards on anvil, indexed as any chain: what the contracts owe is what the streams accrued, to the unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from indexer import app
from indexer.ledger.connect import Database
from indexer.ledger.sql import texts
from indexer.settings import load_settings
from tests.demochain.artifacts import Artifact, NotObtainable, anvil_program, liquidity_staker, own, staking_rewards
from tests.demochain.deploy import MULTICALL3, approve, place_multicall
from tests.demochain.node import CHAIN_ID, GENESIS, Node, calldata, running_node

HOUR, DAY = 3_600, 86_400
TOKEN = 10**18
EXACT = 40  # rates are multiples of it: any of its divisors of whole tokens staked shares a second exactly
FINAL = 70  # blocks on top: anvil calls final what is 64 deep
EARLY = Path(__file__).parent / "contracts" / "EarlyDuration.sol"
MANIFEST = """
[protocol]
id = "farm"
name = "Under test"
category = "farm"
methodology = "None."
[[deployment]]
chain = "local"
family = "staking_rewards"
start_block = 0
exactness = "None."
[deployment.contracts]
pool = "{pool}"
token = "{token}"
[deployment.options]
duration = {duration}
why = "Deployed by this test."
[deployment.counts]
incentive = "accrued"
[deployment.sources]
start_block = "The chain's first block."
pool = "Deployed by this test."
token = "Deployed by this test."
"""


@pytest.fixture
def node() -> Iterator[Node]:
    """A fresh node with Multicall3 at its address."""
    with ExitStack() as running:
        try:
            anvil_program()
            for made in (staking_rewards, partial(staking_rewards, EARLY), liquidity_staker):
                made()
            found = running.enter_context(running_node())
        except NotObtainable as reason:
            pytest.skip(str(reason))
        place_multicall(found)
        yield found


@dataclass
class Farm:
    """A pool with its stakers, and what it owed at certain times.

    owed: what all stakers together had earned, claimed or not, at (UTC seconds). lost: how much of it the contract's
    divisions may have rounded away until then, in raw units.
    """

    node: Node
    artifact: Artifact
    pool: str = ""
    reward: str = ""
    owed: dict[int, int] = field(default_factory=dict)
    lost: dict[int, int] = field(default_factory=dict)
    told: int = 0
    supply: int = 0
    rounding: int = 0

    def __post_init__(self) -> None:
        node, (self.owner, *rest) = self.node, self.node.accounts()
        self.users = rest[:4]
        self.reward, self.staked = (
            node.deploy(self.owner, own("Token"), name, name, 18, 10**36) for name in ("R", "S")
        )
        roles = [self.owner, self.reward, self.staked]
        more = [self.owner] if self.artifact.constructor.count("address") == 4 else []
        self.pool = node.deploy(self.owner, self.artifact, *more, *roles)
        node.mine()
        for user in self.users:
            node.transact(self.owner, self.staked, "transfer(address,uint256)", user, 10**30)
            approve(node, user, [self.staked], [self.pool])
        node.mine()

    def ask(self, name: str) -> int:
        return int(self.node.call(self.pool, f"{name}()->(uint256)")[0])

    def balance(self, user: str) -> int:
        return int(self.node.call(self.pool, "balanceOf(address)->(uint256)", user)[0])

    # Each of these is a transaction of the next block.

    def stake(self, user: int, amount: int) -> None:
        self._acts(self.users[user], "stake(uint256)", amount, change=amount)

    def withdraw(self, user: int, amount: int) -> None:
        self._acts(self.users[user], "withdraw(uint256)", amount, change=-amount)

    def claim(self, user: int) -> None:
        self._acts(self.users[user], "getReward()")

    def leave(self, user: int) -> None:
        amount = self.balance(self.users[user])
        self._acts(self.users[user], "exit()", change=-amount)
        self.rounding += 1  # exit updates twice

    def change(self, duration: int) -> None:
        self._acts(self.owner, "setRewardsDuration(uint256)", duration)

    def pay(self, amount: int) -> None:
        self.node.transact(self.owner, self.reward, "transfer(address,uint256)", self.pool, amount)
        self._acts(self.owner, "notifyRewardAmount(uint256)", amount)
        self.told += amount

    def pay_for(self, rate: int, now: int) -> None:
        """A reward after which the pool streams this rate; most of a second's worth of it is lost to the floor."""
        duration, left = self.ask("rewardsDuration"), max(self.ask("periodFinish") - now, 0) * self.ask("rewardRate")
        assert rate * duration > left
        self.pay(rate * duration - left + duration - 1)

    def at(self, now: int) -> None:
        """The next block, at this time, and what is owed then."""
        block = self.node.mine(now)
        earned = [self._read(self.pool, "earned(address)", user, block) for user in self.users]
        paid = [self._read(self.reward, "balanceOf(address)", user, block) for user in self.users]
        self.owed[now] = sum(earned) + sum(paid)
        self.lost[now] = self.rounding + self.supply // TOKEN + 1 + len(self.users)

    def _acts(self, sender: str, signature: str, *args: Any, change: int = 0) -> None:
        """updateReward floors the reward per token (a 10^18th for each token staked) and what the account has of it."""
        self.node.transact(sender, self.pool, signature, *args)
        self.rounding += self.supply // TOKEN + 1 + 1
        self.supply += change

    def _read(self, contract: str, signature: str, user: str, block: int) -> int:
        return int.from_bytes(self.node.raw_call(contract, calldata(signature, user), block=block), "big")


def hour(day: int, at: int, minutes: int = 0) -> int:
    return GENESIS + day * DAY + at * HOUR + minutes * 60


def live(farm: Farm, early: bool = False, duration: int | None = 2 * DAY) -> None:
    """Seven days: nobody at first, a top-up, everybody away, an end, a new duration, and a new beginning."""
    if duration is not None:
        farm.change(duration)
    farm.pay_for(EXACT * 10**6, hour(0, 2))
    farm.at(hour(0, 2))  # three and a half hours for nobody
    farm.stake(0, 1 * TOKEN)
    farm.at(hour(0, 5, 31))
    farm.stake(1, 3 * TOKEN)
    farm.at(hour(0, 11))
    farm.at(hour(1, 0))
    farm.pay_for(EXACT * 3_333_333, hour(1, 3))  # while the first period runs
    farm.at(hour(1, 3))
    farm.stake(2, 4 * TOKEN)
    farm.at(hour(1, 9, 17))
    if early:
        _change_early(farm, hour(1, 12))
    farm.claim(1)
    farm.at(hour(1, 15))
    farm.leave(1)
    farm.at(hour(1, 20, 5))
    farm.at(hour(2, 0))
    farm.leave(0)
    farm.leave(2)
    farm.at(hour(2, 4))  # nobody is left
    farm.pay_for(EXACT * 7_000_001, hour(2, 10))
    farm.at(hour(2, 10))
    farm.stake(0, 2 * TOKEN)
    farm.at(hour(2, 16))
    for day in (3, 4):
        farm.at(hour(day, 0))
    farm.at(hour(4, 10, 1))
    if duration is not None:
        farm.change(DAY // 2)  # the period has ended
    farm.at(hour(4, 12))
    farm.at(hour(5, 0))
    farm.pay_for(EXACT * 9_999_999, hour(5, 6))
    farm.stake(1, 8 * TOKEN)
    farm.at(hour(5, 6))
    farm.leave(0)
    farm.leave(1)
    farm.stake(3, 20 * TOKEN)  # all left and one came within one second
    farm.at(hour(5, 14, 3))
    farm.claim(3)
    for day in (6, 7):
        farm.at(hour(day, 0))


def _change_early(farm: Farm, now: int) -> None:
    """A duration that makes another exact rate of what is left, but not exactly all of it."""
    left = (farm.ask("periodFinish") - now) * farm.ask("rewardRate")
    duration = next(one for one in range(DAY, 9 * DAY) if left // one % EXACT == 0 and left % one)
    farm.change(duration)
    farm.at(now)


async def index(farm: Farm, url: str, folder: Path, duration: int) -> None:
    """Runs `indexer up --once` on the node with the pool as the one deployment."""
    farm.node.mine()
    farm.node.rpc("anvil_mine", hex(FINAL), hex(12))
    file = folder / "farm.toml"
    addresses = {"pool": to_checksum_address(farm.pool), "token": to_checksum_address(farm.reward)}
    file.write_text(MANIFEST.format(duration=duration, **addresses))
    chain = {
        "rpc": [farm.node.url], "chain_id": CHAIN_ID, "block_ms": 12_000, "multicall3": to_checksum_address(MULTICALL3),
    }  # fmt: skip
    given = {"database": url, "start": 0, "data_dir": folder, "chains": {"local": chain}}
    settings = load_settings(None, given)
    known = app.catalogue(settings, [file])
    async with app.ledger(settings) as database:
        await app.up(settings, known, database, app.Run(), once=True, on_close=lambda: None)


async def streamed(database: Database) -> Callable[[int], int]:
    """What the ledger's streams had accrued at a time."""
    rows = await database.fetch("SELECT begins, ends, numerator, denominator FROM stream")
    found = [(int(row[0].timestamp()), int(row[1].timestamp()), int(row[2]), int(row[3])) for row in rows]
    assert all(denominator == 1 for *_, denominator in found)

    def until(now: int) -> int:
        return sum(rate * (min(ends, max(begins, now)) - begins) for begins, ends, rate, _ in found)

    return until


async def by_day(database: Database, basis: str) -> dict[date, int]:
    rows = await database.fetch(
        "SELECT day, sum(amount) AS amount FROM flow_daily WHERE basis = $1::text::flow_basis GROUP BY day", basis
    )
    return {row["day"]: int(row["amount"]) for row in rows}


def days_of(owed: dict[int, int]) -> dict[date, int]:
    """What each day added to what is owed."""
    midnights = [hour(day, 0) for day in range(1, 8)]
    totals = [0, *(owed[now] for now in midnights)]
    days = [datetime.fromtimestamp(GENESIS + day * DAY, UTC).date() for day in range(7)]
    added = {day: after - before for day, before, after in zip(days, totals, totals[1:], strict=False)}
    return {day: amount for day, amount in added.items() if amount}


async def complaints(database: Database) -> list[str]:
    return [name for name, text in texts("checks") if await database.fetch(text)]


VARIANTS = {
    "synthetix": (staking_rewards, 7 * DAY, 2 * DAY),
    "early": (partial(staking_rewards, EARLY), 7 * DAY, 2 * DAY),
    "uniswap": (liquidity_staker, 60 * DAY, None),
}


@pytest.mark.parametrize("variant", VARIANTS)
async def test_what_is_earned_equals_the_streams_to_the_unit(
    node: Node, variant: str, url: str, database: Database, tmp_path: Path
) -> None:
    """At every block of the life, and day by day; paid is what was claimed, budgeted what the pool was told."""
    make, first, duration = VARIANTS[variant]
    farm = Farm(node, make())
    live(farm, early=variant == "early", duration=duration)
    await index(farm, url, tmp_path, first)
    until = await streamed(database)
    assert {now: until(now) for now in farm.owed} == farm.owed
    assert await by_day(database, "accrued") == days_of(farm.owed)
    assert sum((await by_day(database, "budgeted")).values()) == farm.told
    paid = [node.call(farm.reward, "balanceOf(address)->(uint256)", user)[0] for user in farm.users]
    assert sum((await by_day(database, "paid")).values()) == sum(paid) > 0
    assert len(set(farm.owed.values())) > 12, "the life was a varied one"
    assert sum(days_of(farm.owed).values()) < farm.told, "time without stakers was lost"
    assert await complaints(database) == []


def live_at_random(farm: Farm, dice: Random) -> None:
    """Ugly amounts, several acts a block, at any second of seven days."""
    times = sorted(dice.sample(range(GENESIS + HOUR, GENESIS + 7 * DAY), 60))
    for now in sorted({*times, *(hour(day, 0) for day in range(1, 8))}):
        for _ in range(dice.choice((0, 1, 1, 2))):
            _act(farm, dice, now)
        farm.at(now)


def _act(farm: Farm, dice: Random, now: int) -> None:
    user = dice.randrange(len(farm.users))
    kind, held = dice.random(), farm.balance(farm.users[user])
    if farm.node._sent:  # one act a block and user: what is held is known from the last block only
        kind = 0.0 if kind < 0.6 else 0.95
    if kind < 0.4:
        farm.stake(user, dice.randrange(1, 10 ** dice.randrange(1, 27)))
    elif kind < 0.55 and held:
        farm.withdraw(user, dice.randrange(1, held + 1))
    elif kind < 0.65:
        farm.leave(user) if held else farm.claim(user)
    elif kind < 0.75:
        farm.claim(user)
    elif kind < 0.82 and farm.ask("periodFinish") < now:
        farm.change(dice.randrange(HOUR, 3 * DAY))
    else:
        farm.pay(dice.randrange(10 ** dice.randrange(6, 25)))


@pytest.mark.parametrize("seed", range(2))
async def test_with_any_stakes_the_contract_owes_less_by_no_more_than_it_rounds(
    node: Node, seed: int, url: str, database: Database, tmp_path: Path
) -> None:
    """Each update floors the reward per token, a 10^18th for every token staked, and what one account has of it."""
    farm = Farm(node, staking_rewards())
    live_at_random(farm, Random(seed))
    await index(farm, url, tmp_path, 7 * DAY)
    until = await streamed(database)
    short = {now: until(now) - owed for now, owed in farm.owed.items()}
    assert {now: units for now, units in short.items() if not 0 <= units <= farm.lost[now]} == {}
    assert max(short.values()) > 0, "such stakes do round"
    assert await complaints(database) == []
