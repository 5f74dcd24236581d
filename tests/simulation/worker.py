"""Workers for crash tests: one process that has everything imported and forks a worker for each line it is told.

A line is a JSON object: database, rpc, blocks (of a range), lease_s, die (number of the point at which the worker kills
itself with SIGKILL, 0 for never), from, and if wanted to, archive (its place), changed (by another rule), redo (what
is held is made again, without the node), whole (all of it), keep_flows with later (the day it is then), at (a boundary
as `boundary` names it, and which pass of it) to die there instead, record (a file for all boundaries in their order),
and every (seconds between looks for days to close while others are read). The answer is a line too: status as of
waitpid, points passed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

import asyncpg

from indexer.chain.fetch import Fetcher
from indexer.chain.rpc import Endpoint
from indexer.ledger import ranges, sql
from indexer.work import backfill, job, meanwhile
from indexer.work.retain import drop_old_months
from tests.simulation.demo import change_rule, index, opened, redo

STATEMENTS = ("execute", "executemany", "fetch", "fetchval", "fetchrow", "copy_to_table")
_LEDGER = "indexer.ledger."
_CARRIERS = {"connect", "rehearsal", "sql"}  # modules that run what others ask for


def boundary(statement: str, edge: str) -> str:
    """Which operation of the ledger runs the statement now, its name, and the edge: 'ranges.commit put_range before'.

    The operation is the outermost function of the ledger, or '-'; the name that of the query, else the first word.
    """
    frame: FrameType | None = sys._getframe(1)
    operation, rehearsed = "-", False
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith(_LEDGER):
            rehearsed |= module == _LEDGER + "rehearsal"
            if module.removeprefix(_LEDGER) not in _CARRIERS:
                function = frame.f_code.co_qualname.partition(".<locals>")[0]  # what it has done side by side is its
                operation = f"{module.removeprefix(_LEDGER)}.{function}"
        frame = frame.f_back
    return f"{'rehearsal:' * rehearsed}{operation} {named(statement)} {edge}"


def named(statement: str) -> str:
    """The name of a query of sql/queries; of any other text its first word."""
    names = {text: name for name, text in sql._queries().items()}
    return names.get(statement) or statement.split(maxsplit=1)[0].rstrip(";")


class Points:
    """Counts the points a worker passes, before and after each statement and each question, and dies at one of them."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._die, self.passed = told["die"], 0
        self._at: list[Any] = told.get("at") or []
        self._record: str | None = told.get("record")
        self._seen: Counter[str] = Counter()
        self.order: list[str] = []

    def pass_one(self, what: str, edge: str) -> None:
        """One more; the last one is never left."""
        self.passed += 1
        if self._at or self._record:
            name = boundary(what, edge)
            self._seen[name] += 1
            self.order.append(name)
            if [name, self._seen[name]] == self._at:
                os.kill(os.getpid(), signal.SIGKILL)
        if self.passed == self._die:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """The same coroutine method with a point before it, and one after it that its caller never learns of."""

        async def call(this: Any, what: str, *values: Any, **more: Any) -> Any:
            self.pass_one(what, "before")
            answer = await method(this, what, *values, **more)
            self.pass_one(what, "after")
            return answer

        return call

    def keep(self) -> None:
        """Writes down what was passed, if somebody wants to know."""
        if self._record:
            Path(self._record).write_text("\n".join(self.order))


def instrument(told: dict[str, Any]) -> Points:
    """Small ranges, short leases, and a point around everything that leaves the process."""
    points = Points(told)
    for name in STATEMENTS:
        setattr(asyncpg.Connection, name, points.around(getattr(asyncpg.Connection, name)))
    Endpoint.call = points.around(Endpoint.call)  # type: ignore[method-assign]
    Fetcher.range_blocks = property(lambda _: told["blocks"])  # type: ignore[assignment,method-assign]
    ranges.LEASE_SECONDS = backfill.LEASE_SECONDS = told["lease_s"]
    backfill._POLL = 0.1  # type: ignore[assignment]
    meanwhile.EVERY = told.get("every", meanwhile.EVERY)
    if "later" in told:
        later = date.fromisoformat(told["later"])
        job.drop_old_months = lambda ledger, months, _: drop_old_months(ledger, months, later)
    return points


async def work(told: dict[str, Any]) -> None:
    async with opened(told["database"]) as database:
        if told.get("changed"):
            change_rule()
        if told.get("redo"):
            await redo(database, told["archive"], everything=bool(told.get("whole")))
        else:
            chosen = {"start": told["from"], "to": told.get("to"), "keep_flows": told.get("keep_flows")}
            await index(database, told["rpc"], archive=told.get("archive", "none"), **chosen)


def child(told: dict[str, Any], report: int) -> None:
    os.dup2(2, 1)  # answers go to the pipe, what the worker logs does not
    points = instrument(told)
    try:
        asyncio.run(work(told))
    finally:
        points.keep()
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
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(write)
    _, status = os.waitpid(pid, 0)
    passed = os.read(read, 20)
    os.close(read)
    return {"code": os.waitstatus_to_exitcode(status), "points": int(passed or 0)}


def main() -> None:
    gc.freeze()  # workers share what is imported
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
