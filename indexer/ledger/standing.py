"""What the ledger says of itself: rows for status and protocols, read only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from indexer.ledger.connect import Database
from indexer.ledger.sql import query

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """Rows by the columns of the queries status_chains, status_deployments, ...; room: one row."""

    chains: list[Row]
    deployments: list[Row]
    protocols: list[Row]
    leases: list[Row]
    room: Row


async def standing(database: Database) -> Standing:
    """How far the ledger is, what it took and what it needs."""
    names = ("status_chains", "status_deployments", "status_protocols", "status_leases", "status_room")
    found: list[list[Row]] = [[dict(row) for row in await database.fetch(query(name))] for name in names]
    chains, deployments, protocols, leases, room = found
    return Standing(chains, deployments, protocols, leases, room[0])


async def held_spans(database: Database) -> dict[str, Row]:
    """First block, last block and number of blocks held, by deployment."""
    return {row["deployment"]: dict(row) for row in await database.fetch(query("held_spans"))}


async def server_version(database: Database) -> str:
    """Of Postgres, such as 16.4."""
    return str((await database.fetch("SHOW server_version"))[0][0])
