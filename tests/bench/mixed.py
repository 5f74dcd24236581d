"""A mixed stream end to end: every packaged deployment on Ethereum, from a node's logs to a closed ledger.

`python -m tests.bench.mixed --logs 500000 --runs 3` prints what a run costs, and per deployment how many of the logs it
would be sent, if it were read alone, are its own. Every sum is checked against the chain's truth.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from indexer.ledger.embedded import EmbeddedPostgres

from .blocks import Size
from .endtoend import Place, Wrong, _measured, _median, place
from .measure import Cost
from .mixed_chain import MixedChain
from .mixed_world import CHAIN
from .useful import Alone, alone

FLOWS = """
SELECT deployment, kind::text, source::text, side::text, basis::text, token, sum(amount) AS total, count(*) AS flows
FROM flow GROUP BY 1, 2, 3, 4, 5, 6
"""
ACCRUED = """
SELECT deployment, kind::text, source::text, side::text, basis::text, token, sum(amount) AS total
FROM stream_piece GROUP BY 1, 2, 3, 4, 5, 6
"""
ANSWERS = "SELECT token, sum(answer) AS total FROM range_answer CROSS JOIN unnest(answers) AS answer GROUP BY token"
REST = """
SELECT (SELECT count(*) FROM quarantine) AS quarantined,
    (SELECT sum(logs_received) FROM range) AS received, (SELECT sum(logs_used) FROM range) AS used
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One run. start: CPU seconds of a reader that reads one block; logs: received and used by the ranges."""

    cost: Cost
    start: float
    cpu: Mapping[str, float]
    asked: Mapping[str, Any]
    logs: tuple[int, int]


def index(where: Place, chain: MixedChain, number: int) -> Result:
    """`indexer up --once` over one block into one database, and over the whole chain into another. Raises Wrong."""
    start, _, _ = _measured(where, _up(where, chain, f"start_{number}", chain.base_block))
    where.server.forget(f"start_{number}")
    cost, cpu, asked = _measured(where, _up(where, chain, f"mixed_{number}", chain.final))
    logs = asyncio.run(_check(where.server.url(f"mixed_{number}"), chain))
    where.server.forget(f"mixed_{number}")
    return Result(cost, start.cpu, cpu, asked, logs)


def _up(where: Place, chain: MixedChain, database: str, last: int) -> list[str]:
    config = where.folder / f"{database}.toml"
    config.write_text(f'archive = "{where.folder / database}"\n')
    command = ["-m", "indexer", "up", "--once", "--config", str(config), "--data-dir", str(where.folder)]
    command += ["--database", where.server.url(database), "--rpc", f"{CHAIN}={where.rpc}"]
    return [*command, "--from", str(chain.base_block), "--to", str(last)]


async def _check(url: str, chain: MixedChain) -> tuple[int, int]:
    """Logs received and used, of a ledger that holds exactly what is true."""
    db = await asyncpg.connect(url)
    try:
        flows, accrued, answers = [await db.fetch(query) for query in (FLOWS, ACCRUED, ANSWERS)]
        (rest,) = await db.fetch(REST)
    finally:
        await db.close()
    _same("flows", {tuple(row[:6]): (int(row["total"]), row["flows"]) for row in flows}, chain.flows)
    _same("accrued rewards", {tuple(row[:6]): int(row["total"]) for row in accrued}, chain.accrued())
    _same("answers of feeds", {row["token"]: int(row["total"]) for row in answers}, chain.answers)
    if rest["quarantined"]:
        raise Wrong(f"{rest['quarantined']} logs could not be decoded")
    return int(rest["received"]), int(rest["used"])


def _same(what: str, held: Mapping[Any, Any], true: Mapping[Any, Any]) -> None:
    wrong = [key for key in {*held, *true} if held.get(key) != true.get(key)]
    if wrong:
        some = "; ".join(f"{key}: {held.get(key)} instead of {true.get(key)}" for key in wrong[:3])
        raise Wrong(f"{len(wrong)} of {len(true)} {what} differ: {some}")


Figure = Callable[[Result], float]
FIGURES: Mapping[str, tuple[str, Figure]] = {
    "logs/s end to end (process start to exit)": (",.0f", lambda one: one.logs[0] / one.cost.wall),
    "logs/s per CPU second of the reader, without its start": (
        ",.0f",
        lambda one: one.logs[0] / (one.cost.cpu - one.start),
    ),
    "seconds": (".2f", lambda one: one.cost.wall),
    "logs received in ranges": (",.0f", lambda one: one.logs[0]),
    "logs of a deployment's own": (",.0f", lambda one: one.logs[1]),
    "useful / received, %": (".1f", lambda one: 100 * one.logs[1] / one.logs[0]),
    "logs the node sent": (",.0f", lambda one: one.asked["logs"]),
    "MB received": (",.1f", lambda one: one.asked["octets"] / 1e6),
    "HTTP requests": (",.0f", lambda one: one.asked["posts"]),
    "CPU seconds of the reader": (".2f", lambda one: one.cost.cpu),
    "CPU seconds of a reader of one block: its start": (".2f", lambda one: one.start),
    "CPU seconds of Postgres": (".2f", lambda one: one.cpu["Postgres"]),
    "CPU seconds of the node": (".2f", lambda one: one.cpu["node"]),
    "peak RSS of the reader, MB": (",.0f", lambda one: one.cost.peak / 1e6),
}


def table(results: Sequence[Result]) -> str:
    """Markdown: a row a figure, a column a run, then the medians."""
    columns = [f"run {number}" for number in range(1, len(results) + 1)] + ["median"]
    lines = [f"| figure | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    methods = sorted({name for one in results for name in one.asked["requests"]})
    asked: dict[str, tuple[str, Figure]] = {name: (",.0f", _requests(name)) for name in methods}
    for name, (form, figure) in {**FIGURES, **asked}.items():
        values = [figure(one) for one in results]
        lines.append(f"| {name} | {' | '.join(format(value, form) for value in [*values, _median(values)])} |")
    return "\n".join(lines)


def _requests(method: str) -> Figure:
    return lambda one: one.asked["requests"].get(method, 0)


def useful(found: Mapping[str, Alone], result: Result) -> str:
    """Markdown: a row a deployment. Raises Wrong where the ledger says that it used another number of logs."""
    used = sum(one.useful for one in found.values())
    if used != result.logs[1]:
        raise Wrong(f"the ledger says that {result.logs[1]} logs were of use, the chain holds {used}")
    lines = ["| read alone | received | its own | % |", "|---|---:|---:|---:|"]
    every = {**found, "**all, read together**": Alone(*result.logs)}
    lines += [
        f"| {name} | {one.received:,} | {one.useful:,} | {100 * one.useful / max(1, one.received):.1f} |"
        for name, one in sorted(every.items(), key=lambda item: item[1].useful)
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str], server: EmbeddedPostgres | None = None) -> str:
    """Runs what the arguments ask for, in a Postgres of its own unless one is given; the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.mixed", description=__doc__)
    parser.add_argument("--logs", type=int, default=500_000, help="that the catalogue asks for, about")
    parser.add_argument("--blocks", type=int, help="by default one for 25 logs")
    parser.add_argument("--pools", type=int, default=300, help="of Uniswap v3; other venues have theirs to scale")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    blocks = max(60, options.logs // 25) if options.blocks is None else options.blocks
    size = Size(options.logs, blocks, options.pools, options.seed)
    chain = MixedChain(size)
    of_node = ["--mixed", f"--swaps={size.swaps}", f"--blocks={size.blocks}", f"--pools={size.pools}"]
    with place([*of_node, f"--seed={size.seed}"], server) as where:
        results = [index(where, chain, number) for number in range(options.runs)]
    head = f"{len(chain.block):,} logs in {size.blocks:,} blocks; all sums equal the truth in every run"
    return "\n\n".join([head, table(results), useful(alone(chain), results[-1])])


if __name__ == "__main__":
    print(main(sys.argv[1:]))
