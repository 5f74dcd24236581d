"""End-to-end runs over all answers: one after the other, with decoding in a thread, or in worker processes."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import asyncpg

from . import sink
from .forms import Form, Prepared, Stages, column_wise, forms, raw_topics
from .sink import Cost, Meter

WORKERS = 2
Run = Callable[[asyncpg.Connection, Sequence[bytes], Stages], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Result:
    """One run: its cost and its seconds by stage."""

    cost: Cost
    stages: dict[str, float]


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Garbage collection put off: a parsed answer is tens of thousands of new objects and no cycle."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def store(db: asyncpg.Connection, prepared: Prepared) -> int:
    """One answer's rows in one transaction; gives their digest."""
    if isinstance(prepared.copy, bytearray):
        await sink.copy(db, prepared.copy)
    else:
        async with db.transaction():
            await db.copy_records_to_table("flow", records=prepared.copy)
    return prepared.digest


async def in_turn(form: Form, db: asyncpg.Connection, bodies: Sequence[bytes], stage: Stages) -> int:
    """Nothing overlaps; gives the digest of all rows."""
    total = 0
    for body in bodies:
        prepared = form(body, stage)
        with stage("copy"):
            total += await store(db, prepared)
    return total


async def put_off(form: Form, db: asyncpg.Connection, bodies: Sequence[bytes], stage: Stages) -> int:
    """As in_turn, with garbage collection put off."""
    with seldom_collecting():
        return await in_turn(form, db, bodies, stage)


async def _made(pool: Executor | None, bodies: Sequence[bytes], depth: int) -> AsyncIterator[Prepared]:
    loop, waiting = asyncio.get_running_loop(), list(bodies)[::-1]
    running: list[asyncio.Future[Prepared]] = []
    while waiting or running:
        while waiting and len(running) < depth:
            running.append(loop.run_in_executor(pool, _prepare, waiting.pop()))
        yield await running.pop(0)


def _wait(seconds: float) -> None:
    time.sleep(seconds)


def _prepare(body: bytes) -> Prepared:
    return column_wise(body, Stages())


async def ahead(
    pool: Executor | None, depth: int, db: asyncpg.Connection, bodies: Sequence[bytes], stage: Stages
) -> int:
    """(b) prepared in a pool (None: threads), at most `depth` answers ahead of the one COPY connection."""
    total = 0
    with seldom_collecting():
        async for prepared in _made(pool, bodies, depth):
            with stage("copy"):
                total += await store(db, prepared)
    return total


class _Worker:
    """What a worker process keeps: its loop and its own connection."""

    loop: asyncio.AbstractEventLoop
    db: asyncpg.Connection


def _connect(uri: str) -> None:
    _Worker.loop = asyncio.new_event_loop()
    _Worker.db = _Worker.loop.run_until_complete(asyncpg.connect(uri))


def _prepare_and_store(body: bytes) -> int:
    return _Worker.loop.run_until_complete(store(_Worker.db, _prepare(body)))


async def apart(pool: Executor, _: asyncpg.Connection, bodies: Sequence[bytes], stage: Stages) -> int:
    """(b) prepared and copied by workers with a connection each."""
    loop = asyncio.get_running_loop()
    with stage("all"):
        return sum(await asyncio.gather(*(loop.run_in_executor(pool, _prepare_and_store, body) for body in bodies)))


@contextmanager
def ways(uri: str) -> Iterator[dict[str, Run]]:
    """All ways to run, by name; worker processes live as long as the context."""
    found: dict[str, Run] = {name: partial(in_turn, form) for name, form in forms().items()}
    found["b columns, gc put off"] = partial(put_off, column_wise)
    found["b, topics raw, gc put off"] = partial(put_off, raw_topics)
    found["b, decoding in a thread"] = partial(ahead, None, 2)
    spawn = get_context("spawn")
    with (
        ProcessPoolExecutor(WORKERS, spawn) as makers,
        ProcessPoolExecutor(WORKERS, spawn, _connect, (uri,)) as storers,
    ):
        found["d 2 processes, one COPY"] = partial(ahead, makers, WORKERS + 1)
        found["d 2 processes, COPY each"] = partial(apart, storers)
        for pool in (makers, storers):
            list(pool.map(_wait, [0.5] * WORKERS))  # as many tasks at a time as workers: all of them start now
        yield found


async def measured(run: Run, db: asyncpg.Connection, postmaster: int, bodies: Sequence[bytes]) -> tuple[Result, int]:
    """The result of one run into an empty table, and its digest."""
    await db.execute("truncate flow")
    await db.execute("checkpoint")
    meter, stage = Meter(postmaster), Stages()
    digest = await run(db, bodies, stage)
    return Result(meter.cost(), dict(stage.seconds)), digest % (1 << 256)
