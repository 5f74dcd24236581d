"""Days are closed while later ones are read: each is whole when it is shown, and in the end nothing differs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from indexer.errors import EndpointFailed
from indexer.ledger import closing
from indexer.ledger.connect import Database
from indexer.work import backfill, meanwhile
from indexer.work.reading import read_range
from tests.simulation.demo import complaints, index, outcome
from tests.simulation.node import DemoChain
from tests.simulation.test_same_ledger import shuffled, sized

SHOWN = """
SELECT day, deployment, blocks_held, blocks, day = min(day) OVER () AS first FROM deployment_day ORDER BY day, deployment
"""
READ = "SELECT count(*) AS ranges FROM range"

Looks = list[tuple[int, Sequence[Any]]]  # ranges read, and days shown by then


@pytest.fixture
def looks(undisturbed: object, monkeypatch: pytest.MonkeyPatch, database: Database) -> Looks:
    """Ranges read and days shown at each refresh; days are closed as soon as they can be, and ranges take their time.

    undisturbed: made before, and not by such a run.
    """
    seen: Looks = []
    refresh = closing.refresh

    async def watched(ledger: Database) -> None:
        await refresh(ledger)
        ((ranges,),) = await ledger.fetch(READ)
        seen.append((ranges, [tuple(row) for row in await ledger.fetch(SHOWN)]))

    async def slow(*how: Any) -> Any:
        await asyncio.sleep(0.15)
        return await read_range(*how)

    monkeypatch.setattr(closing, "refresh", watched)
    monkeypatch.setattr(backfill, "read_range", slow)
    monkeypatch.setattr(meanwhile, "EVERY", 0.01)
    monkeypatch.setattr(meanwhile, "PART", 0)
    return seen


def whole(looks: Looks) -> bool:
    """Whether no day but the chain's first one, which it begins within, was ever shown in part."""
    return all(held == blocks for _, rows in looks for _, _, held, blocks, first in rows if not first)


async def test_days_are_shown_before_the_last_range_is_read(
    database: Database, node: DemoChain, undisturbed: dict[str, Any], looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole ones only, oldest first, more and more; once all is read nothing tells how it came about."""
    sized(monkeypatch, 20)
    await index(database, node.url)
    last, days = looks[-1][0], [len({row[0] for row in rows}) for _, rows in looks]
    early = [number for number, (ranges, _) in enumerate(looks) if ranges < last * 9 // 10]
    assert len(early) >= 3
    assert days == sorted(days)
    assert 0 < days[early[0]] < days[-1]
    assert whole(looks)
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}


async def test_nothing_is_closed_above_a_gap(
    database: Database, node: DemoChain, undisturbed: dict[str, Any], looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges anywhere, in any order: a day is shown once all before it is read."""
    shuffled(monkeypatch, random.Random(5), 60)
    await index(database, node.url)
    assert whole(looks)
    assert await outcome(database) == undisturbed


async def test_an_endpoint_that_fails_puts_closing_off(
    database: Database, node: DemoChain, undisturbed: dict[str, Any], looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked from the first block that anything can be read of, not from where the run may begin: days are few."""
    tried = []

    async def failing(*how: Any) -> list[Any]:
        tried.append(how)
        raise EndpointFailed("no header today")

    sized(monkeypatch, 20)
    monkeypatch.setattr(meanwhile, "close_read", failing)
    await index(database, node.url)
    assert len(tried) > 1
    assert all(first == min(one.start_block for one in deployments) for _, _, deployments, (first, _), _ in tried)
    assert len(looks) <= 2, "at the end only"
    assert await outcome(database) == undisturbed
