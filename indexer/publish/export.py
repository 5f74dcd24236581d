"""Files of rows: Parquet or CSV, written beside the place they are for and moved there when they are whole."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from indexer.errors import BadInput, Refuse
from indexer.ledger.connect import Database
from indexer.ledger.streaming import Column, Stream, stream
from indexer.publish.columns import batch, fields
from indexer.publish.rows import csv_cell

_GROUP_ROWS = 100_000  # a row group of Parquet
_GROUP_OCTETS = 64 * 2**20
_WITH_DIGESTS = ("yield_daily", "flow_daily")  # what is made of closed days


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written. octets: its size."""

    file: str
    rows: int
    octets: int


class Writer(Protocol):
    """A file being written."""

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Adds rows."""

    def flush(self) -> None:
        """Hands everything to the file."""

    def close(self) -> None:
        """Ends the file, or gives it up."""


async def export(database: Database, asked: str, to: Path, *, force: bool = False) -> Exported:
    """Writes a table, a view or a statement's answer to a .parquet or .csv file.

    asked: as ledger.streaming.stream takes it. force: replace a file that is there. Raises BadInput, Refuse.
    """
    check_place(to, force=force)
    async with stream(database, asked) as answer:
        told = await _metadata(answer, asked)
        with _whole(to) as part:
            rows = await _written(answer, _FORMS[to.suffix](part, answer.columns, told))
    return _exported(to, rows)


def _exported(to: Path, rows: int) -> Exported:
    return Exported(str(to), rows, to.stat().st_size)


async def _written(answer: Stream, writer: Writer) -> int:
    """Writes all rows; their number."""
    count = 0
    try:
        async for rows in answer.batches():
            writer.write(rows)
            count += len(rows)
        writer.flush()
    finally:
        writer.close()
    return count


def check_place(to: Path, *, force: bool) -> None:
    """Whether a file may be written there. Raises BadInput."""
    if to.suffix not in _FORMS:
        raise BadInput(f"--to {to}: write a name that ends in {' or '.join(_FORMS)}.")
    if not to.parent.is_dir():
        raise BadInput(f"--to {to}: there is no folder {to.parent}: make it first.")
    if to.is_dir():
        raise BadInput(f"--to {to}: that is a folder: name a file in it.")
    if to.exists() and not force:
        raise BadInput(f"--to {to}: the file is there already: choose another name, or add --force to replace it.")


@contextmanager
def _whole(to: Path) -> Iterator[Path]:
    """A file beside `to` that takes its place at the end, or leaves nothing behind."""
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(to)
    except ConnectionError:  # an OSError too, but none of the file
        raise
    except OSError as error:
        raise Refuse(f"{to} cannot be written ({error.strerror or error}): give it room or rights.") from None
    finally:
        part.unlink(missing_ok=True)


async def _metadata(answer: Stream, asked: str) -> dict[str, str]:
    """What a file should say of itself: what was asked, when, by which version; digests where days are closed ones."""
    told = {
        "indexer.query": answer.statement,
        "indexer.exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "indexer.version": version("real-yield-indexer"),
    }
    if asked in _WITH_DIGESTS:
        digests = {day.isoformat(): "0x" + digest.hex() for day, digest in (await answer.digests()).items()}
        told["indexer.digests"] = msgspec.json.encode(digests).decode()
    return told


class _Csv:
    def __init__(self, path: Path, columns: Sequence[Column], told: Mapping[str, str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(column.name for column in columns)

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._writer.writerows([csv_cell(value) for value in row] for row in rows)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, columns: Sequence[Column], told: Mapping[str, str]) -> None:
        self._columns, self._schema = columns, pa.schema(fields(columns), metadata=dict(told))
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._waiting.append(batch(self._columns, self._schema, rows))
        full = sum(map(len, self._waiting)) >= _GROUP_ROWS
        if full or sum(part.nbytes for part in self._waiting) >= _GROUP_OCTETS:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=_GROUP_ROWS)
            self._waiting.clear()

    def close(self) -> None:
        self._writer.close()


_FORMS: Mapping[str, Callable[[Path, Sequence[Column], Mapping[str, str]], Writer]] = {
    ".parquet": _Parquet,
    ".csv": _Csv,
}
