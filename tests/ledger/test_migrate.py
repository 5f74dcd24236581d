"""Migrations: the same schema however often, no other program's database, every object explained."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from indexer.errors import DatabaseUnusable
from indexer.ledger import migrate as module
from indexer.ledger.connect import Database
from indexer.ledger.migrate import migrate
from indexer.ledger.sql import texts

SCHEMA = """
SELECT 'column' AS what, c.relname || '.' || a.attname AS name,
    format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
    || ' ' || coalesce(col_description(c.oid, a.attnum), '') AS text
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT 'relation', relname, relkind::text || coalesce(obj_description(oid, 'pg_class'), '')
    || CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) ELSE '' END
FROM pg_class WHERE relnamespace = current_schema()::regnamespace
UNION ALL
SELECT 'constraint', conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL
SELECT 'function', proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
UNION ALL
SELECT 'label', t.typname, string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
FROM pg_type AS t JOIN pg_enum AS e ON e.enumtypid = t.oid GROUP BY t.typname
UNION ALL
SELECT 'lens', lens, kind || bucket FROM lens
ORDER BY 1, 2, 3
"""

UNEXPLAINED = """
SELECT 'relation ' || c.relname AS name
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace
    AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relispartition
    AND NOT EXISTS (
        SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
    )
    AND obj_description(c.oid, 'pg_class') IS NULL
UNION ALL
SELECT 'column ' || c.relname || '.' || a.attname
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = current_schema()::regnamespace
    AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
    AND col_description(c.oid, a.attnum) IS NULL
UNION ALL
SELECT 'type ' || t.typname
FROM pg_type AS t
WHERE t.typnamespace = current_schema()::regnamespace
    AND t.typtype IN ('e', 'd', 'r') AND obj_description(t.oid, 'pg_type') IS NULL
UNION ALL
SELECT 'function ' || p.proname
FROM pg_proc AS p
WHERE p.pronamespace = current_schema()::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
ORDER BY 1
"""


async def schema(database: Database) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await database.fetch(SCHEMA)]


async def refusal(database: Database) -> str:
    before = await database.fetch(
        "SELECT count(*) AS n FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    )
    with pytest.raises(DatabaseUnusable) as caught:
        await migrate(database)
    after = await database.fetch(
        "SELECT count(*) AS n FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    )
    assert before[0]["n"] == after[0]["n"], "a refused database is left as it was"
    return str(caught.value)


async def test_migrating_twice_changes_nothing(blank: Database) -> None:
    assert await migrate(blank) == [name for name, _ in texts("migrations")]
    once = await schema(blank)
    assert len(once) > 300
    assert await migrate(blank) == []
    assert await schema(blank) == once


async def test_one_by_one_gives_the_schema_that_all_at_once_gives(
    blank: Database, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old database that is brought up to date is a fresh one."""
    known = texts("migrations")
    for count in range(1, len(known) + 1):
        held = known[:count]
        views = texts("views") if count == len(known) else []
        monkeypatch.setattr(module, "texts", {"migrations": held, "views": views}.__getitem__)
        assert await migrate(blank) == [held[-1][0]]
    assert await schema(blank) == await schema(database)


async def test_three_workers_started_at_once_migrate_once(blank: Database, database: Database) -> None:
    applied = await asyncio.gather(migrate(blank), migrate(blank), migrate(blank))
    assert sorted(map(len, applied)) == [0, 0, len(texts("migrations"))]
    assert await schema(blank) == await schema(database)


async def test_a_database_with_other_tables_is_refused(blank: Database) -> None:
    await blank.fetch("CREATE TABLE customer (id int)")
    assert "something else" in await refusal(blank)


async def test_a_view_alone_is_foreign_too(blank: Database) -> None:
    await blank.fetch("CREATE VIEW one AS SELECT 1")
    assert "something else" in await refusal(blank)


async def test_a_migration_of_a_newer_version_is_refused(database: Database) -> None:
    await database.fetch("INSERT INTO migration (migration, sha256) VALUES ('9999_later.sql', 'x')")
    assert "9999_later.sql" in await refusal(database)


async def test_a_migration_that_was_changed_is_refused(database: Database) -> None:
    await database.fetch("UPDATE migration SET sha256 = 'x' WHERE migration = '0002_ledger.sql'")
    assert "0002_ledger.sql" in await refusal(database)


async def test_a_view_whose_text_changed_is_replaced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [
        (name, text.replace("Which blocks each deployment", "What each deployment")) for name, text in texts("views")
    ]
    monkeypatch.setattr(module, "texts", lambda folder: changed if folder == "views" else texts(folder))
    assert await migrate(database) == []
    told = await database.fetch("SELECT obj_description('coverage'::regclass) AS comment")
    assert told[0]["comment"].startswith("What each deployment")


async def test_a_view_that_cannot_be_made_is_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [("coverage.sql", "CREATE OR REPLACE VIEW coverage AS SELECT nothing FROM nowhere")]
    monkeypatch.setattr(module, "texts", lambda folder: broken if folder == "views" else texts(folder))
    assert "sql/views/coverage.sql" in await refusal(database)


async def test_a_migration_that_fails_leaves_nothing(blank: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [*texts("migrations")[:2], ("0003_broken.sql", "CREATE TABLE half (id int); SELECT 1 / 0")]
    monkeypatch.setattr(module, "texts", lambda folder: broken if folder == "migrations" else texts(folder))
    with pytest.raises(Exception, match="division by zero"):
        await migrate(blank)
    rows = await blank.fetch("SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace")
    assert rows == []


async def test_everything_made_here_has_a_comment(database: Database) -> None:
    assert [row["name"] for row in await database.fetch(UNEXPLAINED)] == []


async def test_comments_are_sentences(database: Database) -> None:
    rows = await database.fetch(
        "SELECT DISTINCT d.description FROM pg_description AS d JOIN pg_class AS c ON c.oid = d.objoid "
        "WHERE c.relnamespace = current_schema()::regnamespace"
    )
    assert len(rows) > 50
    assert [row["description"] for row in rows if not row["description"].endswith(".")] == []
