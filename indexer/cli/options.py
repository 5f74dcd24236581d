"""Options that several verbs share, and how they become settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from indexer.cli import completing
from indexer.cli.running import fail
from indexer.demo.settings import demo_settings
from indexer.errors import IndexerError
from indexer.settings import Settings, load_settings

SETTINGS_FILE = Path("indexer.toml")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file; indexer.toml here, if there is one.")
]
DatabaseOption = Annotated[str | None, typer.Option("--database", help="postgresql://... instead of the embedded one.")]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Folder of the embedded Postgres.")]
RpcOption = Annotated[
    list[str] | None,
    typer.Option("--rpc", help="CHAIN=URL; may be repeated.", autocompletion=completing.endpoints),
]
ProtocolOption = Annotated[
    list[str] | None,
    typer.Option("--protocol", help="Protocol to index; may be repeated.", autocompletion=completing.protocols),
]
FromOption = Annotated[str | None, typer.Option("--from", help="Block, UTC date, or time ago such as 7d.")]
ToOption = Annotated[str | None, typer.Option("--to", help="The same; the last final block if left out.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Log what happens.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DemoOption = Annotated[bool, typer.Option("--demo", help="Ask the demo's database.")]


def given(**values: object) -> dict[str, Any]:
    """The options that were written, named as settings."""
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def chains(written: list[str] | None) -> dict[str, dict[str, list[str]]]:
    """The table `[chains]` of what was written as --rpc CHAIN=URL."""
    table: dict[str, dict[str, list[str]]] = {}
    for item in written or []:
        name, equals, url = item.partition("=")
        if not equals or not name or "://" in name:
            raise typer.BadParameter("write --rpc CHAIN=URL, such as --rpc ethereum=http://localhost:8545")
        table.setdefault(name, {"rpc": []})["rpc"].append(url)
    return table


def settings(config: Path | None, values: dict[str, Any], *, of_demo: bool = False) -> Settings:
    """Settings of this call; a mistake in them ends the command with its sentence."""
    try:
        return demo_settings(values) if of_demo else read(config, values)
    except IndexerError as error:
        fail(error)


def read(config: Path | None, values: dict[str, Any]) -> Settings:
    """Settings of the file given, or of indexer.toml here if there is one. Raises BadInput."""
    return load_settings(config if config is not None else SETTINGS_FILE if SETTINGS_FILE.exists() else None, values)
