"""Reports: named lists of rows, set as tables for people and as one JSON object for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from indexer.publish.rows import plain

Row = Mapping[str, Any]
GAP = "  "
LEAST = 8  # characters a column keeps, whatever the width


@dataclass(frozen=True, slots=True)
class Column:
    """A column for people. show: a row's cell; right: for figures."""

    heading: str
    show: Callable[[Row], str]
    right: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows under a name, which is the key in JSON. columns: empty for what is told in JSON only; note: a last line."""

    name: str
    rows: Sequence[Row]
    columns: Sequence[Column] = ()
    note: str = ""


def as_text(sheets: Sequence[Sheet], width: int | None) -> str:
    """The sheets with rows one below the other. width: of the terminal; no line is longer: texts are cut with ..."""
    return "\n\n".join(_table(sheet, width) for sheet in sheets if sheet.rows and sheet.columns)


def as_json(sheets: Sequence[Sheet]) -> str:
    """One object: each sheet's rows by its name, every field, nothing cut or rounded; numerics and octets are texts."""
    return object_json({sheet.name: sheet.rows for sheet in sheets})


def object_json(row: Row) -> str:
    """One object as JSON, in the same way."""
    return msgspec.json.encode(plain(row)).decode()


def _table(sheet: Sheet, width: int | None) -> str:
    cells = [[column.show(row) for column in sheet.columns] for row in sheet.rows]
    lines = [[column.heading for column in sheet.columns], *cells]
    widths = [max(len(line[at]) for line in lines) for at in range(len(sheet.columns))]
    _shrink(widths, sheet.columns, width)
    head, *body = [GAP.join(map(_set, line, widths, sheet.columns)).rstrip() for line in lines]
    rule = GAP.join("-" * size for size in widths)
    return "\n".join([head, rule, *body, *([sheet.note] if sheet.note else [])])


def _shrink(widths: list[int], columns: Sequence[Column], width: int | None) -> None:
    """Takes from the widest column of text until the line fits."""
    texts = [at for at, column in enumerate(columns) if not column.right]
    while width is not None and sum(widths) + len(GAP) * (len(widths) - 1) > width:
        widest = max(texts, key=lambda at: widths[at], default=None)
        if widest is None or widths[widest] <= LEAST:
            return
        widths[widest] -= 1


def _set(text: str, size: int, column: Column) -> str:
    shown = text if len(text) <= size else f"{text[: size - 3]}..."
    return shown.rjust(size) if column.right else shown.ljust(size)
