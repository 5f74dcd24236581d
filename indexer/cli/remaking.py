"""Verbs about figures that are made again: reclassify, restatements."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from indexer import storage, watch
from indexer.cli import completing
from indexer.cli.command import cli
from indexer.cli.options import (
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    DemoOption,
    JsonOption,
    RpcOption,
    VerboseOption,
    chains,
    given,
    settings,
)
from indexer.cli.running import console, run
from indexer.publish.restatements import restatements as restated
from indexer.publish.rows import FORMATS
from indexer.settings import Settings
from indexer.watch.bar import shown

if TYPE_CHECKING:
    from indexer.app import Catalogue


@cli.command()
def reclassify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROTOCOL]...", help="Whose flows; all that changed if none.", autocompletion=completing.protocols
        ),
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Ask endpoints for what the archive lacks, and that only.")] = (
        False
    ),
    everything: Annotated[bool, typer.Option("--all", help="All protocols, changed or not.")] = False,
    rpc: RpcOption = None,
    of_demo: DemoOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Make flows again from the archive, by the rules that are in force now, without a request."""
    watch.configure(verbose)
    values = given(database=database, data_dir=data_dir, chains=chains(rpc))
    chosen = settings(config, values, of_demo=of_demo)
    name = "demo" if of_demo else "indexer"
    run(_reclassify(chosen, name, tuple(names or ()), fetch=fetch, everything=everything))


@cli.command()
def restatements(
    protocol: Annotated[
        str | None, typer.Argument(help="One protocol; all if left out.", autocompletion=completing.protocols)
    ] = None,
    json_wanted: JsonOption = False,
    of_demo: DemoOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Say which figures of closed days changed when they were made again, and why."""
    watch.configure()
    chosen = settings(config, given(database=database, data_dir=data_dir), of_demo=of_demo)
    run(_restatements(chosen, "demo" if of_demo else "indexer", protocol, "json" if json_wanted else "table"))


def offered(chosen: Settings, name: str) -> tuple[Settings, Catalogue]:
    """The settings and all that may be indexed with them; of the demo its own chain and protocols."""
    from indexer import app  # what speaks to nodes takes long to import
    from indexer.demo.run import demo_catalogue, with_chain

    if name != "demo":
        return chosen, app.catalogue(chosen)
    chosen = with_chain(chosen, [])
    return chosen, demo_catalogue(chosen)


async def _reclassify(chosen: Settings, name: str, names: tuple[str, ...], *, fetch: bool, everything: bool) -> None:
    from indexer.app import Run
    from indexer.reclassify import reclassify as made_again

    chosen, known = offered(chosen, name)
    state = Run()
    async with storage.ledger(chosen, name) as database:
        with shown(state, console, until=asyncio.Event()):
            done = await made_again(chosen, known, database, state, names, fetch=fetch, everything=everything)
    if not done.deployments:
        console.print("Nothing has changed: every deployment was read by the rules that are in force.")
        return
    console.print(
        f"Made again: {', '.join(sorted(done.deployments))}; {len(done.days):,} days valued, "
        f"{state.requests:,} requests.",
        highlight=False,
        soft_wrap=True,
    )
    console.print("indexer restatements says which figures changed.", highlight=False)


async def _restatements(chosen: Settings, name: str, protocol: str | None, style: str) -> None:
    async with storage.existing(chosen, name) as database:
        print(FORMATS[style](await restated(database, protocol)))
