"""Migrations: forward only, each once, in one transaction together with the record of it; then the views, replaced."""

from __future__ import annotations

import hashlib

import asyncpg

from indexer.errors import DatabaseUnusable
from indexer.ledger.connect import Connection, Database
from indexer.ledger.sql import texts

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
    for name, text in fresh:
        await connection.execute(text)
        await connection.execute("INSERT INTO migration (migration, sha256) VALUES ($1, $2)", name, _digest(text))
    if fresh or await _views_differ(connection):
        await _replace_views(connection)
    return [name for name, _ in fresh]


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
        if name.startswith("view:"):
            continue
        if name not in digests:
            raise DatabaseUnusable(
                f"The database has migration {name}, which this version does not know: update the indexer."
            )
        if digests[name] != digest:
            raise DatabaseUnusable(
                f"Migration {name} in the database differs from this version's: it was made by another build."
            )


async def _views_differ(connection: Connection) -> bool:
    stored = await connection.fetchval("SELECT sha256 FROM migration WHERE migration = 'view:all'")
    return bool(stored != _views_digest())


async def _replace_views(connection: Connection) -> None:
    for name, text in texts("views"):
        try:
            await connection.execute(text)
        except asyncpg.PostgresError as error:
            raise DatabaseUnusable(f"sql/views/{name} cannot be applied: {error}") from error
    await connection.execute(
        "INSERT INTO migration (migration, sha256) VALUES ('view:all', $1) "
        "ON CONFLICT (migration) DO UPDATE SET sha256 = excluded.sha256, applied_at = now()",
        _views_digest(),
    )


def _views_digest() -> str:
    return _digest("".join(text for _, text in texts("views")))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
