"""The `indexer` command: verbs only. Each module here holds a group of verbs; importing it adds them to `cli`."""

from __future__ import annotations

from indexer.cli import asking, explaining, exporting, pricing, reading, remaking, starting, telling
from indexer.cli.command import cli

__all__ = ["asking", "cli", "explaining", "exporting", "main", "pricing", "reading", "remaking", "starting", "telling"]


def main() -> None:
    """Entry point of the console script."""
    cli()
