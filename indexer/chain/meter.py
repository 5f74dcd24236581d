"""What a piece of work costs its endpoints, counted across all the tasks it starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """Calls made, each item of a batch as one, and octets of the answers, decompressed."""

    requests: int = 0
    octets: int = 0


_RUNNING: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """Counts what is asked within the block, by it and by the tasks started in it."""
    meter = Meter()
    token = _RUNNING.set(meter)
    try:
        yield meter
    finally:
        _RUNNING.reset(token)


def count(requests: int = 0, octets: int = 0) -> None:
    """Adds to the meter that is running, if one is."""
    meter = _RUNNING.get()
    if meter is not None:
        meter.requests += requests
        meter.octets += octets
