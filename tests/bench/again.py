"""Reclassifying against reading: the same logs from a node, from a node into the archive, and from the archive alone.

`python -m tests.bench.again --swaps 500000 --runs 3` prints one markdown table. What reclassifying leaves in the ledger
is checked against the truth, as what reading left.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from indexer.ledger.embedded import EmbeddedPostgres
from indexer.loop import runner

from .chain import Chain
from .endtoend import Place, Result, _check, _measured, place, up
from .node import add_options, size_of


@dataclass(frozen=True, slots=True)
class Round:
    """One round. archived: read into the archive. files, octets: what that made."""

    plain: Result
    archived: Result
    again: Result
    files: int
    octets: int


def measured(where: Place, chain: Chain, number: int) -> Round:
    """Reads without and with an archive, then makes all of it again from there. Raises endtoend.Wrong."""
    archive = where.folder / f"archive_{number}"
    plain = _up(where, chain, f"plain_{number}", None)
    where.server.forget(f"plain_{number}")
    database = f"again_{number}"
    archived = _up(where, chain, database, archive)
    files = list(archive.rglob("*.parquet"))
    url = where.server.url(database)
    cost, cpu, asked = _measured(where, ["-m", "tests.bench.again", "--redo", url, str(archive)])
    truth = chain.truth()
    reading, logs = asyncio.run(_check(url, truth))
    if asked["requests"]:
        raise RuntimeError(f"reclassifying asked the node: {asked['requests']}")
    again = Result(truth.swaps, cost, cpu, asked, reading, logs)
    where.server.forget(database)
    return Round(plain, archived, again, len(files), sum(file.stat().st_size for file in files))


def _up(where: Place, chain: Chain, database: str, archive: Path | None) -> Result:
    url = where.server.url(database)
    cost, cpu, asked = _measured(where, up(where, chain, url, archive))
    truth = chain.truth()
    reading, logs = asyncio.run(_check(url, truth))
    return Result(truth.swaps, cost, cpu, asked, reading, logs)


async def redo(url: str, archive: str) -> None:
    """Everything that a ledger holds, made again from its archive."""
    from indexer import app
    from indexer.ledger.connect import Database
    from indexer.reclassify import reclassify
    from indexer.settings import load_settings

    settings = load_settings(None, {"archive": archive}, environment=False)
    async with AsyncExitStack() as stack:
        database = await Database.open(url)
        stack.push_async_callback(database.close)
        await reclassify(settings, app.catalogue(settings), database, app.Run(), everything=True)


def table(rounds: Sequence[Round]) -> str:
    """Markdown: medians of reading, of reading into the archive, and of making it again."""
    ways = [("up, no archive", "plain"), ("up", "archived"), ("reclassify", "again")]
    lines = [f"| figure | {' | '.join(name for name, _ in ways)} |", "|---|" + "---:|" * len(ways)]
    figures = {
        "swaps/s end to end": lambda one: f"{one.rate:,.0f}",
        "swaps/s from first to last commit": lambda one: "-" if one.reading is None else f"{one.reading:,.0f}",
        "seconds": lambda one: f"{one.cost.wall:.2f}",
        "CPU seconds of the reader": lambda one: f"{one.cpu['reader']:.2f}",
        "CPU seconds of Postgres": lambda one: f"{one.cpu['Postgres']:.2f}",
        "peak RSS of the reader, MB": lambda one: f"{one.cost.peak / 1e6:,.0f}",
        "requests": lambda one: f"{sum(one.asked['requests'].values()):,}",
    }
    middle = {key: _middle([getattr(one, key) for one in rounds]) for _, key in ways}
    lines += [f"| {name} | {' | '.join(figure(middle[key]) for _, key in ways)} |" for name, figure in figures.items()]
    last = rounds[-1]
    lines += [
        "",
        f"{last.files} files of {last.octets / 1e6:,.1f} MB: {last.octets / last.archived.logs[0]:.0f} octets a log",
    ]
    ratios = [median(one.again.rate / getattr(one, key).rate for one in rounds) for key in ("archived", "plain")]
    told = "reclassify reads {:.2f} times as many swaps/s as up, and {:.2f} times as many as up without an archive"
    return "\n".join([*lines, told.format(*ratios)])


def _middle(results: Sequence[Result]) -> Result:
    """The run of median speed."""
    return sorted(results, key=lambda one: one.rate)[len(results) // 2]


def main(arguments: Sequence[str], server: EmbeddedPostgres | None = None) -> str:
    """Runs what the arguments ask for; the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.again", description=__doc__)
    add_options(parser)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    chain = Chain(size_of(options))
    of_node = [f"--{name}={getattr(options, name)}" for name in ("swaps", "pools", "seed")]
    of_node += [f"--blocks={chain.size.blocks}", f"--max-range={options.max_range}"]
    of_node += [f"--max-results={options.max_results}", *["--no-log-timestamp"] * options.no_log_timestamp]
    with place(of_node, server) as where:
        rounds = [measured(where, chain, number) for number in range(options.runs)]
    return f"{chain.size}; sums equal the truth in every run\n\n{table(rounds)}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--redo"]:
        with runner() as running:  # as the product's own commands have it
            running.run(redo(*sys.argv[2:]))
    else:
        print(main(sys.argv[1:]))
