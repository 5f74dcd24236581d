"""Same blocks, same ledger: whatever the sizes and the order of ranges, and however often they are read."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from indexer.chain.fetch import Fetcher
from indexer.families import FAMILIES
from indexer.ledger import ranges
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.model import Span
from tests.simulation.conftest import plain_outcome
from tests.simulation.demo import complaints, index, outcome
from tests.simulation.node import DemoChain, recorded

FEED = ["demo_feed.demo.weth_usd.p1", "demo_feed.demo.weth_usd.p2"]  # read along: WETH is a listed token
FEW = 290  # three days and a half: enough for small ranges


def sized(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    """Ranges of so many blocks, whatever the fetcher thinks."""
    monkeypatch.setattr(Fetcher, "range_blocks", property(lambda _: blocks))


def shuffled(monkeypatch: pytest.MonkeyPatch, dice: random.Random, most: int) -> list[int]:
    """Claims anywhere in what is missing, of any length; the first blocks of what was claimed."""
    taken: list[int] = []

    def choose(gaps: Mapping[str, Sequence[Span]], _: int) -> tuple[Span, tuple[str, ...]] | None:
        somewhere = [span for spans in gaps.values() for span in spans]
        if not somewhere:
            return None
        chosen = dice.choice(somewhere)
        first = dice.randint(chosen.first, chosen.last)
        lacking = {name: [span for span in spans if span.first <= first <= span.last] for name, spans in gaps.items()}
        names = tuple(sorted(name for name, spans in lacking.items() if spans))
        ends = [lacking[name][0].last for name in names]
        begins = [
            span.first - 1 for name, spans in gaps.items() if name not in names for span in spans if span.first > first
        ]
        taken.append(first)
        return Span(first, min(first + dice.randint(0, most - 1), *ends, *begins)), names

    monkeypatch.setattr(ranges, "choose", choose)
    return taken


async def ranges_of(database: Database) -> list[tuple[int, int]]:
    rows = await database.fetch("SELECT first_block, last_block FROM range ORDER BY 1, 2")
    return [(row["first_block"], row["last_block"]) for row in rows]


@pytest.mark.parametrize(("blocks", "to"), [(1, 60), (7, FEW), (100, FEW), (100, None), (2000, None)])
async def test_the_size_of_ranges_does_not_matter(
    blocks: int, to: int | None, database: Database, node: DemoChain, server: EmbeddedPostgres, template: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    expected = await plain_outcome(server, template, to)
    sized(monkeypatch, blocks)
    await index(database, node.url, to=to)
    assert {last - first + 1 for first, last in await ranges_of(database)} >= {min(blocks, to or 1201)}
    assert await outcome(database) == expected
    assert await complaints(database) == {}


@pytest.mark.parametrize("seed", range(6))
async def test_the_order_of_ranges_does_not_matter(
    seed: int, database: Database, node: DemoChain, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = shuffled(monkeypatch, random.Random(seed), 150)
    await index(database, node.url)
    assert taken != sorted(taken)
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}


async def test_a_second_run_changes_nothing_and_asks_for_no_log(
    database: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    await index(database, node.url)
    asked, held = node.count("eth_getLogs"), await ranges_of(database)
    assert asked > 0
    await index(database, node.url)
    assert node.count("eth_getLogs") == asked
    assert await ranges_of(database) == held
    assert await outcome(database) == undisturbed


async def test_reading_in_three_steps_asks_for_each_block_once(
    database: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    """The middle first, then all that comes after, then an earlier --from: only what is missing is fetched."""
    steps: list[dict[str, Any]] = [{"start": 400, "to": 700}, {"start": 400}, {"start": 100}, {"start": 0}]
    bounds = [(400, 700), (701, 1218), (100, 399), (2, 99)]
    for step, (first, last) in zip(steps, bounds, strict=True):
        before = len(node.spans)
        await index(database, node.url, **step)
        asked = node.spans[before:]
        assert asked
        assert all(first <= low <= high <= last for low, high in asked), (step, asked)
        assert await complaints(database) == {}
    assert await outcome(database) == undisturbed
    covered = Counter(block for first, last in await ranges_of(database) for block in range(first, last + 1))
    assert set(covered.values()) <= {1, 2}, "once for the open deployments and once for the bound one"


async def test_a_protocol_added_later_fetches_its_own_blocks_only(
    database: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    await index(database, node.url, protocols=["demo_dex"])
    rows = await database.fetch("SELECT DISTINCT deployment FROM range_deployment")
    assert sorted(row["deployment"] for row in rows) == ["demo_dex.demo", *FEED]
    before = await ranges_of(database)
    await index(database, node.url, protocols=["demo_dex", "demo_farm", "demo_pairs"])
    rows = await database.fetch(
        "SELECT DISTINCT deployment FROM range_deployment WHERE range_id > (SELECT max(range_id) FROM "
        "range_deployment WHERE deployment = 'demo_dex.demo') ORDER BY 1"
    )
    assert [row["deployment"] for row in rows] == [
        "demo_farm.demo.chef",
        "demo_farm.demo.exchange",
        "demo_farm.demo.staking",
        "demo_pairs.demo",
    ]
    assert len(await ranges_of(database)) > len(before)
    assert await outcome(database) == undisturbed


async def test_a_protocol_added_to_a_part_of_the_history_leaves_the_other_alone(
    database: Database, node: DemoChain
) -> None:
    """Coverage and figures are per deployment: the farm's half history does not touch the exchange's whole one."""
    await index(database, node.url, protocols=["demo_dex"])
    before = await database.fetch("SELECT * FROM yield_daily ORDER BY day")
    await index(database, node.url, protocols=["demo_farm"], start=600, to=800)
    after = await database.fetch("SELECT * FROM yield_daily WHERE protocol = 'demo_dex' ORDER BY day")
    assert [tuple(row) for row in after] == [tuple(row) for row in before]
    rows = await database.fetch("SELECT day, coverage FROM yield_daily WHERE protocol = 'demo_farm' ORDER BY day")
    blocks = Counter(day_of(number) for number in range(recorded().chain.head + 1))
    held = Counter(day_of(number) for number in range(600, 801))
    assert [tuple(row) for row in rows] == [(day, round(Decimal(held[day]) / blocks[day], 6)) for day in sorted(held)]
    assert rows[0]["coverage"] < 1
    assert await complaints(database) == {}


def day_of(block: int) -> date:
    """UTC day of a block, by its header."""
    header = recorded().chain.block(block)
    return datetime.fromtimestamp(int(header["timestamp"], 16), UTC).date()


async def test_reading_everything_anew_gives_the_same(
    database: Database, node: DemoChain, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new version of a family retires what the old one read; the new reading equals a fresh index."""
    await index(database, node.url)
    for name in ("uniswap_v3", "masterchef"):
        monkeypatch.setattr(type(FAMILIES[name]), "version", 99)
    sized(monkeypatch, 77)
    await index(database, node.url)
    assert len(await ranges_of(database)) > 30
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}
