"""Verbs that say where a number comes from: explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from indexer import storage, watch
from indexer.cli import completing
from indexer.cli.command import cli
from indexer.cli.options import ConfigOption, DatabaseOption, DataDirOption, DemoOption, JsonOption, given, settings
from indexer.cli.running import run
from indexer.publish.branches import as_json as to_json
from indexer.publish.branches import as_tree
from indexer.settings import Settings

if TYPE_CHECKING:
    from indexer.ledger.connect import Database
    from indexer.model import Flows

_WIDE = 10_000  # columns: a hash that is broken up cannot be copied


def _metrics(incomplete: str) -> list[str]:
    from indexer.publish.terms import TERMS

    names = (name.removesuffix("_usd") for name in TERMS)
    return [name for name in names if name.startswith(incomplete)]


@cli.command()
def explain(
    protocol: Annotated[
        str, typer.Argument(help="A protocol, as yield_daily names it.", autocompletion=completing.protocols)
    ],
    day: Annotated[str, typer.Argument(help="A closed UTC day, such as 2026-01-31.")],
    metric: Annotated[
        str,
        typer.Option("--metric", help="A dollar column of yield_daily: fees, revenue, ...", autocompletion=_metrics),
    ] = "fees",
    chain: Annotated[
        str | None,
        typer.Option(
            "--chain", help="One chain; all that the protocol is on if left out.", autocompletion=completing.chains
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Sums a deployment and flows a sum to list; totals are of all.")
    ] = 5,
    json_wanted: JsonOption = False,
    of_demo: DemoOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Walk a figure down to prices, flows, transactions and logs."""
    watch.configure()
    chosen = settings(config, given(database=database, data_dir=data_dir), of_demo=of_demo)
    name = "demo" if of_demo else "indexer"
    run(_explain(chosen, name, _Asked(protocol, day, metric, chain, limit), as_json=json_wanted))


@dataclass(frozen=True, slots=True)
class _Asked:
    protocol: str
    day: str
    metric: str
    chain: str | None
    limit: int


async def _explain(chosen: Settings, name: str, asked: _Asked, *, as_json: bool) -> None:
    from indexer.publish.explain import explain as explained  # numpy takes long to import
    from indexer.publish.explain import parse_day

    day = parse_day(asked.day)  # a mistake in it is told before a database is started
    async with storage.existing(chosen, name) as database:
        trees = await explained(
            database,
            asked.protocol,
            day,
            asked.metric,
            chain=asked.chain,
            limit=asked.limit,
            rederived=partial(_rederived, chosen, name, database),
        )
    if as_json:
        print(to_json(trees))
        return
    out = Console(width=_WIDE, highlight=False)
    for tree in trees:
        out.print(as_tree(tree))


async def _rederived(chosen: Settings, name: str, database: Database, deployment: str, day: date) -> Sequence[Flows]:
    from indexer.cli.remaking import offered
    from indexer.reclassify import rederived  # what speaks to nodes takes long to import

    chosen, known = offered(chosen, name)
    return await rederived(chosen, known, database, deployment, day)
