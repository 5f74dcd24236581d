"""Migrations: forward only, each once, in one transaction together with the record of it; the views anew after them."""

from __future__ import annotations

import hashlib

import asyncpg

from indexer.errors import DatabaseUnusable
from indexer.ledger.connect import Connection, Database
from indexer.ledger.sql import texts
from indexer.ledger.views import RECORD, Dropped, drop_views, held_sentence, make_views, recorded

_RECORD = """
CREATE TABLE IF NOT EXISTS migration (
    migration text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE migration IS 'Changes of this schema that were applied: what marks a database as the indexer''s.';
COMMENT ON COLUMN migration.migration IS 'File name.';
COMMENT ON COLUMN migration.sha256 IS 'Of its text.';
COMMENT ON COLUMN migration.applied_at IS 'When.';
"""


async def migrate(database: Database) -> list[str]:
    """Brings the schema to this program's version; names of the migrations applied now.

    Raises DatabaseUnusable if the database is another program's or was migrated by a newer indexer.
    """
    return await database.transaction(_migrate)


async def pending(database: Database) -> list[str] | None:
    """Names of the migrations still to be applied; None for an empty database. Changes nothing, raises as `migrate`."""
    return await database.transaction(_pending)


async def _pending(connection: Connection) -> list[str] | None:
    if not await connection.fetchval("SELECT to_regclass('migration') IS NOT NULL"):
        await _refuse_foreign(connection)
        return None
    rows = await connection.fetch("SELECT migration, sha256 FROM migration")
    applied = {row["migration"]: row["sha256"] for row in rows}
    known = texts("migrations")
    _refuse_unknown(applied, known)
    return [name for name, _ in known if name not in applied]


async def _migrate(connection: Connection) -> list[str]:
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('migrate'))")
    if not await connection.fetchval("SELECT to_regclass('migration') IS NOT NULL"):
        await _refuse_foreign(connection)
        await connection.execute(_RECORD)
    applied = {
        row["migration"]: row["sha256"] for row in await connection.fetch("SELECT migration, sha256 FROM migration")
    }
    known = texts("migrations")
    _refuse_unknown(applied, known)
    fresh = [(name, text) for name, text in known if name not in applied]
    views = texts("views")
    if fresh or recorded(views) != {name: digest for name, digest in applied.items() if name.startswith(RECORD)}:
        dropped = await drop_views(connection, applied, views)
        await _apply(connection, fresh, dropped)
        await make_views(connection, views, dropped)
    return [name for name, _ in fresh]


async def _apply(connection: Connection, fresh: list[tuple[str, str]], dropped: Dropped) -> None:
    for name, text in fresh:
        try:
            await connection.execute(text)
        except (asyncpg.DependentObjectsStillExistError, asyncpg.FeatureNotSupportedError) as error:
            if not dropped.held:
                raise
            raise DatabaseUnusable(held_sentence("The schema", "\n".join(dropped.held.values()))) from error
        await connection.execute("INSERT INTO migration (migration, sha256) VALUES ($1, $2)", name, _digest(text))


async def _refuse_foreign(connection: Connection) -> None:
    tables = await connection.fetchval(
        "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname = current_schema() AND relkind IN ('r', 'p', 'v', 'm') "
        "AND NOT EXISTS (SELECT FROM pg_depend AS d "  # views of extensions are nobody's
        "WHERE d.classid = 'pg_class'::regclass AND d.objid = pg_class.oid AND d.deptype = 'e')"
    )
    if tables:
        raise DatabaseUnusable(
            f"The database already holds {tables} tables or views of something else: give the indexer one of its own."
        )


def _refuse_unknown(applied: dict[str, str], known: list[tuple[str, str]]) -> None:
    digests = {name: _digest(text) for name, text in known}
    for name, digest in applied.items():
        if name.startswith(RECORD):
            continue
        if name not in digests:
            raise DatabaseUnusable(
                f"The database has migration {name}, which this version does not know: update the indexer."
            )
        if digests[name] != digest:
            raise DatabaseUnusable(
                f"Migration {name} in the database differs from this version's: it was made by another build."
            )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
