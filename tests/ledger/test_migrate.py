"""Migrations: the same schema however often, no other program's database, every object explained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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


ONE, TWO = (
    "CREATE OR REPLACE VIEW {0} AS SELECT deployment AS {1} FROM {2}",
    "CREATE OR REPLACE VIEW {0} AS SELECT 1 AS {1}",
)
Versions = Callable[..., None]


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> Versions:
    """Another version of the program: with these views only, and one migration more if it is given."""

    def use(migration: str = "", **views: str) -> None:
        known = {"views": [(f"{name}.sql", text) for name, text in sorted(views.items())]}
        known["migrations"] = [*texts("migrations"), *([("9000_more.sql", migration)] if migration else [])]
        monkeypatch.setattr(module, "texts", known.__getitem__)

    return use


async def views(database: Database) -> dict[str, list[str]]:
    """The columns of every view."""
    rows = await database.fetch(
        "SELECT table_name AS name, array_agg(column_name::text ORDER BY ordinal_position) AS columns "
        "FROM information_schema.columns JOIN information_schema.views USING (table_schema, table_name) "
        "WHERE table_schema = current_schema() GROUP BY table_name"
    )
    return {row["name"]: row["columns"] for row in rows}


async def test_a_view_may_lose_and_rename_columns(database: Database, version: Versions) -> None:
    """And one that a version does not have any more goes."""
    version(one="CREATE OR REPLACE VIEW one AS SELECT 1 AS a, 2 AS b", two=TWO.format("two", "a"))
    assert await migrate(database) == []
    assert await views(database) == {"one": ["a", "b"], "two": ["a"]}
    version(one=TWO.format("one", "c"))
    assert await migrate(database) == []
    assert await views(database) == {"one": ["c"]}


async def test_views_upon_views_change_together(database: Database, version: Versions) -> None:
    """Whatever the order of their names: here the first reads the last."""
    for column in ("a", "b", "c"):
        version(
            one=ONE.format("one", column, "two"),
            two=f"CREATE OR REPLACE VIEW two AS SELECT deployment, 1 AS {column} FROM zero",
            zero=f"CREATE OR REPLACE VIEW zero AS SELECT deployment, 2 AS {column} FROM deployment",
        )
        await migrate(database)
        assert await views(database) == {"one": [column], "two": ["deployment", column], "zero": ["deployment", column]}


async def test_a_migration_may_change_what_views_read(database: Database, version: Versions) -> None:
    version(one=ONE.format("one", "a", "deployment"))
    await migrate(database)
    alter = "ALTER TABLE deployment RENAME deployment TO name; ALTER TABLE deployment ALTER name TYPE varchar(90)"
    version(alter, one="CREATE OR REPLACE VIEW one AS SELECT name AS b FROM deployment")
    assert await migrate(database) == ["9000_more.sql"]
    assert await views(database) == {"one": ["b"]}


async def test_what_was_granted_on_a_view_is_granted_still(database: Database, version: Versions) -> None:
    """To an odd name, too; the owner's own rights are no grants."""
    role = f'reader "{(await database.fetch("SELECT current_database() AS name"))[0]["name"]}'
    quoted = role.replace('"', '""')
    version(one=ONE.format("one", "a", "deployment"))
    await migrate(database)
    await database.fetch(f'CREATE ROLE "{quoted}"')
    try:
        await database.fetch(f'GRANT SELECT ON one TO "{quoted}" WITH GRANT OPTION')
        await database.fetch("GRANT SELECT ON one TO PUBLIC")
        version(one=ONE.format("one", "b", "deployment"))
        await migrate(database)
        granted = await database.fetch(
            "SELECT grantee::text AS who, is_grantable::text AS further FROM information_schema.table_privileges "
            "WHERE table_name = 'one' AND privilege_type = 'SELECT' AND grantee <> current_user ORDER BY grantee"
        )
        assert {(row["who"], row["further"]) for row in granted} == {("PUBLIC", "NO"), (role, "YES")}
    finally:
        await database.fetch("DROP VIEW one")
        await database.fetch(f'DROP ROLE "{quoted}"')


async def test_a_users_view_keeps_standing_while_its_columns_stay(database: Database, version: Versions) -> None:
    """What is added at the end, and what changes elsewhere, goes on beneath it; nothing is dropped behind its back."""
    version(one=TWO.format("one", "a"), other=TWO.format("other", "a"))
    await migrate(database)
    await database.fetch("CREATE VIEW mine AS SELECT a FROM one")
    version(one="CREATE OR REPLACE VIEW one AS SELECT 1 AS a, 2 AS b", other=TWO.format("other", "c"))
    assert await migrate(database) == []
    assert await views(database) == {"mine": ["a"], "one": ["a", "b"], "other": ["c"]}


@pytest.mark.parametrize(
    ("made", "dropping", "named"),
    [
        ("CREATE VIEW mine AS SELECT a FROM two", "DROP VIEW mine", "view mine depends on view two"),
        (
            "CREATE MATERIALIZED VIEW mine AS SELECT a FROM one",
            "DROP MATERIALIZED VIEW mine",
            "materialized view mine depends on view one",
        ),
        (
            "CREATE FUNCTION mine() RETURNS bigint BEGIN ATOMIC SELECT count(a) FROM one; END",
            "DROP FUNCTION mine",
            "function mine() depends",
        ),
    ],
)
async def test_what_users_made_upon_a_view_is_named_and_not_dropped(
    database: Database, version: Versions, made: str, dropping: str, named: str
) -> None:
    """The sentence names it and what to do; the database is as before, and after the remedy it migrates."""
    version(one=TWO.format("one", "a"), two="CREATE OR REPLACE VIEW two AS SELECT a FROM one")
    await migrate(database)
    await database.fetch(made)
    before = await schema(database)
    version(one=TWO.format("one", "b"), two="CREATE OR REPLACE VIEW two AS SELECT b FROM one")
    said = await refusal(database)
    assert named in said
    assert "pg_get_viewdef" in said
    assert await schema(database) == before
    await database.fetch(dropping)
    await migrate(database)
    assert await views(database) == {"one": ["b"], "two": ["b"]}


async def test_a_migration_beneath_a_users_view_is_refused_with_its_name(database: Database, version: Versions) -> None:
    version(one=ONE.format("one", "a", "deployment"))
    await migrate(database)
    await database.fetch("CREATE VIEW mine AS SELECT a FROM one")
    version("ALTER TABLE deployment ALTER deployment TYPE varchar(90)", one=ONE.format("one", "a", "deployment"))
    assert "view mine depends on view one" in await refusal(database)


async def test_a_users_view_of_a_new_views_name_is_refused(database: Database, version: Versions) -> None:
    """It would be replaced by ours, or ours read for its."""
    version(one=TWO.format("one", "a"))
    await migrate(database)
    await database.fetch("CREATE VIEW two AS SELECT 5 AS a")
    version(one=TWO.format("one", "a"), two=TWO.format("two", "a"))
    assert "has two of somebody else" in await refusal(database)
    assert (await database.fetch("SELECT a FROM two"))[0]["a"] == 5


async def test_views_that_were_recorded_together_are_replaced(database: Database, version: Versions) -> None:
    """As older versions recorded them."""
    version(one=TWO.format("one", "a"))
    await migrate(database)
    await database.fetch("UPDATE migration SET migration = 'view:all' WHERE migration = 'view:one'")
    version(one=TWO.format("one", "b"))
    await migrate(database)
    assert await views(database) == {"one": ["b"]}
    rows = await database.fetch("SELECT migration FROM migration WHERE migration LIKE 'view:%'")
    assert [row["migration"] for row in rows] == ["view:one"]


async def test_views_that_read_each_other_in_a_circle_are_named(database: Database, version: Versions) -> None:
    version(one=ONE.format("one", "a", "two"), two=ONE.format("two", "a", "one"))
    said = await refusal(database)
    assert "sql/views/one.sql cannot be applied" in said


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
