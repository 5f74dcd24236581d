"""What a commit leaves in memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from io import BytesIO

import pytest

from indexer.ledger.connect import Database
from tests.ledger.made import at, deployment, flows, known, reading, store


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: a long run has next to none, since it counts objects and not their size."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
async def test_a_commit_leaves_no_stream_behind(database: Database) -> None:
    """A COPY stream is megabytes: those of all ranges so far must not wait for a collection."""
    await known(database, deployment("one"))
    await store(database, 0, 9, reading(flows([at(0, 5)], [1])))
    left = [one for one in gc.get_objects() if isinstance(one, BytesIO) and not one.closed]
    assert [len(one.getbuffer()) for one in left if one.getbuffer()[:6] == b"PGCOPY"] == []
