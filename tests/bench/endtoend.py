"""The main job end to end: a node's logs to a closed ledger, timed from outside and checked against the truth.

`python -m tests.bench.endtoend --swaps 500000 --runs 3` prints one markdown table; `--peer` adds the plain way on a
tenth of the swaps. Node, Postgres and indexer share this machine, as processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import asyncpg

from indexer.ledger.embedded import EmbeddedPostgres

from .chain import BASE_BLOCK, Chain, Truth
from .measure import Cost, metered, python, run
from .node import add_options, size_of
from .stages import Stages, read_stages, timed_from_inside
from .world import SUSHI

PROTOCOLS = ("uniswap_v3", "sushiswap")
ENOUGH = 10  # commits, for the time between the first and the last to say something
PEER_PART = 10  # the plain way reads one swap in so many

FEES = "SELECT token, sum(amount) AS total, count(*) AS flows FROM flow WHERE kind = 'fee' GROUP BY token"
REST = """
SELECT (SELECT sum(amount) FROM flow WHERE kind = 'incentive' AND token = $1) AS minted,
    (SELECT count(*) FROM flow WHERE kind NOT IN ('fee', 'incentive')) AS others,
    (SELECT sum(swaps) FROM range_trade) AS swaps, (SELECT count(*) FROM quarantine) AS quarantined,
    (SELECT sum(logs_received) FROM range) AS received, (SELECT sum(logs_used) FROM range) AS used
"""
READING = """
SELECT extract(epoch FROM committed_at)::float8 AS at, sum(trade.swaps) AS swaps
FROM range JOIN range_trade AS trade USING (chain_id, range_id) GROUP BY range_id, committed_at ORDER BY committed_at
"""
PLAIN_FEES = "SELECT token, sum(amount) AS total, count(*) AS flows FROM plain_flow GROUP BY token"


class Wrong(Exception):
    """What a run left in the database is not what the chain holds."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything runs. node, postmaster: process ids."""

    rpc: str
    server: EmbeddedPostgres
    folder: Path
    node: int
    postmaster: int


@dataclass(frozen=True, slots=True)
class Result:
    """One run. swaps: read; reading: swaps/s between the first and the last commit, None if they are few.

    cpu: seconds by process; asked: the node's counters of this run; logs: received and used, where it counts them;
    stages: what its parts took, where it was timed from inside.
    """

    swaps: int
    cost: Cost
    cpu: Mapping[str, float]
    asked: Mapping[str, Any]
    reading: float | None = None
    logs: tuple[int, int] | None = None
    stages: Stages | None = None

    @property
    def rate(self) -> float:
        """Swaps per second from the start of the process to its end."""
        return self.swaps / self.cost.wall


@contextmanager
def running_node(options: Sequence[str], folder: Path) -> Iterator[tuple[str, int]]:
    """URL and process id of a node that was started for this."""
    process = python(["-m", "tests.bench.node", *options], folder, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the node ended with {process.wait()} before it answered: its error is above")
        yield f"http://127.0.0.1:{json.loads(line)['port']}", process.pid
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def place(options: Sequence[str], server: EmbeddedPostgres | None = None) -> Iterator[Place]:
    """A node and, unless one is given, an embedded Postgres in a temporary folder; what was started here ends here."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="indexer-bench-")))
        if server is None:
            server = EmbeddedPostgres(folder)
            stack.callback(server.close)
        rpc, node = stack.enter_context(running_node(options, folder))
        postmaster = int((server.folder / "postmaster.pid").read_text().splitlines()[0])
        yield Place(rpc, server, folder, node, postmaster)


def index(where: Place, chain: Chain, database: str, endpoints: int = 1, workers: int = 1) -> Result:
    """`indexer up --once` over the whole chain into a new database. endpoints: the node as so many. Raises Wrong."""
    url = where.server.url(database)
    stages = where.folder / "stages.json"
    command = timed_from_inside(up(where, chain, url, where.folder / f"archive_{database}"), stages)
    command += [f"--rpc=ethereum={where.rpc}/{number}" for number in range(1, endpoints)]
    command += ["--workers", str(workers)]
    cost, cpu, asked = _measured(where, command)
    truth = chain.truth()
    reading, logs = asyncio.run(_check(url, truth))
    where.server.forget(database)
    return Result(truth.swaps, cost, cpu, asked, reading, logs, read_stages(stages))


def up(where: Place, chain: Chain, url: str, archive: Path | None) -> list[str]:
    """The command that reads the whole chain into a database, and its logs into an archive if one is given."""
    config = where.folder / "indexer.toml"
    place = "none" if archive is None else str(archive)
    config.write_text(f'archive = "{place}"\n[prices]\nfeeds = false\n')  # the node has none
    command = ["-m", "indexer", "up", "--once", "--config", str(config), "--data-dir", str(where.folder)]
    command += ["--database", url, "--rpc", f"ethereum={where.rpc}"]
    command += [word for name in PROTOCOLS for word in ("--protocol", name)]
    return [*command, "--from", str(BASE_BLOCK), "--to", str(chain.final)]


def plainly(where: Place, chain: Chain, database: str) -> Result:
    """The plain way over the first blocks, which hold a tenth of the swaps. Raises Wrong."""
    last = chain.block_of_swap(max(1, chain.size.swaps // PEER_PART))
    url, truth = where.server.url(database), chain.truth(last)
    cost, cpu, asked = _measured(where, ["-m", "tests.bench.plain", where.rpc, url, str(BASE_BLOCK), str(last)])
    asyncio.run(_check_plain(url, truth))
    where.server.forget(database)
    return Result(truth.swaps, cost, cpu, asked)


def _measured(where: Place, command: Sequence[str]) -> tuple[Cost, dict[str, float], dict[str, Any]]:
    before = _stats(where.rpc)
    with metered({"Postgres": where.postmaster, "node": where.node}) as cpu:
        cost = run(command, where.folder)
    return cost, {"reader": cost.cpu, **cpu}, _difference(before, _stats(where.rpc))


async def _check(url: str, truth: Truth) -> tuple[float | None, tuple[int, int]]:
    """Reading speed, and logs received and used, of a ledger that holds exactly what is true."""
    db = await asyncpg.connect(url)
    try:
        held, (rest,), commits = await db.fetch(FEES), await db.fetch(REST, SUSHI), await db.fetch(READING)
    finally:
        await db.close()
    _same_fees(held, truth)
    found = {name: int(rest[name] or 0) for name in ("minted", "others", "swaps", "quarantined")}
    expected = {"minted": truth.minted, "others": 0, "swaps": truth.swaps, "quarantined": 0}
    if found != expected:
        raise Wrong(f"the ledger holds {found}, the chain {expected}")
    span = commits[-1]["at"] - commits[0]["at"]
    reading = sum(int(row["swaps"]) for row in commits[1:]) / span if len(commits) >= ENOUGH else None
    return reading, (int(rest["received"]), int(rest["used"]))


async def _check_plain(url: str, truth: Truth) -> None:
    db = await asyncpg.connect(url)
    try:
        _same_fees(await db.fetch(PLAIN_FEES), truth)
    finally:
        await db.close()


def _same_fees(held: Sequence[Any], truth: Truth) -> None:
    fees = {row["token"]: int(row["total"]) for row in held}
    wrong = {token.hex() for token in {*fees, *truth.fees} if fees.get(token) != truth.fees.get(token)}
    flows = sum(row["flows"] for row in held)
    if wrong or flows != truth.fee_flows:
        raise Wrong(f"{flows} fee flows instead of {truth.fee_flows}; sums differ for {sorted(wrong) or 'no token'}")


def _stats(rpc: str) -> dict[str, Any]:
    with urlopen(f"{rpc}/stats", timeout=60) as answer:
        return dict(json.load(answer))


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    methods = {name: after["requests"][name] - before["requests"].get(name, 0) for name in after["requests"]}
    rest = {name: after[name] - before[name] for name in ("posts", "refused", "logs", "octets")}
    return {"requests": {name: count for name, count in methods.items() if count}, **rest}


Figure = Callable[[Result], float | None]
FIGURES: Mapping[str, tuple[str, Figure]] = {
    "swaps/s end to end (process start to exit)": (",.0f", lambda one: one.rate),
    "swaps/s while reading (first to last commit)": (",.0f", lambda one: one.reading),
    "seconds": (".2f", lambda one: one.cost.wall),
    "swaps": (",.0f", lambda one: one.swaps),
    "logs used": (",.0f", lambda one: one.logs[1] if one.logs else None),
    "logs received": (",.0f", lambda one: one.asked["logs"]),
    "MB received": (",.1f", lambda one: one.asked["octets"] / 1e6),
    "HTTP requests": (",.0f", lambda one: one.asked["posts"]),
    "requests refused": (",.0f", lambda one: one.asked["refused"]),
    "useful / received logs, %": (".1f", lambda one: 100 * one.logs[1] / one.logs[0] if one.logs else None),
    "CPU seconds of the reader": (".2f", lambda one: one.cpu["reader"]),
    "CPU seconds of Postgres": (".2f", lambda one: one.cpu["Postgres"]),
    "CPU seconds of the node": (".2f", lambda one: one.cpu["node"]),
    "peak RSS of the reader, MB": (",.0f", lambda one: one.cost.peak / 1e6),
}


def table(results: Sequence[Result], peers: Sequence[Result] = ()) -> str:
    """Markdown: a row a figure, a column a run, then the medians of the runs and of the plain way."""
    columns = [f"run {number}" for number in range(1, len(results) + 1)] + ["median"] + ["plain way"] * bool(peers)
    lines = [f"| figure | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    methods = sorted({name for one in (*results, *peers) for name in one.asked["requests"]})
    asked: dict[str, tuple[str, Figure]] = {name: (",.0f", _requests(name)) for name in methods}
    stages: dict[str, tuple[str, Figure]] = {
        f"{part}: {name}": (",.0f" if part == "MB held" else ".2f", _stage(part, name))
        for part in _PARTS
        for name in (getattr(results[0].stages, _PARTS[part]) if results[0].stages else ())
    }
    for name, (form, figure) in {**FIGURES, **asked, **stages}.items():
        values = [figure(one) for one in results]
        cells = [*values, _median(values)] + ([_median([figure(one) for one in peers])] if peers else [])
        lines.append(f"| {name} | {' | '.join('-' if value is None else format(value, form) for value in cells)} |")
    return "\n".join(lines)


_PARTS = {"CPU s": "cpu", "s from start": "clock", "MB held": "held"}


def _stage(part: str, name: str) -> Figure:
    return lambda one: getattr(one.stages, _PARTS[part]).get(name) if one.stages else None


def _requests(method: str) -> Figure:
    return lambda one: one.asked["requests"].get(method, 0)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def ratio(results: Sequence[Result], peers: Sequence[Result]) -> float:
    """How many times more swaps a second than the plain way, by medians, from process start to exit."""
    return median(one.rate for one in results) / median(one.rate for one in peers)


def main(arguments: Sequence[str], server: EmbeddedPostgres | None = None) -> str:
    """Runs what the arguments ask for, in a Postgres of its own unless one is given; the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.endtoend", description=__doc__)
    add_options(parser)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes that read")
    parser.add_argument("--peer", action="store_true", help="also the plain way, once a run")
    options = parser.parse_args(arguments)
    chain = Chain(size_of(options))
    of_node = [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in ("swaps", "pools", "seed")]
    of_node += [f"--blocks={chain.size.blocks}", f"--max-range={options.max_range}"]
    of_node += [f"--max-results={options.max_results}", *["--no-log-timestamp"] * options.no_log_timestamp]
    results, peers = [], []
    with place(of_node, server) as where:
        for number in range(options.runs):
            results.append(index(where, chain, f"run_{number}", workers=options.workers))
            peers += [plainly(where, chain, f"plain_{number}")] if options.peer else []
    lines = [f"{chain.size}; sums equal the truth in every run", "", table(results, peers)]
    lines += ["", f"{ratio(results, peers):,.1f} times the plain way's swaps/s"] if peers else []
    return "\n".join(lines)


if __name__ == "__main__":
    print(main(sys.argv[1:]))
