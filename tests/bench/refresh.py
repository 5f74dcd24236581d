"""Closing one more day and showing it, in a ledger with years of history and more and more flows.

`python -m tests.bench.refresh --flows 500000,5000000,20000000` prints one markdown table of medians: seconds, and CPU
seconds of Postgres in brackets. The whole history takes about 25 GB of disk and minutes to make; `--detailed 60` keeps
rows per token for the last 60 days only, which is where closing looks.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median

import asyncpg

from indexer.ledger import closing
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.ledger.migrate import migrate
from indexer.ledger.sql import query
from indexer.work.close import close_known

from .history import CHAIN, History, Shape
from .measure import metered

FORGET = """
DELETE FROM pg_statistic WHERE starelid = ANY(ARRAY[
    'flow_daily', 'trade_daily', 'price_daily', 'protocol_part', 'protocol_day', 'deployment_day', 'range_deployment',
    'range_day', 'range_trade', 'contract', 'token', 'deployment']::regclass[])
"""
RESTATED = """
INSERT INTO restated_day
SELECT 1, deployment, $1, now(), 'the benchmark says so', ARRAY['fee.accrued'], blocks_held
FROM deployment_day WHERE day = $1;
"""
RESTATED_SUMS = """
INSERT INTO restatement
SELECT 1, deployment, day, concat_ws('.', kind, source, side, basis), token, restated_at, sum(amount) + 1
FROM flow_daily AS f JOIN restated_day AS r USING (chain_id, deployment, day) WHERE day = $1 AND r.closed_at IS NULL
GROUP BY deployment, day, kind, source, side, basis, token, restated_at
"""
READS = {
    "a year of yield_daily for one protocol": "SELECT * FROM yield_daily WHERE protocol = 'p001' AND day > $1::date - 366",
    "yield_live, a week": "SELECT * FROM yield_live WHERE day > $1::date - 7",
    "yield_lens_daily, a month": "SELECT * FROM yield_lens_daily WHERE day > $1::date - 31",
    "coverage": "SELECT * FROM coverage WHERE $1::date IS NOT NULL",
}
STATUS = ("status_chains", "status_deployments", "status_protocols", "status_room", "status_leases")


@dataclass(slots=True)
class Times:
    """Seconds and CPU seconds of Postgres by what was done, in the order of first doing it."""

    postmaster: int
    found: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    async def take(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        """Does it once."""
        with metered({"cpu": self.postmaster}) as spent:
            start = time.perf_counter()
            await work()
            wall = time.perf_counter() - start
        self.found.setdefault(what, []).append((wall, spent["cpu"]))

    def cell(self, what: str) -> str:
        """Medians."""
        wall, cpu = (median(values) for values in zip(*self.found[what], strict=True))
        return f"{wall:.3f} ({cpu:.2f})"


async def close(database: Database, history: History) -> None:
    """What the product does about days when a run is at its end, but for asking the node and showing them."""
    last, today = history.end()
    await closing.undated_blocks(database, CHAIN)
    await closing.day_starts(database, CHAIN)
    await closing.neighbours(database, CHAIN, today)
    await close_known(database, CHAIN, [], (last, today))


async def measured(database: Database, history: History, rounds: int, postmaster: int) -> Times:
    """All figures for the flows there are now. Raises AssertionError where a day was not closed."""
    times = Times(postmaster)
    await database.fetch("CHECKPOINT")
    for number in range(rounds):
        old = max(history.shape.days - 40 - number, 0)
        day = await history.new_day()
        await _reads(times, database, day)
        await _closed(times, database, history, "close a new day", day)
        await times.take("REFRESH as the product does it", partial(closing.refresh, database))
        await times.take("REFRESH, bare", partial(database.fetch, query("refresh")))
        day = await history.new_day()
        await database.fetch(FORGET)
        await _closed(times, database, history, "close a new day, without statistics", day)
        await times.take(
            "REFRESH CONCURRENTLY", partial(database.fetch, "REFRESH MATERIALIZED VIEW CONCURRENTLY yield_daily")
        )
        await history.db.execute("ANALYZE")
        await _closed(times, database, history, "close an old day again (values 9 days)", await history.touch(old))
        for statement in (RESTATED, RESTATED_SUMS):
            await database.fetch(statement, history.day(old))
        await _closed(times, database, history, "the same, restated", await history.touch(old))
    return times


async def _closed(times: Times, database: Database, history: History, what: str, day: date) -> None:
    await times.take(what, partial(close, database, history))
    ((left, parts),) = await database.fetch(
        "SELECT (SELECT count(*) FROM dirty_day) + (SELECT count(*) FROM dirty_value), count(*) FROM protocol_day WHERE day = $1",
        day,
    )
    assert (left, parts) == (0, history.shape.protocols), f"{what}: {left} days left, {parts} protocols of {day}"


async def _reads(times: Times, database: Database, today: date) -> None:
    for what, text in READS.items():
        await times.take(what, partial(database.fetch, text, today))
    for name in STATUS:
        await times.take(name, partial(database.fetch, query(name)))


async def compare(url: str, shape: Shape, counts: Sequence[int], rounds: int, postmaster: int) -> str:
    """The table: a row a figure, a column a number of flows."""
    database, db = await Database.open(url), await asyncpg.connect(url)
    try:
        await migrate(database)
        history = History(db, shape, lambda said: print(said, file=sys.stderr, flush=True))
        await history.make()
        columns: dict[str, Times] = {}
        for count in counts:
            await history.keep_flows(count)
            await db.execute("VACUUM ANALYZE")
            found = columns[f"{count:,} flows"] = await measured(database, history, rounds, postmaster)
            history.tell(f"{count:,} flows: { {what: found.cell(what) for what in found.found} }")
        size = await db.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await db.close()
        await database.close()
    names = list(next(iter(columns.values())).found)
    lines = [f"{shape}; {size / 1e9:.1f} GB; medians of {rounds} rounds, CPU seconds of Postgres in brackets", ""]
    lines += [f"| seconds | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    return "\n".join(
        [*lines, *(f"| {name} | {' | '.join(one.cell(name) for one in columns.values())} |" for name in names)]
    )


def main(arguments: Sequence[str], server: EmbeddedPostgres | None = None) -> str:
    """Makes the ledger that the arguments ask for, in a Postgres of its own unless one is given; the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.refresh", description=__doc__)
    parser.add_argument("--flows", default="500000", help="flows in the ledger, one column each, rising")
    parser.add_argument("--rounds", type=int, default=3)
    for name, default in (("days", 1826), ("detailed", 60), ("protocols", 100), ("big", 3000), ("ranges", 20_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args(arguments)
    shape = Shape(options.days, options.detailed, options.protocols, big=options.big, ranges=options.ranges)
    counts = [int(count) for count in options.flows.split(",")]
    with ExitStack() as stack:
        if server is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="indexer-bench-")))
            server = EmbeddedPostgres(folder)
            stack.callback(server.close)
        postmaster = int((server.folder / "postmaster.pid").read_text().splitlines()[0])
        url = server.url("refresh")
        stack.callback(server.forget, "refresh")
        return asyncio.run(compare(url, shape, counts, options.rounds, postmaster))


if __name__ == "__main__":
    print(main(sys.argv[1:]))
