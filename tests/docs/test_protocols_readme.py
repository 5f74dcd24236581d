"""indexer/protocols/README.md: every option is told, and its complete file of one's own becomes flows in Postgres."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from indexer.chain.chains import load_chains
from indexer.documents import Document
from indexer.families import FAMILIES
from indexer.ledger.connect import Database
from indexer.ledger.registry import register
from indexer.manifest import Protocol, load_protocols
from indexer.model import Span
from indexer.work.backfill import backfill
from indexer.work.progress import Progress
from tests.docs.blocks import ROOT, blocks
from tests.work.world import DECIMALS, ETHEREUM, HEAD, SYMBOL, TRADER, World, group_over, word

README = ROOT / "indexer" / "protocols" / "README.md"
OWN = "Flows of your own, in TOML alone"
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
CLAIMED = "Claimed(address indexed recipient, uint256 amount, uint256 claim_epoch, uint256 max_epoch)"
CRV, CRVUSD, DISTRIBUTOR = (
    bytes.fromhex(digits)
    for digits in (
        "D533a949740bb3306d119CC777fa900bA034cd52",
        "f939E0A03FB07F59A73314E73794Be0E57ac1b4E",
        "D16d5eC345Dd86Fb63C6a9C43c517210F1027914",
    )
)


def section(heading: str) -> str:
    return README.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]


def keys(shape: Any) -> Iterator[str]:
    """The keys of a table and of the tables in it, as they are written."""
    if isinstance(shape, type) and issubclass(shape, Document):
        for name, field in shape.model_fields.items():
            yield field.alias or name
            yield from keys(field.annotation)
    for inner in get_args(shape):
        yield from keys(inner)


def told_of() -> Mapping[str, str]:
    """What the table of options says of each family."""
    found: dict[str, str] = {}
    family = ""
    for line in section("Options").splitlines():
        if line.startswith(("| `", "| |")):
            family = line.split("|")[1].strip(" `") or family
            found[family] = found.get(family, "") + line
    return found


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.options is not None])
def test_every_option_is_told(family: str) -> None:
    """In the table of options; the keys of rules in the section about them."""
    told = told_of()[family] + (section(OWN) if family in ("erc20_flows", "events") else "")
    missing = [key for key in keys(FAMILIES[family].options) if f"`{key}`" not in told and f".{key}]" not in told]
    assert missing == [], f"indexer/protocols/README.md lacks these options of {family}"


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.options is None])
def test_a_family_without_options_is_not_among_them(family: str) -> None:
    assert family not in told_of()


@pytest.fixture
def own(tmp_path: Path) -> Protocol:
    """The complete file of the section, saved under the name that the text gives it."""
    (block,) = [block for block in blocks(README, "toml") if block.heading == OWN]
    (name,) = set(re.findall(r"`(\w+\.toml)` and given", section(OWN)))
    (tmp_path / name).write_text(block.text)
    (protocol,) = load_protocols([tmp_path / name], load_chains()).values()
    return protocol


async def test_the_complete_file_becomes_flows(own: Protocol, database: Database) -> None:
    """Claims and mints are booked as it says, other transfers and other contracts' events are not."""
    start = max(one.start_block for one in own.deployments)
    world = World({(CRVUSD, SYMBOL): word(0), (CRVUSD, DECIMALS): word(18), (CRV, DECIMALS): word(18)})
    world.emit(DISTRIBUTOR, CLAIMED, start + 5, 0, recipient=TRADER, amount=7 * 10**18, claim_epoch=3, max_epoch=9)
    world.emit(DISTRIBUTOR, CLAIMED, start + 5, 1, recipient=TRADER, amount=0)
    world.emit(CRV, CLAIMED, start + 6, 0, recipient=TRADER, amount=1)
    world.emit(CRV, TRANSFER, start + 7, 0, **{"from": 0, "to": TRADER, "value": 2**200})
    world.emit(CRV, TRANSFER, start + 7, 1, **{"from": TRADER, "to": DISTRIBUTOR, "value": 5})
    world.emit(CRVUSD, TRANSFER, start + 8, 0, **{"from": 0, "to": TRADER, "value": 6})
    await register(database, {"ethereum": ETHEREUM.chain_id}, [own], {"events": 1, "erc20_flows": 1})
    async with group_over(world, database, *own.deployments) as group:
        await backfill(group, Span(start, start + 9), HEAD, Progress("ethereum"))
    rows = await database.fetch(
        "SELECT deployment, block_number - $1 AS at, log_index, leg, kind::text, source::text, side::text, basis::text, "
        "contract, token, amount FROM flow ORDER BY block_number, log_index",
        start,
    )
    assert [tuple(row) for row in rows] == [
        ("curve_dao.ethereum.claimed", 5, 0, 0, "distribution", "payout", "holders", "paid", DISTRIBUTOR, CRVUSD, 7 * 10**18),
        ("curve_dao.ethereum.printed", 7, 0, 0, "incentive", "gauge", "supply", "paid", CRV, CRV, 2**200),
    ]  # fmt: skip
    used = await database.fetch("SELECT sum(logs_used) AS used, sum(logs_received) AS received FROM range")
    assert tuple(used[0]) == (3, 3), "the node is asked for mints and claims alone"
