"""What closing a day reads: that day and those around it, however long the history is and whatever statistics say."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from indexer.ledger.connect import Connection, Database
from indexer.ledger.sql import query
from tests.bench.history import BASE, BLOCKS, CHAIN, FIRST, History, Shape

SHAPE = Shape(days=120, detailed=120, protocols=4, bigs=1, big=100, small=5, ranges=3000)
DAY = SHAPE.days - 1  # number of the day that is closed: the last one of a month, the end of April
WHOLE = re.compile(r"Seq Scan on (flow\w*|trade_daily|price_daily|range_day|range_trade|range_deployment)\b")
PARTITION = re.compile(r"Scan[^\n]* on (flow_\d{4}_\d\d)\b[^\n]*\(actual")
READ = re.compile(r"Scan[^\n]* on (?:flow|trade|range)\w*[^\n]*\(actual rows=([0-9]+)[^\n]*loops=([0-9]+)\)")
FORGET = """
DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace);
UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r';
"""

PLACE = ("day", "deployments")
BOUNDS = ("first", "following")
STATEMENTS: dict[str, tuple[str, ...]] = {
    "day_neighbours": ("day",),
    "dirty_days": ("today",),
    "drop_flow_daily": PLACE,
    "sum_flow_daily": (*PLACE, *BOUNDS),
    "drop_trade_daily": PLACE,
    "sum_trade_daily": PLACE,
    "drop_answer_daily": PLACE,
    "sum_answer_daily": PLACE,
    "range_digests": PLACE,
    "put_deployment_days": ("deployments", "day", "flows", "digests", *BOUNDS),
    "close_streams": PLACE,
    "restate_sums": PLACE,
    "restate_vanished": PLACE,
    "close_restated": PLACE,
    "mark_dirty_value": ("day",),
    "mark_dirty_births": (*PLACE, *BOUNDS),
    "mark_unclosed": (),
}


@pytest.fixture
async def long(database: Database) -> Database:
    """Four months of a hundred and fifteen pools, with all their flows."""
    async with database.pool.acquire() as connection:
        history = History(connection, SHAPE)
        await history.make()
        await history.keep_flows(SHAPE.days * SHAPE.pools)
        await connection.execute("ANALYZE")
    return database


async def plan(connection: Connection, name: str) -> str:
    names = [row["deployment"] for row in await connection.fetch("SELECT deployment FROM deployment ORDER BY 1")]
    day = FIRST + timedelta(days=DAY)
    values: dict[str, object] = {
        "day": day,
        "today": day + timedelta(days=1),
        "deployments": names,
        "first": BASE + DAY * BLOCKS,
        "following": BASE + (DAY + 1) * BLOCKS,
        "flows": [1] * len(names),
        "digests": [bytes(32)] * len(names),
    }
    wanted = [values[one] for one in STATEMENTS[name]]
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query(name)}", CHAIN, *wanted)
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("known", [True, False], ids=["statistics", "none"])
async def test_closing_a_day_reads_that_day(long: Database, known: bool) -> None:
    """No whole table, no flows of another month, and at most two days' rows of a table in any scan."""
    assert FIRST + timedelta(days=DAY) == date(2021, 4, 30)
    async with long.pool.acquire() as connection, connection.transaction():
        if not known:
            await connection.execute(FORGET)
        for name in STATEMENTS:
            _judge(name, await plan(connection, name))


async def test_a_days_flows_are_hashed_before_their_table_has_statistics(long: Database) -> None:
    """A backfill closes its days before autovacuum has seen them."""
    async with long.pool.acquire() as connection, connection.transaction():
        await connection.execute(FORGET)
        await plan(connection, "drop_flow_daily")
        undone = connection.transaction()
        await undone.start()
        assert "Sort" in await plan(connection, "sum_flow_daily"), "else nothing needs to be avoided"
        await undone.rollback()
        await connection.execute(query("avoid_sorting"))
        assert "Sort" not in await plan(connection, "sum_flow_daily")
        await connection.execute(query("allow_sorting"))


def _judge(name: str, text: str) -> None:
    assert not WHOLE.search(text), f"{name}:\n{text}"
    assert set(PARTITION.findall(text)) == ({"flow_2021_04"} if name == "sum_flow_daily" else set()), f"{name}:\n{text}"
    read = [int(float(rows)) for rows, _ in READ.findall(text)]
    assert all(rows <= 2 * SHAPE.pools for rows in read), f"{name}: {read}\n{text}"
    assert name != "sum_flow_daily" or SHAPE.pools in read, f"the flows were read elsewhere:\n{text}"


async def test_open_days_are_read_without_their_month(long: Database) -> None:
    """yield_live looks at one open day among four months of flows."""
    async with long.pool.acquire() as connection:
        day = FIRST + timedelta(days=DAY)
        await connection.execute("DELETE FROM deployment_day WHERE day = $1", day)
        await connection.execute("INSERT INTO dirty_day SELECT $1, deployment, $2 FROM deployment", CHAIN, day)
        rows = await connection.fetch(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT * FROM yield_live WHERE NOT closed"
        )
    text = "\n".join(row[0] for row in rows)
    assert set(PARTITION.findall(text)) == {"flow_2021_04"}, text
    assert not WHOLE.search(text), text
