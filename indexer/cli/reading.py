"""Verbs that read a chain into the ledger: demo, up."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from indexer import storage, watch
from indexer.cli.command import cli
from indexer.cli.options import (
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    FromOption,
    ProtocolOption,
    RpcOption,
    ToOption,
    VerboseOption,
    chains,
    given,
    settings,
)
from indexer.cli.running import console, run
from indexer.publish.cost import cost_line
from indexer.publish.report import protocol_table, show
from indexer.settings import Settings
from indexer.watch.bar import shown
from indexer.work.progress import Estimate

if TYPE_CHECKING:
    from indexer.workers import Workers


@cli.command()
def demo(data_dir: DataDirOption = None, database: DatabaseOption = None, verbose: VerboseOption = False) -> None:
    """Index the packaged demo chain, offline, through the same code as any chain."""
    from indexer.demo.run import run_demo  # what speaks to nodes takes long to import

    watch.configure(verbose)
    run(run_demo(settings(None, given(data_dir=data_dir, database=database), of_demo=True), console))


@cli.command()
def up(
    rpc: RpcOption = None,
    protocol: ProtocolOption = None,
    start: FromOption = None,
    to: ToOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes that read side by side; 1 if left out.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when the history is read.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Read final history into the ledger, close days, refresh yield_daily, and go on with new blocks."""
    watch.configure(verbose)
    values = given(protocols=protocol, start=start, to=to, database=database, data_dir=data_dir, chains=chains(rpc))
    chosen = settings(config, values | given(workers=workers))
    run(_up(chosen, once, helping(chosen)))


def helping(chosen: Settings) -> Workers:
    """The reading processes that the settings ask for besides this one, which has nothing open yet."""
    from indexer.workers import Workers

    return Workers(chosen.workers - 1)


async def _up(chosen: Settings, once: bool, workers: Workers) -> None:
    from indexer import app

    known = app.catalogue(chosen)
    app.wanted(chosen, known)  # mistakes are told before a database is started
    state = app.Run(tell=_tell)
    async with storage.place(chosen) as url, storage.opened(url) as database, workers.reading(chosen, url, state):
        closed = asyncio.Event()
        with shown(state, console, until=closed):
            task = asyncio.create_task(app.up(chosen, known, database, state, once=once, on_close=closed.set))
            try:
                await asyncio.wait({task, asyncio.create_task(closed.wait())}, return_when=asyncio.FIRST_COMPLETED)
                if closed.is_set():
                    await workers.end()
                    show(console, await protocol_table(database, state.protocols))
                if closed.is_set() and not once and chosen.to is None:
                    console.print("Going on with blocks as they become final; Ctrl-C stops it.")
                await task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)  # gives its ranges back while the database is open


def _tell(cost: Estimate) -> None:
    console.print(f"About to read {cost_line(asdict(cost))}.", markup=False, highlight=False, soft_wrap=True)
