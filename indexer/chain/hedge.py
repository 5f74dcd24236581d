"""Asking a second time before the first answer has come, in moderation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from indexer.chain.lane import Lane
from indexer.chain.pace import SECOND, Pace
from indexer.chain.rpc import Signs

T = TypeVar("T")

SHARE = 8  # one request of so many may be such a second one: enough where one answer of ten never comes
FIRST, MOST = 4, 16  # that may be asked before that share allows, and saved up
BESIDE = 2  # more that one question may get


@dataclass(frozen=True, slots=True)
class Asking(Generic[T]):
    """A question under way at an endpoint. task: gives None where it failed; beside: whether another was late."""

    task: asyncio.Task[T | None]
    lane: Lane
    signs: Signs
    beside: bool

    @property
    def overtaken(self) -> bool:
        """Whether its endpoint answered something that was sent later."""
        return self.signs.sent_at is not None and self.lane.newest >= self.signs.sent_at


class Moderation:
    """Keeps second requests to a share of all. used: how many there were so far, each item of a batch as one."""

    def __init__(self) -> None:
        self.used = 0
        self._saved = FIRST * SHARE

    def asked(self, items: int) -> None:
        """First requests were made."""
        self._saved = min(MOST * SHARE, self._saved + items)

    def allows(self) -> bool:
        """Whether a second request may be made now."""
        return self._saved >= SHARE

    def asked_again(self, items: int) -> None:
        """Second requests were made; a batch may cost more than was saved."""
        self.used += items
        self._saved -= items * SHARE


async def raced(first: Asking[T], again: Callable[[Sequence[Asking[T]]], Asking[T] | None], pace: Pace) -> T | None:
    """What the first of several askings gives that gives something; the others are cancelled. None if all failed.

    again: called with those under way when the newest is late; asks once more, unless that must not be.
    """
    asked, running = [first], [first]
    try:
        while running:
            newest = running[-1]
            wait = max(newest.signs.due(pace.now()), newest.signs.late // 4) / SECOND if len(asked) <= BESIDE else None
            await asyncio.wait([one.task for one in running], timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            for one in [one for one in running if one.task.done()]:
                running.remove(one)
                if not one.task.cancelled() and (found := one.task.result()) is not None:
                    return found
            late = newest in running and len(asked) <= BESIDE and not newest.signs.due(pace.now())
            if late and (more := again(running)) is not None:
                asked.append(more)
                running.append(more)
        return None
    finally:
        for one in asked:
            one.task.cancel()
        await asyncio.gather(*(one.task for one in asked), return_exceptions=True)
