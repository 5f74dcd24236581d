"""The contract for jobs downstream in sql/README.md: its commands and Python examples do what they say."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import shlex
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexer.ledger.closing import refresh
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from tests.cli.calls import called
from tests.docs.blocks import ROOT, blocks
from tests.golden.demo import ask

README = ROOT / "sql" / "README.md"
SECTION = README.read_text().split("## For jobs downstream")[1]
PYTHON = {block.heading: block.text for block in blocks(README, "python")}
SHELL = {block.heading: block.text.strip().splitlines() for block in blocks(README, "sh")}
FILE, LISTEN, COMPARED = "A day from a file", "Told of changes", "Two ledgers compared"


def command(line: str, folder: Path, url: str) -> None:
    """One `indexer ...` line as it stands, in a folder, on a database."""
    program, *words = shlex.split(line)
    assert program == "indexer"
    done = called(*words, folder=folder, INDEXER_DATABASE=url)
    assert done.exit_code == 0, done.stderr


def run(code: str) -> dict[str, Any]:
    """The names an example leaves behind."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, names)
    return names


def test_every_stable_view_is_there_with_all_that_the_section_names(demo_url: str) -> None:
    stable = re.findall(r"`(\w+)`", SECTION.split("are stable")[0])
    assert len(stable) == 8
    for name in stable:
        assert ask(demo_url, "SELECT to_regclass($1) IS NOT NULL AS there", name) == [{"there": True}]


def test_stable_views_still_have_the_columns_that_were_promised(demo_url: str) -> None:
    """A column that goes or changes its type breaks this list: that needs a new major version. New ones may be added."""
    promised = json.loads((Path(__file__).parent / "stable_columns.json").read_text())
    rows = ask(
        demo_url,
        "SELECT attrelid::regclass::text AS view, attname, format_type(atttypid, NULL) AS type FROM pg_attribute"
        " WHERE attrelid = ANY($1::text[]::regclass[]) AND attnum > 0",
        list(promised),
    )
    there: dict[str, dict[str, str]] = {}
    for row in rows:
        there.setdefault(row["view"], {})[row["attname"]] = row["type"]
    assert {view: {name: there[view].get(name) for name in columns} for view, columns in promised.items()} == promised
    assert set(promised) == set(re.findall(r"`(\w+)`", SECTION.split("are stable")[0]))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, demo_url: str) -> Path:
    """A folder with the files that the section's commands write."""
    folder = tmp_path_factory.mktemp("exported")
    for line in [*SHELL[FILE], *SHELL[COMPARED]]:
        command(line, folder, demo_url)
    return folder


def test_a_day_is_read_with_duckdb_to_the_last_digit(
    exported: Path, demo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported)
    names = run(PYTHON[FILE])
    shown = ask(
        demo_url,
        "SELECT protocol, fees_usd, incentives_usd, real_share FROM yield_daily WHERE day = '2026-01-05' ORDER BY protocol",
    )
    assert [tuple(row) for row in names["day"].fetchall()] == [tuple(row.values()) for row in shown]
    flows = ask(
        demo_url,
        "SELECT protocol, tx_hash, sum(usd) AS usd FROM flow_usd WHERE kind = 'fee' AND counted AND day = '2026-01-05'"
        " GROUP BY 1, 2 HAVING sum(usd) > 0 ORDER BY usd DESC LIMIT 5",
    )
    largest = names["largest"].fetchall()
    assert [(tx, protocol) for tx, protocol, _ in largest] == [
        (f"0x{row['tx_hash'].hex()}", row["protocol"]) for row in flows
    ]
    for (_, _, usd), row in zip(largest, flows, strict=True):
        assert abs(Fraction(usd) - Fraction(row["usd"])) < Fraction(1, 10**12)


def test_types_of_the_files_are_those_of_the_table(exported: Path) -> None:
    days, flows = (pq.read_schema(exported / name) for name in ("yield_daily.parquet", "flows.parquet"))
    assert days.field("fees_usd").type == days.field("coverage").type == pa.decimal128(38, 18)
    assert days.field("day").type == pa.date32()
    assert flows.field("amount").type == flows.field("kind").type == pa.string()
    assert flows.field("tx_hash").type == pa.binary()
    assert flows.field("block_time").type == pa.timestamp("us", tz="UTC")
    for key in re.findall(r"`(indexer\.\w+)`", SECTION):
        assert key.encode() in days.metadata, key


def test_two_ledgers_that_differ_in_a_day_are_told_apart(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs lacks flows of one day, has another version of one deployment and has not read all of another day."""
    ours = pq.read_table(exported / "ours.parquet").to_pylist()
    theirs = [dict(row) for row in ours]
    theirs[3] |= {"flows": theirs[3]["flows"] - 1, "digest": b"\x01" * 32}
    theirs[5] |= {"family_version": 99, "digest": b"\x01" * 32}
    theirs[7] |= {"blocks_held": 1, "digest": b"\x01" * 32}
    pq.write_table(pa.Table.from_pylist(theirs, pq.read_schema(exported / "ours.parquet")), exported / "theirs.parquet")
    monkeypatch.chdir(exported)
    found = run(PYTHON[COMPARED])["differing"].fetchall()
    assert found == [(ours[3]["day"], ours[3]["deployment"], ours[3]["flows"], ours[3]["flows"] - 1)]


@pytest.fixture
def own_demo(server: EmbeddedPostgres, demo_url: str) -> Iterator[str]:
    """The URL of a copy of the demo's ledger."""
    maintenance = server.url("postgres")

    def administer(statement: str) -> None:
        async def work() -> None:
            connection = await asyncpg.connect(maintenance)
            await connection.execute(statement)
            await connection.close()

        asyncio.run(work())

    administer("CREATE DATABASE listened TEMPLATE golden_demo")
    yield server.url("listened")
    administer("DROP DATABASE listened WITH (FORCE)")


def test_the_listener_gets_the_rows_of_changed_days_and_ends_with_the_connection(own_demo: str) -> None:
    changed_days = run(PYTHON[LISTEN])["changed_days"]

    async def work() -> list[list[dict[str, Any]]]:
        database, heard = await Database.open(own_demo), []
        listening = changed_days(own_demo)
        coming = asyncio.ensure_future(anext(listening))
        while not (ear := await database.fetch("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")):
            await asyncio.sleep(0.05)
        await refresh(database)  # changes nothing
        await database.fetch("UPDATE protocol_day SET fees_usd = 7 WHERE day IN ('2026-01-04', '2026-01-05')")
        await refresh(database)
        heard.append([dict(row) for row in await asyncio.wait_for(coming, 10)])
        rest = asyncio.ensure_future(anext(listening, None))
        await database.fetch("SELECT pg_terminate_backend($1)", ear[0]["pid"])
        assert await asyncio.wait_for(rest, 10) is None
        await database.close()
        return heard

    (rows,) = asyncio.run(work())
    protocols = {row["protocol"] for row in ask(own_demo, "SELECT DISTINCT protocol FROM yield_daily")}
    assert [(row["day"].day, row["protocol"]) for row in rows] == [
        (day, name) for day in (4, 5) for name in sorted(protocols)
    ]
    assert {row["fees_usd"] for row in rows} == {7}


def test_the_payload_that_is_shown_is_what_is_sent(own_demo: str) -> None:
    (shown,) = re.findall(r"`(\{\"days\".*?\})`", SECTION.replace("\n", " "))

    async def work() -> str:
        database, heard = await Database.open(own_demo), asyncio.Queue[str]()
        connection = await asyncpg.connect(own_demo)
        await connection.add_listener("yield_daily", lambda *told: heard.put_nowait(str(told[3])))
        await database.fetch("UPDATE protocol_day SET fees_usd = 7 WHERE day IN ('2026-01-04', '2026-01-05')")
        await refresh(database)
        payload = await asyncio.wait_for(heard.get(), 10)
        await connection.close()
        await database.close()
        return payload

    assert asyncio.run(work()) == shown
