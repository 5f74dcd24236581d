"""Verbs that write files: export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from indexer import storage, watch
from indexer.cli.command import cli
from indexer.cli.options import ConfigOption, DatabaseOption, DataDirOption, DemoOption, JsonOption, given, settings
from indexer.cli.running import run
from indexer.settings import Settings


@cli.command()
def export(
    asked: Annotated[
        str, typer.Argument(metavar="TABLE|QUERY", help="A table, a view, or a statement that begins with SELECT.")
    ],
    to: Annotated[Path, typer.Option("--to", help="The file: its name ends in .parquet or .csv.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonOption = False,
    of_demo: DemoOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write a table, a view or a query's answer to a Parquet or CSV file."""
    watch.configure()
    chosen = settings(config, given(database=database, data_dir=data_dir), of_demo=of_demo)
    run(_written(chosen, "demo" if of_demo else "indexer", asked, to, force=force, as_json=as_json))


async def _written(chosen: Settings, name: str, asked: str, to: Path, *, force: bool, as_json: bool) -> None:
    from indexer.publish.export import check_place, export  # pyarrow takes long to import

    check_place(to, force=force)  # told before a database is started
    async with storage.existing(chosen, name) as database:
        written = await export(database, asked, to, force=force)
    if as_json:
        print(msgspec.json.encode(asdict(written)).decode())
    else:
        print(f"{written.rows:,} rows are in {written.file} ({written.octets:,} octets).")
