"""Verbs that tell how things stand: status, protocols."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer

from indexer import watch
from indexer.cli import completing
from indexer.cli.command import cli
from indexer.cli.options import ConfigOption, DatabaseOption, DataDirOption, DemoOption, JsonOption, given, settings
from indexer.cli.running import run, width
from indexer.errors import BadInput, DatabaseUnusable
from indexer.ledger.checking import Outcome, run_checks
from indexer.ledger.standing import Row, held_spans, standing
from indexer.publish.sheet import as_json, as_text, object_json
from indexer.publish.status import checks_sheet, checks_text, status_sheets
from indexer.settings import Settings
from indexer.storage import existing

PATIENCE = 60  # seconds a check may take


@cli.command()
def status(
    json_wanted: JsonOption = False,
    patience: Annotated[
        int, typer.Option("--patience", min=0, help="Seconds each check of the ledger may take; 0: none is run.")
    ] = PATIENCE,
    of_demo: DemoOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Say how far the ledger is, and whether its checks hold."""
    watch.configure()
    chosen = settings(config, given(database=database, data_dir=data_dir), of_demo=of_demo)
    run(_status(chosen, "demo" if of_demo else "indexer", patience, as_json_wanted=json_wanted))


@cli.command()
def protocols(
    name: Annotated[
        str | None, typer.Argument(help="One of them, for all its facts.", autocompletion=completing.protocols)
    ] = None,
    json_wanted: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Say what can be indexed. Needs no database and no endpoint; with a ledger it says what that holds."""
    watch.configure()
    run(_protocols(settings(config, given(database=database, data_dir=data_dir)), name, as_json_wanted=json_wanted))


async def _status(chosen: Settings, name: str, patience: int, *, as_json_wanted: bool) -> None:
    async with existing(chosen, name) as database:
        sheets = status_sheets(await standing(database), datetime.now(UTC))
        checks = await run_checks(database, patience) if patience else []
    if as_json_wanted:
        print(as_json([*sheets, checks_sheet(checks)]))
    else:
        parts = [as_text(sheets, width()), checks_text(checks) if checks else ""]
        print("\n\n".join(part for part in parts if part))
    if any(one.outcome is Outcome.FAILS for one in checks):
        raise SystemExit(1)


async def _protocols(chosen: Settings, name: str | None, *, as_json_wanted: bool) -> None:
    from indexer import app
    from indexer.publish.listing import details, details_text, listing, without_feeds

    known = app.catalogue(chosen).protocols
    if name is not None and name not in known:
        raise BadInput(f"{name}: no such protocol{app.meant(name, known)}")
    held = await _held(chosen)
    if name is None:
        sheet = listing(known.values(), held)
        print(as_json([sheet]) if as_json_wanted else as_text([without_feeds(sheet)], width()))
    else:
        told = details(known[name], held)
        print(object_json(told) if as_json_wanted else details_text(told, width()))


async def _held(chosen: Settings) -> Mapping[str, Row]:
    """What the ledger holds of each deployment; nothing where there is no ledger to ask."""
    try:
        async with existing(chosen) as database:
            return await held_spans(database)
    except DatabaseUnusable:
        return {}
