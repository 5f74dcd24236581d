"""SQL by name: every name exists and is used, every statement says what it is for, and Python assembles none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from indexer.ledger.sql import query, texts

SOURCES = Path(__file__).parents[2] / "indexer"
STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|DROP|ALTER|TRUNCATE|COPY|GRANT)\b")
ASSEMBLED_ON_PURPOSE = {"ledger/embedded.py"}  # CREATE and DROP DATABASE take no parameter; the name is checked first
CALL = re.compile(r"query\(\s*\"(\w+)\"")


@cache
def trees() -> dict[str, ast.Module]:
    return {path.relative_to(SOURCES).as_posix(): ast.parse(path.read_text("utf-8")) for path in SOURCES.rglob("*.py")}


def named() -> list[tuple[str, str, str]]:
    """File, name and text of each named query."""
    found = []
    for file, text in texts("queries"):
        parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
        found += [(file, name, body) for name, body in zip(parts[1::2], parts[2::2], strict=True)]
    return found


def comment(text: str) -> str:
    """The comment lines at the head of a text, as one."""
    lines = []
    for line in text.strip().splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def strings(tree: ast.Module) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def assembled(tree: ast.Module) -> Iterator[int]:
    """Lines on which text that holds a statement is put together from parts."""
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr):
            parts = [value for value in node.values if isinstance(value, ast.Constant)]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
            parts = [node.left, node.right]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts = [node.func.value] if node.func.attr in ("format", "join", "format_map", "replace") else []
        told = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if any(STATEMENT.search(text) for text in told):
            yield node.lineno


def test_no_name_is_given_twice() -> None:
    names = [name for _, name, _ in named()]
    assert sorted(names) == sorted(set(names))


def test_every_query_that_python_names_exists() -> None:
    asked = {name for path in SOURCES.rglob("*.py") for name in CALL.findall(path.read_text("utf-8"))}
    assert len(asked) > 40
    assert asked <= {name for _, name, _ in named()}


def test_no_query_is_unused() -> None:
    said = set().union(*map(strings, trees().values()))
    assert [f"{file}: {name}" for file, name, _ in named() if name not in said] == []


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        query("no_such_query")


@pytest.mark.parametrize(("file", "name", "body"), named(), ids=lambda value: value if len(str(value)) < 40 else "")
def test_a_query_says_in_one_sentence_what_it_is_for(file: str, name: str, body: str) -> None:
    said = comment(body)
    assert re.fullmatch(r"[A-Z].+\.", said), f"{file}: {name}: {said!r}"
    assert not re.search(r"\.\s+[A-Z]", said), f"{file}: {name}: more than one sentence"


@pytest.mark.parametrize("folder", ["migrations", "queries", "views", "checks"])
def test_a_file_says_at_its_top_what_it_is_for(folder: str) -> None:
    for file, text in texts(folder):
        assert re.match(r"\w.+\.$", comment(text)), f"sql/{folder}/{file}"


def test_python_never_assembles_sql() -> None:
    found = [f"indexer/{file}:{line}" for file, tree in trees().items() for line in assembled(tree)]
    assert [place for place in found if place.split(":")[0].removeprefix("indexer/") not in ASSEMBLED_ON_PURPOSE] == []
    assert {place.split(":")[0].removeprefix("indexer/") for place in found} == ASSEMBLED_ON_PURPOSE


@pytest.mark.parametrize(
    "source",
    ['f"SELECT {x}"', '"SELECT " + x', '"DELETE FROM %s" % x', '"DROP TABLE {}".format(x)', '"UPDATE ".join(x)'],
)
def test_the_search_finds_each_way_of_assembling(source: str) -> None:
    assert list(assembled(ast.parse(source))) == [1]


def test_only_the_ledger_speaks_to_postgres() -> None:
    for file, tree in trees().items():
        modules = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert file.startswith("ledger/") or not any(module.startswith("asyncpg") for module in modules), file
