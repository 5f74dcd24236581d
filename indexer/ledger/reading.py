"""Statements that users write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from indexer.errors import BadInput
from indexer.ledger.connect import Database


@dataclass(frozen=True, slots=True)
class Rows:
    """A statement's answer; names may repeat, as in SQL."""

    names: tuple[str, ...]
    values: list[tuple[Any, ...]]


async def ask(database: Database, statement: str) -> Rows:
    """What a user's statement answers. Raises BadInput with what Postgres says of it."""
    try:
        async with database.pool.acquire() as connection:
            prepared = await connection.prepare(statement)
            names = tuple(attribute.name for attribute in prepared.get_attributes())
            return Rows(names, [tuple(map(readable, row.values())) for row in await prepared.fetch()])
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise refused(error) from None


def refused(error: asyncpg.PostgresError | asyncpg.InterfaceError) -> BadInput:
    """What Postgres, or its driver, says of a statement that it does not take, on one line."""
    hint = f" ({error.hint})" if getattr(error, "hint", None) else ""
    return BadInput(f"Postgres refuses the statement: {str(error).partition(chr(10))[0]}{hint}")


def readable(value: Any) -> Any:
    """Ranges and multiranges as Postgres writes them."""
    if isinstance(value, asyncpg.Range):
        return _range(value)
    if isinstance(value, list) and value and all(isinstance(item, asyncpg.Range) for item in value):
        return "{" + ",".join(map(_range, value)) + "}"
    return value


def _range(value: asyncpg.Range[Any]) -> str:
    if value.isempty:
        return "empty"
    lower, upper = ("" if bound is None else str(bound) for bound in (value.lower, value.upper))
    return f"{'[' if value.lower_inc else '('}{lower},{upper}{']' if value.upper_inc else ')'}"
