"""A machine's clock that is wrong: which days are over is told by the chain's final head, never by the clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from indexer.ledger.connect import Database
from tests.simulation.demo import index, outcome
from tests.simulation.node import DemoChain

HOUR = 3600


@pytest.mark.parametrize("hours", [-23, 5, 24 * 40])
async def test_no_day_is_closed_that_is_not_over_on_the_chain(
    hours: int, database: Database, node: DemoChain, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is hours behind, hours ahead or a month ahead, the same days are closed with the same figures."""
    head = int(node._told("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)
    monkeypatch.setattr(time, "time", lambda: float(head + hours * HOUR))
    await index(database, node.url)
    assert await outcome(database) == undisturbed
    (row,) = await database.fetch("SELECT max(day) AS closed FROM deployment_day")
    assert row["closed"] < datetime.fromtimestamp(head, UTC).date()
