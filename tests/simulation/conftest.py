"""The demo chain served, and what an undisturbed run makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.ledger.embedded import EmbeddedPostgres
from tests.simulation.demo import complaints, index, opened, outcome
from tests.simulation.node import DemoChain

_KEPT: dict[int | None, dict[str, Any]] = {}


@pytest.fixture
async def node() -> AsyncIterator[DemoChain]:
    """An honest node of the demo chain."""
    async with DemoChain() as served:
        yield served


@pytest.fixture
async def undisturbed(server: EmbeddedPostgres, template: str) -> dict[str, Any]:
    """The outcome of one plain run over the whole chain."""
    return await plain_outcome(server, template, None)


async def plain_outcome(server: EmbeddedPostgres, template: str, to: int | None) -> dict[str, Any]:
    """The outcome of a plain run up to a block, kept for the session."""
    if to not in _KEPT:
        name = f"plain_{to if to is not None else 'whole'}"
        admin = await asyncpg.connect(server.url("postgres"))
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        await admin.close()
        async with DemoChain() as served, opened(server.url(name)) as database:
            await index(database, served.url, to=to)
            assert await complaints(database) == {}
            _KEPT[to] = await outcome(database)
    return _KEPT[to]
