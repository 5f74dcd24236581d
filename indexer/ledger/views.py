"""Views made anew in the migrating transaction: dropped before what they read changes, made again after it.

CREATE OR REPLACE cannot take a column away or rename one. What others made upon our views is never dropped with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from indexer.errors import DatabaseUnusable
from indexer.ledger.connect import Connection
from indexer.ledger.sql import query

Texts = Sequence[tuple[str, str]]  # file name, which is the view's with .sql, and text

RECORD = "view:"  # how the record of migrations marks them
_ALL = "view:all"  # as databases of older versions have it: one record for all of them


@dataclass(frozen=True, slots=True)
class Dropped:
    """grants: by view the statements that grant again what was granted. held: by view what stands upon it."""

    grants: Mapping[str, Sequence[str]]
    held: Mapping[str, str]


def recorded(views: Texts) -> dict[str, str]:
    """What the record of migrations holds once these views are made."""
    return {f"{RECORD}{_name(file)}": hashlib.sha256(text.encode()).hexdigest() for file, text in views}


async def drop_views(connection: Connection, applied: Mapping[str, str], views: Texts) -> Dropped:
    """Drops the views that the record names, but for those that something of others stands upon.

    applied: the record of migrations. views: those of this version.
    """
    ours = {key.removeprefix(RECORD) for key in applied if key.startswith(RECORD)}
    ours |= {_name(file) for file, _ in views} if _ALL in applied else set()
    grants: dict[str, list[str]] = {}
    for row in await connection.fetch(query("view_grants"), sorted(ours)):
        grants.setdefault(row["name"], []).append(row["granting"])
    standing = await connection.fetch(query("standing_views"), sorted(ours))
    left = {row["name"]: row["dropping"] for row in standing}
    while left:
        held = await _drop(connection, left)
        if len(held) == len(left):
            return Dropped(grants, held)
        left = {name: left[name] for name in held}
    return Dropped(grants, {})


async def _drop(connection: Connection, statements: Mapping[str, str]) -> dict[str, str]:
    """Tries each once; what stands upon those that could not be dropped yet."""
    held: dict[str, str] = {}
    for name, statement in statements.items():
        try:
            async with connection.transaction():
                await connection.execute(statement)
        except asyncpg.DependentObjectsStillExistError as error:
            held[name] = str(error.detail)
    return held


async def make_views(connection: Connection, views: Texts, dropped: Dropped) -> None:
    """Makes all views, those that others read after these, and grants what was granted on them.

    Raises DatabaseUnusable if one cannot be made, with what stands in its way.
    """
    await _refuse_taken(connection, {_name(file) for file, _ in views} - dropped.held.keys())
    left = list(views)
    while left:
        undefined: list[tuple[str, str, Exception]] = []
        for file, text in left:
            try:
                async with connection.transaction():
                    await connection.execute(text)
            except asyncpg.UndefinedTableError as error:
                undefined.append((file, text, error))
            except asyncpg.PostgresError as error:
                raise _unmade(file, error, dropped) from error
        if len(undefined) == len(left):
            raise _unmade(undefined[0][0], undefined[0][2], dropped)
        left = [(file, text) for file, text, _ in undefined]
    await _record(connection, views, dropped)


async def _record(connection: Connection, views: Texts, dropped: Dropped) -> None:
    await connection.execute(query("forget_views"))
    await connection.executemany(
        query("record_view"), [(key.removeprefix(RECORD), digest) for key, digest in recorded(views).items()]
    )
    for file, _ in views:
        if _name(file) not in dropped.held:
            for statement in dropped.grants.get(_name(file), ()):
                await connection.execute(statement)


async def _refuse_taken(connection: Connection, names: set[str]) -> None:
    taken = [row["name"] for row in await connection.fetch(query("taken_names"), sorted(names))]
    if taken:
        raise DatabaseUnusable(
            f"The database has {', '.join(taken)} of somebody else, and this version makes views of these names: "
            "give yours another name and run again."
        )


def _unmade(file: str, error: Exception, dropped: Dropped) -> DatabaseUnusable:
    if (upon := dropped.held.get(_name(file))) is not None:
        return DatabaseUnusable(held_sentence(f"View {_name(file)}", upon))
    return DatabaseUnusable(f"sql/views/{file} cannot be applied: {error}")


def held_sentence(what: str, upon: str) -> str:
    """That something must change and cannot; upon: what stands upon it, as Postgres lists it."""
    return (
        f"{what} changes with this version, and what you made stands upon it: {'; '.join(upon.splitlines())}. Keep its "
        "definition (pg_get_viewdef), drop it, run again and make it anew. Nothing was changed."
    )


def _name(file: str) -> str:
    return file.removesuffix(".sql")
