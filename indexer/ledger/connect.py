"""Connections: a pool with our settings, errors by meaning, transactions that are tried again when that is safe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import asyncpg
import msgspec
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from indexer.errors import DatabaseUnusable

Result = TypeVar("Result")
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"  # the only form handed out

OLDEST = 14  # multiranges, and what else the SQL uses, came with Postgres 14
RECOVERY = 30  # seconds a database may be away before the run gives up

_SERVER = "SELECT pg_backend_pid()"
_UNREACHED = "The database cannot be reached ({}). Check its URL, or leave it out for our own."
_POOLER = (
    "The database is behind a transaction pooler, which takes prepared statements and settings away between "
    "transactions. Give the URL of Postgres itself or of a session pooler (often the same host with port 5432)."
)

# What goes by itself: the same transaction may succeed when tried again.
TRANSIENT = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InterfaceError,
    ConnectionError,
    TimeoutError,
)

# What somebody must mend: room, memory, rights.
STUCK = (
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Database:
    """A pool of connections to one database."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], recovery: int = RECOVERY) -> None:
        self.pool = pool
        self._recovery = recovery

    @classmethod
    async def open(cls, url: str, *, size: int = 8, recovery: int = RECOVERY) -> Database:
        """Connects and checks the server. Raises DatabaseUnusable; the URL is never part of the message."""
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=size,
                init=_prepare,
                server_settings={"application_name": "indexer", "timezone": "UTC", "jit": "off"},
            )
        except (ValueError, asyncpg.ClientConfigurationError):  # its text may hold a part of the password
            raise DatabaseUnusable(
                "The database URL cannot be read: write postgresql://user:password@host:port/name, with / # ? @ and % "
                "of a password percent-encoded."
            ) from None
        except asyncpg.PostgresError as error:
            if "startup parameter" in str(error):
                raise DatabaseUnusable(_POOLER) from None
            raise DatabaseUnusable(_UNREACHED.format(_sentence(error))) from None
        except (OSError, asyncpg.InterfaceError) as error:
            raise DatabaseUnusable(_UNREACHED.format(_sentence(error))) from None
        try:
            await _refuse_unfit(pool)
        except BaseException:
            await pool.close()
            raise
        return cls(pool, recovery)

    async def close(self) -> None:
        """Closes all connections."""
        await self.pool.close()

    async def transaction(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Runs `work` in one transaction, again from its start after a fault that goes by; work must allow that."""

        async def attempt() -> Result:
            async with self.pool.acquire() as connection, connection.transaction():
                return await work(connection)

        return await self._tried(attempt)

    async def fetch(self, text: str, *values: object) -> list[asyncpg.Record]:
        """Rows of a statement that may be repeated, asked again after a fault that goes by."""

        async def attempt() -> list[asyncpg.Record]:
            return await self.pool.fetch(text, *values)

        return await self._tried(attempt)

    async def _tried(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TRANSIENT),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            stop=stop_after_delay(self._recovery),
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except TRANSIENT as error:
            raise DatabaseUnusable(
                f"The database has failed for {self._recovery} seconds ({_sentence(error)}). What was committed stays: "
                "bring it back and run again."
            ) from error
        except STUCK as error:
            raise DatabaseUnusable(
                f"The database cannot go on ({_sentence(error)}). Give it what it lacks and run again; what was "
                "committed stays."
            ) from error


async def _refuse_unfit(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Raises DatabaseUnusable for a server that is too old, or that a transaction pooler stands before."""
    try:
        async with pool.acquire() as connection:
            version = int(await connection.fetchval("SHOW server_version_num") or 0) // 10_000
            direct = connection.get_server_pid() == await connection.fetchval(_SERVER)
        if version < OLDEST:
            raise DatabaseUnusable(f"Postgres {version} is too old: {OLDEST} or newer is needed.")
        if not direct and await _changes_servers(pool):
            raise DatabaseUnusable(_POOLER)
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError):
        raise DatabaseUnusable(_POOLER) from None


async def _changes_servers(pool: asyncpg.Pool[asyncpg.Record]) -> bool:
    """Whether a connection meets another server process in its next transaction: what it prepared is not there."""
    async with pool.acquire() as one, pool.acquire() as other:
        begun = one.transaction()
        await begun.start()
        first = await one.fetchval(_SERVER)
        async with other.transaction():
            await other.fetchval(_SERVER)
            await begun.commit()
        return bool(await one.fetchval(_SERVER) != first)  # the one that `other` gave back last


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="text",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=_from_json,
    )


def _from_json(text: str) -> Any:
    return msgspec.json.decode(text)


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
