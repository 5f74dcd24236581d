"""Where a run's time goes: `python -m tests.bench.stages REPORT.json up --once ...` runs the indexer, timed from inside.

The report has two parts. clock: seconds since the process started, at which each of its phases was over. cpu: seconds
of the thread that did it, per kind of work; what is left of the process's total is the event loop, sockets and Postgres'
driver.
"""

from __future__ import annotations

import atexit
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

CPU: Counter[str] = Counter()
CLOCK: dict[str, float] = {}
STARTED = psutil.Process().create_time()


def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, with the CPU of its thread counted; not to be nested."""

    def call(*values: Any, **more: Any) -> Any:
        start = time.thread_time()
        try:
            return function(*values, **more)
        finally:
            CPU[stage] += time.thread_time() - start

    return call


def clocked(phase: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """The same coroutine function, with the moment noted at which it ended last."""

    async def call(*values: Any, **more: Any) -> Any:
        answer = await function(*values, **more)
        _passed(phase)
        return answer

    return call


def _passed(phase: str) -> None:
    CLOCK[phase] = time.time() - STARTED


def instrument() -> None:
    """Puts timers around the work of each stage, where it is called from."""
    from indexer import app
    from indexer.chain import fetch, rpc
    from indexer.families import FAMILIES
    from indexer.ledger import closing, ranges
    from indexer.work import archived, backfill, classify, close, job, source

    _passed("imported")
    for module, name, stage in (
        (fetch, "parse", "parse JSON"), (classify, "decode", "decode"), (ranges, "encoded", "COPY stream, digests"),
        (ranges, "trade_days", "sums of trades"), (archived, "write_logs", "archive"), (archived, "read_logs", "archive"),
        (archived, "name_of", "archive"), (source, "in_order", "merge"), (source, "merge", "merge"),
        (rpc.Endpoint, "_read", "parse JSON"),
    ):  # fmt: skip
        setattr(module, name, timed(stage, getattr(module, name)))
    for family in {type(family) for family in FAMILIES.values()}:
        family.classify = timed("classify", family.classify)  # type: ignore[method-assign]
    app.register_chosen = clocked("connected", app.register_chosen)
    job.ChainJob._prepare = clocked("prepared", job.ChainJob._prepare)  # type: ignore[method-assign]
    ranges.claim = clocked("claimed", ranges.claim)
    job.backfill = clocked("read", backfill.backfill)
    closing.close_days = clocked("closed", closing.close_days)
    closing.value_days = clocked("valued", closing.value_days)
    closing.refresh = clocked("refreshed", closing.refresh)
    assert close.closing is closing


def main() -> None:
    """Runs `indexer` with the rest of the arguments."""
    report = Path(sys.argv.pop(1))
    instrument()

    def told() -> None:
        _passed("ended")
        times = psutil.Process().cpu_times()
        CPU["all"] = times.user + times.system
        report.write_text(json.dumps({"clock": CLOCK, "cpu": CPU}))

    atexit.register(told)
    from indexer.cli import main as indexer

    indexer()


if __name__ == "__main__":
    main()
