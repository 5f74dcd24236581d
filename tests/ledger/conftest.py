"""An empty database beside the migrated one."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import asyncpg
import pytest

from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres

_NUMBERS = itertools.count()


@pytest.fixture
async def blank(server: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A database without any table."""
    name = f"blank_{next(_NUMBERS)}"
    opened = await Database.open(server.url(name))
    yield opened
    await opened.close()
    admin = await asyncpg.connect(server.url("postgres"))
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()
