"""What `indexer sql` prints: aligned, JSON and CSV of the same rows."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest

from indexer.errors import BadInput
from indexer.ledger.connect import Database
from indexer.ledger.reading import Rows, ask
from indexer.publish.rows import aligned, as_csv, as_json

ROWS = Rows(
    ("day", "protocol", "usd", "contract", "closed", "usd"),
    [
        (date(2026, 1, 1), "demo", Decimal("10.50"), b"\xab\xcd", True, None),
        (date(2026, 1, 2), "=1+1", Decimal("-3"), None, False, Decimal(10) ** 30),
    ],
)


def test_aligned_keeps_columns_of_one_name_apart() -> None:
    """As psql: numbers to the right, NULL empty, octets as 0x, both columns called usd."""
    assert aligned(ROWS).splitlines() == [
        "   day     | protocol |  usd  | contract | closed |               usd",
        "-----------+----------+-------+----------+--------+--------------------------------",
        "2026-01-01 | demo     | 10.50 | 0xabcd   | t      |",
        "2026-01-02 | =1+1     |    -3 |          | f      | 1000000000000000000000000000000",
        "(2 rows)",
    ]


def test_json_rounds_nothing() -> None:
    """Numerics are texts: a float would lose digits of a raw amount."""
    (_, second) = msgspec.json.decode(as_json(ROWS))
    assert second["usd"] == "1" + "0" * 30
    assert msgspec.json.decode(as_json(Rows(("at",), [(datetime(2026, 1, 1, tzinfo=UTC),)]))) == [
        {"at": "2026-01-01 00:00:00+0000"}
    ]


@pytest.mark.parametrize("symbol", ["=cmd()", "+1", "-1", "@x", "\tx"])
def test_csv_disarms_what_a_spreadsheet_would_run(symbol: str) -> None:
    """A token may call itself a formula; a negative number stays a number."""
    table = list(csv.reader(io.StringIO(as_csv(Rows(("symbol", "usd"), [(symbol, Decimal("-1"))])))))
    assert table == [["symbol", "usd"], ["'" + symbol, "-1"]]


async def test_no_rows_still_have_names(database: Database) -> None:
    """An empty answer says what was asked for, in every form."""
    rows = await ask(database, "SELECT day, protocol FROM yield_daily")
    assert aligned(rows).splitlines()[0].split(" | ") == ["day", "protocol"]
    assert as_csv(rows) == "day,protocol"
    assert as_json(rows) == "[]"


async def test_ranges_read_as_postgres_writes_them(database: Database) -> None:
    """Coverage is a multirange."""
    rows = await ask(database, "SELECT '{[1,3),[5,6)}'::int8multirange, int8range(1, NULL), 'empty'::int8range")
    assert rows.values == [("{[1,3),[5,6)}", "[1,)", "empty")]


async def test_a_wrong_statement_is_a_sentence(database: Database) -> None:
    """Postgres' words and hint, not a traceback."""
    with pytest.raises(BadInput, match='Postgres refuses the statement: column "fee_usd" does not exist'):
        await ask(database, "SELECT fee_usd FROM yield_daily")
