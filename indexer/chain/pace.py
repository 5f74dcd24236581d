"""The time that endpoints are asked by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

SECOND = 1_000_000_000  # nanoseconds


async def _sleep(nanoseconds: int) -> None:
    await asyncio.sleep(nanoseconds / SECOND)


@dataclass(slots=True)
class Pace:
    """Clock (nanoseconds), sleep (nanoseconds) and dice: replaced in tests and simulations."""

    now: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[int], Awaitable[None]] = _sleep
    dice: Random = field(default_factory=Random)
