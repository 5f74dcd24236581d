"""The event loop and the garbage collector as a process that reads chains wants them."""

from __future__ import annotations

import asyncio
import gc
from typing import Any


def runner() -> asyncio.Runner:
    """A runner on the fastest loop there is."""
    gc.set_threshold(200_000, 50, 50)  # millions of short-lived log objects, none of them in cycles
    return asyncio.Runner(loop_factory=_loop_factory())


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
