"""The commented settings file that `indexer init` writes."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from indexer.errors import BadInput
from indexer.settings import Settings

NAME = "indexer.toml"


def template() -> str:
    """Every setting as a comment with what holds without it, or an example where nothing does."""
    text = files("indexer.publish").joinpath(NAME).read_text("utf-8")
    return text.format(data_dir=json.dumps(str(Settings().data_dir), ensure_ascii=False))


def write_template(place: Path) -> Path:
    """Writes it to a new file, or to indexer.toml in a folder; the file. Raises BadInput where one is there already."""
    file = place / NAME if place.is_dir() else place
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(template())
    except FileExistsError:
        raise BadInput(
            f"{file}: is there already, and init never overwrites a file: edit it, or name another, such as "
            f"indexer init {file.with_name('other.toml')}."
        ) from None
    except OSError as fault:
        raise BadInput(f"{file}: cannot be written ({fault.strerror}): check its folder and permissions.") from None
    return file
