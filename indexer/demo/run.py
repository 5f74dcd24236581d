"""`indexer demo`: the packaged chain, served on loopback and indexed as any other."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
from importlib.resources import files
from pathlib import Path

from rich.console import Console

from indexer import app
from indexer.demo.server import demo_node
from indexer.demo.settings import demo_settings
from indexer.publish.report import protocol_table, show
from indexer.settings import Settings, load_settings
from indexer.watch.bar import shown

DATABASE = "demo"
QUESTION = "SELECT day, protocol, fees_usd, incentives_usd, real_share FROM yield_daily ORDER BY day, protocol"
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"  # where the demo chain has its own aggregate3


async def run_demo(settings: Settings, console: Console) -> None:
    """Indexes the demo chain, prints what each protocol earned and printed, and says where the rows are."""
    async with demo_node() as url:
        settings = with_chain(settings, [url])
        if settings.archive_place is not None:
            await asyncio.to_thread(shutil.rmtree, settings.archive_place, ignore_errors=True)  # anew, as the database
        known = demo_catalogue(settings)
        async with app.ledger(settings, DATABASE, fresh=True) as database:
            run, closed = app.Run(), asyncio.Event()
            with shown(run, console, until=closed):
                await app.up(settings, known, database, run, once=True, on_close=closed.set)
            show(console, await protocol_table(database, run.protocols))
    embedded = f"the embedded Postgres in {settings.data_dir}, database {DATABASE}"
    where = embedded if settings.database is None else "the database you gave"
    console.print(f"The rows are in {where}. Look at them with:", highlight=False, soft_wrap=True)
    console.print(
        f'  {_program()} sql {_place(settings)} "{QUESTION}"',
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def with_chain(settings: Settings, rpc: list[str]) -> Settings:
    """The settings with the demo chain alone, at these endpoints."""
    chain = {"rpc": rpc, "chain_id": 31337, "block_ms": 1_000_000, "multicall3": MULTICALL3}
    chains = load_settings(None, {"chains": {"demo": chain}}, environment=False).chains
    return settings.model_copy(update={"chains": chains})


def demo_catalogue(settings: Settings) -> app.Catalogue:
    """The protocols and tokens of the demo chain, which the settings must have."""
    folder = files("indexer.demo")
    manifests = [file for file in (folder / "protocols").iterdir() if file.name.endswith(".toml")]
    return app.catalogue(settings, sorted(manifests, key=lambda file: file.name), [folder / "tokens.toml"])


def _program() -> str:
    """How this program was called, so that the printed command works where it is not on the PATH."""
    called = sys.argv[0]
    return called if Path(called).name == "indexer" and shutil.which("indexer") != called else "indexer"


def _place(settings: Settings) -> str:
    """The options that lead `indexer sql` to the demo's rows; a database URL is a secret and not shown."""
    if settings.database is not None:
        return "--database URL"
    elsewhere = settings.data_dir != demo_settings({}).data_dir
    return f"--demo --data-dir {shlex.quote(str(settings.data_dir))}" if elsewhere else "--demo"
