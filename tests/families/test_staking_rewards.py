"""StakingRewards: streams equal the contract's rules second by second; what is told and what is paid are flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from indexer.errors import BadInput
from indexer.families import FAMILIES
from indexer.families.interface import OPENING, Family
from indexer.families.staking_rewards import (
    ADDED,
    DURATION,
    DURATION_UPDATED,
    REWARD_ADDED,
    REWARD_PAID,
    STAKE,
    STAKED,
    WITHDRAWAL,
    WITHDRAWN,
    Programme,
)
from indexer.manifest import Deployment, digest
from indexer.model import Basis, Classified, Context, Evidence, Kind, Label, Side, Source, Step, Stream
from indexer.work.classify import Matcher
from tests.families.columns import batches, booked, logs_of, time_of, transaction_of
from tests.families.plain import Log
from tests.families.staking import Contract, Happening, happen

POOL, TOKEN, USER, OTHER = (bytes([number]) * 20 for number in (0xA1, 0xB2, 0xC3, 0xD4))
CONTRACTS = {"pool": (POOL,), "token": (TOKEN,)}
EVENTS = (REWARD_ADDED, REWARD_PAID, STAKED, WITHDRAWN, DURATION_UPDATED)
WEEK = 7 * 86_400
END_OF_BLOCK = 2**24 - 1
WHY = "The token is the protocol's own."


def family(**options: Any) -> Family:
    return FAMILIES["staking_rewards"].configured(Programme(why=WHY, **options))


def lived(happenings: Sequence[Happening], duration: int) -> Contract:
    """After everything, and after the last period."""
    contract = Contract(duration)
    for number, one in enumerate(happenings):
        happen(contract, one, number)
    contract.wait_until(max(contract.period_finish, contract.now))
    return contract


def as_step(number: int, one: Happening) -> Step:
    """Two events share a block; the transaction says which event it is."""
    return Step(POOL, one.name, number // 2, number % 2, (one.amount, one.time), number.to_bytes(32, "big"))


def keyed(steps: Sequence[Step]) -> dict[tuple[bytes, str], list[Step]]:
    found: dict[tuple[bytes, str], list[Step]] = {}
    for step in sorted(steps, key=lambda step: (step.block, step.log_index)):
        found.setdefault((step.contract, step.name), []).append(step)
    return found


def streamed(happenings: Sequence[Happening], duration: int, **options: Any) -> list[Stream]:
    steps = [as_step(number, one) for number, one in enumerate(happenings)]
    return family(duration=duration, **options).streams(CONTRACTS, keyed(steps))


def by_second(streams: Sequence[Stream]) -> dict[int, tuple[int, int]]:
    """Raw units of each second with the event that set the rate; two streams in one second are a mistake."""
    found: dict[int, tuple[int, int]] = {}
    for stream in streams:
        assert stream.denominator == 1
        assert stream.evidence.tx_hash is not None
        setter = int.from_bytes(stream.evidence.tx_hash, "big")
        assert (stream.evidence.block, stream.evidence.log_index) == (setter // 2, setter % 2)
        for second in range(stream.first, stream.last):
            assert second not in found
            found[second] = (stream.numerator, setter)
    return found


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Happening], int]:
    """Up to fourteen events, some in one second; nobody withdraws more than is staked."""
    time, staked, happenings = 0, 0, []
    for _ in range(draw(st.integers(0, 14))):
        time += draw(st.sampled_from((0, 0, 1, 2, 5, 13)))
        name = draw(st.sampled_from((ADDED, ADDED, STAKE, WITHDRAWAL, WITHDRAWAL, DURATION)))
        if name == WITHDRAWAL and staked == 0:
            name = STAKE
        if name == DURATION:
            amount = draw(st.integers(1, 12))
        elif name == ADDED:
            amount = draw(st.sampled_from((0, 1, 7, 100, 2**255)) | st.integers(0, 200))
        else:
            amount = draw(st.just(staked) if name == WITHDRAWAL and draw(st.booleans()) else st.integers(1, 3))
            amount = min(amount, staked) if name == WITHDRAWAL else amount
            staked += amount if name == STAKE else -amount
        happenings.append(Happening(time, name, amount))
    return happenings, draw(st.integers(1, 12))


@given(lives())
def test_streams_are_what_the_contract_accrues_second_by_second(life: tuple[list[Happening], int]) -> None:
    happenings, duration = life
    assert by_second(streamed(happenings, duration)) == lived(happenings, duration).earned


@given(lives())
def test_no_second_belongs_to_two_streams_and_each_is_as_long_as_can_be(life: tuple[list[Happening], int]) -> None:
    """Streams come in order, and two that touch have rates of two events."""
    streams = streamed(*life)
    for one, after in pairwise(streams):
        assert one.last <= after.first
        assert one.last < after.first or one.evidence != after.evidence


@given(lives(), st.data())
def test_from_a_state_on_the_streams_are_those_of_the_whole_history(
    life: tuple[list[Happening], int], data: st.DataObject
) -> None:
    """The state is asked at the end of some block; what came before it stays unknown, what comes after is the same."""
    happenings, duration = life
    block = data.draw(st.integers(-1, len(happenings) // 2))
    contract = Contract(duration)
    for number, one in enumerate(happenings[: 2 * block + 2]):
        happen(contract, one, number)
    latest = happenings[2 * block + 2].time if 2 * block + 2 < len(happenings) else contract.now + 3
    contract.wait_until(data.draw(st.integers(contract.now, latest)))
    opening = Step(POOL, OPENING, block, END_OF_BLOCK, (*contract.state, contract.now))
    later = [as_step(number, one) for number, one in enumerate(happenings) if number >= 2 * block + 2]
    found: dict[int, int] = {}
    for stream in family(duration=duration).streams(CONTRACTS, keyed([opening, *later])):
        if stream.evidence.tx_hash is None:
            assert stream.evidence == Evidence(block)
        found |= dict.fromkeys(range(stream.first, stream.last), stream.numerator)
    whole = lived(happenings, duration).earned
    assert found == {second: rate for second, (rate, _) in whole.items() if second >= contract.now}


@given(lives(), st.data())
def test_a_state_asked_among_known_events_changes_nothing(
    life: tuple[list[Happening], int], data: st.DataObject
) -> None:
    happenings, duration = life
    block = data.draw(st.integers(0, len(happenings) // 2))
    contract = Contract(duration)
    for number, one in enumerate(happenings[: 2 * block + 2]):
        happen(contract, one, number)
    told = [as_step(number, one) for number, one in enumerate(happenings)]
    opening = Step(POOL, OPENING, block, END_OF_BLOCK, (*contract.state, contract.now))
    if told:
        assert family(duration=duration).streams(CONTRACTS, keyed([*told, opening])) == streamed(happenings, duration)


# ---------------------------------------------------------------- by hand

LIFE = [
    Happening(100, ADDED, 1007),  # 10 a second until 200, seven lost
    Happening(120, STAKE, 5),  # twenty seconds for nobody
    Happening(150, ADDED, 100),  # (100 + 50 x 10) / 100 = 6 until 250
    Happening(180, WITHDRAWAL, 5),
    Happening(190, STAKE, 1),  # ten seconds for nobody
    Happening(400, ADDED, 300),  # 3 until 500, since the period had ended
]


def test_a_life_by_hand() -> None:
    found = [(one.numerator, one.first, one.last, one.evidence.block) for one in streamed(LIFE, 100)]
    assert found == [(10, 120, 150, 0), (6, 150, 180, 1), (6, 190, 250, 1), (3, 400, 500, 2)]


def test_a_stream_says_whose_what_and_which_log_set_its_rate() -> None:
    label = Label(Kind.EXTERNAL, Source.BRIBE, Side.HOLDERS, Basis.ACCRUED)
    first = streamed(LIFE, 100, kind="external", source="bribe", side="holders")[0]
    assert first == Stream(POOL, TOKEN, label, 10, 1, 120, 150, Evidence(0, bytes(32), 0))


def test_a_new_duration_during_a_period_spreads_what_is_left_at_once() -> None:
    """Sky's port: 600 left of 1000 over 50 seconds, and the next period is 50 seconds too."""
    life = [
        Happening(0, STAKE, 1),
        Happening(0, ADDED, 1000),
        Happening(40, DURATION, 50),
        Happening(200, ADDED, 100),
    ]
    found = [(one.numerator, one.first, one.last, one.evidence.log_index) for one in streamed(life, 100)]
    assert found == [(10, 0, 40, 1), (12, 40, 90, 0), (2, 200, 250, 1)]


def test_a_new_duration_at_the_end_of_a_period_is_for_the_next_one() -> None:
    """Where both sources agree: nothing runs in the second in which the period finishes."""
    life = [Happening(0, STAKE, 1), Happening(0, ADDED, 1000), Happening(100, DURATION, 10), Happening(110, ADDED, 50)]
    assert [(one.numerator, one.first, one.last) for one in streamed(life, 100)] == [(10, 0, 100), (5, 110, 120)]


def test_when_all_leave_and_somebody_comes_in_one_second_the_stream_goes_on() -> None:
    life = [Happening(0, STAKE, 5), Happening(0, ADDED, 100), Happening(40, WITHDRAWAL, 5), Happening(40, STAKE, 1)]
    assert [(one.first, one.last) for one in streamed(life, 100)] == [(0, 100)]


def test_a_reward_too_small_for_its_duration_accrues_to_nobody() -> None:
    assert streamed([Happening(0, STAKE, 1), Happening(0, ADDED, 99)], 100) == []


def test_without_events_or_without_stakers_nothing_accrues() -> None:
    assert streamed([], 100) == []
    assert streamed([Happening(0, ADDED, 1000)], 100) == []


def test_the_duration_of_the_constructor_is_a_week_unless_it_is_told() -> None:
    steps = keyed([as_step(0, Happening(0, STAKE, 1)), as_step(1, Happening(0, ADDED, WEEK * 3))])
    (stream,) = family().streams(CONTRACTS, steps)
    assert (stream.numerator, stream.last) == (3, WEEK)


@pytest.mark.parametrize(
    ("life", "sentence"),
    [
        ([Happening(0, STAKE, 5), Happening(9, WITHDRAWAL, 6)], "block 0, log 1: more was withdrawn than staked"),
        ([Happening(0, DURATION, 0), Happening(0, ADDED, 6)], "block 0, log 1: a period of no seconds began"),
        ([Happening(0, ADDED, 60), Happening(0, DURATION, 0)], "block 0, log 1: a period of no seconds began"),
    ],
    ids=["withdrawn", "added", "changed"],
)
def test_what_the_contract_does_not_allow_is_refused(life: list[Happening], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"Pool 0x{POOL.hex()}, {sentence}.*leave it out.*read it again"):
        streamed(life, 100)


@pytest.mark.parametrize("at", range(4))
def test_a_state_that_contradicts_the_events_is_refused(at: int) -> None:
    state = [6, 250, 1, 100]
    state[at] += 1
    told = [as_step(number, one) for number, one in enumerate(LIFE)]
    opening = Step(POOL, OPENING, 2, END_OF_BLOCK - 1, (*state, 300))
    steps = keyed([*(step for step in told if step.values[1] < 300), opening])
    with pytest.raises(BadInput, match=r"block 2: .*events make them 6, 250, 1, 100\. Correct option duration"):
        family(duration=100).streams(CONTRACTS, steps)


# ---------------------------------------------------------------- logs

LOGS = [
    Log("Staked", POOL, 1, 0, {"user": USER, "amount": 2**255}),
    Log("RewardAdded", POOL, 1, 1, {"reward": 500}),
    Log("RewardAdded", POOL, 2, 0, {"reward": 0}),
    Log("RewardPaid", POOL, 3, 4, {"user": USER, "reward": 2**256 - 1}),
    Log("RewardPaid", OTHER, 3, 5, {"user": USER, "reward": 3}),
    Log("Withdrawn", POOL, 4, 0, {"user": USER, "amount": 7}),
    Log("RewardsDurationUpdated", POOL, 5, 1, {"newDuration": 60}),
]


def deployment(options: Programme) -> Deployment:
    return Deployment("a.b", "a", "demo", "staking_rewards", 0, CONTRACTS, {}, "", bytes(32), options)


def classify(options: Programme) -> Classified:
    matched = Matcher(logs_of(LOGS, EVENTS)).match(deployment(options))
    assert not matched.faults
    return FAMILIES["staking_rewards"].configured(options).classify(CONTRACTS, matched.batches, Context())


def test_what_the_pool_is_told_is_budgeted_and_what_it_pays_is_paid() -> None:
    rows = [(row[0], row[1], *row[4:]) for row in booked(classify(Programme(why=WHY)))]
    told, paid = (
        Label(Kind.INCENTIVE, Source.STAKING_REWARD, Side.SUPPLY, basis) for basis in (Basis.BUDGETED, Basis.PAID)
    )
    assert rows == [(1, 1, told, 0, POOL, TOKEN, 500), (3, 4, paid, 0, POOL, TOKEN, 2**256 - 1)]


def test_steps_keep_amount_and_time_in_chain_order_of_each_event() -> None:
    mine = [log for log in LOGS if log.contract == POOL]
    steps = family().steps(batches(mine, EVENTS))
    assert sorted(steps, key=lambda step: (step.block, step.log_index)) == [
        Step(POOL, name, log.block, log.index, (amount, time_of(log.block)), transaction_of(log))
        for log, name, amount in zip(
            [log for log in mine if log.event != "RewardPaid"],
            (STAKE, ADDED, ADDED, WITHDRAWAL, DURATION),
            (2**255, 500, 0, 7, 60),
            strict=True,
        )
    ]


def test_all_is_asked_of_the_pool_alone() -> None:
    found = family().subscriptions(CONTRACTS)
    assert {one.event for one in found} == set(EVENTS)
    assert {one.emitters for one in found} == {(POOL,)}


def test_without_logs_there_is_nothing() -> None:
    assert family().classify(CONTRACTS, {}, Context()) == Classified([])
    assert family().steps({}) == []


# ---------------------------------------------------------------- states and options


def test_a_state_is_rate_finish_stakes_and_duration_with_the_block_s_time() -> None:
    assert family().accrual is not None
    assert family().accrual.functions == tuple(
        f"{name}() returns (uint256)" for name in ("rewardRate", "periodFinish", "totalSupply", "rewardsDuration")
    )
    assert family().opened([(5,), (900,), (7,), (100,)], 800) == (5, 900, 7, 100, 800)


def test_a_contract_that_was_not_there_yet_has_what_its_constructor_will_give_it() -> None:
    assert family(duration=60).opened([None] * 4, 800) == (0, 0, 0, 60, 800)


def test_a_contract_that_answers_in_part_is_none() -> None:
    with pytest.raises(BadInput, match=r"does not answer periodFinish\(\), rewardsDuration\(\)"):
        family().opened([(5,), None, (7,), None], 800)


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({}, (Kind.INCENTIVE, Source.STAKING_REWARD, Side.SUPPLY)),
        ({"kind": "external"}, (Kind.EXTERNAL, Source.PARTNER_GRANT, Side.SUPPLY)),
        ({"kind": "distribution"}, (Kind.DISTRIBUTION, Source.PAYOUT, Side.HOLDERS)),
        ({"kind": "production"}, (Kind.PRODUCTION, Source.HASHRATE_PAYOUT, Side.SUPPLY)),
        ({"source": "gauge", "side": "holders"}, (Kind.INCENTIVE, Source.GAUGE, Side.HOLDERS)),
    ],
)
def test_a_programme_s_label_is_what_the_manifest_says_or_the_kind_s_usual(options: Any, label: Any) -> None:
    programme = Programme(why=WHY, **options)
    assert programme.label(Basis.PAID) == Label(*label, Basis.PAID)
    assert FAMILIES["staking_rewards"].configured(programme).kinds == {label[0]: tuple(Basis)}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "fee", "why": WHY}, "cannot be fee"),
        ({"source": "swap", "why": WHY}, "never has: use staking_reward or"),
        ({"duration": 0, "why": WHY}, "greater than or equal to 1"),
        ({"duration": 1.5, "why": WHY}, "whole number"),
        ({}, "why\n  Field required"),
        ({"why": WHY, "period": 7}, "period\n  Extra"),
    ],
)
def test_a_programme_that_makes_no_sense_is_refused(options: Any, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Programme.model_validate(options)


def test_what_decides_flows_is_in_the_digest_and_its_argument_is_not() -> None:
    written = {"kind": "external", "source": "bribe", "why": WHY}
    plain = digest("demo", "staking_rewards", 0, CONTRACTS, written)
    assert digest("demo", "staking_rewards", 0, CONTRACTS, written | {"why": "For another reason altogether."}) == plain
    assert digest("demo", "staking_rewards", 0, CONTRACTS, written | {"source": "partner_grant"}) != plain
    assert digest("demo", "staking_rewards", 0, CONTRACTS, written | {"duration": 60}) != plain


def test_steps_of_other_pools_are_left_out() -> None:
    steps = keyed([replace(as_step(number, one), contract=OTHER) for number, one in enumerate(LIFE)])
    assert family().streams(CONTRACTS, steps) == []
