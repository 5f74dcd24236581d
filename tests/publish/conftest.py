"""The indexed demo for all tests of what leaves the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from tests.golden.demo import indexed_demo


@pytest.fixture(scope="session")
def demo_url(server: EmbeddedPostgres) -> str:
    """The URL of the database that holds the indexed demo: for reading only."""
    return indexed_demo(server)


@pytest.fixture
async def demo(demo_url: str) -> AsyncIterator[Database]:
    """That database, opened."""
    opened = await Database.open(demo_url)
    yield opened
    await opened.close()
