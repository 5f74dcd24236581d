"""A ledger that forgets: what is written is seen by the writer alone, and gone at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from indexer.ledger.connect import Connection, Database, Result


@asynccontextmanager
async def rehearsal(database: Database) -> AsyncIterator[Database]:
    """The database within one transaction that is never committed; statements of tasks side by side take turns."""
    async with database.pool.acquire() as connection:
        whole = connection.transaction()
        await whole.start()
        try:
            yield _Rehearsal(database, connection)
        finally:
            if not connection.is_closed():
                await whole.rollback()


class _Rehearsal(Database):
    """Its transactions are savepoints on one connection."""

    def __init__(self, database: Database, connection: Connection) -> None:
        super().__init__(database.pool)
        self._connection, self._turn = connection, asyncio.Lock()

    async def transaction(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Runs `work` between savepoints."""

        async def attempt() -> Result:
            async with self._turn, self._connection.transaction():
                return await work(self._connection)

        return await self._tried(attempt)

    async def fetch(self, text: str, *values: Any) -> list[asyncpg.Record]:
        """Rows of a statement."""

        async def ask(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(text, *values)

        return await self.transaction(ask)
