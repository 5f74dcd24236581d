"""The demo's farm described in TOML alone, without its family: the same flows, from logs of real bytecode."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest

from indexer import app
from indexer.demo.run import MULTICALL3, demo_settings
from indexer.demo.server import demo_node
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.settings import load_settings
from tests.golden.demo import ask, indexed_demo
from tests.golden.recorded import FOLDER

FLOWS = (
    "SELECT block_number, log_index, leg, kind::text, source::text, side::text, basis::text, tx_hash, contract, token, "
    "amount::text FROM flow WHERE deployment = ANY ($1::text[]) ORDER BY block_number, log_index, contract"
)
MANIFEST = """
[protocol]
id = "own"
name = "A farm"
category = "farm"
methodology = "What the chef mints to itself, and what the harvester pays."
[[deployment]]
chain = "demo"
name = "mints"
family = "erc20_flows"
start_block = {start}
exactness = "exact"
contracts.tokens = "{token}"
counts.incentive = "accrued"
sources.start_block = "As in the demo's manifest."
sources.tokens = "As in the demo's manifest."
[[deployment.options.transfer]]
from = "mint"
to = "{chef}"
kind = "incentive"
source = "liquidity_mining"
side = "supply"
basis = "accrued"
why = "The chef mints what farmers have earned."
[[deployment]]
chain = "demo"
name = "harvests"
family = "events"
start_block = {start}
exactness = "exact"
contracts.emitters = {harvesters}
counts.incentive = "paid"
sources.start_block = "As in the demo's manifest."
sources.emitters = "As in the demo's manifest."
[[deployment.options.event]]
event = "Harvest(address indexed user, uint256 indexed pid, uint256 amount)"
amount = "amount"
token = "{token}"
kind = "incentive"
source = "liquidity_mining"
side = "supply"
basis = "paid"
why = "The harvester pays farmers."
"""


def farm() -> dict[str, Any]:
    """The deployment of the packaged demo that a family describes."""
    table = tomllib.loads((FOLDER / "protocols" / "demo_farm.toml").read_text())
    (chef,) = (one for one in table["deployment"] if one["family"] == "masterchef")
    return {"start": chef["start_block"], **chef["contracts"]}


async def index(url: str, manifest: Path) -> None:
    async with demo_node() as node:
        chain = {"rpc": [node], "chain_id": 31337, "block_ms": 1_000_000, "multicall3": MULTICALL3}
        chains = load_settings(None, {"chains": {"demo": chain}}, environment=False).chains
        settings = demo_settings({"database": url}).model_copy(update={"chains": chains})
        known = app.catalogue(settings, [manifest])
        async with app.ledger(settings) as database:
            await app.up(settings, known, database, app.Run(), once=True, on_close=lambda: None)


@pytest.fixture
def own(server: EmbeddedPostgres, url: str, tmp_path: Path) -> str:
    """A database that holds what the manifest above makes of the demo chain."""
    facts = farm()
    file = tmp_path / "own.toml"
    file.write_text(MANIFEST.format(**facts | {"harvesters": str(facts["harvesters"]).replace("'", '"')}))
    asyncio.run(index(url, file))
    return url


def test_a_farm_in_toml_alone_makes_the_flows_of_its_family(own: str, server: EmbeddedPostgres) -> None:
    """Mints as labelled transfers and harvests as a plain event: row for row what the family masterchef books."""
    by_family = ask(indexed_demo(server), FLOWS, ["demo_farm.demo.chef"])
    by_rules = ask(own, FLOWS, ["own.demo.mints", "own.demo.harvests"])
    assert {row["basis"] for row in by_family} == {"accrued", "paid"}
    assert by_rules == by_family


def test_its_days_are_valued_as_any(own: str) -> None:
    """Days, sums and symbols come out of the same views."""
    (row,) = ask(
        own,
        "SELECT count(*) FILTER (WHERE flows > 0) AS days, bool_and(blocks_held = blocks) AS whole FROM deployment_day "
        "WHERE deployment = 'own.demo.mints'",
    )
    assert row["days"] > 7
    assert row["whole"]
    assert ask(own, "SELECT DISTINCT symbol FROM flow_usd") == [{"symbol": "FARM"}]
