"""Verbs for before a run: init, check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from indexer import watch
from indexer.cli.command import cli
from indexer.cli.options import (
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    FromOption,
    JsonOption,
    ProtocolOption,
    RpcOption,
    ToOption,
    VerboseOption,
    chains,
    given,
    read,
)
from indexer.cli.running import fail, run, width
from indexer.errors import BadInput, IndexerError
from indexer.publish.cost import cost_sheet
from indexer.publish.findings import findings_sheet, findings_text
from indexer.publish.sheet import Row, as_json, as_text
from indexer.publish.template import NAME, write_template


@cli.command()
def init(path: Annotated[Path, typer.Argument(help="A new file, or the folder for it.")] = Path(NAME)) -> None:
    """Write a settings file in which every setting is explained. It never overwrites one."""
    try:
        file = write_template(path)
    except IndexerError as error:
        fail(error)
    print(f"{file} is written: every setting is in it as a comment. Give it an endpoint, then run indexer check.")


@cli.command()
def check(
    rpc: RpcOption = None,
    protocol: ProtocolOption = None,
    start: FromOption = None,
    to: ToOption = None,
    json_wanted: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Say whether a run would work, and what it will cost.

    Looks at settings, manifests, database and endpoints, and tells every problem. Nothing is indexed.
    """
    watch.configure(verbose)
    values = given(protocols=protocol, start=start, to=to, database=database, data_dir=data_dir, chains=chains(rpc))
    run(_check(config, values, as_json_wanted=json_wanted))


async def _check(config: Path | None, values: dict[str, Any], *, as_json_wanted: bool) -> None:
    from indexer.survey import survey

    try:
        found = await survey(read(config, values))
        findings, costs, code = (
            [asdict(one) for one in found.findings],
            [asdict(one) for one in found.costs],
            found.code,
        )
    except BadInput as fault:
        code, costs = fault.exit_code, []
        findings = [
            {"subject": "settings", "about": "", "state": "wrong", "says": problem, "code": code}
            for problem in fault.problems
        ]
    if as_json_wanted:
        print(as_json([findings_sheet(findings), cost_sheet(costs)]))
    else:
        print(_told(findings, costs))
    if code:
        raise SystemExit(code)


def _told(findings: Sequence[Row], costs: Sequence[Row]) -> str:
    wrong = sum(one["state"] == "wrong" for one in findings)
    verdict = {0: "All is well.", 1: "1 problem."}.get(wrong, f"{wrong} problems.")
    parts = [findings_text(findings, width()), as_text([cost_sheet(costs)], width()), verdict]
    return "\n\n".join(part for part in parts if part)
