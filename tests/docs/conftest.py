"""The indexed demo for all tests of documents."""

from __future__ import annotations

import pytest

from indexer.ledger.embedded import EmbeddedPostgres
from tests.golden.demo import indexed_demo


@pytest.fixture(scope="session")
def demo_url(server: EmbeddedPostgres) -> str:
    """The URL of the database that holds the indexed demo: for reading only."""
    return indexed_demo(server)
