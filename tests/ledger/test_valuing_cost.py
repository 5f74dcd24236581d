"""What valuing a day looks at: that day and the seven before, however long the ledger's history is."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from indexer.ledger.connect import Connection, Database
from indexer.ledger.sql import query
from tests.ledger.made import CHAIN, COIN, ONE, USDC, WETH
from tests.ledger.pricing import FIRST, prepared

DAYS, POOLS = 150, 100
HISTORY = re.compile(r"Seq Scan on (trade_daily|flow_daily|price_daily|protocol_part)\b")
ROWS = re.compile(r"Scan[^\n]* on (?:trade_daily|flow_daily|price_daily)\b[^\n]*rows=([0-9]+)")
FILL = """
INSERT INTO deployment_day SELECT $1, $2, $3::date + n, 1, sha256(''), 8640, 8640 FROM generate_series(0, $4 - 1) AS n;
INSERT INTO trade_daily (chain_id, deployment, day, pool, token0, token1, swaps, in0, in1, out0, out1, depth0, depth1)
    SELECT $1, $2, $3::date + n, substring(sha256(p::text::bytea) FOR 20), $6, CASE WHEN p % 2 = 0 THEN $7 ELSE $8 END,
        1, 10, 0, 0, 20, 0, 10000000000
    FROM generate_series(0, $4 - 1) AS n, generate_series(1, $5) AS p;
INSERT INTO flow_daily
    SELECT $1, 'made', $2, day, pool, token0, 'fee', 'swap', 'supply', 'accrued', 5, 1 FROM trade_daily;
INSERT INTO price_daily
    SELECT $1, substring(sha256(t::text::bytea) FOR 20), $3::date + n, 1, 'pool', 0 FROM generate_series(0, $4 - 1) AS n,
        generate_series(1, $5) AS t;
INSERT INTO protocol_part
    SELECT $1, 'p' || p, $3::date + n, 'fee', 'swap', 'supply', 'accrued', false, 1, 1, 0
    FROM generate_series(0, $4 - 1) AS n, generate_series(1, $5) AS p;
ANALYZE;
"""


@pytest.fixture
async def long(database: Database) -> Database:
    """A hundred pools on a hundred and fifty days, all of them priced."""
    await prepared(database)
    values = (
        CHAIN,
        f"'{ONE.deployment}'",
        f"'{FIRST}'",
        DAYS,
        POOLS,
        *(f"'\\x{one.hex()}'::bytea" for one in (COIN, USDC, WETH)),
    )
    statements = FILL
    for number in range(len(values), 0, -1):
        statements = statements.replace(f"${number}", str(values[number - 1]))
    async with database.pool.acquire() as connection:
        await connection.execute(statements)
    return database


STEPS = [
    ("drop_prices", ()),
    ("put_outside_prices", ()),
    ("put_pegs", ()),
    ("put_pool_prices", (True, 0, 0)),
    ("put_pool_prices", (True, 7, 1)),
    ("put_pool_prices", (False, 0, 0)),
    ("put_pool_prices", (False, 7, 1)),
    ("drop_protocol_parts", ()),
    ("put_protocol_parts", ()),
    ("put_protocol_days", ()),
]


async def plan(connection: Connection, name: str, quotes: tuple[int, ...] = (), days: tuple[int, ...] = ()) -> str:
    day = FIRST + timedelta(days=DAYS - 1)
    values = (CHAIN, day, *quotes, *(day - timedelta(days=back) for back in days))
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query(name)}", *values)
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(("name", "more"), STEPS, ids=lambda value: str(value))
async def test_valuing_a_day_reads_eight_of_them(long: Database, name: str, more: tuple[int, ...]) -> None:
    """Each side of a trade once: at most sixteen days' rows in any scan, never the whole table."""
    async with long.pool.acquire() as connection, connection.transaction():
        of_figures = "protocol" in name
        await connection.execute(query("allow_nested_loops" if of_figures else "avoid_nested_loops"))
        text = await plan(connection, name, more[:1], more[1:])
    assert not HISTORY.search(text), text
    assert all(int(float(found)) <= 16 * POOLS for found in ROWS.findall(text)), text
