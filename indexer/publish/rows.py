"""Rows of a query as text: aligned as psql does, JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from indexer.ledger.reading import Rows


def aligned(rows: Rows) -> str:
    """Columns as psql shows them, numbers to the right."""
    cells = [[shown(value) for value in line] for line in rows.values]
    columns = range(len(rows.names))
    widths = [max(len(rows.names[at]), *(len(line[at]) for line in cells), 1) for at in columns]
    right = [all(_is_number(line[at]) for line in rows.values) for at in columns]
    lines = [" | ".join(name.center(width) for name, width in zip(rows.names, widths, strict=True)).rstrip()]
    lines.append("-+-".join("-" * width for width in widths))
    lines += [
        " | ".join(line[at].rjust(widths[at]) if right[at] else line[at].ljust(widths[at]) for at in columns).rstrip()
        for line in cells
    ]
    count = f"({len(cells)} row{'' if len(cells) == 1 else 's'})"
    return "\n".join([*lines, count] if rows.names else [count])


def as_json(rows: Rows) -> str:
    """A JSON array of objects; numerics and octets are strings, so that nothing is rounded."""
    lines = [{name: plain(value) for name, value in zip(rows.names, line, strict=True)} for line in rows.values]
    return msgspec.json.encode(lines).decode()


def as_csv(rows: Rows) -> str:
    """CSV with a header; NULL is empty. A text that a spreadsheet would run as a formula is led by an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.names)
    writer.writerows([csv_cell(value) for value in line] for line in rows.values)
    return text.getvalue().rstrip("\n")


FORMATS: Mapping[str, Callable[[Rows], str]] = {"table": aligned, "json": as_json, "csv": as_csv}


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | Decimal) and not isinstance(value, bool))


def csv_cell(value: Any) -> str:
    """A value's text in CSV; one that a spreadsheet would run as a formula is led by an apostrophe."""
    text = shown(value)
    return f"'{text}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def shown(value: Any) -> str:
    """A value as text: octets as 0x, booleans as t and f, lists and tables as JSON, NULL as nothing."""
    told = plain(value)
    if told is None:
        return ""
    if isinstance(told, bool):
        return "t" if told else "f"
    return told if isinstance(told, str) else msgspec.json.encode(told).decode()


def plain(value: Any) -> Any:
    """A value as JSON has it: numerics and octets are texts, so that nothing is rounded."""
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
            return [plain(item) for item in value]
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case _:
            return str(value)
