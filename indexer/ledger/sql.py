"""SQL by name. Every statement lives in sql/; Python never assembles one."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def root() -> Traversable:
    """The folder sql/: inside the installed package, or beside it in a checkout."""
    installed = files("indexer") / "sql"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "sql"


def texts(folder: str) -> list[tuple[str, str]]:
    """(file name, text) of each SQL file in a folder of sql/, sorted by name."""
    entries = sorted((root() / folder).iterdir(), key=lambda entry: entry.name)
    return [(entry.name, entry.read_text("utf-8")) for entry in entries if entry.name.endswith(".sql")]


@cache
def _queries() -> dict[str, str]:
    queries: dict[str, str] = {}
    for _, text in texts("queries"):
        _, *parts = _NAME.split(text)
        queries |= {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
    return queries


def query(name: str) -> str:
    """The text of a named query; KeyError if there is none."""
    return _queries()[name]
