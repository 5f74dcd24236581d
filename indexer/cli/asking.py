"""Verbs that ask the ledger: sql."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from indexer import storage, watch
from indexer.cli.command import cli
from indexer.cli.options import ConfigOption, DatabaseOption, DataDirOption, DemoOption, given, settings
from indexer.cli.running import run
from indexer.ledger.psql import psql
from indexer.ledger.reading import ask
from indexer.publish.rows import FORMATS
from indexer.settings import Settings


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@cli.command()
def sql(
    statement: Annotated[
        str | None, typer.Argument(help="What to run, such as 'SELECT * FROM yield_daily'; without it psql opens.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    of_demo: DemoOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Run one SQL statement and print its rows, or open psql on the database."""
    watch.configure()
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    if statement is None and (as_json or as_csv):
        raise typer.BadParameter("--json and --csv are for a statement: write one")
    style = Format.JSON if as_json else Format.CSV if as_csv else Format.TABLE
    chosen = settings(config, given(database=database, data_dir=data_dir), of_demo=of_demo)
    name = "demo" if of_demo else "indexer"
    run(_psql(chosen, name) if statement is None else _sql(chosen, statement, style, name))


async def _sql(chosen: Settings, statement: str, style: Format, name: str) -> None:
    async with storage.ledger(chosen, name) as database:
        print(FORMATS[style](await ask(database, statement)))


async def _psql(chosen: Settings, name: str) -> None:
    async with storage.place(chosen, name) as url:
        async with storage.opened(url):
            pass  # checked and migrated before somebody looks at it
        code = await psql(url, embedded=chosen.database is None)
    if code:
        raise SystemExit(code)
