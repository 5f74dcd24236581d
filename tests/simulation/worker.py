"""Workers for crash tests: one process that has everything imported and forks a worker for each line it is told.

A line is a JSON object: database, rpc, blocks (of a range), lease_s, die (number of the point at which the worker kills
itself with SIGKILL, 0 for never), from, and if wanted archive (its place), changed (by another rule) and redo (what is
held is made again, without the node). The answer is a line too: status as of waitpid, points passed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import asyncpg

from indexer.chain.fetch import Fetcher
from indexer.chain.rpc import Endpoint
from indexer.ledger import ranges
from indexer.work import backfill
from tests.simulation.demo import change_rule, index, opened, redo

STATEMENTS = ("execute", "executemany", "fetch", "fetchval", "fetchrow", "copy_to_table")


class Points:
    """Counts the points a worker passes, before and after each statement and each question, and dies at one of them."""

    def __init__(self, die: int) -> None:
        self._die, self.passed = die, 0

    def pass_one(self) -> None:
        """One more; the last one is never left."""
        self.passed += 1
        if self.passed == self._die:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """The same coroutine method with a point before it, and one after it that its caller never learns of."""

        async def call(*values: Any, **more: Any) -> Any:
            self.pass_one()
            answer = await method(*values, **more)
            self.pass_one()
            return answer

        return call


def instrument(told: dict[str, Any]) -> Points:
    """Small ranges, short leases, and a point around everything that leaves the process."""
    points = Points(told["die"])
    for name in STATEMENTS:
        setattr(asyncpg.Connection, name, points.around(getattr(asyncpg.Connection, name)))
    Endpoint.call = points.around(Endpoint.call)  # type: ignore[method-assign]
    Fetcher.range_blocks = property(lambda _: told["blocks"])  # type: ignore[assignment,method-assign]
    ranges.LEASE_SECONDS = backfill.LEASE_SECONDS = told["lease_s"]
    backfill._POLL = 0.1  # type: ignore[assignment]
    return points


async def work(told: dict[str, Any]) -> None:
    async with opened(told["database"]) as database:
        if told.get("changed"):
            change_rule()
        if told.get("redo"):
            await redo(database, told["archive"])
        else:
            await index(database, told["rpc"], start=told["from"], archive=told.get("archive", "none"))


def child(told: dict[str, Any], report: int) -> None:
    points = instrument(told)
    try:
        asyncio.run(work(told))
    finally:
        os.write(report, str(points.passed).encode())


def run(told: dict[str, Any]) -> dict[str, Any]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        status = 1
        try:
            child(told, write)
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(write)
    _, status = os.waitpid(pid, 0)
    passed = os.read(read, 20)
    os.close(read)
    return {"code": os.waitstatus_to_exitcode(status), "points": int(passed or 0)}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
