"""Price files: every row is read exactly or every mistake is told, with its line."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from eth_utils.address import to_checksum_address
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.errors import BadInput
from indexer.prices.price_file import COLUMNS, FilePrice, read_price_file, sentences

WETH = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
GOOD = {"chain": "ethereum", "token": WETH, "day": "2026-01-01", "usd": "1834.25", "source": "Kraken's daily close"}
PRICE = FilePrice(2, "ethereum", bytes.fromhex(WETH[2:]), date(2026, 1, 1), Decimal("1834.25"), "Kraken's daily close")


def written(folder: Path, *rows: dict[str, str], names: tuple[str, ...] = COLUMNS) -> Path:
    """The rows as CSV, every cell in quotes."""
    file = folder / "mine.csv"
    lines = [names, *(tuple(row[name] for name in names) for row in rows)]
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines)
    file.write_text(text + "\n", encoding="utf-8")
    return file


def columned(folder: Path, **columns: pa.Array) -> Path:
    """One good row as Parquet, but for these columns."""
    file = folder / "mine.parquet"
    plain = {name: pa.array([value]) for name, value in GOOD.items()}
    pq.write_table(pa.table(plain | columns), file)
    return file


def refused(file: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read_price_file(file)
    return caught.value.problems


def test_a_row_is_read_exactly(tmp_path: Path) -> None:
    assert read_price_file(written(tmp_path, GOOD)) == ([PRICE], [])


def test_columns_may_stand_in_any_order_after_a_byte_order_mark(tmp_path: Path) -> None:
    """As spreadsheets write them."""
    file = written(tmp_path, GOOD, names=COLUMNS[::-1])
    file.write_text("\ufeff" + file.read_text("utf-8"), "utf-8")
    assert read_price_file(file) == ([PRICE], [])


def test_a_header_alone_is_a_file_without_prices(tmp_path: Path) -> None:
    assert read_price_file(written(tmp_path)) == ([], [])


@pytest.mark.parametrize("usd", ["0.000000000000000000000000000001", "123456789012345678901234567890.5", "1", "007.10"])
def test_dollars_keep_every_digit(tmp_path: Path, usd: str) -> None:
    (price,), mistakes = read_price_file(written(tmp_path, GOOD | {"usd": usd}))
    assert not mistakes
    assert price.usd == Decimal(usd)
    assert str(price.usd.as_tuple().digits) == str(Decimal(usd).as_tuple().digits)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("chain", "Ethereum", "chain 'Ethereum' is no name of a chain: lower-case letters, digits and _ are"),
        ("chain", "", "chain '' is no name of a chain: lower-case letters, digits and _ are"),
        (
            "token",
            WETH.lower(),
            f"token {WETH.lower()} carries no checksum: compare it with its source and write {WETH}",
        ),
        ("token", WETH[:-1] + "3", "token 0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc3 has a wrong checksum"),
        ("token", "WETH", "token 'WETH' is no address: 0x and 40 hexadecimal digits are needed"),
        ("day", "2026-02-30", "day '2026-02-30' is no date: write 2026-01-31"),
        ("day", "01/02/2026", "day '01/02/2026' is no date: write 2026-01-31"),
        ("day", "2026-1-2", "day '2026-1-2' is no date: write 2026-01-31"),
        ("day", "2026-01-01T00:00", "day '2026-01-01T00:00' is no date: write 2026-01-31"),
        ("usd", "0", "usd '0' is not above zero: leave days without a price out"),
        ("usd", "0.000", "usd '0.000' is not above zero: leave days without a price out"),
        ("usd", "-5", "usd '-5' is no number of dollars: write digits with a point, such as 1834.25"),
        ("usd", "1e3", "usd '1e3' is no number of dollars"),
        ("usd", "NaN", "usd 'NaN' is no number of dollars"),
        ("usd", "1,834.25", "usd '1,834.25' is no number of dollars"),
        ("usd", "$5", "usd '$5' is no number of dollars"),
        ("usd", "", "usd '' is no number of dollars"),
        ("usd", "\u0661", "usd '\\u0661' is no number of dollars"),
        ("source", " ", "source must say in one line of at most 500 characters where the price is from"),
        ("source", "a\nb", "source must say in one line of at most 500 characters where the price is from"),
        ("source", "x" * 501, "source must say in one line of at most 500 characters where the price is from"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, column: str, value: str, sentence: str) -> None:
    rows, mistakes = read_price_file(written(tmp_path, GOOD, GOOD | {"day": "2026-01-02", column: value}))
    assert rows == [PRICE]
    ((line, told),) = mistakes
    assert line == (4 if value == "a\nb" else 3)
    assert told.startswith(sentence)


def test_all_mistakes_of_a_row_are_told(tmp_path: Path) -> None:
    rows, mistakes = read_price_file(written(tmp_path, dict.fromkeys(COLUMNS, "")))
    assert not rows
    assert [(line, told.split()[0]) for line, told in mistakes] == [(2, name) for name in COLUMNS]


def test_a_doubled_row_names_the_first(tmp_path: Path) -> None:
    """Also where it says another price."""
    file = written(tmp_path, GOOD, GOOD | {"day": "2026-01-02"}, GOOD | {"usd": "7"})
    _, mistakes = read_price_file(file)
    assert mistakes == [(4, "prices the same token and day as line 2: remove one of them")]


def test_a_row_with_too_few_or_too_many_cells(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    file.write_text(file.read_text() + "ethereum,0x\n\na,b,c,d,e,f\n")
    assert read_price_file(file)[1] == [(3, "has 2 values for 5 columns"), (5, "has 6 values for 5 columns")]


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        (b"", "mine.csv: must have the columns chain, token, day, usd, source and no others; it has none"),
        (
            b"chain,token,day\n",
            "mine.csv: must have the columns chain, token, day, usd, source and no others; it has 'ch",
        ),
        (b"chain,token,day,usd,source,source\n", "mine.csv: must have the columns"),
        (b"chain,token,day,usd,source\n\xff", "mine.csv: is not UTF-8 at octet 27: save it as UTF-8"),
        (b'chain,token,day,usd,source\n"a"b,c,d,e,f\n', "mine.csv:2: is not valid CSV: "),
        (b"chain,token,day,usd,source\n" + b"x" * 200_000, "mine.csv:2: is not valid CSV: "),
    ],
)
def test_what_is_no_such_file_is_refused_whole(tmp_path: Path, octets: bytes, sentence: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(octets)
    (told,) = refused(file)
    assert told.startswith(sentence)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        assert refused(tmp_path / name) == [
            f"{name}: cannot be read (No such file or directory): check its path and permissions"
        ]


# ---------------------------------------------------------------- Parquet


@pytest.mark.parametrize(
    "usd",
    [
        pa.array(["1834.25"]),
        pa.array([Decimal("1834.25")], pa.decimal128(20, 4)),
        pa.array([Decimal("1834.25")], pa.decimal256(60, 20)),
        pa.array(["1834.25"], pa.large_string()),
    ],
    ids=["text", "decimal", "wide", "large text"],
)
@pytest.mark.parametrize("day", [pa.array(["2026-01-01"]), pa.array([date(2026, 1, 1)])], ids=["text", "date"])
def test_parquet_is_read_as_csv_is(tmp_path: Path, usd: pa.Array, day: pa.Array) -> None:
    """Rows count from one; there is no header."""
    ((price,), mistakes) = read_price_file(columned(tmp_path, usd=usd, day=day))
    assert not mistakes
    assert price == FilePrice(1, *(getattr(PRICE, name) for name in ("chain", "token", "day", "usd", "source")))


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_floats_are_refused(tmp_path: Path, kind: pa.DataType) -> None:
    assert refused(columned(tmp_path, usd=pa.array([1834.25], pa.float64()).cast(kind))) == [
        "mine.parquet: column usd holds floats, which are rounded: write dollars as decimals or as text"
    ]


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("usd", pa.array([None], pa.string()), "usd None is no number of dollars"),
        ("usd", pa.array([5]), "usd 5 is no number of dollars"),
        ("usd", pa.array([Decimal("0.00")]), "usd '0.00' is not above zero"),
        ("usd", pa.array([Decimal("-1.00")]), "usd '-1.00' is not above zero"),
        ("day", pa.array([datetime(2026, 1, 1)]), "day datetime.datetime(2026, 1, 1, 0, 0) is no date"),  # noqa: DTZ001
        ("token", pa.array([bytes(20)]), "token must be an address in quotes"),
        ("chain", pa.array([1]), "chain 1 is no name of a chain"),
        ("source", pa.array([None], pa.string()), "source must say in one line"),
    ],
)
def test_values_of_other_types_are_mistakes(tmp_path: Path, column: str, values: pa.Array, sentence: str) -> None:
    rows, ((line, told),) = read_price_file(columned(tmp_path, **{column: values}))
    assert (rows, line) == ([], 1)
    assert told.startswith(sentence)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.parquet"
    file.write_bytes(b"chain,token\n" * 9)
    (told,) = refused(file)
    assert told.startswith("mine.parquet: is not valid Parquet: ")


def test_parquet_with_other_columns_is_refused(tmp_path: Path) -> None:
    (told,) = refused(columned(tmp_path, more=pa.array([1])))
    assert told.startswith("mine.parquet: must have the columns chain, token, day, usd, source and no others; it has ")


# ---------------------------------------------------------------- any file


def test_many_mistakes_are_counted_not_poured_out() -> None:
    shown = sentences("mine.csv", [(line, "is wrong") for line in range(99, 1, -1)], most=3)
    assert shown == [*(f"mine.csv:{line}: is wrong" for line in (2, 3, 4)), "mine.csv: 95 more mistakes like these"]
    assert sentences("mine.csv", [(2, "is wrong")]) == ["mine.csv:2: is wrong"]


Prices = st.lists(
    st.tuples(
        st.binary(min_size=20, max_size=20).filter(any),
        st.dates(),
        st.decimals(min_value="0.000000000000000001", max_value="1000000000000", places=18),
    ),
    unique_by=lambda row: row[:2],
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=Prices, wide=st.booleans())
def test_what_is_written_is_what_is_read(
    tmp_path: Path, rows: list[tuple[bytes, date, Decimal]], *, wide: bool
) -> None:
    """As CSV and as Parquet, decimal or text."""
    written_rows = [
        GOOD | {"token": to_checksum_address(token), "day": day.isoformat(), "usd": f"{usd:f}"}
        for token, day, usd in rows
    ]
    columns: dict[str, Any] = {name: pa.array([row[name] for row in written_rows], pa.string()) for name in COLUMNS}
    if wide:
        columns["usd"] = pa.array([usd for *_, usd in rows], pa.decimal256(40, 18))
    for file in (written(tmp_path, *written_rows), columned(tmp_path, **columns)):
        found, mistakes = read_price_file(file)
        assert not mistakes
        assert [(one.token, one.day, one.usd) for one in found] == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_octets_are_read_or_refused(tmp_path: Path, octets: bytes) -> None:
    """Never anything but a price, a mistake or BadInput; nothing of it is printed raw."""
    for name, head in (("any.csv", b"chain,token,day,usd,source\n"), ("any.csv", b""), ("any.parquet", b"PAR1")):
        file = tmp_path / name
        file.write_bytes(head + octets)
        try:
            _, mistakes = read_price_file(file)
        except BadInput as fault:
            assert all(line.isascii() and line.isprintable() for line in fault.problems)
        else:
            assert all(told.isascii() and told.isprintable() for _, told in mistakes)
