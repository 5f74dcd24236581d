"""Where days begin: found by the flows around midnight or in few headers, and right whatever is known already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from indexer.chain.chains import load_chains
from indexer.chain.head import header
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.ledger import closing
from indexer.ledger.closing import Neighbours
from indexer.model import Span
from indexer.work import close
from indexer.work.close import _find_days, close_read, day_of, start_of
from tests.fakes.node import Blocks, Node

GENESIS = start_of(date(2024, 3, 1)) + 70_000
BLOCKS = 40_000  # of 12 s, and a hundredth of the slots missed: nearly six days


def times() -> Any:
    return GENESIS + np.cumsum(12 * np.random.default_rng(4).geometric(0.99, BLOCKS))


class Ledger:
    """What closing asks of it. flows: blocks that have some, ascending; starts: of days, as far as found."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, flows: Any) -> None:
        self.flows, self.times = flows, times()
        self.starts: dict[date, int] = {}
        for name in ("day_starts", "neighbours", "put_day_start"):
            monkeypatch.setattr(closing, name, getattr(self, name))

    async def day_starts(self, *_: object) -> dict[date, int]:
        return dict(self.starts)

    async def put_day_start(self, _: object, __: int, day: date, block: int) -> None:
        self.starts[day] = block

    async def neighbours(self, _: object, __: int, day: date) -> Neighbours:
        """As its query: of the day before and of the day itself only."""
        days = [day_of(int(self.times[block])) for block in self.flows]
        before = [int(block) for block, one in zip(self.flows, days, strict=True) if one == day - timedelta(days=1)]
        after = [int(block) for block, one in zip(self.flows, days, strict=True) if one == day]
        return Neighbours(max(before, default=None), min(after, default=None))


@asynccontextmanager
async def pool_over(made: Any) -> AsyncIterator[tuple[Endpoints, Node]]:
    async with Node(Blocks([int(time) for time in made], len(made) - 1)) as node:
        pool = Endpoints(replace(load_chains()["ethereum"], chain_id=1), [Endpoint(SecretStr(node.url))], attempts=2)
        yield pool, node
        await pool.close()


@pytest.mark.parametrize(
    ("every", "headers"), [(1, 5), (50, 17), (3000, 21), (None, 18)], ids=["always", "often", "rarely", "never"]
)
@pytest.mark.parametrize("span", [Span(11_000, BLOCKS - 1), Span(0, 25_000)], ids=["to the head", "from the first"])
async def test_every_day_that_a_span_touches_is_found(
    every: int | None, headers: int, span: Span, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the day after it; where each block has flows only the first day and the span's first block cost headers."""
    made = times()
    ledger = Ledger(monkeypatch, [] if every is None else np.arange(span.first, span.last + 1, every))
    async with pool_over(made) as (pool, node):
        final = await header(pool, BLOCKS - 1)
        assert final is not None
        before = node.count("eth_getBlockByNumber")
        await _find_days(pool, None, span, final)  # type: ignore[arg-type]
        assert node.count("eth_getBlockByNumber") - before <= headers
        found = dict(ledger.starts)
        await _find_days(pool, None, span, final)  # type: ignore[arg-type]
        assert ledger.starts == found, "nothing is found anew"
    first, last = day_of(int(made[span.first])), min(day_of(int(made[span.last])) + timedelta(1), day_of(final.time))
    assert sorted(found) == [first + timedelta(days=number) for number in range((last - first).days + 1)]
    assert found == {day: int(np.searchsorted(made, start_of(day))) for day in found}


async def test_while_later_days_are_read_starts_are_found_up_to_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """And never beyond the final head, whatever a log claimed its time to be."""
    made = times()
    ledger, closed = Ledger(monkeypatch, []), []

    async def close_known(*how: Any, side_by_side: int) -> list[date]:
        closed.append((how[3], side_by_side))
        return []

    monkeypatch.setattr(close, "close_known", close_known)
    async with pool_over(made) as (pool, _):
        final = await header(pool, BLOCKS - 1)
        assert final is not None
        last = day_of(final.time)
        for newest in (last - timedelta(days=2), last + timedelta(days=1)):
            await close_read(pool, None, [], (100, newest), final)  # type: ignore[arg-type]
            until = min(newest, last)
            assert max(ledger.starts) == until
            assert closed[-1] == ((final.number, until), 1)
    assert ledger.starts == {day: int(np.searchsorted(made, start_of(day))) for day in ledger.starts}
