"""Months of the table flow are made by whoever needs them first, however many need them at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg

MONTH = datetime(2031, 5, 1, tzinfo=UTC)
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def test_who_waited_for_another_to_make_a_month_finds_it_made(url: str) -> None:
    """The second one looks, waits for the first one's transaction, and must not make the partition again."""
    first, second = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        making = first.transaction()
        await making.start()
        await first.execute("SELECT ensure_flow_month($1)", MONTH)
        waiting = asyncio.create_task(second.execute("SELECT ensure_flow_month($1)", MONTH))
        while not await first.fetchval(WAITING):
            await first.execute("SELECT pg_sleep(0.01)")
        await making.commit()
        await waiting
        assert await first.fetchval("SELECT to_regclass('flow_2031_05') IS NOT NULL")
    finally:
        await first.close()
        await second.close()
