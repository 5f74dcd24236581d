"""A run shown while it goes: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 0.25  # seconds between looks at the counters
LINE_EVERY = 10  # seconds between lines where no bar can be drawn


class Counters(Protocol):
    """What one chain's run has done; as work.progress.Progress."""

    blocks_wanted: int
    blocks_done: int
    logs: int
    flows: int
    stage: str


class Watched(Protocol):
    """A run that can be looked at; as app.Run."""

    @property
    def progress(self) -> Mapping[str, Counters]:
        """Counters by chain."""

    @property
    def requests(self) -> int:
        """Calls made so far."""


@contextmanager
def shown(run: Watched, console: Console, until: asyncio.Event | None = None) -> Iterator[None]:
    """Shows the run on the console while the block goes on, or until the event."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
    work = _draw(run, bar, until) if console.is_terminal else _write(run, console, until)
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        bar.stop()


async def _draw(run: Watched, bar: Progress, until: asyncio.Event | None) -> None:
    began = time.monotonic()
    tasks = {}
    bar.start()
    while until is None or not until.is_set():
        for name, counters in run.progress.items():
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=None, figures="")
            total = counters.blocks_wanted if counters.blocks_wanted else None
            figures = _figures(run, counters, began)
            bar.update(tasks[name], total=total, completed=counters.blocks_done, figures=figures)
        await asyncio.sleep(EVERY)
    bar.stop()


async def _write(run: Watched, console: Console, until: asyncio.Event | None) -> None:
    began = time.monotonic()
    while until is None or not until.is_set():
        await asyncio.sleep(LINE_EVERY)
        for name, counters in run.progress.items():
            line = f"{name}: {counters.stage}: {_figures(run, counters, began)}"
            console.print(line, highlight=False, soft_wrap=True)


def _figures(run: Watched, counters: Counters, began: float) -> str:
    rate = counters.logs / max(time.monotonic() - began, 0.001)
    blocks = f"{counters.blocks_done:,}/{counters.blocks_wanted:,} blocks"
    return f"{blocks} {rate:,.0f} logs/s {counters.flows:,} flows {run.requests:,} requests"
