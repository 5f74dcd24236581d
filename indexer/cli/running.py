"""How a verb runs: its loop, its end by a signal, its error as a sentence and an exit code."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

from rich.console import Console

from indexer.errors import IndexerError, Refuse
from indexer.loop import runner

console = Console(stderr=True)
if not console.is_terminal:
    console = Console(stderr=True, width=120)  # a file or a pipe has no width to keep to


def width() -> int | None:
    """Columns of the terminal that the answer is printed to; None for a file or a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a verb; an error becomes its sentence and its exit code, an interrupt ends with 130."""
    try:
        with runner() as running:
            running.run(_ended_by_sigterm(work))
    except KeyboardInterrupt:
        console.print("Stopped; what was committed stays, the next run continues.")
        raise SystemExit(130) from None
    except IndexerError as error:
        fail(error)


def fail(error: IndexerError) -> NoReturn:
    """Ends the command with the error's sentence on stderr and its exit code."""
    style = "red" if console.is_terminal else None
    console.print(f"indexer: {error}", style=style, markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(error.exit_code if isinstance(error, Refuse) else 1) from None


async def _ended_by_sigterm(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await work
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
