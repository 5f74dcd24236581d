"""Rows of a query as text: aligned as psql does, JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

Rows = Sequence[Mapping[str, Any]]


def aligned(rows: Rows) -> str:
    """Columns as psql shows them, numbers to the right."""
    if not rows:
        return "(0 rows)"
    names = list(rows[0].keys())
    cells = [[_shown(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[at]) for line in cells)) for at, name in enumerate(names)]
    right = [all(isinstance(row[name], int | Decimal | None) for row in rows) for name in names]
    lines = [" | ".join(name.center(width) for name, width in zip(names, widths, strict=True))]
    lines.append("-+-".join("-" * width for width in widths))
    lines += [
        " | ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, f"({len(rows)} row{'' if len(rows) == 1 else 's'})"])


def as_json(rows: Rows) -> str:
    """A JSON array of objects; numerics and octets are strings, so that nothing is rounded."""
    return msgspec.json.encode([{name: _plain(value) for name, value in row.items()} for row in rows]).decode()


def as_csv(rows: Rows) -> str:
    """CSV with a header; NULL is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if rows:
        writer.writerow(rows[0].keys())
    writer.writerows([_shown(value) for value in row.values()] for row in rows)
    return text.getvalue().rstrip("\n")


FORMATS: Mapping[str, Callable[[Rows], str]] = {"table": aligned, "json": as_json, "csv": as_csv}


def _shown(value: Any) -> str:
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, bool):
        return "t" if plain else "f"
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return "0x" + value.hex()
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S%z")
        case date():
            return value.isoformat()
        case None | bool() | int() | str():
            return value
        case list() | tuple():
            return [_plain(item) for item in value]
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case _:
            return str(value)
