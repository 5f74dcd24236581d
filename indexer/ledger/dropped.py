"""Flows that were dropped with their month, and how they come back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from indexer.errors import ArchiveUnusable
from indexer.ledger.connect import Connection, Database
from indexer.ledger.flows import NoRoomError, copy_flows, encoded, ensure_months
from indexer.ledger.rows import DayPart, Owner
from indexer.ledger.sql import query
from indexer.model import Classified, Span

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class DroppedRange:
    """A deployment's range without its flows."""

    range_id: int
    deployment: str
    span: Span


async def dropped_ranges(database: Database, chain_id: int, deployments: Sequence[str]) -> list[DroppedRange]:
    """Ranges without their flows of which some day is to be closed again, in chain order."""
    return [
        DroppedRange(row["range_id"], row["deployment"], Span(row["first_block"], row["last_block"]))
        for row in await database.fetch(query("dropped_ranges"), chain_id, list(deployments))
    ]


async def put_back(database: Database, one: DroppedRange, owner: Owner, classified: Classified) -> None:
    """Writes a range's flows again; nothing if somebody did or if the range was retired.

    Raises ArchiveUnusable where they are not those that the range's digests tell of.
    """
    made = {owner: classified}
    parts, stream = await asyncio.to_thread(encoded, made)

    async def work(connection: Connection) -> None:
        place = (owner.chain_id, one.deployment, one.range_id)
        told = {
            row["day"]: (row["flows"], row["digest"])
            for row in await connection.fetch(query("lock_dropped_days"), *place)
        }
        if not told:
            return
        found = _by_day(parts)
        if any(found.get(day) != digest for day, digest in told.items()):
            raise ArchiveUnusable(
                f"{one.deployment}, blocks {one.span.first} to {one.span.last}: the archive makes other flows than "
                "those that were dropped, though family and manifest are the same. Run indexer reclassify --fetch."
            )
        await connection.execute(
            query("drop_flows"), owner.chain_id, one.span.first, one.span.last, [one.deployment]
        )  # of months that are there still
        await copy_flows(connection, stream)
        await connection.execute(query("put_back_days"), *place)

    await ensure_months(database, made)
    try:
        await database.transaction(work)
    except NoRoomError:
        await ensure_months(database, made, anew=True)
        await database.transaction(work)


def _by_day(parts: Sequence[DayPart]) -> Mapping[date, tuple[int, bytes]]:
    return {_EPOCH + timedelta(days=part.day): (part.flows, part.digest) for part in parts}
