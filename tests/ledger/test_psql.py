"""psql on the ledger's database: reached through the environment, the password in no process list."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.errors import DatabaseUnusable
from indexer.ledger import psql as module
from indexer.ledger.embedded import EmbeddedPostgres, packaged_psql
from indexer.ledger.psql import connection_variables, psql

BESIDE = {"PGTZ": "UTC", "PGAPPNAME": "indexer sql"}


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        (
            "postgresql://me:s%40crt%2F@db.example:6543/led%20ger",
            {"PGUSER": "me", "PGPASSWORD": "s@crt/", "PGHOST": "db.example", "PGPORT": "6543", "PGDATABASE": "led ger"},
        ),
        ("postgres://localhost", {"PGHOST": "localhost"}),
        ("postgresql:///ledger?host=/tmp/a%20b&port=7", {"PGDATABASE": "ledger", "PGHOST": "/tmp/a b", "PGPORT": "7"}),
        ("postgresql://%2Ftmp%2Fsocket/x", {"PGHOST": "/tmp/socket", "PGDATABASE": "x"}),
        ("postgresql://[::1]:5433/x", {"PGHOST": "::1", "PGPORT": "5433", "PGDATABASE": "x"}),
        ("postgresql://[::1]/x", {"PGHOST": "::1", "PGDATABASE": "x"}),
        (
            "postgresql://a:1,b:2/x?sslmode=verify-full&target_session_attrs=read-write",
            {
                "PGHOST": "a,b",
                "PGPORT": "1,2",
                "PGDATABASE": "x",
                "PGSSLMODE": "verify-full",
                "PGTARGETSESSIONATTRS": "read-write",
            },
        ),
        ("postgresql://me:@h/x", {"PGUSER": "me", "PGHOST": "h", "PGDATABASE": "x"}),
        ("postgresql://h/x?application_name=mine", {"PGHOST": "h", "PGDATABASE": "x", "PGAPPNAME": "mine"}),
    ],
)
def test_a_url_becomes_libpqs_variables(url: str, variables: dict[str, str]) -> None:
    assert connection_variables(url) == BESIDE | variables


@pytest.mark.parametrize("part", ["?prepared_statement_cache_size=0", "?sslmode", "?nonsense=1"])
def test_what_libpq_has_no_variable_for_is_refused_without_showing_the_password(part: str) -> None:
    with pytest.raises(DatabaseUnusable, match="start psql yourself") as refused:
        connection_variables(f"postgresql://me:hunter2@h/x{part}")
    assert "hunter2" not in str(refused.value)


def recording(folder: Path, monkeypatch: pytest.MonkeyPatch, *, body: str) -> Path:
    """A program called psql that writes its words and the PG variables it was given, then does `body`."""
    seen = folder / "seen"
    program = folder / "psql"
    program.write_text(
        f"#!{sys.executable}\nimport os, sys, time\n"
        f"open({str(seen)!r}, 'w').write(repr((sys.argv[1:], os.environ.get('PGPASSWORD'), os.environ.get('PGUSER'))))\n"
        f"{body}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return seen


async def test_the_password_is_in_the_environment_and_not_among_the_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words are what every user of the machine can list. The exit code is psql's."""
    seen = recording(tmp_path, monkeypatch, body="sys.exit(3)")
    assert await psql("postgresql://me:hunter2@h/x", embedded=False) == 3
    assert seen.read_text() == "([], 'hunter2', 'me')"


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[None]:
    """A file in place of the keyboard, for this process and those it starts."""
    file, kept = tmp_path / "typed", os.dup(0)
    file.write_text("SELECT current_database() AS d;\nSHOW timezone;\n")
    with file.open() as opened:
        os.dup2(opened.fileno(), 0)
    yield
    os.dup2(kept, 0)
    os.close(kept)


@pytest.mark.usefixtures("typed")
async def test_without_a_psql_of_the_system_the_embedded_servers_is_taken(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It runs, on the socket of the embedded server, in UTC."""
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    assert await psql(server.url("asked"), embedded=False) == 0
    said = capfd.readouterr().out
    assert "asked" in said
    assert "UTC" in said


async def test_the_embedded_server_is_asked_with_its_own_psql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is called psql: an older one would warn at every start."""
    seen = recording(tmp_path, monkeypatch, body="")
    started: list[str] = []

    async def start(program: object, **_: object) -> object:
        started.append(str(program))
        raise OSError

    monkeypatch.setattr(module.asyncio, "create_subprocess_exec", start)
    with pytest.raises(OSError):
        await psql("postgresql:///x", embedded=True)
    assert started == [str(packaged_psql())]
    assert packaged_psql().is_file()
    assert not seen.exists()


async def test_ctrl_c_is_psqls_and_the_program_around_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal both get the signal: psql takes its statement back, we wait for its end."""
    seen = recording(tmp_path, monkeypatch, body="time.sleep(0.5); sys.exit(7)")
    running = asyncio.create_task(psql("postgresql:///x", embedded=False))
    while not seen.exists():
        await asyncio.sleep(0.02)
    before = signal.getsignal(signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 7
    assert signal.getsignal(signal.SIGINT) is not before


async def test_a_stop_from_outside_ends_psql_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = recording(tmp_path, monkeypatch, body="time.sleep(60)")
    running = asyncio.create_task(psql("postgresql:///x", embedded=False))
    while not seen.exists():
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)
