"""Files of rows: whole or not there, in types that lose nothing, whatever the size."""

from __future__ import annotations

import asyncio
import csv
import errno
import io
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexer.errors import BadInput, DatabaseUnusable, IndexerError, Refuse
from indexer.ledger import streaming
from indexer.ledger.connect import Database
from indexer.publish import export as exporting
from indexer.publish.export import export
from tests.golden.demo import ask

UINT256 = 2**256 - 1


async def written(database: Database, asked: str, folder: Path, name: str = "rows.parquet") -> pa.Table:
    await export(database, asked, folder / name)
    return pq.read_table(folder / name)


async def text(database: Database, asked: str, folder: Path) -> list[list[str]]:
    await export(database, asked, folder / "rows.csv")
    return list(csv.reader(io.StringIO((folder / "rows.csv").read_text())))


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("true", pa.bool_(), True),
        ("7::smallint", pa.int16(), 7),
        ("7::integer", pa.int32(), 7),
        ("9223372036854775807", pa.int64(), 2**63 - 1),
        ("date '2026-01-31'", pa.date32(), date(2026, 1, 31)),
        ("timestamptz '2026-01-31 01:00+01'", pa.timestamp("us", tz="UTC"), datetime(2026, 1, 31, tzinfo=UTC)),
        (r"'\x00ff'::bytea", pa.binary(), b"\x00\xff"),
        ("'fee'::flow_kind", pa.string(), "fee"),
        ("'{[1,3),[5,6)}'::int8multirange", pa.string(), "{[1,3),[5,6)}"),
        ("int8range(1, NULL)", pa.string(), "[1,)"),
        ("""'{"a": [1, "b"]}'::jsonb""", pa.string(), '{"a":[1,"b"]}'),
        ("ARRAY['a', NULL, 'c']", pa.list_(pa.string()), ["a", None, "c"]),
        (r"ARRAY['\x01'::bytea]", pa.list_(pa.binary()), [b"\x01"]),
        ("NULL::integer", pa.int32(), None),
    ],
)
async def test_types_of_postgres_have_their_own_in_parquet(
    demo: Database, tmp_path: Path, expression: str, kind: pa.DataType, value: Any
) -> None:
    table = await written(demo, f"SELECT {expression} AS it", tmp_path)
    assert (table.schema.field("it").type, table["it"].to_pylist()) == (kind, [value])


@pytest.mark.parametrize(
    ("name", "expression", "kind", "value"),
    [
        ("fees_usd", "1.5", pa.decimal128(38, 18), Decimal("1.5")),
        ("usd", "0.0000000000000000015", pa.decimal128(38, 18), Decimal("0.000000000000000002")),
        ("real_share", "0.25", pa.decimal128(38, 18), Decimal("0.25")),
        ("coverage", "1", pa.decimal128(38, 18), Decimal(1)),
        ("amount", str(UINT256), pa.string(), str(UINT256)),
        ("some_number", "0.10", pa.string(), "0.10"),
        ("share_of_it", "0.5", pa.string(), "0.5"),
    ],
)
async def test_numbers_without_declared_digits_are_decimals_where_they_are_dollars_and_texts_elsewhere(
    demo: Database, tmp_path: Path, name: str, expression: str, kind: pa.DataType, value: Any
) -> None:
    table = await written(demo, f"SELECT {expression}::numeric AS {name}", tmp_path)
    assert (table.schema.field(name).type, table[name].to_pylist()) == (kind, [value])


async def test_numbers_of_a_table_have_the_digits_it_declares(database: Database, tmp_path: Path) -> None:
    """Up to 38 digits are decimal128, up to 76 decimal256; a uint256 has 78, so it stays a text with all of them."""
    await database.fetch(
        "CREATE TABLE declared (a numeric(10, 2), b numeric(38, 0), c numeric(76, 30), d numeric(78, 0))"
    )
    await database.fetch("INSERT INTO declared VALUES (1.25, -1, 0.5, $1), (NULL, NULL, NULL, NULL)", Decimal(UINT256))
    table = await written(database, "declared", tmp_path)
    assert [field.type for field in table.schema] == [
        pa.decimal128(10, 2), pa.decimal128(38, 0), pa.decimal256(76, 30), pa.string()
    ]  # fmt: skip
    assert table.to_pylist() == [
        {"a": Decimal("1.25"), "b": Decimal(-1), "c": Decimal("0.5"), "d": str(UINT256)},
        {"a": None, "b": None, "c": None, "d": None},
    ]


@pytest.mark.parametrize("value", ["100000000000000000000", "'NaN'", "'infinity'"])
async def test_a_number_too_large_for_its_column_is_refused_by_name(demo: Database, tmp_path: Path, value: str) -> None:
    with pytest.raises(BadInput, match=r"Column usd holds a value that decimal128\(38, 18\) cannot .* usd::text\."):
        await export(demo, f"SELECT {value}::numeric AS usd", tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []


async def test_a_file_says_what_it_holds(demo: Database, tmp_path: Path) -> None:
    """The statement, the time, the version; what Postgres says of a column stands beside it. Pages are zstd."""
    await export(demo, "yield_daily", tmp_path / "days.parquet")
    file = pq.ParquetFile(tmp_path / "days.parquet")
    told = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
    assert told["indexer.query"] == "SELECT * FROM public.yield_daily ORDER BY day, chain, protocol"
    assert datetime.fromisoformat(told["indexer.exported_at"]).tzinfo is not None
    assert told["indexer.version"]
    assert len(msgspec.json.decode(told["indexer.digests"])) == 14
    assert file.schema_arrow.field("revenue_usd").metadata[b"comment"].startswith(b"protocol_usd + holders_usd")


async def test_files_of_closed_days_bear_the_digests_of_the_moment(
    demo: Database, demo_url: str, tmp_path: Path
) -> None:
    """One a day, the sum of the deployments' mod 2^256; pages are compressed with zstd."""
    await export(demo, "flow_daily", tmp_path / "sums.parquet")
    file = pq.ParquetFile(tmp_path / "sums.parquet")
    rows = await asyncio.to_thread(ask, demo_url, "SELECT day, digest FROM day_digest")
    days = {row["day"] for row in rows}
    assert msgspec.json.decode(file.schema_arrow.metadata[b"indexer.digests"]) == {
        day.isoformat(): f"0x{sum(int.from_bytes(row['digest'], 'big') for row in rows if row['day'] == day) % 2**256:064x}"
        for day in days
    }
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


async def test_parquet_and_csv_of_the_demo_hold_what_the_database_holds(
    demo: Database, demo_url: str, tmp_path: Path
) -> None:
    table = await written(demo, "flow", tmp_path)
    cells = await text(demo, "flow", tmp_path)
    rows = await asyncio.to_thread(
        ask, demo_url, "SELECT * FROM flow ORDER BY chain_id, block_number, log_index, leg, contract, block_time"
    )
    assert len(rows) > 10_000
    assert table.to_pylist() == [row | {"amount": f"{row['amount']:f}"} for row in rows]
    header, *lines = cells
    assert header == list(rows[0])
    at = {name: header.index(name) for name in ("amount", "tx_hash", "block_time")}
    assert [line[at["amount"]] for line in lines] == [f"{row['amount']:f}" for row in rows]
    assert [line[at["tx_hash"]] for line in lines] == [f"0x{row['tx_hash'].hex()}" for row in rows]
    assert lines[0][at["block_time"]] == rows[0]["block_time"].strftime("%Y-%m-%d %H:%M:%S+0000")


@pytest.mark.parametrize("value", ["=cmd()", "+1", "-1", "@x"])
async def test_a_name_that_is_a_formula_is_disarmed_in_csv_and_kept_in_parquet(
    demo: Database, tmp_path: Path, value: str
) -> None:
    asked = f"SELECT '{value}' AS symbol, -1 AS number"
    assert await text(demo, asked, tmp_path) == [["symbol", "number"], [f"'{value}", "-1"]]
    assert (await written(demo, asked, tmp_path))["symbol"].to_pylist() == [value]


async def test_every_table_and_view_can_be_exported(demo: Database, tmp_path: Path) -> None:
    names = [row["relation"] for row in await demo.fetch(streaming.query("relations"))]
    assert {"yield_daily", "flow", "flow_usd", "day_digest", "coverage"} <= set(names)
    for name in names:
        for ending in ("parquet", "csv"):
            done = await export(demo, name, tmp_path / f"{name}.{ending}")
            count = await demo.pool.fetchval(f'SELECT count(*) FROM "{name}"')
            assert (done.rows, done.octets) == (count, (tmp_path / f"{name}.{ending}").stat().st_size)


async def test_a_month_of_flows_can_be_named(database: Database, tmp_path: Path) -> None:
    await database.fetch("SELECT ensure_flow_month('2026-01-05')")
    assert (await export(database, "flow_2026_01", tmp_path / "month.csv")).rows == 0


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("yeild_daily", "yeild_daily is no table or view of the ledger: did you mean yield_daily?"),
        ("xyz", "xyz is no table or view of the ledger: there are answer_daily, "),
        ("pg_class", "pg_class is no table or view of the ledger"),
        (
            "flow; DROP TABLE flow",
            "'flow; DROP TABLE flow' cannot be exported: write the name of a table or view, or a",
        ),
        ('flow"', "cannot be exported"),
        ("DELETE FROM flow", "'DELETE FROM flow' cannot be exported"),
        ("", "'' cannot be exported"),
        ("SELECT 1; SELECT 2", "Postgres refuses the statement: cannot insert multiple commands"),
        ("WITH gone AS (DELETE FROM flow RETURNING 1) SELECT * FROM gone", "in a read-only transaction"),
        ("SELECT ensure_flow_month('2030-01-01')", "in a read-only transaction"),
        ("SELECT fee_usd FROM yield_daily", 'column "fee_usd" does not exist'),
        ("SELECT 1 / (SELECT 0)", "division by zero"),
        ("SELECT $1::int", "expects 1 argument"),
        ("SELECT", "answers without columns"),
    ],
)
async def test_what_cannot_be_read_is_refused_in_one_sentence_and_leaves_no_file(
    demo: Database, tmp_path: Path, asked: str, sentence: str
) -> None:
    with pytest.raises(BadInput) as refused:
        await export(demo, asked, tmp_path / "rows.parquet")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        ("rows.xlsx", "write a name that ends in .parquet or .csv"),
        ("rows", "write a name that ends in"),
        ("nowhere/rows.csv", "there is no folder"),
        ("folder.csv", "that is a folder"),
        ("there.csv", "the file is there already: choose another name, or add --force"),
    ],
)
async def test_a_place_that_cannot_take_the_file_is_refused(
    demo: Database, tmp_path: Path, to: str, sentence: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(BadInput, match=sentence):
        await export(demo, "chain", tmp_path / to)
    assert (tmp_path / "there.csv").read_text() == "mine"


async def test_force_replaces_a_file_only_by_a_whole_one(demo: Database, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("mine")
    with pytest.raises(BadInput, match="division by zero"):
        await export(
            demo, "SELECT 1 / (3000 - n) FROM generate_series(1, 3000) AS n", tmp_path / "rows.csv", force=True
        )
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("rows.csv", "mine")]
    await export(demo, "SELECT 1 AS one", tmp_path / "rows.csv", force=True)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("rows.csv", "one\n1\n")]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
async def test_a_stop_halfway_leaves_nothing(
    demo: Database, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-C does: the task is cancelled between two batches."""
    real = streaming.Stream.batches

    async def stopping(self: streaming.Stream) -> AsyncIterator[list[tuple[Any, ...]]]:
        async for rows in real(self):
            assert list(tmp_path.iterdir()), "the part stands beside the place"
            yield rows
            raise asyncio.CancelledError

    monkeypatch.setattr(streaming.Stream, "batches", stopping)
    with pytest.raises(asyncio.CancelledError):
        await export(demo, "SELECT generate_series(1, 9999) AS n", tmp_path / f"rows.{ending}")
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    demo: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exporting.os, "fsync", full)
    with pytest.raises(
        Refuse, match=r"rows\.csv cannot be written \(No space left on device\): give it room or rights"
    ):
        await export(demo, "chain", tmp_path / "rows.csv")
    assert list(tmp_path.iterdir()) == []


async def test_a_lost_connection_is_the_databases_fault(database: Database, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="went away while it was read") as lost:
        await export(database, "SELECT pg_terminate_backend(pg_backend_pid())", tmp_path / "rows.csv")
    assert isinstance(lost.value, IndexerError)
    assert list(tmp_path.iterdir()) == []


async def test_an_export_is_of_one_moment(database: Database, url: str, tmp_path: Path) -> None:
    """Rows that others commit meanwhile are not in it."""
    await database.fetch("INSERT INTO chain (chain_id, name) SELECT n, 'c' || n FROM generate_series(1, 5000) AS n")
    real = streaming.Stream.batches
    other = await asyncpg.connect(url)

    async def meanwhile(self: streaming.Stream) -> AsyncIterator[list[tuple[Any, ...]]]:
        async for rows in real(self):
            await other.execute("DELETE FROM chain")
            yield rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming.Stream, "batches", meanwhile)
        assert (await export(database, "chain", tmp_path / "rows.csv")).rows == 5000
    await other.close()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
async def test_memory_does_not_grow_with_the_rows(demo: Database, tmp_path: Path, ending: str) -> None:
    """Ten times the rows, hardly more memory: they are read and written a batch at a time."""
    asked = "SELECT n, repeat('x', 100) AS word FROM generate_series(1, {}) AS n"
    peaks = []
    for rows in (5_000, 50_000):
        pool = pa.default_memory_pool()
        before = pool.bytes_allocated()
        tracemalloc.start()
        done = await export(demo, asked.format(rows), tmp_path / f"{rows}.{ending}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert done.rows == rows
        assert pool.bytes_allocated() - before < 1_000_000
    assert peaks[1] < 2 * peaks[0], peaks


async def test_row_groups_are_written_on_the_way(
    demo: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By rows or by octets, whichever comes first."""
    monkeypatch.setattr(exporting, "_GROUP_ROWS", 4_000)
    await export(demo, "SELECT generate_series(1, 9999) AS n", tmp_path / "rows.parquet")
    assert pq.ParquetFile(tmp_path / "rows.parquet").metadata.num_row_groups == 3
    monkeypatch.setattr(exporting, "_GROUP_OCTETS", 100_000)
    await export(demo, "SELECT n, repeat('x', 99) AS w FROM generate_series(1, 9999) AS n", tmp_path / "wide.parquet")
    file = pq.ParquetFile(tmp_path / "wide.parquet")
    assert file.metadata.num_row_groups == 5
    assert sorted(file.read()["n"].to_pylist()) == list(range(1, 10_000))
