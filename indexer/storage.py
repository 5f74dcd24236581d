"""Where the ledger is: the database of the settings, or the embedded Postgres. Needs no chain, so it starts fast."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from indexer.errors import DatabaseUnusable
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres, was_started
from indexer.ledger.migrate import migrate, pending
from indexer.settings import Settings


@asynccontextmanager
async def ledger(settings: Settings, name: str = "indexer", *, fresh: bool = False) -> AsyncIterator[Database]:
    """The database of the settings, migrated; without one the embedded Postgres' database `name`.

    fresh: begin that embedded database anew.
    """
    async with place(settings, name, fresh=fresh) as url, opened(url) as database:
        yield database


@asynccontextmanager
async def place(settings: Settings, name: str = "indexer", *, fresh: bool = False) -> AsyncIterator[str]:
    """The URL of the settings' database; without one that of the embedded Postgres, which runs meanwhile."""
    if settings.database is not None:
        yield settings.database.get_secret_value()
        return
    server = await asyncio.to_thread(EmbeddedPostgres, settings.data_dir)
    try:
        if fresh:
            server.forget(name)
        yield server.url(name)
    finally:
        server.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The database of a URL, migrated."""
    database = await Database.open(url)
    try:
        await migrate(database)
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def existing(settings: Settings, name: str = "indexer") -> AsyncIterator[Database]:
    """The ledger as it is. Raises DatabaseUnusable where there is none yet, or one of an older version."""
    async with reached(settings, name) as database:
        todo = None if database is None else await pending(database)
        if database is None or todo is None:
            raise DatabaseUnusable(f"There is no ledger yet in {where_of(settings, name)}: indexer up makes it.")
        if todo:
            raise DatabaseUnusable(
                f"The ledger in {where_of(settings, name)} is {behind(todo)} this version: the next "
                "indexer up brings it up to date."
            )
        yield database


@asynccontextmanager
async def reached(settings: Settings, name: str) -> AsyncIterator[Database | None]:
    """The settings' database, opened; None for an embedded one that is not there yet."""
    async with AsyncExitStack() as stack:
        if settings.database is not None:
            url = settings.database.get_secret_value()
        elif not was_started(settings.data_dir):
            yield None
            return
        else:
            server = await asyncio.to_thread(EmbeddedPostgres, settings.data_dir)
            stack.callback(server.close)
            if not server.has(name):
                yield None
                return
            url = server.url(name)
        database = await Database.open(url)
        stack.push_async_callback(database.close)
        yield database


def where_of(settings: Settings, name: str) -> str:
    """Where the ledger is, without a secret."""
    if settings.database is not None:
        return "the database given"
    return f"the embedded Postgres in {settings.data_dir}, database {name}"


def behind(todo: Sequence[str]) -> str:
    """How far a schema is behind, in words."""
    return "1 migration behind" if len(todo) == 1 else f"{len(todo)} migrations behind"
