"""Command line of the spike: prints markdown."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from statistics import median

import asyncpg
import uvloop

from . import layouts, node, sink
from .answers import Input, answers
from .flows import sum_of
from .runs import Result, Run, measured, ways

STAGES = ("parse", "decode", "fee", "digest", "encode", "copy")
SLOW = 100_000  # logs that the slowest form is given


async def check(name: str, db: asyncpg.Connection, expected: Input, digest: int) -> None:
    """Refuse a run whose table does not hold the plain integers' sums, or whose digest is not the table's."""
    if await sink.fees_held(db) != expected.fees:
        raise SystemExit(f"{name}: the fees in the table are not those of plain integers")
    if expected.logs <= SLOW:
        if not await sink.canonical(db):
            raise SystemExit(f"{name}: an amount is stored with zero digits that Postgres would have stripped")
        held = b"".join([sha256(row).digest() async for row in sink.natural_rows(db)])
        if sum_of(held) != digest:
            raise SystemExit(f"{name}: the digest is not that of the rows in the table")


def summary(name: str, results: Sequence[Result], logs: int) -> str:
    """One markdown row: medians of swaps/s, CPU by process and microseconds a log by stage."""
    rate = logs / median(result.cost.wall for result in results)
    cpu = [median(getattr(result.cost, who) for result in results) / logs * 1e6 for who in ("client", "postgres")]
    stages = [median(result.stages.get(stage, 0.0) for result in results) / logs * 1e6 for stage in STAGES]
    cells = [f"{value:.2f}" if value else "-" for value in (*cpu, *stages)]
    return f"| {name} | {rate:,.0f} | {' | '.join(cells)} |"


async def compare(found: dict[str, Run], postmaster: int, db: asyncpg.Connection, given: Input, runs: int) -> None:
    """Run all ways in turn, `runs` times over, check each, print the table."""
    results: dict[str, list[Result]] = {name: [] for name in found}
    digests: dict[str, int] = {}
    for _ in range(runs):
        for name, run in found.items():
            result, digests[name] = await measured(run, db, postmaster, given.bodies)
            results[name].append(result)
            await check(name, db, given, digests[name])
    if len(set(digests.values())) != 1:
        raise SystemExit(f"the digests differ: {digests}")
    print(f"\n{given.logs:,} logs, {runs} runs interleaved, medians; us = microseconds a log\n")
    print(f"| form | swaps/s | client CPU us | Postgres CPU us | {' | '.join(f'{stage} us' for stage in STAGES)} |")
    print("|---" * (4 + len(STAGES)) + "|")
    print("\n".join(summary(name, results[name], given.logs) for name in found), flush=True)


async def forms(uri: str, postmaster: int, options: argparse.Namespace) -> None:
    """All forms on a small input, every row checked; then all but the slow one on the whole input."""
    async with sink.connected(uri) as db:
        await sink.create(db)
        with ways(uri) as found:
            await compare(found, postmaster, db, answers(min(options.logs, SLOW), options.per_answer), options.runs)
            if options.logs > SLOW:
                quick = {name: run for name, run in found.items() if not name.startswith("a ")}
                await compare(quick, postmaster, db, answers(options.logs, options.per_answer), options.runs)


async def _layouts(uri: str, postmaster: int, logs: int, runs: int) -> None:
    async with sink.connected(uri) as db:
        print("\n".join(await layouts.measure(db, postmaster, answers(logs).bodies, runs)), flush=True)


async def _types(uri: str) -> None:
    async with sink.connected(uri) as db:
        await db.execute(sink.TYPES)
        print(await db.fetchval("select version()"))


def main(options: argparse.Namespace) -> None:
    """The parts asked for, each with the same Postgres."""
    go = uvloop.run if options.loop == "uvloop" else asyncio.run
    with sink.server() as (uri, postmaster):
        go(_types(uri))
        if "layouts" in options.parts:
            go(_layouts(uri, postmaster, options.logs, options.runs))
        if "forms" in options.parts:
            go(forms(uri, postmaster, options))
        if "node" in options.parts:
            print("\n".join(node.measure(uri, options.replay, options.runs)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.spike", description=__doc__)
    parser.add_argument("--logs", type=int, default=100_000)
    parser.add_argument("--per-answer", type=int, default=10_000, help="logs in each answer of the forms part")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument(
        "--parts", nargs="+", choices=("layouts", "forms", "node"), default=["layouts", "forms", "node"]
    )
    replay = Path(__file__).parents[4] / "shared" / "replay"
    parser.add_argument("--replay", type=Path, default=replay, help="folder of a fake node, skipped where missing")
    main(parser.parse_args())
