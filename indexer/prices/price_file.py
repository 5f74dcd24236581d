"""Price files: CSV or Parquet with the columns chain, token, day, usd and source; every mistake with its line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from indexer.documents import ChainName, one_line, parse_address, quoted
from indexer.errors import BadInput
from indexer.model import Address

COLUMNS = ("chain", "token", "day", "usd", "source")
_CHAIN = re.compile(r"[a-z0-9_]{1,40}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DOLLARS = re.compile(r"[0-9]{1,30}(\.[0-9]{1,60})?")
_MOST_SOURCE = 500
_FLOATS = "column usd holds floats, which are rounded: write dollars as decimals or as text"

Mistake = tuple[int, str]  # line, sentence


@dataclass(frozen=True, slots=True)
class FilePrice:
    """Dollars per whole token on a UTC day. line: of the file, in Parquet the row, from 1."""

    line: int
    chain: ChainName
    token: Address
    day: date
    usd: Decimal
    source: str


def read_price_file(path: Path) -> tuple[list[FilePrice], list[Mistake]]:
    """The rows that are well-formed and the mistakes of the others.

    Raises BadInput if the file cannot be read at all or its columns are not the right ones.
    """
    rows = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    found: dict[tuple[str, Address, date], FilePrice] = {}
    mistakes: list[Mistake] = []
    for line, values in rows:
        if isinstance(values, str):
            mistakes.append((line, values))
            continue
        price, wrong = _price(line, values)
        if price is not None:
            first = found.setdefault((price.chain, price.token, price.day), price)
            if first is not price:
                wrong = [f"prices the same token and day as line {first.line}: remove one of them"]
        mistakes += [(line, sentence) for sentence in wrong]
    return list(found.values()), mistakes


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            names = next(reader, [])
            _refuse_columns(path, names)
            for cells in reader:
                if len(cells) == len(names):
                    yield reader.line_num, dict(zip(names, cells, strict=True))
                elif cells:
                    yield reader.line_num, f"has {len(cells)} values for {len(names)} columns"
    except OSError as fault:
        raise BadInput(f"{path.name}: cannot be read ({fault.strerror}): check its path and permissions") from None
    except UnicodeDecodeError as fault:
        raise BadInput(f"{path.name}: is not UTF-8 at octet {fault.start}: save it as UTF-8") from None
    except csv.Error as fault:
        raise BadInput(f"{path.name}:{reader.line_num}: is not valid CSV: {one_line(str(fault))}") from None


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow as pa  # here: it takes a while, and few runs need it
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as stream, pq.ParquetFile(stream) as file:
            _refuse_columns(path, file.schema_arrow.names)
            if pa.types.is_floating(file.schema_arrow.field("usd").type):
                raise BadInput(f"{path.name}: {_FLOATS}")
            line = 0
            for batch in file.iter_batches(columns=list(COLUMNS)):
                for values in batch.to_pylist():
                    line += 1
                    yield line, values
    except OSError as fault:
        raise BadInput(f"{path.name}: cannot be read ({fault.strerror}): check its path and permissions") from None
    except pa.ArrowException as fault:
        raise BadInput(f"{path.name}: is not valid Parquet: {one_line(str(fault))[:200]}") from None


def _refuse_columns(path: Path, names: list[str]) -> None:
    if sorted(names) != sorted(COLUMNS):
        raise BadInput(
            f"{path.name}: must have the columns {', '.join(COLUMNS)} and no others; it has "
            f"{', '.join(map(quoted, names[:10])) if names else 'none'}"
        )


def _price(line: int, values: Mapping[str, Any]) -> tuple[FilePrice | None, list[str]]:
    """The row's price, or all that is wrong with it."""
    wrong: list[str] = []
    read: dict[str, Any] = {}
    for name, rule in (("chain", _chain), ("token", parse_address), ("day", _day), ("usd", _usd), ("source", _source)):
        try:
            read[name] = rule(values[name])
        except ValueError as fault:
            wrong.append(f"{name} {fault}")
    return (None if wrong else FilePrice(line, **read)), wrong


def _chain(value: object) -> str:
    if not isinstance(value, str) or not _CHAIN.fullmatch(value):
        raise ValueError(f"{quoted(value)} is no name of a chain: lower-case letters, digits and _ are")
    return value


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError(f"{quoted(value)} is no date: write 2026-01-31")


def _usd(value: object) -> Decimal:
    if isinstance(value, Decimal) and value.is_finite():
        dollars = value
    elif isinstance(value, str) and _DOLLARS.fullmatch(value):
        dollars = Decimal(value)
    else:
        raise ValueError(f"{quoted(value)} is no number of dollars: write digits with a point, such as 1834.25")
    if dollars <= 0:
        raise ValueError(f"{quoted(str(value))} is not above zero: leave days without a price out")
    return dollars


def _source(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _MOST_SOURCE or not value.isprintable():
        raise ValueError(f"must say in one line of at most {_MOST_SOURCE} characters where the price is from")
    return value.strip()


def sentences(name: str, mistakes: Iterable[Mistake], most: int = 20) -> list[str]:
    """'file:line: sentence' for the first `most` mistakes by line, and how many more there are."""
    ordered = sorted(mistakes)
    shown = [f"{name}:{line}: {sentence}" for line, sentence in ordered[:most]]
    more = len(ordered) - most
    return [*shown, f"{name}: {more} more mistakes like these"] if more > 0 else shown
