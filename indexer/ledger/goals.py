"""What a run has set out to read, and the final head it has seen: what status measures against."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from indexer.ledger.connect import Connection, Database
from indexer.ledger.sql import query
from indexer.model import Span


async def keep_goals(database: Database, chain_id: int, head: tuple[int, int], wanted: Mapping[str, Span]) -> None:
    """Records the last final block (number, UTC seconds) and the span wanted of each deployment."""
    number, seconds = head

    async def work(connection: Connection) -> None:
        await connection.execute(query("put_final_head"), chain_id, number, datetime.fromtimestamp(seconds, UTC))
        rows = [(chain_id, name, span.first, span.last) for name, span in sorted(wanted.items())]
        await connection.executemany(query("put_goal"), rows)

    await database.transaction(work)
