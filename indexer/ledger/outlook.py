"""What is held and being read, kept in memory: a look asks the ledger only for what happened since the last one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from indexer.ledger.connect import Database
from indexer.ledger.sql import query
from indexer.model import Span
from indexer.spans import merged

Spans = Mapping[str, Sequence[Span]]  # by deployment


@dataclass(slots=True)
class Outlook:
    """What a process saw of some deployments of a chain when it looked last.

    held: committed spans, merged; None before the first look. reading: fencing numbers of all leases then. latest: the
    highest number then: claims take turns, so what is committed later was being read then, or has a higher one. turn:
    held by who looks.
    """

    deployments: Sequence[str]
    held: Spans | None = None
    reading: Sequence[int] = ()
    latest: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, rows: Iterable[asyncpg.Record]) -> dict[str, list[Span]]:
        """Takes the rows of `held_since` over; what is held or being read now, merged."""
        held, leased = ({name: list[Span]() for name in self.deployments} for _ in range(2))
        reading = set()
        for row in rows:
            if row["leased"]:
                reading.add(row["fence"])
            self.latest = max(self.latest, row["fence"])
            into = leased if row["leased"] else held
            if row["deployment"] in into:
                into[row["deployment"]].append(Span(row["first_block"], row["last_block"]))
        known = self.held if self.held is not None else {}
        self.held = {name: merged([*known.get(name, ()), *spans]) for name, spans in held.items()}
        self.reading = list(reading)
        return {name: merged([*spans, *leased[name]]) for name, spans in self.held.items()}


async def look(database: Database, chain_id: int, outlook: Outlook) -> dict[str, list[Span]]:
    """Spans held or being read, per deployment, merged; only the first look reads all that is held."""
    async with outlook.turn:
        if outlook.held is None:
            return await first_look(database, chain_id, outlook)
        return outlook.take(await _since(database, chain_id, outlook))


async def first_look(database: Database, chain_id: int, outlook: Outlook) -> dict[str, list[Span]]:
    """The first one, by who has the turn."""
    (row,) = await database.fetch(query("latest_fence"), chain_id)
    outlook.latest = row["fence"]
    rows = await _since(database, chain_id, outlook)  # first, so that what commits meanwhile is in one of the answers
    held: dict[str, list[Span]] = {name: [] for name in outlook.deployments}
    for row in await database.fetch(query("held"), chain_id, list(outlook.deployments)):
        held[row["deployment"]].append(Span(row["first_block"], row["last_block"]))
    outlook.held = held
    return outlook.take(rows)


async def _since(database: Database, chain_id: int, outlook: Outlook) -> list[asyncpg.Record]:
    return await database.fetch(query("held_since"), chain_id, outlook.reading, outlook.latest)
