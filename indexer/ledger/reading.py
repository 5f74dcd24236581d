"""Statements that users write."""

from __future__ import annotations

from typing import Any

import asyncpg

from indexer.errors import BadInput
from indexer.ledger.connect import Database


async def ask(database: Database, statement: str) -> list[dict[str, Any]]:
    """Rows of a user's statement, each as a dict. Raises BadInput with what Postgres says of it."""
    try:
        return [dict(row) for row in await database.pool.fetch(statement)]
    except asyncpg.PostgresError as error:
        hint = f" ({error.hint})" if getattr(error, "hint", None) else ""
        raise BadInput(f"Postgres refuses the statement: {error}{hint}") from None
