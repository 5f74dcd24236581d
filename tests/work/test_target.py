"""From where to where a run reads, on chains whose beginnings differ."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from indexer.chain.chains import load_chains
from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.errors import BadInput
from indexer.model import Span
from indexer.settings import load_settings
from indexer.work.target import target
from tests.fakes.node import Blocks, Node

HEAD = 2_000_000
BORN = 1_600_000_000  # 2020-09-13 12:26:40 UTC


def ethereum(number: int) -> int:
    """Block 0 has no time, as on Ethereum."""
    return 0 if number == 0 else BORN + 12 * (number - 1)


def ordinary(number: int) -> int:
    return BORN + 12 * number


def wish(*others: str, **values: Any) -> Any:
    chains = {name: {"rpc": ["http://127.0.0.1:9"]} for name in ("ethereum", *others)}
    return load_settings(None, {"chains": chains, **values}, environment=False)


@asynccontextmanager
async def chain(times: Callable[[int], int], head: int = HEAD) -> AsyncIterator[tuple[Endpoints, Header]]:
    blocks = Blocks(times, head, head)
    async with Node(blocks) as node:
        pool = Endpoints(load_chains()["ethereum"], [Endpoint(SecretStr(node.url))])
        try:
            yield pool, Header(head, bytes(32), bytes(32), times(head))
        finally:
            await pool.close()


async def asked(times: Callable[[int], int], held: Span | None = None, *others: str, **values: Any) -> Span:
    async with chain(times) as (pool, final):
        return await target(wish(*others, **values), pool, final, held)


async def test_blocks_are_taken_as_they_are() -> None:
    assert await asked(ordinary, start=5, to=9) == Span(5, 9)
    assert await asked(ordinary, start=0) == Span(0, HEAD)


@pytest.mark.parametrize("times", [ethereum, ordinary])
async def test_dates_are_the_first_block_at_or_after_them_and_the_last_before(times: Callable[[int], int]) -> None:
    found = await asked(times, start="2020-10-01", to="2020-10-02")
    midnight = 1_601_510_400
    assert times(found.first - 1) < midnight <= times(found.first)
    assert times(found.last) < midnight + 86_400 <= times(found.last + 1)


@pytest.mark.parametrize("times", [ethereum, ordinary])
async def test_before_the_chain_is_a_mistake_whatever_its_first_block_says(times: Callable[[int], int]) -> None:
    """Also where block 0 claims to be of 1970."""
    with pytest.raises(BadInput) as start:
        await asked(times, start="2020-09-12")
    assert str(start.value) == (
        "--from 2020-09-12 is before the first block of ethereum (2020-09-13 12:26 UTC): write that day or a later one, "
        "or a block number."
    )
    with pytest.raises(BadInput, match="--to 2020-09-13 is before the first block of ethereum .*: write a later day"):
        await asked(times, start=0, to="2020-09-13")


@pytest.mark.parametrize("times", [ethereum, ordinary])
async def test_the_day_the_chain_began_is_its_beginning(times: Callable[[int], int]) -> None:
    assert (await asked(times, start="2020-09-13")).first == 0


async def test_where_other_chains_are_read_too_a_younger_one_begins_with_itself() -> None:
    """One --from for all of them: it is before some."""
    assert (await asked(ordinary, None, "base", start="2015-08-01")).first == 0
    nothing = await asked(ordinary, None, "base", start="2015-08-01", to="2016-01-01")
    assert len(nothing) == 0


async def test_what_is_held_is_where_it_goes_on() -> None:
    assert await asked(ordinary, Span(100, 200)) == Span(100, HEAD)
    assert await asked(ordinary, Span(100, 200), start=150) == Span(150, HEAD)
    assert await asked(ordinary, Span(100, 200), to=50) == Span(100, 100)


async def test_without_anything_the_last_week_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a chain younger than that from its first block on, which nobody asked for wrongly."""
    monkeypatch.setattr("indexer.work.target.time.time", lambda: ordinary(HEAD) + 60)
    found = await asked(ordinary)
    assert HEAD - found.first == pytest.approx(7 * 7200, abs=10)
    async with chain(ordinary, 50) as (pool, final):
        monkeypatch.setattr("indexer.work.target.time.time", lambda: final.time + 60)
        assert await target(wish(), pool, final, None) == Span(0, 50)


async def test_an_end_that_is_final_is_taken_though_our_clock_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over is told by the chain."""
    midnight = ordinary(HEAD) // 86_400 * 86_400
    monkeypatch.setattr("indexer.work.target.time.time", lambda: midnight - 86_400)
    found = await asked(ordinary, start=0, to="2021-06-18")
    assert ordinary(found.last) < midnight <= ordinary(found.last + 1)


async def test_an_end_between_the_final_head_and_now_is_the_final_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is past, and its last blocks are only not final yet: the next run reads them."""
    head = ordinary(HEAD)
    monkeypatch.setattr("indexer.work.target.time.time", lambda: head + 86_400 * 2)
    tomorrow = "2021-06-19"
    assert ordinary(HEAD) < 1_624_060_800 < head + 86_400 * 2
    assert await asked(ordinary, start=HEAD - 10, to=tomorrow) == Span(HEAD - 10, HEAD)
