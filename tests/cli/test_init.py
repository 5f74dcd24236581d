"""`indexer init`: a settings file that explains every setting, cannot go stale and never takes another's place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from indexer.publish.template import template
from indexer.settings import ChainSettings, RpcSettings, Settings, load_settings
from tests.cli.calls import called, told

SETTING = re.compile(r"^#(\[[\w.]+\]|\w+ = .*)$", re.MULTILINE)


def uncommented(text: str) -> str:
    """The file with every # taken away from the settings; what explains stays a comment."""
    return SETTING.sub(lambda match: match[1], text)


def inner(annotation: Any) -> Iterator[type[BaseModel]]:
    """The shapes that a field's type speaks of, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from inner(part)


def fields(shape: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that may be written, dotted without the names of chains, with its field."""
    for name, field in shape.model_fields.items():
        key = f"{above}{field.alias if field.alias is not None else name}"
        shapes = list(inner(field.annotation))
        if not shapes:
            yield key, field
        for one in shapes:
            yield from fields(one, f"{key}.")


def written(value: Any, *parts: str) -> Iterator[tuple[str, Any]]:
    """Every key of a read file, in the same way."""
    if isinstance(value, dict) and parts[-1:] != ("headers",):
        for name, item in value.items():
            yield from written(item, *parts, name)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from written(item, *parts)
    else:
        yield ".".join(part for at, part in enumerate(parts) if at != 1 or parts[0] != "chains"), value


def test_every_setting_is_in_it_and_nothing_else() -> None:
    known = {key for key, _ in fields(Settings)}
    found = {key for key, _ in written(tomllib.loads(uncommented(template())))}
    assert {"database", "chains.rpc.requests_per_second", "chains.block_ms", "prices.depeg_ppm"} <= known
    plain_endpoint = {"chains.rpc"}  # a URL stands for a table with nothing else
    assert found - plain_endpoint == known


def test_what_it_shows_is_what_holds_without_it() -> None:
    """Whoever takes a # away changes nothing, but for what is shown as an example and says what holds when left out."""
    shown = dict(written(tomllib.loads(uncommented(template()))))
    bare = Settings()
    for key, field in fields(Settings):
        value: Any = bare
        if key.startswith("chains."):
            value = field.get_default()
            if key == "chains.rpc.timeout_s":
                assert shown[key] == value == 30
                continue
        else:
            for part in key.split("."):
                value = getattr(value, "start" if part == "from" else part)
        if value in (None, (), {}) and shown[key] != []:
            assert "left out" in explained(key) or "none by default" in explained(key), key
        elif key.startswith("chains."):
            assert not field.is_required() or key == "chains.rpc.url"
        else:
            assert str(shown[key]) == str(list(value) if isinstance(value, tuple) else value), key


def explained(key: str) -> str:
    """The sentences above a setting."""
    name = "rpc" if key.startswith("chains.rpc.") else key.rsplit(".", maxsplit=1)[-1]
    lines = template().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f"#{name} = "))
    above = []
    while at and lines[at - 1].startswith("# "):
        at -= 1
        above.insert(0, lines[at][2:])
    return " ".join(above)


@pytest.mark.parametrize("key", sorted(key for key, _ in fields(Settings) if not key.startswith("chains.rpc.")))
def test_a_sentence_stands_above_each(key: str) -> None:
    assert re.fullmatch(r"[A-Z].{15,}\.", explained(key)), key


def test_the_shapes_are_found() -> None:
    """The walk over the settings' types sees nested tables."""
    assert {RpcSettings, ChainSettings} <= {
        shape
        for one in (Settings, ChainSettings)
        for field in one.model_fields.values()
        for shape in inner(field.annotation)
    }


def test_as_it_is_and_with_all_settings_it_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "indexer.toml"
    file.write_text(template())
    assert load_settings(file, {}, environment=False) == Settings()
    file.write_text(uncommented(template()))
    loaded = load_settings(file, {}, environment=False)
    assert set(loaded.chains) == {"ethereum", "mychain"}
    assert loaded.chains["ethereum"].rpc[1].requests_per_second == 5


def test_it_writes_the_file_once(tmp_path: Path) -> None:
    first = called("init", folder=tmp_path)
    assert (first.exit_code, first.stderr) == (0, "")
    assert "indexer.toml is written: every setting is in it as a comment." in first.stdout
    file = tmp_path / "indexer.toml"
    assert file.read_text() == template()
    file.write_text("mine")
    again = called("init", folder=tmp_path)
    assert again.exit_code == 2
    assert told(again) == (
        "indexer: indexer.toml: is there already, and init never overwrites a file: edit it, or name another, such as "
        "indexer init other.toml."
    )
    assert file.read_text() == "mine"


def test_a_folder_gets_the_usual_name_and_a_file_its_own(tmp_path: Path) -> None:
    assert called("init", str(tmp_path)).exit_code == 0
    assert called("init", str(tmp_path / "other.toml")).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["indexer.toml", "other.toml"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    place = tmp_path / "nowhere" / "indexer.toml"
    result = called("init", str(place))
    assert result.exit_code == 2
    assert told(result) == (
        f"indexer: {place}: cannot be written (No such file or directory): check its folder and permissions."
    )
