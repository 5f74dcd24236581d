"""Processes side by side: swaps/s of one, of several by `--workers`, and of several `indexer up` on one database.

`python -m tests.bench.workers --swaps 500000 --latency-ms 0 50 200` prints one markdown table; every run is checked
against the truth. `--claims 20000` adds what a claim costs in a ledger of so many ranges, for 1 to 16 at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median, quantiles

from indexer.ledger import ranges
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.ledger.migrate import migrate
from indexer.ledger.outlook import Outlook, look
from indexer.model import Span

from .chain import Chain
from .endtoend import Place, _check, _stats, place, up
from .measure import metered, python
from .node import add_options, size_of

CLAIMANTS = (1, 8, 16)
CLAIMS = 50  # of each claimant
FILL = """
WITH made AS (
    INSERT INTO range (chain_id, first_block, last_block, logs_received, logs_used, flows, endpoint, fence)
    SELECT 1, n * 250, n * 250 + 249, 0, 0, 0, '', nextval('fence') FROM generate_series(0, $1::integer - 1) AS n
    RETURNING chain_id, range_id, first_block, last_block
)
INSERT INTO range_deployment (chain_id, range_id, deployment, first_block, last_block)
SELECT chain_id, range_id, deployment, first_block, last_block FROM made CROSS JOIN unnest($2::text[]) AS deployment
"""


@dataclass(frozen=True, slots=True)
class Way:
    """How many processes: `runs` commands with so many workers each."""

    name: str
    workers: int = 1
    runs: int = 1


WAYS = (
    Way("1 process"),
    Way("--workers 2", workers=2),
    Way("--workers 4", workers=4),
    Way("2 x up", runs=2),
    Way("4 x up", runs=4),
)


@dataclass(frozen=True, slots=True)
class Timed:
    """Swaps/s from the first start to the last exit, and while reading; CPU seconds of readers and all; requests."""

    rate: float
    reading: float | None
    cpu: float
    total: float
    requests: int


def measured(where: Place, chain: Chain, way: Way, database: str) -> Timed:
    """One way over the whole chain into a new database. Raises endtoend.Wrong."""
    url, before = where.server.url(database), _stats(where.rpc)
    command = [*up(where, chain, url, where.folder / f"archive_{database}"), "--workers", str(way.workers)]
    with metered({"Postgres": where.postmaster, "node": where.node}) as cpu:
        wall, own = side_by_side(where, [command] * way.runs)
    truth = chain.truth()
    reading, _ = asyncio.run(_check(url, truth))
    where.server.forget(database)
    asked = sum(_stats(where.rpc)["requests"].values()) - sum(before["requests"].values())
    return Timed(truth.swaps / wall, reading, own, own + sum(cpu.values()), asked)


def side_by_side(where: Place, commands: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Runs commands at once to their ends; wall seconds, and CPU seconds of all that they started."""
    start = time.perf_counter()
    with (where.folder / "output.txt").open("wb") as output:
        running = [python(command, where.folder, stdout=output, stderr=output) for command in commands]
        spent = 0.0
        for process in running:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            spent += usage.ru_utime + usage.ru_stime
    wall = time.perf_counter() - start
    if any(process.returncode for process in running):
        raise RuntimeError((where.folder / "output.txt").read_text())
    return wall, spent


def table(latency: int, results: Sequence[tuple[Way, Sequence[Timed]]]) -> list[str]:
    """Markdown rows of one latency, medians of the rounds; the ratio is to the first way of the same round."""
    lines = []
    alone = results[0][1]
    for way, rounds in results:
        rate = median(one.rate for one in rounds)
        ratio = median(one.rate / base.rate for one, base in zip(rounds, alone, strict=True))
        reading = [one.reading for one in rounds if one.reading is not None]
        cells = [
            f"{latency}", way.name, f"{rate:,.0f}", f"{ratio:.2f}", f"{median(reading):,.0f}" if reading else "-",
            f"{median(one.cpu for one in rounds):.1f}", f"{median(one.total for one in rounds):.1f}",
            f"{median(one.requests for one in rounds):,.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


HEAD = [
    "| latency, ms | processes | swaps/s | of one process | swaps/s while reading | CPU s, readers | CPU s, all | calls |",
    "|---:|---|---:|---:|---:|---:|---:|---:|",
]


async def claims(url: str, held: int, deployments: int) -> list[str]:
    """Markdown: what a claim costs where so many ranges are held for each of some deployments.

    Claimants are connections, guards and memories of their own, in this one process.
    """
    names = [f"d{number}" for number in range(deployments)]
    await _fill(url, held, names)
    lines = [f"| claimants, {held:,} ranges held x {deployments} | claims/s | median, ms | 95 of 100, ms |"]
    lines += ["|---:|---:|---:|---:|"]
    for count in CLAIMANTS:
        async with AsyncExitStack() as stack:
            claimants = [await stack.enter_async_context(_claimant(url, names)) for _ in range(count)]
            start = time.perf_counter()
            found = await asyncio.gather(*(_claim(*one) for one in claimants))
            wall = time.perf_counter() - start
        times = [one for part in found for one in part]
        cells = [f"{len(times) / wall:,.0f}", f"{median(times) * 1000:.1f}", f"{quantiles(times, n=20)[-1] * 1000:.1f}"]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return lines


async def _fill(url: str, held: int, names: Sequence[str]) -> None:
    database = await Database.open(url)
    await migrate(database)
    await database.fetch(FILL, held, names)
    await database.close()


@asynccontextmanager
async def _claimant(url: str, names: Sequence[str]) -> AsyncIterator[tuple[Database, Outlook]]:
    """One that has looked around."""
    database, outlook = await Database.open(url), Outlook(names)
    async with database.guard:
        await look(database, 1, outlook)
        yield database, outlook
    await database.close()


async def _claim(database: Database, outlook: Outlook) -> list[float]:
    """Seconds of each claim; the ranges are given back, as the next one must be free."""
    wanted, times = {name: Span(0, 10**9) for name in outlook.deployments}, []
    for _ in range(CLAIMS):
        start = time.perf_counter()
        lease = await ranges.claim(database, 1, wanted, 100, outlook)
        times.append(time.perf_counter() - start)
        assert lease is not None
        await ranges.release(database, lease)
    return times


def main(arguments: Sequence[str], server: EmbeddedPostgres | None = None) -> str:
    """Runs what the arguments ask for, in a Postgres of its own unless one is given; the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workers", description=__doc__)
    add_options(parser)
    parser.add_argument("--runs", type=int, default=1, help="rounds, each with every way")
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0, 50, 200], help="of the node's answers")
    parser.add_argument("--ways", type=int, nargs="+", choices=range(len(WAYS)), default=range(len(WAYS)))
    parser.add_argument("--claims", type=int, default=0, help="also claims, in a ledger of so many ranges")
    options = parser.parse_args(arguments)
    chain = Chain(size_of(options))
    of_node = [f"--{name}={getattr(options, name)}" for name in ("swaps", "pools", "seed")]
    of_node += [f"--blocks={chain.size.blocks}", *["--no-log-timestamp"] * options.no_log_timestamp]
    of_node += [f"--max-range={options.max_range}", f"--max-results={options.max_results}"]
    lines = [f"{chain.size}; sums equal the truth in every run", "", *HEAD]
    with ExitStack() as stack:
        for latency in options.latency_ms:
            where = stack.enter_context(place([*of_node, f"--latency-ms={latency}"], server))
            server = where.server
            chosen = [WAYS[number] for number in options.ways]
            rounds = [
                [measured(where, chain, way, f"l{latency}_{number}_{at}") for at, way in enumerate(chosen)]
                for number in range(options.runs)
            ]
            lines += table(latency, list(zip(chosen, zip(*rounds, strict=True), strict=True)))
        if options.claims and server is not None:
            for deployments in (1, 10):
                url = server.url(f"claims_{deployments}")
                lines += ["", *asyncio.run(claims(url, options.claims, deployments))]
                server.forget(f"claims_{deployments}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(main(sys.argv[1:]))
