"""A run that goes on: blocks are read as they become final, days closed as they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

import pytest
from aiohttp import web

from indexer import app
from indexer.demo.recording import Chain, load
from indexer.demo.run import MULTICALL3
from indexer.demo.server import DemoNode
from indexer.ledger.connect import Database
from indexer.settings import Settings, load_settings
from indexer.work import follow

DAYS = "SELECT deployment, day, flows, digest, blocks_held, blocks FROM deployment_day ORDER BY 1, 2"
FIGURES = "SELECT * FROM yield_daily ORDER BY day, protocol"
FOLDER = Path(str(files("indexer.demo")))


@asynccontextmanager
async def node(chain: Chain) -> AsyncIterator[str]:
    """The demo chain on loopback; its head may be moved while it is served."""
    application = web.Application()
    application.router.add_post("/", DemoNode(chain).respond)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def settings(url: str) -> Settings:
    chain = {"rpc": [url], "chain_id": 31337, "block_ms": 1_000_000, "multicall3": MULTICALL3}
    return load_settings(None, {"start": 0, "chains": {"demo": chain}})


async def run(database: Database, url: str, *, once: bool, on_close: Callable[[], None]) -> None:
    given = settings(url)
    known = app.catalogue(given, sorted((FOLDER / "protocols").glob("*.toml")), [FOLDER / "tokens.toml"])
    await app.up(given, known, database, app.Run(), once=once, on_close=on_close)


async def test_blocks_that_become_final_later_make_the_same_ledger(
    database: Database, server, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain that grows under a run, in steps that end inside days, closes the same days as one read at once."""
    monkeypatch.setattr(follow, "POLL", 0.02)
    chain = load()
    head = chain.head
    chain.head = 150
    async with node(chain) as url:
        begun = asyncio.Event()
        following = asyncio.create_task(run(database, url, once=False, on_close=begun.set))
        await asyncio.wait_for(begun.wait(), 20)
        first = await database.fetch("SELECT max(day) FROM deployment_day")
        for step in (151, 300, 301, 640, 1000, head):
            chain.head = step
            await _until(database, step)
        await _closed(database, len({row["day"] for row in await _whole(server, template)}))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert first[0][0].isoformat() == "2026-01-01"
    assert await database.fetch(DAYS) == await _whole(server, template)


async def test_an_open_day_shows_in_yield_live_and_not_in_yield_daily(database: Database) -> None:
    """Half a day is in yield_live as not closed, a lower bound; the view of closed days waits for the day's end."""
    chain = load()
    chain.head = 150
    async with node(chain) as url:
        await run(database, url, once=True, on_close=lambda: None)
    closed = await database.fetch("SELECT DISTINCT day FROM yield_daily")
    live = await database.fetch("SELECT day, sum(fees_usd) AS fees FROM yield_live WHERE NOT closed GROUP BY day")
    assert [row["day"].isoformat() for row in closed] == ["2026-01-01"]
    assert [(row["day"].isoformat(), row["fees"] > 0) for row in live] == [("2026-01-02", True)]


_WHOLE: list[object] = []


async def _whole(server, template: str) -> list:
    """The days of a run that read everything at once."""
    if not _WHOLE:
        import asyncpg

        admin = await asyncpg.connect(server.url("postgres"))
        await admin.execute(f'CREATE DATABASE follow_whole TEMPLATE "{template}"')
        await admin.close()
        other = await Database.open(server.url("follow_whole"))
        async with node(load()) as url:
            await run(other, url, once=True, on_close=lambda: None)
        _WHOLE.extend(await other.fetch(DAYS))
        await other.close()
    return _WHOLE


async def _until(database: Database, block: int) -> None:
    """Waits until every deployment holds the block."""
    for _ in range(500):
        row = await database.fetch("SELECT min(last_block) FROM coverage")
        if row[0][0] == block:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"block {block} was not read in 10 seconds")


async def _closed(database: Database, days: int) -> None:
    for _ in range(500):
        row = await database.fetch("SELECT count(DISTINCT day) FROM yield_daily")
        if row[0][0] == days:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{days} days were not closed in 10 seconds")
