"""Streams: cut at UTC days in exact integers, where a day was read whole and no event before it is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.errors import BadInput
from indexer.ledger import context
from indexer.ledger.closing import close_days, dirty_days, put_day_start
from indexer.ledger.connect import Database
from indexer.ledger.rows import add_digests, row_hashes
from indexer.ledger.sql import texts
from indexer.ledger.streams import Accruing, known_spans, rebuild
from indexer.model import Basis, Evidence, Kind, Label, Side, Source, Span, Step, Stream
from tests.ledger.made import CHAIN, COIN, JANUARY, ONE, POOL, TWO, at, deployment, flows, known, reading, store

DAY = 86_400
BLOCKS = 8640  # a day's, ten seconds each
DAYS = [date(2026, 1, day) for day in range(1, 8)]
REWARD = Label(Kind.INCENTIVE, Source.STAKING_REWARD, Side.SUPPLY, Basis.ACCRUED)
PAID = replace(REWARD, basis=Basis.PAID)
FARM = Accruing(CHAIN, ONE.deployment, 0, [POOL])
CHECKS = {
    name: text for name, text in texts("checks") if name in ("flow_daily.sql", "day_digest.sql", "stream_overlap.sql")
}


class Rate(NamedTuple):
    """A made-up event: from this block's time on so many raw units in so many seconds, until `last` (seconds)."""

    block: int
    numerator: int
    last: int
    denominator: int = 1


def second(block: int) -> int:
    return JANUARY + 10 * block


def step(rate: Rate, name: str = "rate") -> Step:
    values = (rate.numerator, rate.denominator, rate.last, second(rate.block))
    return Step(POOL, name, rate.block, 0, values, rate.block.to_bytes(32, "big"))


def opening(block: int, numerator: int, last: int) -> Step:
    return replace(step(Rate(block, numerator, last), "opening"), log_index=2**24 - 1, tx_hash=None)


def fold(steps: Mapping[tuple[bytes, str], Sequence[Step]]) -> list[Stream]:
    """Each rate holds until the next one or its own end."""
    found = sorted((one for held in steps.values() for one in held), key=lambda one: (one.block, one.log_index))
    made = []
    for number, one in enumerate(found):
        numerator, denominator, last, first = one.values
        last = min([last, *(after.values[3] for after in found[number + 1 :])])
        if numerator and first < last:
            told = Evidence(one.block) if one.tx_hash is None else Evidence(one.block, one.tx_hash, one.log_index)
            made.append(Stream(POOL, COIN, REWARD, numerator, denominator, first, last, told))
    return made


def steps(*rates: Rate) -> list[Step]:
    return [step(rate) for rate in rates]


async def read(database: Database, first: int, last: int, *rates: Rate, **more: Any) -> None:
    """A range with these events of the pool."""
    await store(database, first, last, replace(reading(**more), steps=steps(*rates)))


async def close(database: Database, until: date = DAYS[6]) -> list[date]:
    """What a run does after reading; the days closed."""
    await dirty_days(database, CHAIN, until)
    await rebuild(database, FARM, 10**9, fold)
    return await close_days(database, CHAIN, until)


@pytest.fixture
async def ready(database: Database) -> Database:
    """Deployments one and two, and the first blocks of six days."""
    await known(database, deployment("one"), deployment("two"))
    for number, day in enumerate(DAYS[:6]):
        await put_day_start(database, CHAIN, day, number * BLOCKS)
    return database


async def accrued(database: Database) -> dict[int, tuple[int, int]]:
    """Raw units and pieces by day of January."""
    rows = await database.fetch(
        "SELECT day, amount, flows, contract, token, kind, source, side FROM flow_daily WHERE basis = 'accrued' ORDER BY day"
    )
    for row in rows:
        assert tuple(row)[3:] == (POOL, COIN, "incentive", "staking_reward", "supply")
    return {row["day"].day: (int(row["amount"]), row["flows"]) for row in rows}


async def stored(database: Database) -> list[tuple[Any, ...]]:
    rows = await database.fetch(
        "SELECT span_first_block, begins, ends, numerator, denominator, block_number, tx_hash, log_index FROM stream ORDER BY begins"
    )
    return [(row[0], row[1].timestamp(), row[2].timestamp(), int(row[3]), int(row[4]), *tuple(row)[5:]) for row in rows]


async def digests(database: Database) -> list[tuple[Any, ...]]:
    rows = await database.fetch(
        "SELECT deployment, day, flows, digest, blocks_held, blocks FROM deployment_day ORDER BY 1, 2"
    )
    return [tuple(row) for row in rows]


async def complaints(database: Database) -> list[str]:
    return [name for name, text in CHECKS.items() if await database.fetch(text)]


# ---------------------------------------------------------------- amounts


@st.composite
def programmes(draw: st.DrawFn) -> list[Rate]:
    """Up to eight changes in five days, with ends before, between and long after them."""
    blocks = sorted(draw(st.sets(st.integers(0, 5 * BLOCKS - 1), max_size=8)))
    return [
        Rate(
            block,
            draw(st.sampled_from((0, 1, 7, 2**200)) | st.integers(0, 10**20)),
            second(block) + draw(st.sampled_from((1, DAY, 10**12)) | st.integers(1, 6 * DAY)),
            draw(st.sampled_from((1, 1, 3, 86_399, 10**18))),
        )
        for block in blocks
    ]


def cut(made: Sequence[Stream]) -> dict[int, tuple[int, int]]:
    """By day of January: what the streams accrue, each floored since its start, and how many there are."""
    amounts: Counter[int] = Counter()
    pieces: Counter[int] = Counter()
    for stream in made:
        before = 0
        for number in range(6):
            end = min(max(JANUARY + (number + 1) * DAY, stream.first), stream.last)
            total = stream.numerator * (end - stream.first) // stream.denominator
            amounts[number + 1] += total - before
            pieces[number + 1] += total > before
            before = total
    return {day: (amounts[day], pieces[day]) for day in range(1, 6) if pieces[day]}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programmes())
async def test_days_hold_what_streams_accrue_to_the_last_unit(ready: Database, rates: list[Rate]) -> None:
    """Against Python's integers; five closed days, and streams that end in a hundred thousand years."""
    await ready.fetch("DELETE FROM parameter")
    await read(ready, 0, 5 * BLOCKS - 1, *rates)
    await close(ready)
    assert await accrued(ready) == cut(fold({(POOL, "rate"): steps(*rates)}))
    assert await complaints(ready) == []


async def test_the_days_of_a_stream_add_up_to_the_whole_of_it(ready: Database) -> None:
    """Ten raw units in 86,399 seconds: floored since the stream's start, not each day anew."""
    first, last = 4321, second(0) + 4 * DAY + 11
    await read(ready, 0, 5 * BLOCKS - 1, Rate(first, 10, last, 86_399))
    await close(ready)
    amounts = [amount for amount, _ in (await accrued(ready)).values()]
    assert amounts == [4, 10, 10, 10, 1]
    assert sum(amounts) == 10 * (last - second(first)) // 86_399
    anew = [10 * seconds // 86_399 for seconds in (DAY - 43_210, DAY, DAY, DAY, 11)]
    assert sum(anew) == sum(amounts) - 1, "floored each day anew one unit would be lost"


async def test_what_accrued_joins_flows_of_the_same_label(ready: Database) -> None:
    """A family may book accrued flows by logs too: the day holds the sum of both."""
    log = flows([at(0, 7, contract=POOL)], [1000], token=COIN, label=REWARD)
    await store(ready, 0, BLOCKS - 1, replace(reading(log), steps=steps(Rate(0, 2, second(0) + 50))))
    await close(ready)
    assert await accrued(ready) == {1: (1100, 2)}
    assert await complaints(ready) == []


async def test_a_stream_keeps_what_told_its_rate(ready: Database) -> None:
    await read(ready, 0, BLOCKS - 1, Rate(5, 3, second(100)))
    await close(ready)
    assert await stored(ready) == [(0, second(5), second(100), 3, 1, 5, (5).to_bytes(32, "big"), 0)]
    (row,) = await ready.fetch("SELECT day, begins, ends, amount, block_number, tx_hash, log_index FROM stream_piece")
    moments = [datetime.fromtimestamp(second(block), UTC) for block in (5, 100)]
    assert tuple(row) == (DAYS[0], *moments, 3 * 950, 5, (5).to_bytes(32, "big"), 0)


async def test_a_stream_without_end_ends_with_the_calendar(ready: Database) -> None:
    await read(ready, 0, BLOCKS - 1, Rate(0, 1, 2**255))
    await close(ready)
    assert await accrued(ready) == {1: (DAY, 1)}
    (row,) = await ready.fetch("SELECT ends FROM stream")
    assert row["ends"] == datetime(9999, 1, 1, tzinfo=UTC)


# ---------------------------------------------------------------- coverage


async def test_a_day_read_in_part_is_told_no_accrual_until_the_rest_comes(ready: Database) -> None:
    """Coverage says that its figures are a lower bound; which seconds the missing blocks hold nobody knows."""
    await read(ready, 0, 2 * BLOCKS - 2, Rate(0, 1, second(0) + 10 * DAY))
    await close(ready)
    assert await accrued(ready) == {1: (DAY, 1)}
    assert [row[1:3] for row in await digests(ready)] == [(DAYS[0], 1), (DAYS[1], 0)]
    assert await complaints(ready) == []
    await read(ready, 2 * BLOCKS - 1, 2 * BLOCKS - 1)
    assert await close(ready) == [DAYS[1]]
    assert await accrued(ready) == {1: (DAY, 1), 2: (DAY, 1)}
    assert await complaints(ready) == []


async def test_the_day_on_which_a_deployment_starts_is_whole_from_its_start_on(ready: Database) -> None:
    await known(ready, deployment("one", start_block=8000), deployment("two"))
    await read(ready, 8000, BLOCKS - 1, Rate(8040, 1, second(0) + 10 * DAY))
    await rebuild(ready, replace(FARM, start_block=8000), 10**9, fold)
    await close_days(ready, CHAIN, DAYS[6])
    assert await accrued(ready) == {1: (DAY - 80_400, 1)}


async def test_without_the_events_before_it_a_span_tells_nothing(ready: Database) -> None:
    """Days two and three are read whole, but what happened before is unknown: not even what they tell themselves counts."""
    await read(ready, BLOCKS, 3 * BLOCKS - 1, Rate(BLOCKS, 5, second(0) + 10 * DAY))
    await close(ready)
    assert (await accrued(ready), await stored(ready)) == ({}, [])
    assert await known_spans(ready, FARM) == []


async def test_history_before_a_span_makes_it_known(ready: Database) -> None:
    """What a run reads of earlier events, without their flows."""
    await context.put_history(
        ready, CHAIN, [ONE.deployment], Span(0, BLOCKS - 1), steps(Rate(4000, 5, second(0) + 9 * DAY))
    )
    await read(ready, BLOCKS, 3 * BLOCKS - 1)
    await close(ready)
    assert await known_spans(ready, FARM) == [Span(0, 3 * BLOCKS - 1)]
    assert await accrued(ready) == {2: (5 * DAY, 1), 3: (5 * DAY, 1)}, "the first day was not read for its flows"
    assert await complaints(ready) == []


async def test_a_state_asked_before_a_span_makes_it_known(ready: Database) -> None:
    state = opening(BLOCKS - 1, 5, second(0) + 9 * DAY)
    await context.put_history(ready, CHAIN, [ONE.deployment], Span(BLOCKS - 1, BLOCKS - 1), [state])
    await read(ready, BLOCKS, 3 * BLOCKS - 1, Rate(2 * BLOCKS + 100, 2, second(0) + 9 * DAY))
    await close(ready)
    assert await known_spans(ready, FARM) == [Span(BLOCKS - 1, 3 * BLOCKS - 1)]
    assert await accrued(ready) == {2: (5 * DAY, 1), 3: (5 * 1000 + 2 * (DAY - 1000), 2)}
    assert (await stored(ready))[0][5:] == (BLOCKS - 1, None, None), "an eth_call told the first rate"


async def test_a_stream_says_nothing_of_days_after_a_gap(ready: Database) -> None:
    """Day one promised ten days; what day two changed was not read, and day three begins with another state."""
    await read(ready, 0, BLOCKS - 1, Rate(0, 1, second(0) + 10 * DAY))
    await read(ready, 2 * BLOCKS, 4 * BLOCKS - 1)
    await close(ready)
    assert await accrued(ready) == {1: (DAY, 1)}
    state = opening(2 * BLOCKS - 1, 7, second(0) + 10 * DAY)
    await context.put_history(ready, CHAIN, [ONE.deployment], Span(2 * BLOCKS - 1, 2 * BLOCKS - 1), [state])
    await close(ready)
    assert await accrued(ready) == {1: (DAY, 1), 3: (7 * DAY, 1), 4: (7 * DAY, 1)}
    assert await complaints(ready) == []


async def test_a_state_makes_the_rest_of_a_span_known_that_has_a_gap_before(ready: Database) -> None:
    state = opening(BLOCKS - 1, 3, second(0) + 10 * DAY)
    await context.put_history(ready, CHAIN, [ONE.deployment], Span(BLOCKS - 1, BLOCKS - 1), [state])
    await read(ready, 500, BLOCKS - 2)
    await read(ready, BLOCKS, 2 * BLOCKS - 1)
    assert await known_spans(ready, FARM) == [Span(BLOCKS - 1, 2 * BLOCKS - 1)]
    await close(ready)
    assert await accrued(ready) == {2: (3 * DAY, 1)}


# ---------------------------------------------------------------- digests


def octets(day: date, amount: int) -> bytes:
    """The natural columns of a piece of made.one."""
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    text = b"made/made.one/incentive/staking_reward/supply/accrued"
    return CHAIN.to_bytes(8, "big") + midnight.to_bytes(8, "big") + POOL + COIN + amount.to_bytes(32, "big") + text


async def test_a_day_s_digest_holds_each_flow_and_each_piece(ready: Database) -> None:
    claim = flows([at(0, 5, contract=POOL)], [12], token=COIN, label=PAID)
    rates = (Rate(0, 3, second(50)), Rate(50, 4, second(100)), Rate(100, 4, second(0) + 9 * DAY))
    await store(ready, 0, 2 * BLOCKS - 1, replace(reading(claim), steps=steps(*rates)))
    await close(ready)
    amounts = {DAYS[0]: [1500, 2000, 4 * (DAY - 1000)], DAYS[1]: [4 * DAY]}
    told = {day: [sha256(octets(day, amount)).digest() for amount in found] for day, found in amounts.items()}
    told[DAYS[0]] += row_hashes(ONE, claim)
    assert [row[1:4] for row in await digests(ready)] == [
        (day, len(found), add_digests(found)) for day, found in told.items()
    ]


async def everything(database: Database) -> list[list[tuple[Any, ...]]]:
    found = [await digests(database), await stored(database)]
    for table in ("flow_daily", "stream_span", "dirty_day"):
        found.append(sorted(map(tuple, await database.fetch(f"SELECT * FROM {table}")), key=repr))
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_neither_the_size_nor_the_order_of_ranges_matters(ready: Database, seed: int) -> None:
    """Closed after every second range or at the end: the same ledger as of one range closed once."""
    dice, last = Random(seed), 5 * BLOCKS - 1
    rates = [
        Rate(block, dice.choice((0, 5, 10**18)), second(block) + dice.randrange(1, 4 * DAY))
        for block in sorted(dice.sample(range(last), 9))
    ]
    edges = [0, *sorted(dice.sample(range(1, last), 7)), last + 1]
    parts = [Span(first, end - 1) for first, end in pairwise(edges)]
    dice.shuffle(parts)
    for number, part in enumerate(parts):
        await read(ready, part.first, part.last, *(rate for rate in rates if part.first <= rate.block <= part.last))
        if dice.random() < 0.5:
            await close(ready, DAYS[dice.randrange(1, 7)])
            assert await complaints(ready) == [], number
    await close(ready)
    apart = await everything(ready)
    for table in (
        "range_deployment",
        "range_day",
        "deployment_day",
        "flow_daily",
        "stream",
        "stream_span",
        "parameter",
    ):
        await ready.fetch(f"DELETE FROM {table}")
    await read(ready, 0, last, *rates)
    await close(ready)
    assert await everything(ready) == apart
    assert await accrued(ready) == cut(fold({(POOL, "rate"): steps(*rates)}))


# ---------------------------------------------------------------- what changes later


async def test_a_later_event_changes_its_own_day_and_later_ones_only(ready: Database) -> None:
    """The stream of day one was to run for five days; on day three it is topped up."""
    await read(ready, 0, 2 * BLOCKS - 1, Rate(0, 1, second(0) + 5 * DAY))
    await close(ready)
    await read(ready, 2 * BLOCKS, 4 * BLOCKS - 1, Rate(2 * BLOCKS + 360, 3, second(0) + 9 * DAY))
    assert await dirty_days(ready, CHAIN, DAYS[6]) == [DAYS[2], DAYS[3]]
    assert await rebuild(ready, FARM, 10**9, fold) == []
    assert await close_days(ready, CHAIN, DAYS[6]) == [DAYS[2], DAYS[3]]
    assert await accrued(ready) == {1: (DAY, 1), 2: (DAY, 1), 3: (3600 + 3 * (DAY - 3600), 2), 4: (3 * DAY, 1)}


async def test_a_reading_that_differs_marks_the_days_whose_cut_changed(ready: Database) -> None:
    await read(ready, 0, 5 * BLOCKS - 1, Rate(0, 1, second(0) + 2 * DAY), Rate(3 * BLOCKS, 4, second(0) + 4 * DAY))
    await close(ready)
    await ready.fetch('UPDATE parameter SET "values"[1] = 2 WHERE block_number = 0')
    assert await rebuild(ready, FARM, 10**9, fold) == DAYS[:2]
    assert await close_days(ready, CHAIN, DAYS[6]) == DAYS[:2]
    assert await accrued(ready) == {1: (2 * DAY, 1), 2: (2 * DAY, 1), 4: (4 * DAY, 1)}
    assert await rebuild(ready, FARM, 10**9, fold) == []


async def test_days_marked_by_streams_are_valued_again(ready: Database) -> None:
    await read(ready, 0, BLOCKS - 1, Rate(0, 1, second(0) + 5 * DAY))
    await close(ready)
    await ready.fetch("DELETE FROM dirty_value")
    await ready.fetch('UPDATE parameter SET "values"[1] = 2')
    await close(ready)
    assert [row["day"] for row in await ready.fetch("SELECT day FROM dirty_value")] == DAYS[:1]


async def test_events_after_the_last_block_are_left_for_later(ready: Database) -> None:
    """Other processes may have committed ranges beyond: their days are not over yet."""
    await read(ready, 0, 5 * BLOCKS - 1, Rate(0, 1, second(0) + 5 * DAY), Rate(4 * BLOCKS, 2, second(0) + 5 * DAY))
    await rebuild(ready, FARM, 4 * BLOCKS - 1, fold)
    assert [row[1:4] for row in await stored(ready)] == [(second(0), second(0) + 5 * DAY, 1)]


async def test_what_contradicts_the_rules_leaves_everything_as_it_was(ready: Database) -> None:
    await read(ready, 0, BLOCKS - 1, Rate(0, 1, second(0) + 5 * DAY))
    await close(ready)
    before = await everything(ready)

    def refuse(_: object) -> list[Stream]:
        raise BadInput("Withdrawn more than staked.")

    with pytest.raises(BadInput, match="more than staked"):
        await rebuild(ready, FARM, 10**9, refuse)
    assert await everything(ready) == before


async def test_who_rebuilds_at_once_stores_the_same(ready: Database) -> None:
    import asyncio

    await read(ready, 0, 3 * BLOCKS - 1, *(Rate(block, block + 1, second(0) + 9 * DAY) for block in range(40)))
    await asyncio.gather(*(close(ready) for _ in range(4)))
    assert len(await stored(ready)) == 40
    assert await complaints(ready) == []


# ---------------------------------------------------------------- retiring and forgetting


async def test_a_new_manifest_retires_streams_and_what_they_accrued(ready: Database) -> None:
    await read(ready, 0, 2 * BLOCKS - 1, Rate(0, 1, second(0) + 5 * DAY))
    await close(ready)
    once = await everything(ready)
    assert await known(ready, deployment("one", digest=b"\1" * 32), deployment("two")) == ["made.one"]
    assert await stored(ready) == []
    await close(ready)
    assert await accrued(ready) == {}
    assert await complaints(ready) == []
    await read(ready, 0, 2 * BLOCKS - 1, Rate(0, 1, second(0) + 5 * DAY))
    await close(ready)
    assert await everything(ready) == once


async def test_a_forgotten_deployment_leaves_no_stream(ready: Database) -> None:
    await read(ready, 0, 2 * BLOCKS - 1, Rate(0, 1, second(0) + 5 * DAY))
    await store(ready, 0, 2 * BLOCKS - 1, reading(flows([at(0, 5)], [1]), owner=TWO))
    await close(ready)
    await ready.fetch("SELECT forget_deployment('made.one')")
    for table in ("stream", "stream_span", "stream_piece"):
        assert await ready.fetch(f"SELECT FROM {table}") == [], table
    assert {row["deployment"] for row in await ready.fetch("SELECT deployment FROM flow_daily")} == {"made.two"}


# ---------------------------------------------------------------- checks


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("UPDATE flow_daily SET amount = amount + 1", "flow_daily.sql"),
        ("DELETE FROM flow_daily WHERE day = '2026-01-02'", "flow_daily.sql"),
        ("UPDATE stream SET numerator = 2", "flow_daily.sql"),
        ("UPDATE stream SET numerator = 2", "day_digest.sql"),
        ("DELETE FROM stream_span", "day_digest.sql"),
        ("UPDATE deployment_day SET flows = 0", "day_digest.sql"),
        ("UPDATE stream SET ends = ends + interval '1 second' WHERE numerator = 1", "stream_overlap.sql"),
    ],
)
async def test_a_check_finds_what_does_not_fit(ready: Database, fault: str, name: str) -> None:
    await read(ready, 0, 2 * BLOCKS - 1, Rate(0, 1, second(0) + 5 * DAY), Rate(9000, 3, second(0) + 5 * DAY))
    await close(ready)
    assert await complaints(ready) == []
    await ready.fetch(fault)
    assert name in await complaints(ready)
