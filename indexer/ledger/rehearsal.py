"""A ledger that forgets: what is written is seen by the writer alone, and gone at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from indexer.errors import DatabaseUnusable
from indexer.ledger.connect import Connection, Database, Result


@asynccontextmanager
async def rehearsal(database: Database) -> AsyncIterator[Database]:
    """The database within one transaction that is never committed; statements of tasks side by side take turns."""
    async with database.pool.acquire() as connection:
        whole, lost = connection.transaction(), asyncio.Event()

        def end(_: object) -> None:
            lost.set()

        connection.add_termination_listener(end)
        await whole.start()
        try:
            yield _Rehearsal(database, connection, lost)
        finally:
            if not lost.is_set():
                await whole.rollback()
                connection.remove_termination_listener(end)


class _Rehearsal(Database):
    """Its transactions are savepoints on one connection."""

    def __init__(self, database: Database, connection: Connection, lost: asyncio.Event) -> None:
        super().__init__(database.pool)
        self._connection, self._lost, self._turn = connection, lost, asyncio.Lock()

    async def transaction(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Runs `work` between savepoints. Raises DatabaseUnusable once the connection is lost, and all with it."""

        async def attempt() -> Result:
            async with self._turn:
                if self._lost.is_set():
                    raise DatabaseUnusable(
                        "The connection to the database was lost while the archive was looked through. Nothing was "
                        "changed: run again."
                    )
                async with self._connection.transaction():
                    return await work(self._connection)

        return await self._tried(attempt)

    async def fetch(self, text: str, *values: Any) -> list[asyncpg.Record]:
        """Rows of a statement."""

        async def ask(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(text, *values)

        return await self.transaction(ask)
