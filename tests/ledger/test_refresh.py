"""A refresh tells who listens which days are new, changed or gone, and never before they can be seen."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import asyncpg
import pytest

from indexer.ledger import closing
from indexer.ledger.closing import close_days, put_day_start, refresh
from indexer.ledger.connect import Database
from tests.ledger.made import CHAIN, at, flows, known, reading, store

DAYS = [date(2026, 1, day) for day in range(1, 6)]
NOBODY = {"days": 0, "first": None, "last": None, "chains": []}


class Listener:
    """What came on the channel yield_daily, and what the view showed when it came."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection, self._heard = connection, asyncio.Queue[str]()

    def hear(self, _connection: object, _process: int, channel: str, payload: object) -> None:
        assert channel == "yield_daily"
        self._heard.put_nowait(str(payload))

    async def next(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(await asyncio.wait_for(self._heard.get(), 10))
        return told

    async def shown(self) -> list[date]:
        return [row["day"] for row in await self._connection.fetch("SELECT day FROM yield_daily ORDER BY day")]

    def silent(self) -> bool:
        return self._heard.empty()


@pytest.fixture
async def listener(url: str) -> AsyncIterator[Listener]:
    connection = await asyncpg.connect(url)
    made = Listener(connection)
    await connection.add_listener("yield_daily", made.hear)
    yield made
    await connection.close()


@pytest.fixture
async def closed(database: Database) -> Database:
    """Three closed days that yield_daily does not show yet."""
    await known(database)
    for number, day in enumerate(DAYS):
        await put_day_start(database, CHAIN, day, number * 8640)
    await store(database, 0, 3 * 8640 - 1, reading(flows([at(day, 5) for day in range(3)], [1] * 3)))
    await close_days(database, CHAIN, DAYS[3])
    await valued(database)
    return database


async def valued(database: Database) -> None:
    """Puts a row a closed day where yield_daily takes it from, as valuing does."""
    await database.fetch(
        "INSERT INTO protocol_day (chain_id, protocol, day, flows, unpriced, blocks_held, blocks, exactness)"
        " SELECT chain_id, 'made', day, flows, 0, blocks_held, blocks, 'exact' FROM deployment_day"
        " ON CONFLICT (chain_id, protocol, day) DO UPDATE SET flows = excluded.flows"
    )


async def test_new_days_are_told_with_the_first_the_last_and_the_chains(closed: Database, listener: Listener) -> None:
    await refresh(closed)
    assert await listener.next() == {"days": 3, "first": "2026-01-01", "last": "2026-01-03", "chains": ["made"]}
    assert await listener.shown() == DAYS[:3]


async def test_a_refresh_that_changes_nothing_says_so(closed: Database, listener: Listener) -> None:
    for expected in (3, 0):
        await refresh(closed)
        assert (await listener.next())["days"] == expected
    await refresh(closed)
    assert await listener.next() == NOBODY


async def test_only_days_that_differ_are_told(closed: Database, listener: Listener) -> None:
    """One figure of one day changes, then a day goes."""
    await refresh(closed)
    await listener.next()
    await closed.fetch("UPDATE protocol_day SET fees_usd = 1 WHERE day = $1", DAYS[1])
    await refresh(closed)
    assert await listener.next() == {"days": 1, "first": "2026-01-02", "last": "2026-01-02", "chains": ["made"]}
    await closed.fetch("DELETE FROM protocol_day WHERE day = $1", DAYS[2])
    await refresh(closed)
    assert await listener.next() == {"days": 1, "first": "2026-01-03", "last": "2026-01-03", "chains": ["made"]}


async def test_who_listens_sees_the_new_figures_when_told(closed: Database, url: str) -> None:
    """Sent in the same transaction: a reader that asks at once never gets the old ones."""
    seen: asyncio.Queue[int] = asyncio.Queue()
    reader, ear = await asyncpg.connect(url), await asyncpg.connect(url)

    async def look() -> None:
        seen.put_nowait(await reader.fetchval("SELECT count(*) FROM yield_daily"))

    looking: list[asyncio.Task[None]] = []
    await ear.add_listener("yield_daily", lambda *_: looking.append(asyncio.create_task(look())))
    await refresh(closed)
    assert await asyncio.wait_for(seen.get(), 10) == 3
    await reader.close()
    await ear.close()


async def test_a_refresh_that_fails_tells_nobody(
    closed: Database, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends before its commit: neither figures nor word of them."""
    real = closing.query
    failing = f"{real('tell_refreshed')}; SELECT 1 / 0"
    monkeypatch.setattr(closing, "query", lambda name: failing if name == "tell_refreshed" else real(name))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await refresh(closed)
    await asyncio.sleep(0.1)
    assert listener.silent()
    assert await listener.shown() == []


async def test_two_refreshes_at_once_tell_a_change_once(closed: Database, listener: Listener) -> None:
    await asyncio.gather(refresh(closed), refresh(closed))
    assert sorted([(await listener.next())["days"], (await listener.next())["days"]]) == [0, 3]


async def test_a_payload_fits_however_many_chains_there_are(closed: Database, listener: Listener) -> None:
    """Postgres takes less than 8,000 octets: a hundred of the longest names fit, more are left out."""
    await closed.fetch(
        "INSERT INTO chain (chain_id, name) SELECT 1000 + n, lpad(n::text, 40, 'x') FROM generate_series(1, 150) AS n"
    )
    await closed.fetch(
        "INSERT INTO protocol_day (chain_id, protocol, day, flows, unpriced, blocks_held, blocks, exactness)"
        " SELECT chain_id, 'made', '2026-01-01', 0, 0, 1, 1, '' FROM chain WHERE chain_id > 1000"
    )
    await refresh(closed)
    told = await listener.next()
    assert (told["days"], len(told["chains"])) == (3, 100)


SAME = """
WITH gone AS (DELETE FROM protocol_day WHERE day = $1 RETURNING *)
INSERT INTO protocol_day SELECT * FROM gone
"""
CHANGES = (
    SAME,
    "UPDATE protocol_day SET flows = flows WHERE day = $1",
    "UPDATE protocol_day SET fees_usd = coalesce(fees_usd, 0) + 1 WHERE day = $1",
    "UPDATE protocol_day SET unpriced = unpriced + 1 WHERE day = $1 AND chain_id = 8",
    "DELETE FROM protocol_day WHERE day = $1 AND chain_id = 8",
    """INSERT INTO protocol_day (chain_id, protocol, day, flows, unpriced, blocks_held, blocks, exactness)
    VALUES (8, 'made', $1, 1, 0, 1, 1, '') ON CONFLICT DO NOTHING""",
    """UPDATE protocol_day SET day = day + 1 WHERE chain_id = 8 AND day = $1
    AND NOT EXISTS (SELECT FROM protocol_day WHERE chain_id = 8 AND day = $1::date + 1)""",
    "UPDATE protocol SET methodology = methodology || '.' WHERE $1::date IS NOT NULL",
    "UPDATE chain SET name = name || 'x' WHERE chain_id = 8 AND $1::date IS NOT NULL",
)


async def shown(database: Database) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in await database.fetch("SELECT * FROM yield_daily")}


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_told_is_what_differs_whatever_was_written(
    closed: Database, listener: Listener, seed: int
) -> None:
    """Rows made again with the same figures, changed, added, moved and gone, texts of protocols and names of chains:
    always the days, and the chains, on which yield_daily is not what it was."""
    await closed.fetch("INSERT INTO chain (chain_id, name) VALUES (8, 'other')")
    chance = random.Random(seed)
    for _ in range(8):
        for change in chance.choices(CHANGES, k=chance.randint(0, 2)):
            await closed.fetch(change, chance.choice(DAYS[:3]))
        before = await shown(closed)
        await refresh(closed)
        differs = before ^ await shown(closed)
        days = sorted({row[0] for row in differs})
        assert await listener.next() == {
            "days": len(days),
            "first": days[0].isoformat() if days else None,
            "last": days[-1].isoformat() if days else None,
            "chains": sorted({row[1] for row in differs}),
        }


async def test_figures_made_during_a_refresh_are_told_by_the_next_one(
    closed: Database, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh sees one moment: what comes after it began is neither shown nor told by it."""
    real = closing.query
    monkeypatch.setattr(closing, "query", lambda name: "SELECT pg_sleep(0.5)" if name == "pause" else real(name))
    monkeypatch.setattr(closing, "_REFRESH", (*closing._REFRESH[:3], "pause", *closing._REFRESH[3:]))
    refreshing = asyncio.create_task(refresh(closed))
    await asyncio.sleep(0.25)
    await closed.fetch("DELETE FROM protocol_day WHERE day = $1", DAYS[0])
    await refreshing
    assert (await listener.next())["days"] == 3
    assert await listener.shown() == DAYS[:3]
    await refresh(closed)
    assert await listener.next() == {"days": 1, "first": "2026-01-01", "last": "2026-01-01", "chains": ["made"]}
