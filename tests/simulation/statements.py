"""Which named queries each function of the ledger may run, as its source says: its own and those of what it names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from indexer import ledger
from indexer.ledger import sql

_FOLDER = Path(ledger.__path__[0])
_CARRIERS = {"connect", "guard"}  # what they run belongs to no operation


@cache
def definitions() -> dict[str, ast.stmt]:
    """Functions, classes and constants of the ledger's modules, as 'module.name'."""
    found: dict[str, ast.stmt] = {}
    for path in sorted(_FOLDER.glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            for name in _names(node):
                found[f"{path.stem}.{name}"] = node
    return found


def statements(operation: str) -> set[str]:
    """Names of the queries that 'module.function' may run."""
    found, seen, left = set(), set(), [operation]
    while left:
        name = left.pop()
        module = name.partition(".")[0]
        if name in seen or name not in definitions() or module in _CARRIERS:
            continue
        seen.add(name)
        node = definitions()[name]
        found |= {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and one.value in sql._queries()}
        left += _named(node, module)
    return found


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("indexer.ledger."):
        yield from (alias.asname or alias.name for alias in node.names)


def _named(node: ast.stmt, module: str) -> Iterator[str]:
    """What a definition names, in its own module or where that has it from."""
    if isinstance(node, ast.ImportFrom):
        yield from (f"{str(node.module).removeprefix('indexer.ledger.')}.{alias.name}" for alias in node.names)
        return
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield f"{module}.{one.id}"
