"""Fixtures that all tests share: one embedded Postgres a session, one database of its own a test."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.ledger.migrate import migrate

# Machines that run these tests are shared and slow at times: a deadline would fail what is right.
settings.register_profile("indexer", deadline=None, print_blob=True)
settings.load_profile("indexer")

# No test touches the data folder of whoever runs it.
_HOME = tempfile.mkdtemp(prefix="indexer-home-")
os.environ["XDG_DATA_HOME"] = _HOME
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

SHARED = Path(__file__).parents[2] / "shared"  # recordings and fake nodes; tests that need them skip without
_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the recordings are not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedPostgres]:
    """An embedded Postgres in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="indexer-tests-", ignore_cleanup_errors=True) as folder:
        running = EmbeddedPostgres(Path(folder))
        yield running
        running.close()


@pytest.fixture(scope="session")
def template(server: EmbeddedPostgres) -> str:
    """The name of a migrated database that the others are copied from."""
    import asyncio

    async def make() -> None:
        database = await Database.open(server.url("template_ledger"))
        await migrate(database)
        await database.close()

    asyncio.run(make())
    return "template_ledger"


@pytest.fixture
async def url(server: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    """The URL of a migrated database that only this test uses."""
    name = f"test_{next(_NUMBERS)}"
    admin = await asyncpg.connect(server.url("postgres"))
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield server.url(name)
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """That database, opened."""
    opened = await Database.open(url)
    yield opened
    await opened.close()
