"""A database that restarts, vanishes, fills up or refuses: a run waits for it, or ends with a sentence.

Real faults of a real server, but for two that it cannot have on every machine: that the disk is full and that a
serialization failed is said by a trigger, with the same code and within the same statement as Postgres would. (A disk
that is really full, where root may mount a small one: tests/ledger/test_bad_databases.py.)
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog

from indexer.errors import DatabaseUnusable
from indexer.ledger import connect, ranges
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.ledger.migrate import migrate
from indexer.ledger.rehearsal import rehearsal
from indexer.work import backfill
from tests.fakes.cutter import cutter
from tests.simulation.demo import booked, complaints, index, opened, outcome, told
from tests.simulation.node import DemoChain
from tests.simulation.troubled import FAULTS, HELD, Fault, Troubled, beginning, own_server

HALF, LAST = 150, 200
AWAY = 1.0  # seconds until somebody heals it
_NUMBERS = itertools.count()
_EXPECTED: dict[str, Any] = {}


@pytest.fixture(scope="module")
def own() -> Iterator[EmbeddedPostgres]:
    """A server of this module's own, with half of the blocks in database "half"."""
    made = tempfile.TemporaryDirectory(prefix="indexer-faults-", ignore_cleanup_errors=True)
    with made as folder, own_server(Path(folder)) as server:
        asyncio.run(_half(server))
        yield server


async def _half(server: EmbeddedPostgres) -> None:
    async with DemoChain() as node, opened(server.url("half")) as database:
        await migrate(database)
        await index(database, node.url, to=HALF)


@pytest.fixture
async def troubled(own: EmbeddedPostgres, request: pytest.FixtureRequest) -> AsyncIterator[Troubled]:
    """A copy of that ledger."""
    name = f"trouble_{next(_NUMBERS)}"
    admin = Troubled(own, "postgres", "")
    await admin.tell(f"CREATE DATABASE {name} TEMPLATE half")
    await admin.tell("CHECKPOINT")  # else a crash takes a copied sequence back to where it was when it was copied
    at = Troubled(own, name, getattr(request, "param", "ranges.commit"))
    yield at
    await at.leave()
    await admin.tell(f"DROP DATABASE {name} WITH (FORCE)")


async def expected(node: DemoChain, url: str) -> dict[str, Any]:
    """The outcome of an undisturbed run, which is that of the oracle."""
    if not _EXPECTED:
        async with opened(url) as database:
            await index(database, node.url, to=LAST)
            _EXPECTED.update(await outcome(database))
            assert await booked(database) == await told(node.url, 0, LAST)
    return _EXPECTED


async def healed(at: Troubled, fault: Fault, begun: asyncio.Event) -> float:
    """Heals it some time after it began; when that was."""
    await begun.wait()
    if fault.heal is not None:
        await asyncio.sleep(AWAY)
        await fault.heal(at)
    return time.monotonic()


@pytest.mark.parametrize("troubled", HELD, indirect=True)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_run_goes_on_when_the_database_does(
    fault: Fault, troubled: Troubled, node: DemoChain, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the time that it waits at most, without anybody's help, and with the same ledger."""
    monkeypatch.setattr(ranges, "LEASE_SECONDS", 2)
    monkeypatch.setattr(backfill, "_POLL", 0.1)
    port_of = cutter(f"{troubled.server._server._postmaster_info.socket_dir}/.s.PGSQL.5432", lambda *_: None)
    async with port_of as port:
        by_name = f"postgresql://postgres@localhost:{port}/{troubled.database}"
        async with opened(by_name if fault.name == "name_unknown" else troubled.url) as database:
            async with beginning(troubled, fault) as begun:
                ending = asyncio.create_task(healed(troubled, fault, begun))
                await index(database, node.url, to=LAST)
                took = time.monotonic() - await ending
            assert begun.is_set()
            assert took < connect.RECOVERY
            assert await outcome(database) == await expected(node, url)
            assert await booked(database) == await told(node.url, 0, LAST)
            assert await complaints(database) == {}


async def test_a_pool_that_nobody_uses_says_nothing_of_a_restart(
    troubled: Troubled, caplog: pytest.LogCaptureFixture
) -> None:
    """And is as good as before: whoever asks is connected anew."""
    async with opened(troubled.url) as database:
        await asyncio.to_thread(troubled.control, "-m", "fast", "stop")
        await asyncio.sleep(0.1)
        await asyncio.to_thread(troubled.start)
        assert await database.fetch("SELECT 1")
    assert caplog.records == []


SENTENCES = {
    "gone": "The database has failed for 1 seconds (",
    "read_only": "The database could not go on for 1 seconds (ReadOnlySQLTransactionError: cannot execute ",
    "disk_full": "The database could not go on for 1 seconds (DiskFullError: in trouble). Give it what it lacks",
    "statement_timeout": "The database has failed for 1 seconds (QueryCanceledError: canceling statement due to statement timeout)",
    "too_many_connections": "The database has failed for 1 seconds (TooManyConnectionsError: ",
}


@pytest.mark.parametrize("troubled", ["closing.close_days"], indirect=True)
@pytest.mark.parametrize("name", SENTENCES)
async def test_a_run_ends_with_a_sentence_if_the_database_stays_so(
    name: str, troubled: Troubled, node: DemoChain, url: str
) -> None:
    """What has happened, for how long, what to do; exit code 4; and the next run completes what was committed."""
    (fault,) = (one for one in FAULTS if one.name == name)
    database = await Database.open(troubled.url, recovery=1)
    with structlog.testing.capture_logs() as logs:
        async with beginning(troubled, fault):
            with pytest.raises(DatabaseUnusable) as ended:
                await index(database, node.url, to=LAST)
    await database.close()
    assert str(ended.value).startswith(SENTENCES[name])
    assert str(ended.value).endswith("run again.") or str(ended.value).endswith("what was committed stays.")
    assert ended.value.exit_code == 4
    if name in ("disk_full", "read_only"):
        assert {"seconds": 1, "log_level": "warning"}.items() <= next(
            line for line in logs if line["event"] == "the database cannot go on: waiting"
        ).items()
    assert fault.heal is not None
    await fault.heal(troubled)
    async with opened(troubled.url) as database:
        await index(database, node.url, to=LAST)
        assert await outcome(database) == await expected(node, url)
        assert await complaints(database) == {}


async def test_connections_to_a_server_that_takes_no_writes_are_left(troubled: Troubled) -> None:
    """After a failover the old server may live on: what was connected to it must find the new one."""
    admin = Troubled(troubled.server, "postgres", "")
    await admin.tell(f"ALTER DATABASE {troubled.database} SET default_transaction_read_only = on")
    async with opened(troubled.url) as database:  # its connections stay as they are
        await database.fetch("SELECT 1")
        await admin.tell(f"ALTER DATABASE {troubled.database} RESET default_transaction_read_only")
        await database.fetch(
            "INSERT INTO dirty_value (chain_id, day) VALUES (31337, '2026-01-01') ON CONFLICT DO NOTHING"
        )


async def test_a_fault_at_the_end_of_a_long_statement_is_tried_again(troubled: Troubled) -> None:
    """The time a run waits begins with the fault, however long the statement had taken before."""
    database = await Database.open(troubled.url, recovery=1)
    tries = 0

    async def work(connection: connect.Connection) -> int:
        nonlocal tries
        tries += 1
        await connection.execute("SELECT pg_sleep(1.2)" if tries == 1 else "SELECT 1")
        if tries == 1:
            raise asyncpg.ConnectionDoesNotExistError("gone")
        return tries

    assert await database.transaction(work) == 2
    await database.close()


async def test_a_rehearsal_ends_at_once_with_its_connection(troubled: Troubled) -> None:
    """What was written in it is gone, so there is nothing to wait for."""
    async with opened(troubled.url) as database:
        began = time.monotonic()
        with pytest.raises(DatabaseUnusable, match="lost while the archive was looked through. Nothing was changed"):
            async with rehearsal(database) as forgetful:
                await forgetful.fetch("SELECT pg_terminate_backend(pg_backend_pid())")
        assert time.monotonic() - began < connect.RECOVERY / 3
