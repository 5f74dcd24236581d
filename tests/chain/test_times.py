"""Block times: the same as the chain's, for a fraction of its headers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from indexer.chain.chains import load_chains
from indexer.chain.head import header
from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.chain.times import block_times, first_block_at
from indexer.errors import BadInput, EndpointLied
from tests.fakes.node import Blocks, Node

CHAINS = load_chains()
GENESIS = 1_600_000_000


@asynccontextmanager
async def pool_on(times: Any, name: str = "ethereum", slot_timed_from: int | None = 0) -> AsyncIterator[Any]:
    """A pool over a node whose block n was made at times[n]."""
    async with Node(Blocks([int(time) for time in times], len(times) - 1)) as node:
        chain = replace(CHAINS[name], chain_id=1, slot_timed_from=slot_timed_from)
        pool = Endpoints(chain, [Endpoint(SecretStr(node.url))], attempts=2)
        yield pool, node
        await pool.close()


async def top_of(pool: Endpoints, number: int) -> Header:
    found = await header(pool, number)
    assert found is not None
    return found


def slots(count: int, missed: int, seed: int = 3) -> Any:
    """count blocks of 12 s, with so many missed slots at random places."""
    dice = np.random.default_rng(seed)
    gaps = np.full(count, 12)
    np.add.at(gaps, dice.integers(1, count, missed), 12)
    return GENESIS + np.cumsum(gaps)


@pytest.mark.parametrize(
    ("missed", "headers"), [(0, 2), (1, 40), (10, 200), (200, 1800)], ids=["none", "one", "ten", "two hundred"]
)
async def test_missed_slots_are_found_by_halving(missed: int, headers: int) -> None:
    times = slots(20_000, missed)
    async with pool_on(times) as (pool, node):
        blocks = np.arange(20_000)
        assert (await block_times(pool, blocks) == times).all()
        assert node.count("eth_getBlockByNumber") <= headers
        assert node.http <= 1 + 1 + 15 + headers // 100, "one batch a level"


async def test_sparse_blocks_cost_no_more_than_one_header_each() -> None:
    times = slots(50_000, 500)
    blocks = np.unique(np.random.default_rng(5).integers(0, 50_000, 300))
    async with pool_on(times) as (pool, node):
        assert (await block_times(pool, blocks) == times[blocks]).all()
        assert node.count("eth_getBlockByNumber") <= len(blocks)


async def test_before_the_slots_every_block_is_asked() -> None:
    times = GENESIS + np.cumsum(np.random.default_rng(2).integers(1, 40, 1000))
    times[500:] = times[499] + 12 * np.arange(1, 501)
    async with pool_on(times, slot_timed_from=500) as (pool, node):
        assert (await block_times(pool, np.arange(400, 600)) == times[400:600]).all()
        assert node.count("eth_getBlockByNumber") == 100 + 2


@pytest.mark.parametrize("name", ["arbitrum", "polygon"])
async def test_a_chain_without_slots_is_asked_for_exactly_these_blocks(name: str) -> None:
    times = GENESIS + np.cumsum(np.random.default_rng(2).integers(0, 3, 1000))
    async with pool_on(times, name, None) as (pool, node):
        blocks = np.array([3, 5, 8, 999])
        assert (await block_times(pool, blocks) == times[blocks]).all()
        assert node.count("eth_getBlockByNumber") == 4


@pytest.mark.parametrize("blocks", [[], [7], [7, 8]])
async def test_few_blocks_need_no_more_than_themselves(blocks: list[int]) -> None:
    times = slots(100, 3)
    async with pool_on(times) as (pool, node):
        wanted = np.array(blocks, np.int64)
        found = await block_times(pool, wanted)
        assert (found == times[wanted]).all()
        assert found.dtype == np.int64
        assert node.count("eth_getBlockByNumber") == len(blocks)


@pytest.mark.parametrize("wrong", [1, -12, -11_000])
async def test_times_that_do_not_fit_the_slots_are_a_lie(wrong: int) -> None:
    times = slots(1000, 0)
    times[999] += wrong
    async with pool_on(times) as (pool, _):
        with pytest.raises(EndpointLied, match="do not fit its slots"):
            await block_times(pool, np.arange(1000))


async def test_times_going_back_are_a_lie_on_any_chain() -> None:
    times = GENESIS + np.arange(100)
    times[50] -= 30
    async with pool_on(times, "polygon", None) as (pool, _):
        with pytest.raises(EndpointLied, match="after 49 claims to be older"):
            await block_times(pool, np.arange(40, 60))


def rhythms() -> dict[str, Callable[[np.random.Generator], Any]]:
    """Half a million gaps between blocks, in seconds, as the chains have or had them."""
    n = 500_000
    return {
        "ethereum": lambda dice: 12 * dice.geometric(0.99, n),
        "proof of work": lambda dice: np.maximum(1, dice.exponential(13, n)).astype(int),
        "optimism": lambda dice: np.full(n, 2),
        "polygon": lambda dice: dice.choice([2, 2, 2, 2, 2, 2, 2, 4, 6], n),
        "bnb": lambda dice: np.diff(np.cumsum(np.repeat([3000, 1500, 750], n // 3)) // 1000),
        "arbitrum": lambda dice: np.diff(
            np.cumsum(np.repeat(dice.uniform(200, 400, n // 1000), 1000)).astype(int) // 1000
        ),
    }


@pytest.mark.parametrize(
    ("rhythm", "mean", "most"),
    [
        ("ethereum", 6, 9),
        ("proof of work", 8, 14),
        ("optimism", 4, 5),
        ("polygon", 8, 12),
        ("bnb", 8, 14),
        ("arbitrum", 9, 16),
    ],
)
async def test_the_first_block_of_a_day_is_found_in_few_headers(rhythm: str, mean: int, most: int) -> None:
    """On average about eight headers, the lower end of the search included."""
    dice = np.random.default_rng(9)
    times = GENESIS + np.cumsum(rhythms()[rhythm](dice))
    costs = []
    async with pool_on(times, "polygon", None) as (pool, node):
        top = await top_of(pool, len(times) - 1)
        for at in dice.integers(int(times[1]), int(times[-1]), 25):
            before = node.count("eth_getBlockByNumber")
            found = await first_block_at(pool, int(at), 0, top)
            costs.append(node.count("eth_getBlockByNumber") - before)
            assert found.number == np.searchsorted(times, at)
    assert np.mean(costs) <= mean
    assert max(costs) <= most


@pytest.mark.parametrize("known", [True, False], ids=["lowest known", "lowest unknown"])
@pytest.mark.parametrize("slot", [6, 12, 24])
@pytest.mark.parametrize("at", [-5, 0, 1, 11, 12, 13, 24, 25, 5_000, 12 * 999])
async def test_the_first_block_is_exact_at_every_edge(at: int, slot: int, known: bool) -> None:
    """Also where blocks come at another pace than the chain is said to have."""
    times = GENESIS + 12 * np.arange(1000)
    async with pool_on(times) as (pool, _):
        pool.chain = replace(pool.chain, block_ms=slot * 1000)
        top, low = await top_of(pool, 999), await top_of(pool, 0)
        found = await first_block_at(pool, GENESIS + at, low if known else 0, top)
        assert found.number == max(0, -(-at // 12))
        assert await first_block_at(pool, low.time, 0, low) == low, "a bracket of one block"


async def test_far_from_what_is_known_the_lowest_block_is_asked_first() -> None:
    """Slots missed for months would lead days astray: it costs one header, and the search is as if it were known."""
    times = slots(400_000, 8_000)
    async with pool_on(times) as (pool, node):
        top, at = await top_of(pool, 399_999), int(times[7_000])
        costs = []
        for low in (0, await top_of(pool, 0)):
            before = node.count("eth_getBlockByNumber")
            assert (await first_block_at(pool, at, low, top)).number == 7_000
            costs.append(node.count("eth_getBlockByNumber") - before)
    assert costs[0] == costs[1] + 1


@pytest.mark.parametrize("known", [True, False], ids=["lowest known", "lowest unknown"])
async def test_a_day_s_start_takes_two_headers_where_blocks_come_evenly(known: bool) -> None:
    """The first block of the day and the one before it: the search's ends cost nothing."""
    times = GENESIS + 12 * np.arange(20_000)
    async with pool_on(times) as (pool, node):
        top, low = await top_of(pool, 19_000), await top_of(pool, 0)
        before = node.count("eth_getBlockByNumber")
        for at in (12 * 15_000, 12 * 15_000 + 1, 12 * 15_001 - 1):
            found = await first_block_at(pool, GENESIS + at, low if known else 0, top)
            assert found.number == -(-at // 12)
        assert node.count("eth_getBlockByNumber") - before <= 3 * 2


async def test_the_first_of_several_blocks_in_one_second_is_found() -> None:
    times = GENESIS + np.arange(4000) // 4
    async with pool_on(times, "arbitrum", None) as (pool, _):
        top = await top_of(pool, 3999)
        for second in (1, 500, 999):
            assert (await first_block_at(pool, GENESIS + second, 0, top)).number == 4 * second


async def test_a_time_after_the_last_block_is_refused() -> None:
    async with pool_on(GENESIS + 12 * np.arange(10)) as (pool, _):
        top = await top_of(pool, 9)
        with pytest.raises(BadInput, match="no block up to 9"):
            await first_block_at(pool, top.time + 1, 0, top)


async def test_a_search_through_disordered_times_ends_in_a_lie() -> None:
    times = GENESIS + 12 * np.arange(1000)
    times[300:700] = GENESIS + 500_000
    async with pool_on(times) as (pool, _):
        top = await top_of(pool, 999)
        with pytest.raises(EndpointLied, match="not between its neighbours"):
            await first_block_at(pool, GENESIS + 6000, 0, top)


async def test_an_endpoint_with_one_wrong_time_rests_and_another_is_asked() -> None:
    times = [GENESIS + 12 * block for block in range(1000)]
    wrong = [time + 500_000 if 400 < block < 600 else time for block, time in enumerate(times)]
    async with Node(Blocks(wrong, 999)) as liar, Node(Blocks(times, 999)) as honest:
        chain = replace(CHAINS["ethereum"], chain_id=1, slot_timed_from=0)
        pool = Endpoints(chain, [Endpoint(SecretStr(node.url)) for node in (liar, honest)], attempts=3)
        top = await top_of(pool, 999)
        for block in (450, 500, 550, 700) * 50:  # until the liar has been asked about a wrong block
            assert (await first_block_at(pool, GENESIS + 12 * block, 0, top)).number == block
            if pool.retries:
                break
        assert pool.endpoints[0].requests["eth_getBlockByNumber"] > 0
        assert pool.retries > 0
        assert len(pool.endpoints) == 2  # nobody is refused for it
        await pool.close()
