"""The event loop, the garbage collector and the allocator as a process that reads chains wants them."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from contextlib import suppress
from typing import Any

_M_ARENA_MAX = -8  # glibc, malloc.h


def runner() -> asyncio.Runner:
    """A runner on the fastest loop there is."""
    gc.set_threshold(200_000, 50, 50)  # millions of short-lived log objects, none of them in cycles
    with suppress(AttributeError, OSError):  # each of glibc's arenas keeps what a thread's largest answer needed
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # its own pools keep what the largest file needed
    return asyncio.Runner(loop_factory=_loop_factory())


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
