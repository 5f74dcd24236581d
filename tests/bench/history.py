"""A ledger with years of history, made by SQL: every table that closing, valuing and refreshing touch, and its flows.

All amounts are functions of day and pool. Each pool is of one token against dollars and makes one row of flow_daily a day.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import asyncpg

from .measure import ROOT

CHAIN = 1
FIRST = date(2021, 1, 1)
BLOCKS = 7200  # a day
BASE = 11_565_000
LATE = 60  # days back to which the ranges' own parts of trades are kept


@dataclass(frozen=True, slots=True)
class Shape:
    """days: closed ones; detailed: the last of them that have rows per token; big, small: tokens a day of a protocol;
    bigs: protocols of the first kind; ranges: in all of history."""

    days: int = 1826
    detailed: int = 1826
    protocols: int = 100
    bigs: int = 3
    big: int = 3000
    small: int = 20
    ranges: int = 20_000

    @property
    def pools(self) -> int:
        """All of them."""
        return self.bigs * self.big + (self.protocols - self.bigs) * self.small

    @property
    def size(self) -> int:
        """Blocks of a range."""
        return -(-self.days * BLOCKS // self.ranges)

    @property
    def detailed_from(self) -> int:
        """The first day with rows per token."""
        return max(0, self.days - self.detailed)


SCHEMA = """
CREATE SCHEMA bench;
CREATE FUNCTION bench.day(n int) RETURNS date IMMUTABLE PARALLEL SAFE LANGUAGE sql RETURN '{first}'::date + n;
CREATE TABLE bench.pool AS
SELECT
    n, p, 'p' || lpad(p::text, 3, '0') AS protocol, 'p' || lpad(p::text, 3, '0') || '.ethereum' AS deployment,
    substring(sha256(('pool' || n)::bytea) FOR 20) AS pool, substring(sha256(('token' || n)::bytea) FOR 20) AS token,
    p >= {bigs} AND n % {small} = 0 AS own
FROM (
    SELECT n, CASE WHEN n < {bigs} * {big} THEN n / {big} ELSE {bigs} + (n - {bigs} * {big}) / {small} END AS p
    FROM generate_series(0, {pools} - 1) AS n
) AS numbered;
CREATE TABLE bench.range AS
SELECT n, {base} + n * {size} AS first_block, {base} + (n + 1) * {size} - 1 AS last_block,
    (n * {size}) / {blocks} AS first_day, ((n + 1) * {size} - 1) / {blocks} AS last_day
FROM generate_series(0, {days} * {blocks} / {size}) AS n
WHERE (n + 1) * {size} <= {days} * {blocks};
INSERT INTO bench.range
SELECT max(n) + 1, max(last_block) + 1, {base} + {days} * {blocks} - 1, {days} - 1, {days} - 1
FROM bench.range HAVING max(last_block) < {base} + {days} * {blocks} - 1;
"""

NAMES = """
INSERT INTO chain (chain_id, name) VALUES (1, 'ethereum');
INSERT INTO quote_token VALUES (1, '\\xd011', 'USD', 6, 1);
INSERT INTO token (chain_id, token, symbol, decimals, block_number) VALUES (1, '\\xd011', 'USD', 6, {base});
INSERT INTO token (chain_id, token, symbol, decimals, block_number)
SELECT 1, token, 'T' || n, 18, {base} FROM bench.pool ORDER BY token;
INSERT INTO protocol (protocol, name, category, methodology)
SELECT DISTINCT protocol, 'Protocol ' || p, 'dex', (SELECT said[1 + p % array_length(said, 1)] FROM bench.prose) FROM bench.pool;
INSERT INTO deployment (
    deployment, protocol, chain_id, family, family_version, manifest_digest, start_block, exactness)
SELECT DISTINCT deployment, protocol, 1, 'uniswap_v3', 1, sha256(''), {base}, 'what the contracts'' own events say of each swap'
FROM bench.pool;
INSERT INTO counted
SELECT deployment, kind, 'accrued' FROM deployment CROSS JOIN unnest(ARRAY['fee', 'incentive']::flow_kind[]) AS kind;
INSERT INTO own_token SELECT 1, protocol, token FROM bench.pool WHERE own;
INSERT INTO contract (chain_id, deployment, contract, facts, block_number, tx_hash, log_index)
SELECT 1, deployment, pool, '{{"fee": 3000}}', {base} + n % {blocks}, sha256('made'), 1 FROM bench.pool ORDER BY 2, 3;
INSERT INTO day_start SELECT 1, bench.day(n), {base} + n * {blocks} FROM generate_series(0, {days}) AS n;
"""

# Rows of the days $1 to $2, by day.
PER_DAY = """
INSERT INTO protocol_part
SELECT 1, protocol, bench.day(d), kind, source, 'supply', 'accrued', own, 1234.5678 * (d % 97 + 1), count(*) * 3, 0
FROM generate_series({since}, {until}) AS d
CROSS JOIN (
    SELECT protocol, own, CASE WHEN own THEN 'incentive' ELSE 'fee' END::flow_kind AS kind,
        CASE WHEN own THEN 'liquidity_mining' ELSE 'swap' END::flow_source AS source
    FROM bench.pool
) AS label
GROUP BY protocol, d, kind, source, own;
INSERT INTO protocol_day (
    chain_id, protocol, day, fees_usd, supply_side_usd, protocol_usd, holders_usd, revenue_usd, incentives_usd, issued_usd,
    earnings_usd, real_usd, synthetic_usd, real_share, flows, unpriced, blocks_held, blocks, exactness)
SELECT
    1, protocol, day, usd, usd, 0, 0, 0, round(usd / 7, 6), round(usd / 7, 6), -round(usd / 7, 6), usd, round(usd / 7, 6),
    0.875, 60, d % 5, {blocks}, {blocks}, 'what the contracts'' own events say of each swap'
FROM (
    SELECT d, bench.day(d) AS day, protocol, round(12345.678901 * (d % 97 + 1), 6) AS usd
    FROM generate_series({since}, {until}) AS d CROSS JOIN protocol
) AS made;
INSERT INTO deployment_day
SELECT 1, deployment, bench.day(d), 60, sha256((deployment || d)::bytea), {blocks}, {blocks}
FROM generate_series({since}, {until}) AS d CROSS JOIN deployment;
"""

PER_RANGE = """
INSERT INTO range (
    chain_id, first_block, last_block, logs_received, logs_used, flows, endpoint, fence, requests, octets)
SELECT 1, first_block, last_block, 9000, 8000, 7000, 'made', n, 40, 1000000 FROM bench.range ORDER BY n;
INSERT INTO range_deployment
SELECT 1, r.range_id, deployment, r.first_block, r.last_block FROM range AS r CROSS JOIN deployment;
INSERT INTO range_day (chain_id, range_id, deployment, day, first_block, last_block, flows, digest)
SELECT 1, r.range_id, deployment, bench.day(d::int), greatest(r.first_block, {base} + d * {blocks}),
    least(r.last_block, {base} + (d + 1) * {blocks} - 1), 6, sha256((deployment || r.range_id)::bytea)
FROM range AS r JOIN bench.range AS b ON b.n = r.fence CROSS JOIN LATERAL generate_series(b.first_day, b.last_day) AS d
CROSS JOIN deployment;
INSERT INTO range_trade (
    chain_id, range_id, deployment, day, pool, token0, token1, swaps, in0, in1, out0, out1, close_block, close_log_index,
    depth0, depth1)
SELECT 1, one.n, t.* FROM bench.pool AS one CROSS JOIN LATERAL bench.trades(one, {late}, {days} - 1) AS t;
"""

TRADES = """
CREATE FUNCTION bench.trades(p bench.pool, since int, until int) RETURNS TABLE (
    deployment text, day date, pool bytea, token0 bytea, token1 bytea, swaps bigint, in0 numeric, in1 numeric, out0 numeric,
    out1 numeric, close_block bigint, close_log_index int, depth0 numeric, depth1 numeric)
STABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT
        p.deployment, bench.day(d), p.pool, p.token, '\\xd011'::bytea, 3, (3 + d % 5) * 10::numeric ^ 18,
        2 * 10::numeric ^ 6, 10::numeric ^ 18, (p.n % 90 + d % 7 + 1) * 10::numeric ^ 6, {base} + d * {blocks} + 7000, 5,
        50000 * 10::numeric ^ 18, 20000 * 10::numeric ^ 6
    FROM generate_series(since, until) AS d
$$;
"""

DETAILED = """
INSERT INTO flow_daily
SELECT
    1, protocol, deployment, bench.day(d), pool, token, CASE WHEN own THEN 'incentive' ELSE 'fee' END::flow_kind,
    CASE WHEN own THEN 'liquidity_mining' ELSE 'swap' END::flow_source, 'supply', 'accrued',
    ((n * 7919 + d * 104729) % 1000000 + 1) * 10::numeric ^ 12, 1
FROM generate_series({since}, {until}) AS d CROSS JOIN bench.pool;
INSERT INTO trade_daily (
    chain_id, deployment, day, pool, token0, token1, swaps, in0, in1, out0, out1, depth0, depth1)
SELECT
    1, t.deployment, t.day, t.pool, t.token0, t.token1, t.swaps, t.in0, t.in1, t.out0, t.out1, t.depth0, t.depth1
FROM generate_series({since}, {until}) AS d CROSS JOIN bench.pool AS one CROSS JOIN LATERAL bench.trades(one, d, d) AS t;
INSERT INTO price_daily
SELECT 1, token, bench.day(d), (n % 90 + d % 7 + 3) / 3.7, 'pool', 0, pool, 20000.00
FROM generate_series({since}, {until}) AS d CROSS JOIN bench.pool
UNION ALL SELECT 1, '\\xd011', bench.day(d), 1, 'peg', 0, NULL, NULL FROM generate_series({since}, {until}) AS d;
"""

FLOWS = """
INSERT INTO flow (
    chain_id, block_number, block_time, log_index, kind, source, side, basis, leg, tx_hash, contract, protocol, deployment,
    token, amount)
SELECT
    1, block, bench.day({day})::timestamp AT TIME ZONE 'UTC' + make_interval(secs => (block - {base} - {day} * {blocks}) * 12),
    n, CASE WHEN own THEN 'incentive' ELSE 'fee' END::flow_kind,
    CASE WHEN own THEN 'liquidity_mining' ELSE 'swap' END::flow_source, 'supply', 'accrued', 0,
    sha256(('tx' || n)::bytea), pool, protocol, deployment, token, ((n * 7919 + {day} * 104729) % 1000000 + 1) * 10::numeric ^ 12
FROM (
    SELECT bench.pool.*, {base} + {day} * {blocks} + n::bigint * {blocks} / {pools} AS block FROM bench.pool
) AS p
ORDER BY block, n;
"""

# What ranges of one new day commit, but for its flows.
NEW_DAY = """
INSERT INTO day_start VALUES (1, bench.day({day} + 1), {base} + ({day} + 1) * {blocks}) ON CONFLICT DO NOTHING;
WITH made AS (
    INSERT INTO range (
        chain_id, first_block, last_block, logs_received, logs_used, flows, endpoint, fence, requests, octets)
    SELECT
        1, {base} + {day} * {blocks} + part * ({blocks} / 10), {base} + {day} * {blocks} + (part + 1) * ({blocks} / 10) - 1,
        9000, 8000, 7000, 'made', nextval('fence') + 1000000, 40, 1000000
    FROM generate_series(0, 9) AS part
    RETURNING range_id, first_block, last_block
),
held AS (
    INSERT INTO range_deployment SELECT 1, range_id, deployment, first_block, last_block FROM made CROSS JOIN deployment
)
INSERT INTO range_day (chain_id, range_id, deployment, day, first_block, last_block, flows, digest)
SELECT 1, range_id, deployment, bench.day({day}), first_block, last_block, 6, sha256((deployment || range_id)::bytea)
FROM made CROSS JOIN deployment;
INSERT INTO range_trade (
    chain_id, range_id, deployment, day, pool, token0, token1, swaps, in0, in1, out0, out1, close_block, close_log_index,
    depth0, depth1)
SELECT 1, one.n, t.* FROM bench.pool AS one CROSS JOIN LATERAL bench.trades(one, {day}, {day}) AS t;
"""

TOUCHED = """
INSERT INTO dirty_day SELECT 1, deployment, bench.day({day}) FROM deployment ON CONFLICT DO NOTHING;
"""

BULK = ("flow_daily", "trade_daily", "price_daily", "protocol_part", "protocol_day", "range_deployment", "range_day")
INDEXES = """
SELECT c.conname AS name, pg_get_constraintdef(c.oid) AS made, true AS key
FROM pg_constraint AS c WHERE c.conrelid = to_regclass($1) AND c.contype = 'p'
UNION ALL
SELECT i.relname, pg_get_indexdef(i.oid), false
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE x.indrelid = to_regclass($1) AND NOT x.indisprimary
"""


class History:
    """A ledger of a shape in a migrated database that is empty."""

    def __init__(self, db: asyncpg.Connection, shape: Shape, tell: Callable[[str], None] = lambda _: None) -> None:
        self.db, self.shape, self.tell = db, shape, tell
        self.flows, self.kept_from, self.open = 0, shape.days, shape.days

    async def make(self) -> None:
        """All but the flows; indexes come after the rows, statistics at the end."""
        since = self.shape.detailed_from
        await self.db.execute("SET maintenance_work_mem = '1GB'; SET work_mem = '256MB'")
        await self._do(SCHEMA + TRADES)
        await self.db.execute("CREATE TABLE bench.prose AS SELECT $1::text[] AS said", _prose())
        await self._do(NAMES)
        kept = {table: await self.db.fetch(INDEXES, table) for table in BULK}
        for table, found in kept.items():
            for row in found:
                kind = f"ALTER TABLE {table} DROP CONSTRAINT" if row["key"] else "DROP INDEX"
                await self.db.execute(f"{kind} {row['name']}")
        await self._do(PER_DAY, since=0, until=self.shape.days - 1)
        await self._do(PER_RANGE, late=max(since, self.shape.days - LATE))
        for first in range(since, self.shape.days, 200):
            await self._do(DETAILED, since=first, until=min(first + 200, self.shape.days) - 1)
            self.tell(f"rows per token up to day {first + 200}")
        for table, found in kept.items():
            for row in found:
                key = f"ALTER TABLE {table} ADD CONSTRAINT {row['name']} {row['made']}"
                await self.db.execute(key if row["key"] else row["made"])
            self.tell(f"indexes of {table}")
        await self.db.execute("REFRESH MATERIALIZED VIEW yield_daily")
        await self.db.execute("RESET maintenance_work_mem; RESET work_mem")

    async def keep_flows(self, count: int) -> None:
        """So many flows, on the last closed days and those before."""
        while self.flows < count and self.kept_from > 0:
            self.kept_from -= 1
            await self._flows(self.kept_from)

    async def new_day(self) -> date:
        """Commits one more day, which nobody closed yet."""
        day, self.open = self.open, self.open + 1
        await self._flows(day)
        await self._do(NEW_DAY + TOUCHED, day=day)
        return self.day(day)

    async def touch(self, number: int) -> date:
        """Marks a closed day as a late commit does."""
        await self._do(TOUCHED, day=number)
        return self.day(number)

    def day(self, number: int) -> date:
        """A day by its number."""
        return FIRST + timedelta(days=number)

    def end(self) -> tuple[int, date]:
        """The last block of what was committed, and the day after it."""
        return BASE + self.open * BLOCKS - 1, self.day(self.open)

    async def _flows(self, day: int) -> None:
        await self.db.execute("SELECT ensure_flow_month($1::date::timestamp AT TIME ZONE 'UTC')", self.day(day))
        await self._do(FLOWS, day=day)
        self.flows += self.shape.pools

    async def _do(self, text: str, **values: int) -> None:
        shape = self.shape
        sizes = {"days": shape.days, "bigs": shape.bigs, "big": shape.big, "small": shape.small, "pools": shape.pools}
        await self.db.execute(
            text.format(first=FIRST, base=BASE, blocks=BLOCKS, size=shape.size, **sizes, **values), timeout=3600
        )


def _prose() -> Sequence[str]:
    """Methodologies as long as real ones: those of the packaged manifests."""
    files = sorted((ROOT / "indexer" / "protocols").glob("*.toml"))
    return [str(tomllib.loads(file.read_text())["protocol"]["methodology"]) for file in files]
