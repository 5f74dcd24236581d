"""Closing: a day's sums equal its flows, days without flows are zero, coverage says how much was read."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.ledger.closing import close_days, neighbours, put_day_start, refresh, undated_blocks, value_days
from indexer.ledger.connect import Database
from indexer.ledger.rows import add_digests, row_hashes
from indexer.ledger.sql import query
from indexer.model import Flows, Span
from tests.ledger.made import (
    CHAIN,
    CUT,
    FEE,
    MINT,
    ONE,
    OTHER_POOL,
    POOL,
    SWEPT,
    TWO,
    USDC,
    WETH,
    at,
    deployment,
    flows,
    known,
    reading,
    store,
    trades,
)  # fmt: skip

DAYS = [date(2026, 1, day) for day in range(1, 7)]
LABELS = (FEE, CUT, SWEPT, MINT)


@pytest.fixture
async def ready(database: Database) -> Database:
    """Deployments one and two, and the first blocks of five days: 8640 blocks each."""
    await known(database, deployment("one"), deployment("two"))
    for number, day in enumerate(DAYS[:5]):
        await put_day_start(database, CHAIN, day, number * 8640)
    return database


async def days(database: Database, deployment_id: str = "made.one") -> list[tuple[Any, ...]]:
    rows = await database.fetch(
        "SELECT day, flows, blocks_held, blocks FROM deployment_day WHERE deployment = $1 ORDER BY day", deployment_id
    )
    return [tuple(row) for row in rows]


places = st.lists(
    st.tuples(st.integers(0, 4 * 8640 - 1), st.integers(0, 2), st.sampled_from([POOL, OTHER_POOL])),
    min_size=1, max_size=25, unique_by=lambda place: place[:2],
)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Flows]:
    """Flows of four days with several labels, tokens and contracts; every leg has a label of its own."""
    made = []
    for leg, label in enumerate(draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=4, unique=True))):
        rows = [at(block // 8640, block % 8640, log, contract=pool) for block, log, pool in sorted(draw(places))]
        amounts = draw(st.lists(st.integers(1, 2**256 - 1), min_size=len(rows), max_size=len(rows)))
        made.append(flows(rows, amounts, token=draw(st.sampled_from([USDC, WETH])), label=label, leg=leg))
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
async def test_closed_days_hold_the_sums_of_their_flows_to_the_last_unit(ready: Database, made: list[Flows]) -> None:
    """Against sums of Python integers; two flows of 2^256-1 do not overflow."""
    await store(ready, 0, 4 * 8640 - 1, reading(*made))
    await close_days(ready, CHAIN, DAYS[4])
    sums: Counter[tuple[Any, ...]] = Counter()
    hashes: dict[date, list[bytes]] = {day: [] for day in DAYS[:4]}
    for batch in made:
        for row, digest in enumerate(row_hashes(ONE, batch)):
            day = DAYS[int(batch.where.block[row]) // 8640]
            amount = int.from_bytes(batch.amount[row].astype(">u4").tobytes(), "big")
            label = batch.label
            sums[day, batch.where.contract[row].tobytes(), batch.token[row].tobytes(), label.kind, label.source,
                 label.side, label.basis] += amount  # fmt: skip
            hashes[day].append(digest)
    rows = await ready.fetch("SELECT day, contract, token, kind, source, side, basis, amount FROM flow_daily")
    assert {tuple(row)[:-1]: int(row["amount"]) for row in rows} == sums
    told = await ready.fetch("SELECT day, flows, digest FROM deployment_day")
    assert {row["day"]: (row["flows"], row["digest"]) for row in told} == {
        day: (len(found), add_digests(found)) for day, found in hashes.items()
    }


async def test_a_day_without_flows_has_a_row_of_its_own(ready: Database) -> None:
    await store(ready, 0, 3 * 8640 - 1, reading(flows([at(0, 5), at(2, 5)], [1, 2])))
    assert await close_days(ready, CHAIN, DAYS[4]) == DAYS[:3]
    assert await days(ready) == [(DAYS[0], 1, 8640, 8640), (DAYS[1], 0, 8640, 8640), (DAYS[2], 1, 8640, 8640)]
    rows = await ready.fetch("SELECT digest FROM deployment_day WHERE flows = 0")
    assert [row["digest"] for row in rows] == [bytes(32)]


async def test_a_half_read_day_says_so_and_is_closed_again_when_the_rest_comes(ready: Database) -> None:
    await store(ready, 4320, 8640 + 99, reading(flows([at(0, 5000)], [1])))
    await close_days(ready, CHAIN, DAYS[4])
    assert await days(ready) == [(DAYS[0], 1, 4320, 8640), (DAYS[1], 0, 100, 8640)]
    await store(ready, 0, 2 * 8640 - 1, reading(owner=TWO))  # the coverage shown is that of the least covered
    await close_days(ready, CHAIN, DAYS[4])
    await value_days(ready, CHAIN)
    await refresh(ready)
    rows = await ready.fetch("SELECT coverage FROM yield_daily ORDER BY day")
    assert [str(row["coverage"]) for row in rows] == ["0.500000", "0.011574"]
    await store(ready, 0, 4319, reading(flows([at(0, 7)], [4])))
    assert await close_days(ready, CHAIN, DAYS[4]) == [DAYS[0]]
    assert (await days(ready))[0] == (DAYS[0], 2, 8640, 8640)


async def test_blocks_before_a_deployments_start_are_none_of_its_day(ready: Database) -> None:
    await known(ready, deployment("one", start_block=8600), deployment("two"))
    await store(ready, 8600, 8699, reading(flows([at(0, 8630)], [1])))
    await close_days(ready, CHAIN, DAYS[1])
    assert await days(ready) == [(DAYS[0], 1, 40, 40)]


async def test_a_day_is_not_closed_before_it_is_over_or_before_its_bounds_are_known(ready: Database) -> None:
    await store(ready, 0, 5 * 8640 - 1, reading(flows([at(day, 5) for day in range(5)], [1] * 5)))
    assert await close_days(ready, CHAIN, DAYS[2]) == DAYS[:2]
    assert await close_days(ready, CHAIN, DAYS[5]) == DAYS[2:4], "the fifth day's end is not known"
    await put_day_start(ready, CHAIN, DAYS[5], 5 * 8640)
    assert await close_days(ready, CHAIN, DAYS[5]) == [DAYS[4]]


async def test_a_day_that_somebody_else_closes_holds_up_no_other(ready: Database) -> None:
    await store(ready, 0, 4 * 8640 - 1, reading(flows([at(day, 5) for day in range(4)], [1] * 4)))
    async with ready.pool.acquire() as other, other.transaction():
        await other.execute(query("lock_day"), CHAIN, DAYS[0])
        closing = asyncio.create_task(close_days(ready, CHAIN, DAYS[4]))
        async with asyncio.timeout(30):
            while len(await days(ready)) < 3:
                await asyncio.sleep(0.01)
        assert [day for day, *_ in await days(ready)] == DAYS[1:4]
        assert not closing.done()
    assert await closing == DAYS[:4]
    assert [day for day, *_ in await days(ready)] == DAYS[:4]


async def test_closers_side_by_side_never_wait_for_one_another_in_a_circle(ready: Database) -> None:
    """Several processes close forty days again and again; each marks days after its own to be valued."""
    first = date(2026, 2, 1)
    every = [first + timedelta(days=number) for number in range(41)]
    for number, day in enumerate(every):
        await put_day_start(ready, CHAIN, day, (31 + number) * 8640)
    wanted = [at(31 + number, 5) for number in range(40)]
    await store(ready, 31 * 8640, 71 * 8640 - 1, reading(flows(wanted, [1] * len(wanted))))
    for _ in range(3):
        await asyncio.gather(*(close_days(ready, CHAIN, every[-1]) for _ in range(2)))
        marked = await ready.fetch("SELECT day FROM dirty_value ORDER BY day")
        assert [row["day"] for row in marked] == every[:-1]
        await ready.fetch("INSERT INTO dirty_day (chain_id, deployment, day) SELECT $1, 'made.one', unnest($2::date[])",
                          CHAIN, every[:-1])  # fmt: skip
    await ready.fetch("SELECT pg_stat_force_next_flush()")
    told = await ready.fetch("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert told[0]["deadlocks"] == 0


async def test_what_is_closed_is_not_closed_again_without_a_reason(ready: Database) -> None:
    await store(ready, 0, 8639, reading(flows([at(0, 5)], [1])))
    assert await close_days(ready, CHAIN, DAYS[4]) == [DAYS[0]]
    assert await close_days(ready, CHAIN, DAYS[4]) == []


async def test_days_are_closed_for_the_deployments_that_were_touched(ready: Database) -> None:
    await store(ready, 0, 8639, reading(flows([at(0, 5)], [1])))
    await close_days(ready, CHAIN, DAYS[4])
    await ready.fetch("UPDATE flow_daily SET amount = 99")
    await store(ready, 0, 8639, reading(flows([at(0, 5, 1)], [2]), owner=TWO))
    await close_days(ready, CHAIN, DAYS[4])
    rows = await ready.fetch("SELECT deployment, amount FROM flow_daily ORDER BY 1")
    assert [tuple(row) for row in rows] == [("made.one", 99), ("made.two", 2)]


async def test_a_days_trades_add_up_over_ranges_and_end_with_the_last_swap(ready: Database) -> None:
    """The ranges are committed in the wrong order; the depth is that after the later block all the same."""
    for first, depths in ((100, (7, None)), (0, (5, 6))):
        swaps = trades([at(0, first + 1), at(0, first + 2)], (USDC, WETH), [(10, -1), (-20, 2)], depths)
        await store(ready, first, first + 99, reading(traded=[swaps]))
    await close_days(ready, CHAIN, DAYS[4])
    rows = await ready.fetch("SELECT pool, swaps, in0, in1, out0, out1, depth0, depth1 FROM trade_daily")
    assert [tuple(row) for row in rows] == [(POOL, 4, 20, 4, 40, 2, 7, None)]


async def test_neighbours_of_midnight_are_the_nearest_flows_of_both_days(ready: Database) -> None:
    await store(ready, 0, 9999, reading(flows([at(0, 5), at(0, 8639), at(1, 0), at(1, 9)], [1, 1, 1, 1])))
    near = await neighbours(ready, CHAIN, DAYS[1])
    assert (near.before, near.after) == (8639, 8640)
    far = await neighbours(ready, CHAIN, DAYS[4])
    assert (far.before, far.after) == (None, None)


async def test_undated_blocks_are_those_beyond_the_days_with_known_bounds_as_the_fewest_spans(ready: Database) -> None:
    """Five days begin at blocks 0, 8640 ... 34560: what is read within the first four of them asks for nothing."""
    await store(ready, 0, 8645, reading())
    assert await undated_blocks(ready, CHAIN) == []
    await store(ready, 34_550, 34_569, reading())
    await store(ready, 34_570, 34_579, reading(owner=TWO))
    await store(ready, 40_000, 40_009, reading())
    assert await undated_blocks(ready, CHAIN) == [Span(34_550, 34_579), Span(40_000, 40_009)]


async def test_undated_blocks_are_those_of_any_deployment(database: Database) -> None:
    await known(database, deployment("one"), deployment("two"))
    await store(database, 0, 9, reading())
    await store(database, 10, 19, reading(owner=TWO))
    await store(database, 30, 39, reading())
    assert await undated_blocks(database, CHAIN) == [Span(0, 19), Span(30, 39)]


async def test_days_whose_bounds_come_late_are_closed_where_something_is_held(database: Database) -> None:
    """Nothing marked them when they were read: deployment two begins and ends later, and a day between is not held."""
    await known(database, deployment("one"), deployment("two"))
    await store(database, 0, 8640 + 99, reading())
    await store(database, 3 * 8640 + 5, 3 * 8640 + 9, reading())
    await store(database, 8640 - 1, 8640, reading(owner=TWO))
    await database.fetch("DELETE FROM dirty_day")
    for number, day in enumerate(DAYS[:5]):
        await put_day_start(database, CHAIN, day, number * 8640)
    assert await close_days(database, CHAIN, DAYS[4]) == [DAYS[0], DAYS[1], DAYS[3]]
    assert await days(database) == [(DAYS[0], 0, 8640, 8640), (DAYS[1], 0, 100, 8640), (DAYS[3], 0, 5, 8640)]
    assert await days(database, "made.two") == [(DAYS[0], 0, 1, 8640), (DAYS[1], 0, 1, 8640)]
    assert await close_days(database, CHAIN, DAYS[4]) == []


async def test_statistics_are_learned_where_there_are_none_and_when_a_tenth_was_added(database: Database) -> None:
    async def rows_known(more: int) -> int:
        await database.fetch(
            "INSERT INTO trade_daily (chain_id, deployment, day, pool, token0, token1, swaps, in0, in1, out0, out1)"
            " SELECT 7, 'made.one', '2026-01-01', sha256(gen_random_uuid()::text::bytea), '', '', 1, 0, 0, 0, 0"
            " FROM generate_series(1, $1)",
            more,
        )
        await database.fetch("SELECT learn_statistics()")
        rows = await database.fetch("SELECT reltuples FROM pg_class WHERE oid = 'trade_daily'::regclass")
        return int(rows[0]["reltuples"])

    assert [await rows_known(more) for more in (5000, 100, 900)] == [5000, 5000, 6000]


async def test_who_closes_at_once_closes_once(ready: Database) -> None:
    import asyncio

    await store(ready, 0, 3 * 8640 - 1, reading(flows([at(0, 5), at(1, 5), at(2, 5)], [1, 2, 3])))
    await asyncio.gather(*(close_days(ready, CHAIN, DAYS[4]) for _ in range(4)))
    rows = await ready.fetch("SELECT amount FROM flow_daily ORDER BY day")
    assert [int(row["amount"]) for row in rows] == [1, 2, 3]
