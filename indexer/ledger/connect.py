"""Connections: a pool with our settings, errors by meaning, transactions that are tried again when that is safe."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import asyncpg
import msgspec
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from indexer.errors import DatabaseUnusable
from indexer.ledger.guard import Guard

Result = TypeVar("Result")
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"  # the only form handed out

OLDEST = 14  # multiranges, and what else the SQL uses, came with Postgres 14
RECOVERY = 30  # seconds a database may be away, full or read-only before the run gives up

# By which the server learns within 30 seconds that the machine of a client is gone, and lets go of all it held.
_KEPT_ALIVE = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
_SEVERAL = 5  # attempts, within some two seconds, after which a fault that goes by is worth telling
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
    asyncpg.InternalClientError,  # the driver's, where a session is ended while it is given back
    OSError,  # of the network, the name service, or its Unix socket while it starts
)

# What may go by while somebody watches: room is made, or after a failover a server that takes writes is there.
LACKING = (asyncpg.DiskFullError, asyncpg.ReadOnlySQLTransactionError)

# What somebody must mend: memory, rights.
STUCK = (asyncpg.OutOfMemoryError, asyncpg.InsufficientPrivilegeError)

log = structlog.get_logger()


class Database:
    """A pool of connections to one database. guard: what this process's leases stand on."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], recovery: int = RECOVERY) -> None:
        self.pool, self.guard = pool, Guard(pool)
        self._recovery = recovery

    @classmethod
    async def open(cls, url: str, *, size: int = 8, recovery: int = RECOVERY) -> Database:
        """Connects and checks the server. Raises DatabaseUnusable; the URL is never part of the message."""
        pool = await asyncpg.create_pool(
            url,
            min_size=0,  # else the driver itself tells, with tracebacks, of a server that is away while nobody asks
            max_size=size + 1,  # one is the guard's
            init=_prepare,
            server_settings={"application_name": "indexer", "timezone": "UTC", "jit": "off", **_KEPT_ALIVE},
        )
        try:
            await _meet(pool)
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
        failed: list[float] = []  # when; a fault at the end of an hour's statement is tried again, too

        def for_long(_: RetryCallState) -> bool:
            failed.append(time.monotonic())
            return failed[-1] - failed[0] >= self._recovery

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TRANSIENT + LACKING),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            stop=for_long,
            before_sleep=self._waits,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except TRANSIENT as error:
            raise DatabaseUnusable(
                f"The database has failed for {self._recovery} seconds ({_sentence(error)}). What was committed stays: "
                "bring it back and run again."
            ) from error
        except LACKING as error:
            raise DatabaseUnusable(
                f"The database could not go on for {self._recovery} seconds ({_sentence(error)}). Give it what it "
                "lacks and run again; what was committed stays."
            ) from error
        except STUCK as error:
            raise DatabaseUnusable(
                f"The database cannot go on ({_sentence(error)}). Give it what it lacks and run again; what was "
                "committed stays."
            ) from error

    async def _waits(self, state: RetryCallState) -> None:
        """Says once what is waited for, and leaves a server that takes no writes: another one may have its name now."""
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            await self.pool.expire_connections()
        if isinstance(error, Exception) and state.attempt_number == (1 if isinstance(error, LACKING) else _SEVERAL):
            log.warning("the database cannot go on: waiting", seconds=self._recovery, reason=_sentence(error))


async def _meet(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Connects for the first time. Raises DatabaseUnusable."""
    try:
        await _refuse_unfit(pool)
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
