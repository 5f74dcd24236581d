"""Each deployment gets its own logs, decoded once; what cannot be decoded is kept; no log is booked twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.chain.fetch import Logs
from indexer.decode.columns import Fault, Raw
from indexer.decode.signature import parse_event
from indexer.model import Subscription
from indexer.work import classify
from indexer.work.classify import DoubleClaimError, Matched, Matcher, refuse_doubles
from tests.chain.plain_logs import PlainLog, raw_of
from tests.work.world import deployment, word

PAID = "Paid(address indexed who, uint256 indexed kind, uint8 amount)"
OTHER_PAID = "Paid(address indexed who, uint256 kind, uint8 amount)"  # the same topic0, one topic less
SET = "Set(uint256 value)"
WHO, FIRST, SECOND, THIRD = (bytes([number]) * 20 for number in (9, 1, 2, 3))
ONE, TWO = deployment("dex.one"), deployment("dex.two")


@dataclass(frozen=True)
class Told:
    """A log of Paid: who emitted it, its kind, its amount."""

    emitter: bytes
    kind: int
    amount: int


def paid(logs: Sequence[Told]) -> Logs:
    """One log a block, from block 0 on."""
    event = parse_event(PAID)
    rows = [
        PlainLog(
            at, 5, 1_700_000_000 + at, word(at), log.emitter, (event.topic0, word(WHO), word(log.kind)), word(log.amount)
        )
        for at, log in enumerate(logs)
    ]  # fmt: skip
    return Logs({(event.topic0, 3): raw_of(rows)} if rows else {}, len(rows))


@pytest.fixture
def wanting(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Subscription]]:
    """Subscriptions by deployment id, to be filled by the test."""
    wanted: dict[str, list[Subscription]] = {}
    monkeypatch.setattr(classify, "subscriptions", lambda one: tuple(wanted[one.id]))
    return wanted


def blocks(matched: Matched, event: str = PAID) -> list[int]:
    return matched.batches[event].where.block.tolist() if event in matched.batches else []


def test_a_merged_answer_is_taken_apart_again(wanting: dict[str, list[Subscription]]) -> None:
    """Two deployments asked for different emitters and kinds in one question: each gets what it wanted."""
    wanting[ONE.id] = [Subscription(PAID, (FIRST,)), Subscription(SET, None)]
    wanting[TWO.id] = [Subscription(PAID, (FIRST, SECOND), {2: (word(7), word(8))})]
    matcher = Matcher(
        paid([Told(FIRST, 7, 1), Told(SECOND, 7, 2), Told(SECOND, 9, 3), Told(FIRST, 1, 4), Told(THIRD, 8, 5)])
    )
    assert blocks(matcher.match(ONE)) == [0, 3]
    two = matcher.match(TWO)
    assert blocks(two) == [0, 1]
    assert two.emitters() == {FIRST, SECOND}
    assert two.batches[PAID].args["amount"].tolist() == [1, 2]


def test_the_same_topic0_with_other_topics_is_another_event(wanting: dict[str, list[Subscription]]) -> None:
    """Indexed or not is no part of topic0: the number of topics tells such events apart."""
    wanting[ONE.id] = [Subscription(OTHER_PAID, None)]
    assert parse_event(OTHER_PAID).topic0 == parse_event(PAID).topic0
    matched = Matcher(paid([Told(FIRST, 7, 1)])).match(ONE)
    assert matched.batches == {}
    assert matched.faults == []


def test_an_event_that_many_want_of_anyone_is_decoded_once(
    wanting: dict[str, list[Subscription]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding is what costs; the batch is shared."""
    wanting[ONE.id] = wanting[TWO.id] = [Subscription(PAID, None)]
    decoded: list[Raw] = []

    def counted(event: Any, raw: Raw) -> Any:
        decoded.append(raw)
        return decode(event, raw)

    decode = classify.decode
    monkeypatch.setattr(classify, "decode", counted)
    matcher = Matcher(paid([Told(FIRST, 7, 1)]))
    assert matcher.match(ONE).batches[PAID] is matcher.match(TWO).batches[PAID]
    assert len(decoded) == 1


def test_nothing_matched_is_no_batch(wanting: dict[str, list[Subscription]]) -> None:
    """Families never see an empty batch."""
    wanting[ONE.id] = [Subscription(PAID, (THIRD,)), Subscription(PAID, ()), Subscription(SET, None)]
    assert Matcher(paid([Told(FIRST, 7, 1)])).match(ONE).batches == {}
    assert Matcher(paid([])).match(ONE).batches == {}


EMITTERS = st.sampled_from([FIRST, SECOND, THIRD])
KINDS = st.integers(6, 9)


CONSTRAINTS = st.tuples(
    st.none() | st.lists(EMITTERS, max_size=2).map(tuple), st.none() | st.lists(KINDS, min_size=1, max_size=2)
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.builds(Told, EMITTERS, KINDS, st.integers(0, 255)), max_size=8),
    st.lists(CONSTRAINTS, min_size=1, max_size=3),
)
def test_what_matches_is_what_a_look_at_each_log_says(
    logs: list[Told], asked: list[tuple[tuple[bytes, ...] | None, list[int] | None]]
) -> None:
    """Any emitters, any constraints: a log that one of several subscriptions of an event allows is there, once."""
    wanted = [
        block
        for block, log in enumerate(logs)
        if any(
            (emitters is None or log.emitter in emitters) and (kinds is None or log.kind in kinds)
            for emitters, kinds in asked
        )
    ]
    subscribed = tuple(
        Subscription(PAID, emitters, {} if kinds is None else {2: tuple(map(word, kinds))}) for emitters, kinds in asked
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classify, "subscriptions", lambda _: subscribed)
        matched = Matcher(paid(logs)).match(ONE)
    assert blocks(matched) == wanted
    assert matched.emitters() == {logs[block].emitter for block in wanted}


# ---------------------------------------------------------------- what cannot be decoded


@pytest.mark.parametrize("emitters", [None, (FIRST, SECOND)], ids=["anyone", "named"])
def test_an_undecodable_log_is_kept_with_its_reason_and_its_data(
    wanting: dict[str, list[Subscription]], emitters: tuple[bytes, ...] | None
) -> None:
    """An amount that is no uint8: the log next to it is read, this one is set aside exactly as it came."""
    wanting[ONE.id] = [Subscription(PAID, emitters)]
    matched = Matcher(paid([Told(THIRD, 1, 1), Told(FIRST, 7, 300), Told(SECOND, 7, 2)])).match(ONE)
    assert blocks(matched) == ([0, 2] if emitters is None else [2])
    assert matched.emitters() >= {FIRST, SECOND}, "who emits nonsense only is an emitter, too"
    (kept,) = matched.quarantined(None)
    assert (kept.block, kept.log_index, kept.tx_hash, kept.contract) == (1, 5, word(1), FIRST)
    assert (kept.topic0, kept.data) == (parse_event(PAID).topic0, word(300))
    assert "amount" in kept.reason


def test_only_members_logs_are_set_aside(wanting: dict[str, list[Subscription]]) -> None:
    """Strangers may emit what they like."""
    wanting[ONE.id] = [Subscription(PAID, None)]
    matched = Matcher(paid([Told(FIRST, 7, 300), Told(SECOND, 7, 400)])).match(ONE)
    assert [row.contract for row in matched.quarantined({SECOND})] == [SECOND]
    assert matched.quarantined(set()) == []
    assert [fault.row for _, _, fault in matched.faults] == [0, 1]
    assert all(isinstance(fault, Fault) for _, _, fault in matched.faults)


# ---------------------------------------------------------------- one log, one claim


def places(*told: tuple[int, int]) -> np.ndarray:
    return np.array([(block << 24) + index for block, index in told], np.int64)


def test_a_log_booked_by_two_deployments_is_refused() -> None:
    """The sentence names the block, the log, both deployments and the remedy."""
    claims = {"dex.one": [places((5, 1), (7, 3))], "dex.two": [places((6, 0)), places((7, 3))]}
    with pytest.raises(DoubleClaimError, match=r"Block 7, log 3: dex\.one and dex\.two both claim it\. Give their"):
        refuse_doubles(claims)


def test_many_flows_of_one_log_in_one_deployment_are_fine() -> None:
    """Legs of a swap share their log; neighbours in block or index are other logs; some book nothing."""
    legs = [places((5, 1), (5, 1)), places((5, 1))]
    refuse_doubles({"dex.one": legs, "dex.two": [places((5, 2), (6, 1))], "dex.three": []})
    refuse_doubles({"dex.one": legs})
    refuse_doubles({})


def test_the_third_deployment_is_compared_with_the_first() -> None:
    """Every pair counts."""
    with pytest.raises(DoubleClaimError, match="a and c"):
        refuse_doubles({"a": [places((1, 1))], "b": [places((1, 2))], "c": [places((1, 1))]})
