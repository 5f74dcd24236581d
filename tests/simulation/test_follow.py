"""Following: new final blocks come in, days close as they end, and a pause of the node is a pause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from indexer import app
from indexer.errors import EndpointFailed
from indexer.ledger.connect import Database
from indexer.work import backfill, follow
from tests.simulation.demo import complaints, outcome, settings
from tests.simulation.node import DemoChain


@asynccontextmanager
async def following(database: Database, node: DemoChain) -> AsyncIterator[asyncio.Task[None]]:
    """`indexer up` after it has read the history there is."""
    chosen, caught_up = settings(node.url), asyncio.Event()
    task = asyncio.create_task(
        app.up(chosen, app.catalogue(chosen), database, app.Run(), once=False, on_close=caught_up.set)
    )
    await asyncio.wait({task, asyncio.create_task(caught_up.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "POLL", 0.05)


async def shown(database: Database, task: asyncio.Task[None], days: int) -> None:
    """Waits until so many rows are in yield_daily."""
    for _ in range(600):
        if task.done():
            await task
        rows = await database.fetch("SELECT count(*) AS n FROM yield_daily")
        if rows[0]["n"] == days:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {days} rows in yield_daily")


async def test_blocks_that_become_final_later_end_in_the_same_ledger(
    database: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    node.head = 500
    async with following(database, node) as task:
        await shown(database, task, 15)
        for head, days in ((501, 15), (545, 18), (900, 30), (1218, 42)):
            node.head = head
            await shown(database, task, days)
        assert await outcome(database) == undisturbed
    assert await complaints(database) == {}


async def test_a_node_that_pauses_is_waited_for(
    database: Database, node: DemoChain, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reading of the first new blocks fails more often than a range's patience lasts."""
    monkeypatch.setattr(backfill, "PATIENCE", 1)
    node.head, read, failures = 500, backfill.read_range, []

    async def failing(*values: Any) -> Any:
        if values[1].last > 500 and len(failures) < 9:
            failures.append(values[1])
            raise EndpointFailed("The node is being restarted; try again.")
        return await read(*values)

    monkeypatch.setattr(backfill, "read_range", failing)
    async with following(database, node) as task:
        node.head = 1218
        await shown(database, task, 42)
        assert len(failures) == 9
        assert await outcome(database) == undisturbed
