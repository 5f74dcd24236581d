"""Where a run's time goes: `python -m tests.bench.stages REPORT.json up --once ...` is the indexer, timed from inside."""

from __future__ import annotations

import atexit
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

CLOCKED = ("imported", "connected", "prepared", "read", "closed", "valued", "refreshed", "ended")
CPU: Counter[str] = Counter()
CLOCK: dict[str, float] = {}
HELD: dict[str, float] = {}
STARTED = psutil.Process().create_time()


@dataclass(frozen=True, slots=True)
class Stages:
    """One run. clock: seconds since the process started, at which each phase was over for the last time.

    held: MB of memory then. cpu: seconds by kind of work; "event loop, sockets, driver" is what is left. With several
    processes, of the first.
    """

    clock: Mapping[str, float]
    held: Mapping[str, float]
    cpu: Mapping[str, float]


def timed_from_inside(command: Sequence[str], report: Path) -> list[str]:
    """`-m indexer ...` as this module runs it. report: where it writes."""
    assert list(command[:2]) == ["-m", "indexer"]
    return ["-m", "tests.bench.stages", str(report), *command[2:]]


def read_stages(report: Path) -> Stages:
    """What a run wrote."""
    told = json.loads(report.read_text())
    return Stages(told["clock"], told["held"], told["cpu"])


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
    HELD[phase] = psutil.Process().memory_info().rss / 1e6


def instrument() -> None:
    """Puts timers around the work of each stage, where it is called from."""
    from indexer import app
    from indexer.chain import fetch, rpc
    from indexer.families import FAMILIES
    from indexer.ledger import closing, ranges
    from indexer.work import archived, classify, job, source

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
    CPU["imports"] = sum(psutil.Process().cpu_times()[:2])
    app.register_chosen = clocked("connected", app.register_chosen)
    job.ChainJob._prepare = clocked("prepared", job.ChainJob._prepare)  # type: ignore[method-assign]
    job.backfill = clocked("read", job.backfill)
    closing.close_days = clocked("closed", closing.close_days)
    closing.value_days = clocked("valued", closing.value_days)
    closing.refresh = clocked("refreshed", closing.refresh)


def main() -> None:
    """Runs `indexer` with the rest of the arguments."""
    report = Path(sys.argv.pop(1))
    instrument()

    def told() -> None:
        _passed("ended")
        left = sum(psutil.Process().cpu_times()[:2]) - CPU.total()
        clock, held = ({phase: of[phase] for phase in CLOCKED if phase in of} for of in (CLOCK, HELD))
        cpu = {**CPU, "event loop, sockets, driver": left}
        report.write_text(json.dumps({"clock": clock, "held": held, "cpu": cpu}))

    atexit.register(told)
    from indexer.cli import main as indexer

    indexer()


if __name__ == "__main__":
    main()
