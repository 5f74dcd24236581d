"""Code blocks of Markdown files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Block(NamedTuple):
    """A fenced code block: the heading it stands under, its language and its text."""

    heading: str
    language: str
    text: str


def blocks(file: Path, language: str) -> list[Block]:
    """The blocks of a language in a file, in order."""
    found, heading = [], ""
    for match in re.finditer(r"^(#+ [^\n]*)$|^```(\w+)\n(.*?)^```$", file.read_text(), re.MULTILINE | re.DOTALL):
        if match[1]:
            heading = match[1].lstrip("# ")
        elif match[2] == language:
            found.append(Block(heading, match[2], match[3]))
    return found
