"""Rows of a table or a statement, a few thousand at a time: memory stays flat whatever there is to read."""

from __future__ import annotations

import difflib
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import asyncpg
from asyncpg.cursor import Cursor

from indexer.errors import BadInput, DatabaseUnusable
from indexer.ledger.connect import Connection, Database
from indexer.ledger.reading import readable, refused
from indexer.ledger.sql import query

_STATEMENT = re.compile(r"\s*(SELECT|WITH|TABLE|VALUES)\b", re.IGNORECASE)
_ROWS = 2_000  # a batch: at 64 KiB a row, the widest there are, 128 MiB
_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionError,
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer. type: as pg_type names it, that of the elements for an array.

    digits, decimals: what a numeric is declared with. comment: of a table's or view's column. None where not told.
    """

    name: str
    type: str
    array: bool
    digits: int | None
    decimals: int | None
    comment: str | None


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer being read. statement: what Postgres was asked."""

    statement: str
    columns: Sequence[Column]
    connection: Connection
    cursor: Cursor[asyncpg.Record]

    async def batches(self) -> AsyncIterator[list[tuple[Any, ...]]]:
        """The rows, some thousands at a time; ranges as text."""
        while rows := await self.cursor.fetch(_ROWS):
            yield [tuple(map(readable, row.values())) for row in rows]

    async def digests(self) -> dict[date, bytes]:
        """Digests of closed days over all deployments, as of the moment the answer stands for."""
        return {row["day"]: row["digest"] for row in await self.connection.fetch(query("digests_by_day"))}


@asynccontextmanager
async def stream(database: Database, asked: str) -> AsyncIterator[Stream]:
    """A table's or view's rows in the order of its key, or a statement's, as of one moment; nothing can be written.

    asked: a name, or a statement that begins with SELECT, WITH, TABLE or VALUES. Raises BadInput, DatabaseUnusable.
    """
    with _told():
        async with (
            database.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            whole = not _STATEMENT.match(asked)
            statement = await _whole(connection, asked) if whole else asked
            told = await connection.fetch(query("declared_columns"), asked if whole else "")
            prepared = await connection.prepare(statement)
            columns = _columns(prepared, {row["name"]: dict(row) for row in told})
            if not columns:
                raise BadInput("The statement answers without columns: there is nothing to write to a file.")
            yield Stream(statement, columns, connection, await prepared.cursor())


async def _whole(connection: Connection, name: str) -> str:
    statement: str | None = await connection.fetchval(query("whole_relation"), name)
    if statement is not None:
        return statement
    kinds = "a statement that begins with SELECT, WITH, TABLE or VALUES"
    if not name.isidentifier():
        raise BadInput(f"{name[:80]!a} cannot be exported: write the name of a table or view, or {kinds}.")
    known = [row["relation"] for row in await connection.fetch(query("relations"))]
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
    raise BadInput(f"{name[:80]} is no table or view of the ledger: {meant} Or write {kinds}.")


def _columns(
    prepared: asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record], declared: Mapping[str, Mapping[str, Any]]
) -> list[Column]:
    columns = []
    for one in prepared.get_attributes():
        told = declared.get(one.name, {"digits": None, "decimals": None, "comment": None})
        kind, array = one.type.name.removesuffix("[]"), one.type.kind == "array"
        columns.append(Column(one.name, kind, array, told["digits"], told["decimals"], told["comment"]))
    return columns


@contextmanager
def _told() -> Iterator[None]:
    """What Postgres says, as a sentence."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError) as error:
        gone = next((one for one in (error, error.__context__) if isinstance(one, _GONE)), None)
        if gone is not None or isinstance(error, ConnectionError):
            raise DatabaseUnusable(f"The database went away while it was read ({gone}). Run again.") from None
        raise refused(error) from None
