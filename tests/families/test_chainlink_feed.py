"""chainlink_feed: the batch form equals the plain one; only what a known aggregator answered, above zero, is a price."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.chain.fetch import Logs
from indexer.chain.logs import parse
from indexer.chain.planner import shapes
from indexer.decode.signature import parse_event
from indexer.decode.wide import to_ints
from indexer.families import FAMILIES
from indexer.families.chainlink_feed import (
    AGGREGATOR_CONFIRMED,
    ANSWER_UPDATED,
    CONFIRMED,
    DECIMALS,
    ChainlinkFeed,
    FeedOptions,
)
from indexer.families.interface import Family
from indexer.manifest import Deployment
from indexer.model import Answers, Context, Span, Step
from indexer.work.classify import Matcher
from tests.families.columns import batches, logs_of, time_of, transaction_of
from tests.families.plain import Log


def address(name: str) -> bytes:
    return sha256(name.encode()).digest()[:20]


TOKEN, PROXY = address("token"), address("proxy")
AGGREGATORS = [address(f"aggregator {number}") for number in range(3)]
OPTIONS = FeedOptions.model_construct(token=TOKEN)
FAMILY: Family = FAMILIES["chainlink_feed"].configured(OPTIONS)
CONTRACTS = {"proxy": (PROXY,), "aggregator": tuple(AGGREGATORS)}
DEPLOYMENT = Deployment(
    "feed.demo", "feed", "demo", "chainlink_feed", 0, CONTRACTS, {}, "", bytes(32), OPTIONS
)  # fmt: skip
TOPIC0 = "0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f"
RECORDINGS = {"trin": "blocks-trin", "portal": "blocks-portal-spec-tests", "erigon": "blocks-erigon-rpc-tests"}


class Told(NamedTuple):
    """One answer, with all that is kept of it."""

    block: int
    log_index: int
    time: int
    tx_hash: bytes
    contract: bytes
    token: bytes
    value: int
    decimals: int


def told(made: list[Answers]) -> list[Told]:
    """Every answer, in chain order."""
    found = []
    for one in made:
        where = one.where
        places = zip(where.block.tolist(), where.log_index.tolist(), where.time.tolist(), strict=True)
        for row, (place, value) in enumerate(zip(places, to_ints(one.value), strict=True)):
            contract = where.contract[row].tobytes()
            found.append(Told(*place, where.tx_hash[row].tobytes(), contract, one.token, value, one.decimals))
    return sorted(found)


def plain(logs: list[Log], decimals: Mapping[bytes, int]) -> list[Told]:
    """The same rule for one log at a time: FluxAggregator and OffchainAggregator emit the median, which may be any int256."""
    return sorted(
        Told(
            log.block, log.index, time_of(log.block), transaction_of(log), log.contract, TOKEN,
            log.number("current"), decimals[log.contract],
        )
        for log in logs
        if log.contract in decimals and log.number("current") > 0
    )  # fmt: skip


Answer = st.sampled_from((0, 1, -1, 2**255 - 1, -(2**255), 2**64)) | st.integers(-9, 9) | st.integers(0, 10**13)


@st.composite
def answered(draw: st.DrawFn) -> list[Log]:
    """Answers of three aggregators and of somebody else, each at a place of its own."""
    places = draw(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 4)), unique=True, max_size=14))
    contracts = st.sampled_from((*AGGREGATORS, address("somebody")))
    return [
        Log(
            "AnswerUpdated",
            draw(contracts),
            *place,
            {"current": draw(Answer), "roundId": draw(st.integers(0, 2**256 - 1)), "updatedAt": 7},
        )
        for place in places
    ]


@settings(deadline=None)
@given(answered(), st.dictionaries(st.sampled_from(AGGREGATORS), st.integers(0, 36)))
def test_the_batch_form_tells_what_the_plain_form_tells(logs: list[Log], decimals: dict[bytes, int]) -> None:
    """From a node's answer with everything in it; aggregators that nobody knows the decimals of tell nothing."""
    matched = Matcher(logs_of(logs, (ANSWER_UPDATED, AGGREGATOR_CONFIRMED))).match(DEPLOYMENT)
    assert not matched.faults
    members = {contract: {"decimals": places} for contract, places in decimals.items()}
    made = FAMILY.classify(CONTRACTS, matched.batches, Context(members))
    assert told(list(made.answers)) == plain(logs, decimals)
    assert (list(made.flows), list(made.trades)) == ([], [])


def test_it_recognises_no_kind_of_flow() -> None:
    assert FAMILY.kinds == {}


def test_a_manifests_feed_asks_nothing_until_an_aggregator_is_known() -> None:
    assert FAMILY.subscriptions({"proxy": (PROXY,)}) == ()
    (shape,) = shapes(FAMILY.subscriptions(CONTRACTS))
    assert shape.emitters == tuple(sorted((PROXY, *AGGREGATORS)))
    assert {topic.hex() for topic in shape.topics[0] or ()} == {
        TOPIC0,
        parse_event(AGGREGATOR_CONFIRMED).topic0.hex(),
    }


def test_aggregators_of_many_feeds_make_one_question() -> None:
    others = {"proxy": (address("other proxy"),), "aggregator": (address("other aggregator"),)}
    found = shapes([*FAMILY.subscriptions(CONTRACTS), *FAMILY.subscriptions(others)])
    assert [len(shape.emitters or ()) for shape in found] == [6]


@pytest.mark.parametrize(
    ("answer", "known"), [((8,), {"decimals": 8}), ((0,), {"decimals": 0}), ((78,), None), (None, None)]
)
def test_who_tells_nobody_its_decimals_is_no_aggregator(
    answer: tuple[int] | None, known: dict[str, int] | None
) -> None:
    assert FAMILY.questions == (DECIMALS,)
    claim = FAMILY.admit(CONTRACTS, AGGREGATORS[0], [answer])
    assert (None if claim is None else (claim.facts, claim.proof)) == (None if known is None else (known, None))


def test_a_confirmation_says_where_the_proxy_points_from_then_on() -> None:
    log = Log("AggregatorConfirmed", PROXY, 5, 3, {"previous": AGGREGATORS[0], "latest": AGGREGATORS[1]})
    (step,) = FAMILY.steps(batches([log], (AGGREGATOR_CONFIRMED,)))
    number = int.from_bytes(AGGREGATORS[1], "big")
    assert step == Step(PROXY, CONFIRMED, 5, 3, (number,), transaction_of(log))


def test_the_proxy_is_nobody_to_be_asked() -> None:
    assert FAMILY.anchor(CONTRACTS) == PROXY


# ------------------------------------------------------------ recorded


def recorded(folder: Path) -> Iterator[dict[str, Any]]:
    """Every log of a folder's blocks with AnswerUpdated's topic."""
    for file in sorted(folder.glob("*.json.gz")):
        yield from _logs(json.loads(gzip.decompress(file.read_bytes())))


def _logs(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("topics", [None])[:1] == [f"0x{TOPIC0}"]:
            yield value
        else:
            for inner in value.values():
                yield from _logs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _logs(inner)


@pytest.mark.parametrize("source", RECORDINGS)
def test_recorded_answers_are_read_as_their_topics_say(shared: Path, source: str) -> None:
    """Mainnet logs of 2021 to 2023: the answer is the first indexed topic; updatedAt is the block's own time."""
    logs = list(recorded(shared / "data" / RECORDINGS[source]))
    assert len(logs) >= 2
    for log in logs:
        number = int(log["blockNumber"], 16)
        timed = log | {"blockTimestamp": hex(int(log["data"], 16))}
        answer = parse(json.dumps([timed]).encode(), Span(number, number))
        emitter = bytes.fromhex(log["address"][2:])
        deployment = _reading(emitter)
        matched = Matcher(Logs(answer.groups, 1)).match(deployment)
        context = Context({emitter: {"decimals": 8}})
        (one,) = told(list(FAMILY.classify(deployment.contracts, matched.batches, context).answers))
        assert one.value == int(log["topics"][1], 16) > 0
        assert (one.block, one.log_index, one.contract) == (number, int(log["logIndex"], 16), emitter)
        assert one.time == int(log["data"], 16)
        assert one.tx_hash.hex() == log["transactionHash"][2:]


def _reading(aggregator: bytes) -> Deployment:
    contracts = {"proxy": (PROXY,), "aggregator": (aggregator,)}
    return Deployment("f", "f", "ethereum", "chainlink_feed", 0, contracts, {}, "", bytes(32), OPTIONS)


def test_the_time_of_an_answer_is_its_blocks(shared: Path) -> None:
    """Where the recording tells both, updatedAt is the time of the block: it need not be kept."""
    both = [
        (int(log["data"], 16), int(log["blockTimestamp"], 16))
        for folder in RECORDINGS.values()
        for log in recorded(shared / "data" / folder)
        if "blockTimestamp" in log
    ]
    assert len(both) >= 5
    assert all(told == block for told, block in both)


def test_the_token_is_the_options() -> None:
    unset = FAMILIES["chainlink_feed"]
    assert unset.configured(None) is unset
    configured = unset.configured(OPTIONS)
    assert isinstance(configured, ChainlinkFeed)
    assert configured.token == TOKEN
