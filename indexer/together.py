"""Coroutines side by side, failing as one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


async def together(work: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Results of coroutines run side by side; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one) for one in work]
    except BaseExceptionGroup as group:
        raise _first(group) from None
    return [task.result() for task in running]


async def led(work: Iterable[Coroutine[None, None, T]], leaders: int = 1) -> list[T]:
    """As `together`; before the rest begins, the first ones end one after the other: it goes by what they learn."""
    waiting = iter(work)
    return [await leader for leader in islice(waiting, leaders)] + await together(waiting)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
