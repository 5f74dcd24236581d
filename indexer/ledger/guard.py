"""The sign that a process lives: a lock that Postgres lets go of when the process, or its machine, dies."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg
import structlog

from indexer.ledger.sql import query

if TYPE_CHECKING:
    from indexer.ledger.connect import Connection

ASKED_EVERY = 10  # seconds between looks whether the session still answers, and for an answer
AGAIN_AFTER = 0.1  # seconds before another session is tried

log = structlog.get_logger()


class Guard:
    """A number of this process's own and a session that holds a lock on it while somebody is inside of `async with`.

    number: None before the first time. held: whether the session stands; a lost one is replaced at once.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.number: int | None = None
        self.held = False
        self._pool, self._users = pool, 0
        self._tried, self._lost = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        """The lock is held on return; where the database gives no session now, it is as soon as it does."""
        self._users += 1
        if self._task is None:
            self._tried.clear()
            self._task = asyncio.create_task(self._keep())
        try:
            await self._tried.wait()
        except asyncio.CancelledError:  # who never came in is never let out
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._users -= 1
        if self._users == 0 and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._hold(connection)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
                log.info("the session that holds this process's leases is gone", reason=str(error))
            finally:
                self._tried.set()
            await asyncio.sleep(AGAIN_AFTER)

    async def _hold(self, connection: Connection) -> None:
        """Holds the lock until the session is lost, which is raised."""
        self._lost.clear()
        connection.add_termination_listener(self._end)
        if self.number is None:
            self.number = await connection.fetchval(query("new_guard"))
        await connection.execute(query("hold_guard"), self.number)
        self.held = True
        self._tried.set()
        try:
            await self._watch(connection)
        finally:
            self.held = False  # before the connection is given back, which lets go of the lock

    async def _watch(self, connection: Connection) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(ASKED_EVERY):  # wait_for may lose a cancellation that comes with the event
                    await self._lost.wait()
            self._lost.clear()
            await connection.execute(query("ask_guard"), timeout=ASKED_EVERY)

    def _end(self, _: object) -> None:
        self._lost.set()
