"""What check found, for people: a line each, long sentences folded under it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from indexer.publish.sheet import Row, Sheet

_ABOUT, _STATE = 12, 7  # characters of what was looked at, and of how it is


def findings_text(rows: Sequence[Row], width: int | None) -> str:
    """rows: subject, about, state, says. Those of one subject stand together under its name."""
    lines: list[str] = []
    subject = ""
    for row in rows:
        if row["about"] and row["subject"] != subject:
            lines.append(row["subject"])
        subject = row["subject"]
        label = f"  {row['about']}" if row["about"] else row["subject"]
        lines += _folded(f"{label:<{_ABOUT + 2}} {_state(row['state']):<{_STATE}}", row["says"], width)
    return "\n".join(lines)


def findings_sheet(rows: Sequence[Row]) -> Sheet:
    """The same for JSON."""
    return Sheet("findings", rows)


def _state(state: str) -> str:
    return state.upper() if state == "wrong" else state


def _folded(head: str, says: str, width: int | None) -> list[str]:
    indent = " " * len(head)
    parts = [part for line in says.splitlines() for part in _wrapped(line, len(head), width)]
    return [(head if at == 0 else indent) + part for at, part in enumerate(parts or [""])]


def _wrapped(line: str, taken: int, width: int | None) -> list[str]:
    if width is None:
        return [line]
    return textwrap.wrap(line, max(20, width - taken), break_on_hyphens=False)
