"""An event loop on which waiting takes no time: seconds pass only by being waited for, and then at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Skips what it would wait for."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing is left to wait for: the test hangs"
        self.now += timeout
        return super().select(0)


class _Rushed(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def rushed(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that waits for time only, never for a socket."""
    with asyncio.Runner(loop_factory=_Rushed) as runner:
        return runner.run(work)


def now() -> int:
    """Nanoseconds of the running loop's clock."""
    return round(asyncio.get_running_loop().time() * 1_000_000_000)
