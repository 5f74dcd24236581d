"""What `indexer restatements` shows: figures of closed days that changed when they were made again."""

from __future__ import annotations

from indexer.ledger.connect import Database
from indexer.ledger.reading import Rows
from indexer.ledger.sql import query


async def restatements(database: Database, protocol: str | None = None) -> Rows:
    """Old and new figures that differ, of one protocol or of all, newest restatement first; dollars of the day."""
    found = await database.fetch(query("restatements_of"), protocol)
    names = (
        "day", "chain", "deployment", "column", "symbol", "old", "new", "old_usd", "new_usd", "reason", "restated_at",
    )  # fmt: skip
    return Rows(names, [tuple(row) for row in found])
