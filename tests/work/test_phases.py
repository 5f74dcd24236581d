"""Timeline: what sights of a proxy's phases let conclude, and what contradicts them."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import EndpointLied
from indexer.ledger.feeds import Feed, Phase
from indexer.model import Evidence, Span, Step
from indexer.work.phases import Timeline

FEED = Feed(1, "feed.ethereum.eth", b"\xaa" * 20)


def aggregator(number: int) -> bytes:
    return bytes(19) + bytes([number])


def timeline(phases: int, **aggregators: int) -> Timeline:
    """Phases by number, each with an aggregator of its own but for those given as p<number>."""
    made = Timeline(FEED, [])
    for number in range(1, phases + 1):
        made.name(Phase(number, aggregator(aggregators.get(f"p{number}", number)), 8, 900))
    return made


def step(block: int, to: int, index: int = 0) -> Step:
    return Step(FEED.proxy, "aggregator", block, index, (to,), bytes([block % 256]) * 32)


def seen(one: Timeline) -> dict[int, tuple[int, int]]:
    return {phase.number: (phase.seen.first, phase.seen.last) for phase in one.phases if phase.seen is not None}


def test_each_sight_bounds_every_phase() -> None:
    one = timeline(4)
    one.see(4, 1000)
    one.see(2, 100)
    assert [one.entry(number) for number in (1, 2, 3, 4)] == [(None, 100), (None, 100), (100, 1000), (100, 1000)]
    one.see(2, 300)
    one.see(3, 700)
    assert [one.entry(number) for number in (3, 4)] == [(300, 700), (700, 1000)]


def test_phase_0_is_the_time_before_the_proxy() -> None:
    one = timeline(1)
    one.see(1, 1000)
    one.see(0, 100)
    assert one.entry(1) == (100, 1000)
    assert one.phases[0] == Phase(0, None, None, 100, Span(100, 100))


@pytest.mark.parametrize(("number", "block"), [(1, 300), (3, 100), (2, 701), (4, 200)])
def test_a_phase_that_goes_back_is_a_lie(number: int, block: int) -> None:
    one = timeline(4)
    one.see(2, 200)
    one.see(2, 300)
    one.see(3, 700)
    with pytest.raises(EndpointLied, match=rf"feed\.ethereum\.eth: .* phase {number} at block {block}, .* feed_phase"):
        one.see(number, block)


def test_it_covers_what_lies_between_two_sights_of_one_phase() -> None:
    one = timeline(2)
    one.see(1, 100)
    one.see(1, 200)
    one.see(2, 400)
    assert [one.covers(block) for block in (99, 100, 150, 200, 201, 400, 401)] == [
        False,
        True,
        True,
        True,
        False,
        True,
        False,
    ]


def test_only_stretches_that_matter_are_halved() -> None:
    one = timeline(3)
    one.see(1, 100)
    one.see(2, 201)
    one.see(3, 1001)
    assert one.unsettled(0) == {150, 601}
    assert one.unsettled(201) == {601}
    assert one.unsettled(1001) == set()
    one.see(2, 1000)
    assert one.unsettled(201) == set()


def test_nothing_is_halved_without_an_older_sight() -> None:
    one = timeline(3)
    one.see(3, 1000)
    assert one.unsettled(0) == set()


@pytest.mark.parametrize(
    ("target", "possible"),
    [(Span(0, 50), [1]), (Span(0, 101), [1, 2]), (Span(150, 160), [2]), (Span(201, 201), [3]), (Span(500, 600), [3])],
)
def test_a_phase_is_read_only_where_it_may_have_counted(target: Span, possible: list[int]) -> None:
    one = timeline(3)
    for number, block in ((1, 10), (1, 100), (2, 101), (2, 200), (3, 201), (3, 900)):
        one.see(number, block)
    assert [number for number in (1, 2, 3) if one.possible(number, target)] == possible


def test_what_is_known_again_is_nothing_new() -> None:
    one = timeline(2)
    one.see(2, 500)
    again = Timeline(FEED, one.phases)
    assert not again.learned
    again.see(2, 500)
    again.name(Phase(1, aggregator(1), 8, 999))
    assert not again.learned
    again.see(2, 501)
    assert again.learned


def test_decimals_that_came_late_are_taken() -> None:
    one = Timeline(FEED, [Phase(1, aggregator(1), None, 5)])
    one.name(Phase(1, aggregator(1), 8, 9))
    one.name(Phase(1, aggregator(1), 7, 9))
    assert one.phases == [Phase(1, aggregator(1), 8, 5)]


# ------------------------------------------------------------ the proxy's own logs


def test_a_log_dates_a_change_to_the_block() -> None:
    one = timeline(3)
    one.see(3, 1000)
    one.confirm([step(400, 2), step(700, 3)])
    assert seen(one) == {1: (399, 399), 2: (400, 699), 3: (700, 1000)}
    assert [phase.log for phase in one.phases] == [
        None,
        Evidence(400, bytes([400 % 256]) * 32, 0),
        Evidence(700, bytes([700 % 256]) * 32, 0),
    ]


def test_of_two_logs_in_a_block_the_later_one_holds() -> None:
    one = timeline(3)
    one.see(3, 1000)
    one.confirm([step(400, 2, 1), step(400, 3, 2)])
    assert seen(one) == {1: (399, 399), 3: (400, 1000)}


def test_a_log_that_fits_two_phases_dates_neither() -> None:
    one = timeline(3, p3=1)
    one.see(3, 1000)
    one.confirm([step(400, 1)])
    assert seen(one) == {3: (1000, 1000)}


def test_a_log_that_fits_one_of_two_phases_by_its_block_dates_that_one() -> None:
    one = timeline(3, p3=1)
    one.see(2, 300)
    one.see(3, 1000)
    one.confirm([step(400, 1)])
    assert seen(one) == {2: (300, 399), 3: (400, 1000)}


def test_a_log_of_an_aggregator_that_nobody_named_says_nothing() -> None:
    one = timeline(2)
    one.see(2, 1000)
    one.confirm([step(400, 9)])
    assert seen(one) == {2: (1000, 1000)}


# ------------------------------------------------------------ against a proxy


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(0, 12))
def test_conclusions_are_never_wrong_and_halving_ends_in_exact_ones(seed: int, phases: int, looks: int) -> None:
    """A proxy that changed at random blocks, looked at at random ones."""
    random = Random(seed)
    begun = sorted(random.choices(range(1, 500), k=phases))  # two changes may fall into one block

    def truth(block: int) -> int:
        return sum(start <= block for start in begun)

    one = timeline(phases)
    for block in [*random.choices(range(600), k=looks), 599, 0]:
        one.see(truth(block), block)
    for number, start in enumerate(begun, start=1):
        before, since = one.entry(number)
        assert before is not None
        assert since is not None
        assert before < start <= since
        lived = Span(start, begun[number] - 1 if number < phases else 599)
        assert one.possible(number, lived) or len(lived) <= 0
    rounds = 0
    while middles := one.unsettled(0):
        for block in middles:
            one.see(truth(block), block)
        rounds += 1
    assert rounds <= 10
    assert [one.entry(number) for number in range(1, phases + 1)] == [(start - 1, start) for start in begun]
