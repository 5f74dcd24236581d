"""Databases that cannot hold a ledger: each is refused with a sentence that says what to do, and exit code 4."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from indexer.errors import DatabaseUnusable
from indexer.ledger import connect
from indexer.ledger.connect import Connection, Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.ledger.migrate import migrate
from indexer.ledger.sql import query
from tests.fakes.pooler import pooler


def place(url: str) -> tuple[str, str, str]:
    """Unix socket, user and database of the embedded server's URL."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query)["host"][0]
    return f"{folder}/.s.PGSQL.5432", parts.username or "postgres", parts.path[1:]


async def refusal(url: str) -> str:
    with pytest.raises(DatabaseUnusable) as refused:
        await Database.open(url)
    assert refused.value.exit_code == 4
    return str(refused.value)


async def test_nobody_answers() -> None:
    told = await refusal("postgresql://indexer@127.0.0.1:1/ledger")
    assert told.startswith("The database cannot be reached (")
    assert told.endswith("Check its URL, or leave it out for our own.")


async def test_a_database_that_is_not_there(url: str) -> None:
    told = await refusal(url.replace(place(url)[2], "nobody_made_this"))
    assert 'database "nobody_made_this" does not exist' in told
    assert told.endswith("Check its URL, or leave it out for our own.")


async def test_an_old_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "OLDEST", 99)
    assert await refusal(url) in [f"Postgres {major} is too old: 99 or newer is needed." for major in range(14, 99)]


async def test_a_transaction_pooler_is_refused_and_a_session_pooler_is_not(url: str) -> None:
    socket, user, name = place(url)
    async with pooler(socket) as port:
        told = await refusal(f"postgresql://{user}@127.0.0.1:{port}/{name}")
    assert told == (
        "The database is behind a transaction pooler, which takes prepared statements and settings away between "
        "transactions. Give the URL of Postgres itself or of a session pooler (often the same host with port 5432)."
    )
    async with pooler(socket, session=True) as port:
        database = await Database.open(f"postgresql://{user}@127.0.0.1:{port}/{name}")
        assert (await database.fetch("SELECT count(*) AS flows FROM flow"))[0]["flows"] == 0
        await database.close()


async def test_a_pooler_that_refuses_our_settings_is_named_as_what_it_is(url: str) -> None:
    socket, user, name = place(url)
    async with pooler(socket, refused="jit") as port:
        assert "transaction pooler" in await refusal(f"postgresql://{user}@127.0.0.1:{port}/{name}")


@pytest.mark.parametrize(
    ("state", "error"),
    [("53200", "OutOfMemoryError"), ("42501", "InsufficientPrivilegeError")],
)
async def test_a_server_that_lacks_something_ends_the_run_at_once(database: Database, state: str, error: str) -> None:
    """Memory, rights: to try again would not help; nothing of the transaction stays."""
    tries = 0

    async def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute("INSERT INTO chain (chain_id, name) VALUES (1, 'ethereum')")
        await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{state}'; END $$")

    with pytest.raises(DatabaseUnusable) as refused:
        await database.transaction(work)
    assert str(refused.value) == (
        f"The database cannot go on ({error}: no room). Give it what it lacks and run again; what was committed stays."
    )
    assert tries == 1
    assert not await database.fetch("SELECT FROM chain")


@pytest.fixture
async def small(server: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a database whose tables lie on a file system of eight megabytes."""
    above = Path(tempfile.mkdtemp(prefix="indexer-small-"))
    folder = above / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    admin = await asyncpg.connect(server.url("postgres"))
    try:
        owner = (Path(await admin.fetchval("SHOW data_directory"))).stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        above.chmod(0o755)  # the server runs as a user of its own
        await admin.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        await admin.execute("CREATE DATABASE small")
        await admin.execute("ALTER DATABASE small SET default_tablespace = small")
        yield server.url("small")
        await admin.execute("DROP DATABASE small WITH (FORCE)")
        await admin.execute("DROP TABLESPACE small")
    finally:
        await admin.close()
        subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(above)


async def test_a_disk_that_is_really_full(small: str) -> None:
    """The ledger's own writes fill it: a sentence, nothing of the failing transaction, and the rest can be read."""
    database = await Database.open(small, recovery=1)
    await migrate(database)
    days = [date(1970, 1, 1) + timedelta(days=number) for number in range(100_000)]

    async def work(connection: Connection) -> None:
        for chain_id in range(20):
            await connection.executemany(query("put_day_start"), [(chain_id, day, 0) for day in days])

    with pytest.raises(DatabaseUnusable, match="could not go on for 1 seconds \\(DiskFullError: could not extend file"):
        await database.transaction(work)
    assert not await database.fetch("SELECT FROM day_start")
    await database.close()
