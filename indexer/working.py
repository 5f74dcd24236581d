"""A reading process of a run: it claims, reads and commits what it is told of, until its pipe ends.

It neither plans nor closes days nor prints: what it has to say goes through the pipe to the process that started it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import MutableMapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import structlog

from indexer.app import pool_of
from indexer.archive.store import open_store
from indexer.chain.pool import Endpoints
from indexer.errors import IndexerError
from indexer.ledger.connect import Database
from indexer.loop import runner
from indexer.settings import Settings
from indexer.work.backfill import read_missing
from indexer.work.progress import Progress
from indexer.work.share import Share, group_for

CONNECTIONS = 5  # to the database: one a reader of a group, and what they look up
TOLD_EVERY = 0.1  # seconds between counts

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Begin:
    """What a reading process needs to begin. url: of the database. processes: of the run, which share its budgets."""

    settings: Settings
    url: str
    processes: int


@dataclass(frozen=True, slots=True)
class Said:
    """An event for the log, with its level."""

    level: str
    event: str
    fields: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Counted:
    """What was done on a chain since the last count. ended: shares of which nothing is left."""

    chain: str
    blocks: int
    logs: int
    flows: int
    requests: int
    ended: int


def serve(pipe: Connection, others: list[Connection]) -> None:
    """The process's whole life. others: ends of pipes that it has from its parent and that only the parent may hold."""
    for end in others:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C goes to all, and the parent ends the pipe
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, _Teller(pipe)])
    with runner() as running, suppress(asyncio.CancelledError):
        running.run(_Worker(pipe).work())


@dataclass(slots=True)
class _Teller:
    """Sends to the parent, if it still lives."""

    pipe: Connection

    def send(self, message: Said | Counted) -> None:
        with suppress(OSError):
            self.pipe.send(message)

    def __call__(self, _: Any, level: str, event: MutableMapping[str, Any]) -> str:
        fields = {name: one if isinstance(one, int) else str(one) for name, one in event.items() if name != "event"}
        self.send(Said(level, str(event["event"]), fields))
        raise structlog.DropEvent


@dataclass(slots=True)
class _Chain:
    """One chain's part. told: the counts of the last message."""

    pool: Endpoints
    progress: Progress
    ended: int = 0
    told: tuple[int, ...] = (0, 0, 0, 0, 0)


class _Worker:
    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._teller = pipe, _Teller(pipe)
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._chains: dict[str, _Chain] = {}
        self._stack = AsyncExitStack()

    async def work(self) -> None:
        """Reads what it is told of, for as long as the pipe lasts."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        loop.add_reader(self._pipe.fileno(), self._receive, task)
        try:
            async with self._stack:
                await self._work(await self._inbox.get())
        except IndexerError as error:
            log.warning("a reading process gives up", reason=str(error))

    def _receive(self, task: asyncio.Task[None]) -> None:
        try:
            self._inbox.put_nowait(self._pipe.recv())
        except (EOFError, OSError):  # the parent ended it, or died
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            task.cancel()

    async def _work(self, begin: Begin) -> None:
        database = await Database.open(begin.url, size=CONNECTIONS)
        self._stack.push_async_callback(database.close)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._count())
            while True:
                tasks.create_task(self._read(await self._inbox.get(), begin, database))

    async def _read(self, share: Share, begin: Begin, database: Database) -> None:
        chain, place = self._chain(share, begin), begin.settings.archive_place
        group = group_for(share, chain.pool, database, None if place is None else open_store(place))
        try:
            await read_missing(group, share.wanted, share.final, chain.progress)
        except IndexerError as error:  # what cannot be read the parent meets as well, and ends with it
            log.warning("a reading process gives up", chain=share.chain.name, reason=str(error))
        finally:
            chain.ended += 1
            self._tell(chain)

    def _chain(self, share: Share, begin: Begin) -> _Chain:
        name = share.chain.name
        if name not in self._chains:
            pool = pool_of(share.chain, begin.settings.chains[name])
            pool.share_budget(begin.processes)
            self._stack.push_async_callback(pool.close)
            self._chains[name] = _Chain(pool, Progress(name))
        return self._chains[name]

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY)
            for chain in self._chains.values():
                self._tell(chain)

    def _tell(self, chain: _Chain) -> None:
        done = chain.progress
        counts = (done.blocks_done, done.logs, done.flows, chain.pool.requests, chain.ended)
        if counts != chain.told:
            self._teller.send(Counted(done.chain, *(now - then for now, then in zip(counts, chain.told, strict=True))))
            chain.told = counts
