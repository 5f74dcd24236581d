"""Verbs about prices: prices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from indexer import storage, watch
from indexer.cli import completing
from indexer.cli.command import cli
from indexer.cli.options import ConfigOption, DatabaseOption, DataDirOption, DemoOption, JsonOption, given, settings
from indexer.cli.running import console, run
from indexer.publish.rows import FORMATS
from indexer.settings import Settings


@cli.command()
def prices(
    token: Annotated[str | None, typer.Argument(help="An address, or a symbol as its contract writes it.")] = None,
    day: Annotated[str | None, typer.Option("--day", help="A closed UTC day; the newest if left out.")] = None,
    chain: Annotated[
        str | None, typer.Option("--chain", help="One chain; any if left out.", autocompletion=completing.chains)
    ] = None,
    load: Annotated[
        Path | None,
        typer.Option("--load", help="First load this CSV or Parquet file: chain, token, day, usd, source."),
    ] = None,
    json_wanted: JsonOption = False,
    of_demo: DemoOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Say what is claimed of a token's price and why it is believed or not; or load prices of your own."""
    watch.configure()
    if token is None and load is None:
        raise typer.BadParameter("name a token, or give --load FILE")
    chosen = settings(config, given(database=database, data_dir=data_dir), of_demo=of_demo)
    name = "demo" if of_demo else "indexer"
    run(_prices(chosen, name, load, None if token is None else (token, chain, day), "json" if json_wanted else "table"))


async def _prices(
    chosen: Settings, name: str, load: Path | None, asked: tuple[str, str | None, str | None] | None, style: str
) -> None:
    from indexer.publish.explain import parse_day  # numpy takes long to import
    from indexer.publish.prices import price_claims
    from indexer.work.prices import load_prices

    async with storage.existing(chosen, name) as database:
        if load is not None:
            count = await load_prices(database, load)
            console.print(f"{load.name}: {count:,} prices loaded, the days they touch valued again.", highlight=False)
        if asked is not None:
            token, chain, day = asked
            when = None if day is None else parse_day(day)
            print(FORMATS[style](await price_claims(database, token, chain, when)))
