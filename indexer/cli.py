"""The `indexer` command: verbs only."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from indexer import app, watch
from indexer.demo.run import demo_settings, run_demo
from indexer.errors import IndexerError, Refuse
from indexer.ledger.reading import ask
from indexer.publish.report import protocol_table
from indexer.publish.rows import FORMATS
from indexer.settings import Settings, load_settings
from indexer.watch.bar import shown

SETTINGS_FILE = Path("indexer.toml")

cli = typer.Typer(
    help="Every fee and every emission, read from the chain, in your Postgres.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)
if not console.is_terminal:
    console = Console(stderr=True, width=120)  # a file or a pipe has no width to keep to

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file; indexer.toml here, if there is one.")
]
DatabaseOption = Annotated[str | None, typer.Option("--database", help="postgresql://... instead of the embedded one.")]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Folder of the embedded Postgres.")]


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@cli.command()
def demo(
    data_dir: DataDirOption = None,
    database: DatabaseOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what happens.")] = False,
) -> None:
    """Index the packaged demo chain, offline, through the same code as any chain."""
    watch.configure(verbose)
    settings = demo_settings(_given(data_dir=data_dir, database=database))
    _run(run_demo(settings, console))


@cli.command()
def up(
    rpc: Annotated[list[str] | None, typer.Option("--rpc", help="CHAIN=URL; may be repeated.")] = None,
    protocol: Annotated[
        list[str] | None, typer.Option("--protocol", help="Protocol to index; may be repeated.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="Block, UTC date, or time ago such as 7d.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="The same; the last final block if left out.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when the history is read.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what happens.")] = False,
) -> None:
    """Read final history into the ledger, close days, refresh yield_daily, and go on with new blocks."""
    watch.configure(verbose)
    values = _given(
        protocols=protocol, start=start, to=to, database=database, data_dir=data_dir, chains=_chains(rpc or [])
    )
    _run(_up(_settings(config, values), once))


@cli.command()
def sql(
    statement: Annotated[str, typer.Argument(help="What to ask, such as 'SELECT * FROM yield_daily'.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    of_demo: Annotated[bool, typer.Option("--demo", help="Ask the demo's database.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Run one SQL statement and print its rows."""
    watch.configure()
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    style = Format.JSON if as_json else Format.CSV if as_csv else Format.TABLE
    given = _given(database=database, data_dir=data_dir)
    settings = demo_settings(given) if of_demo else _settings(config, given)
    _run(_sql(settings, statement, style, "demo" if of_demo else "indexer"))


def main() -> None:
    """Entry point of the console script."""
    cli()


async def _up(settings: Settings, once: bool) -> None:
    known = app.catalogue(settings)
    app.wanted(settings, known)  # mistakes are told before a database is started
    run = app.Run()
    async with app.ledger(settings) as database:
        closed = asyncio.Event()
        with shown(run, console, until=closed):
            task = asyncio.create_task(app.up(settings, known, database, run, once=once, on_close=closed.set))
            try:
                await asyncio.wait({task, asyncio.create_task(closed.wait())}, return_when=asyncio.FIRST_COMPLETED)
                if closed.is_set():
                    console.print(await protocol_table(database, run.protocols))
                if closed.is_set() and not once and settings.to is None:
                    console.print("Going on with blocks as they become final; Ctrl-C stops it.")
                await task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)  # gives its ranges back while the database is open


async def _sql(settings: Settings, statement: str, style: Format, name: str) -> None:
    async with app.ledger(settings, name) as database:
        print(FORMATS[style](await ask(database, statement)))


def _settings(config: Path | None, values: dict[str, Any]) -> Settings:
    try:
        return load_settings(
            config if config is not None else SETTINGS_FILE if SETTINGS_FILE.exists() else None, values
        )
    except IndexerError as error:
        _fail(error)


def _given(**values: object) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def _chains(written: list[str]) -> dict[str, dict[str, list[str]]]:
    chains: dict[str, dict[str, list[str]]] = {}
    for item in written:
        name, equals, url = item.partition("=")
        if not equals or not name or "://" in name:
            raise typer.BadParameter("write --rpc CHAIN=URL, such as --rpc ethereum=http://localhost:8545")
        chains.setdefault(name, {"rpc": []})["rpc"].append(url)
    return chains


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a verb; an error becomes its sentence and its exit code, an interrupt ends with 130."""
    gc.set_threshold(200_000, 50, 50)  # millions of short-lived log objects, none of them in cycles
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_ended_by_sigterm(work))
    except KeyboardInterrupt:
        console.print("Stopped; what was committed stays, the next run continues.")
        raise SystemExit(130) from None
    except IndexerError as error:
        _fail(error)


async def _ended_by_sigterm(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await work
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _fail(error: IndexerError) -> NoReturn:
    style = "red" if console.is_terminal else None
    console.print(f"indexer: {error}", style=style, markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(error.exit_code if isinstance(error, Refuse) else 1) from None
