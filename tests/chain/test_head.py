"""Headers: read in every honest form, refused in every dishonest one, and finality that never goes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from indexer.chain.chains import load_chains
from indexer.chain.head import KEPT, finalized, header, header_between, headers, remember
from indexer.chain.header import Header, read_header
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.errors import EndpointFailed, EndpointLied, NoEndpoint
from tests.fakes.node import Blocks, Node

ETHEREUM = load_chains()["ethereum"]


@asynccontextmanager
async def pool_of(*answers: Any, **how: Any) -> AsyncIterator[tuple[Endpoints, list[Node]]]:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Node(answer)) for answer in answers]
        pool = Endpoints(ETHEREUM, [Endpoint(SecretStr(node.url)) for node in nodes], **({"attempts": 2} | how))
        stack.push_async_callback(pool.close)
        yield pool, nodes


def chain(last: int = 1000, final: int | None = 900) -> Blocks:
    return Blocks(lambda number: 1_600_000_000 + number * 12, last, final)


async def test_a_header_by_number_tag_and_hash() -> None:
    blocks = chain()

    def answer(method: str, params: Any) -> Any:
        by_hash = method == "eth_getBlockByHash"
        return blocks.header(int(params[0], 16) - (1 << 200)) if by_hash else blocks(method, params)

    async with pool_of(answer) as (pool, _):
        ten = Header(10, bytes.fromhex(blocks.hash(10)[2:]), bytes.fromhex(blocks.hash(9)[2:]), 1_600_000_120)
        assert await header(pool, 10) == ten
        assert await header(pool, blocks.hash(10)) == ten
        newest = await header(pool, "latest")
        assert newest is not None
        assert newest.number == 1000


async def test_an_unknown_block_is_none() -> None:
    async with pool_of(chain()) as (pool, _):
        assert await header(pool, 1001) is None


async def test_block_zero_is_a_block() -> None:
    blocks = chain()
    genesis = blocks.header(0) | {"parentHash": "0x" + "00" * 32}
    async with pool_of(lambda method, params: genesis) as (pool, _):
        found = await header(pool, 0)
        assert found is not None
        assert found.number == 0


@pytest.mark.parametrize(
    "change",
    [
        {"number": "0xb"},
        {"number": None},
        {"number": "0x8000000000000000"},
        {"number": "-0x1"},
        {"timestamp": "0xffffffffffffffffffff"},
        {"timestamp": True},
        {"hash": "0x12"},
        {"hash": None},
        {"parentHash": 5},
        {"parentHash": "0x" + "zz" * 32},
    ],
)
async def test_a_header_of_another_shape_or_block_is_a_lie(change: dict[str, Any]) -> None:
    async with pool_of(lambda method, params: chain().header(10) | change) as (pool, _):
        with pytest.raises(EndpointLied):
            await header(pool, 10)


@pytest.mark.parametrize("change", [{"number": "0x00000a"}, {"number": 10}, {"number": "0X0A"}])
async def test_odd_but_clear_numbers_are_read(change: dict[str, Any]) -> None:
    async with pool_of(lambda method, params: chain().header(10) | change) as (pool, _):
        assert (await headers(pool, [10]))[0].number == 10


async def test_another_block_than_the_hash_asked_for_is_a_lie() -> None:
    async with pool_of(lambda method, params: chain().header(10)) as (pool, _):
        with pytest.raises(EndpointLied, match="asked for block 0x"):
            await header(pool, "0x" + "77" * 32)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)
    ).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60)
)
def test_whatever_a_block_looks_like_it_is_a_header_none_or_a_lie(answer: bytes) -> None:
    try:
        found = read_header(10, answer)
    except EndpointLied:
        return
    assert found is None or found.number == 10


async def test_a_liar_is_left_for_an_honest_endpoint() -> None:
    blocks = chain()
    async with pool_of(lambda m, p: blocks.header(11), blocks) as (pool, _):
        for _ in range(4):
            found = await header(pool, 10)
            assert found is not None
            assert found.number == 10


async def test_headers_come_in_order_in_batches_of_a_hundred() -> None:
    async with pool_of(chain()) as (pool, nodes):
        wanted = list(range(250, 0, -1))
        assert [found.number for found in await headers(pool, wanted)] == wanted
        assert nodes[0].http == 1 + 3
        assert await headers(pool, []) == []


async def test_headers_come_one_by_one_where_batches_are_refused() -> None:
    async with pool_of(chain()) as (pool, nodes):
        nodes[0].max_batch = 0
        assert [found.number for found in await headers(pool, range(30))] == list(range(30))


async def test_a_lagging_endpoint_does_not_spoil_a_batch() -> None:
    async with pool_of(chain(last=5), chain(last=50)) as (pool, _):
        for _ in range(3):
            assert [found.number for found in await headers(pool, [4, 5, 6, 7])] == [4, 5, 6, 7]


async def test_a_block_nobody_has_is_a_failure_that_may_pass() -> None:
    async with pool_of(chain(last=5)) as (pool, _):
        with pytest.raises(EndpointFailed, match="block 6"):
            await headers(pool, [5, 6])


async def test_the_final_block_is_the_tagged_one() -> None:
    async with pool_of(chain()) as (pool, nodes):
        assert (await finalized(pool)).number == 900
        assert nodes[0].http == 2, "tag and newest block come in one batch, after the chain id"


@pytest.mark.parametrize("untagged", ["error", "null"])
async def test_without_the_tag_confirmations_below_the_newest_count(untagged: str) -> None:
    blocks = chain(final=None)

    def answer(method: str, params: Any) -> Any:
        if untagged == "null" and params[0] == "finalized":
            return None
        return blocks(method, params)

    async with pool_of(answer) as (pool, _):
        assert (await finalized(pool)).number == 1000 - ETHEREUM.confirmations
        pool.chain = replace(ETHEREUM, confirmations=5000)
        assert (await finalized(pool)).number == 1000 - ETHEREUM.confirmations, "what was final stays final"


async def test_a_final_block_above_the_newest_is_a_lie() -> None:
    async with pool_of(chain(last=100, final=90)) as (pool, nodes):
        blocks = chain(last=2000, final=150)
        newest = chain(last=100)
        nodes[0].answer = lambda m, p: blocks(m, p) if p[0] == "finalized" else newest(m, p)
        with pytest.raises(EndpointLied, match="above the newest"):
            await finalized(pool)


async def test_a_final_block_never_goes_back_nor_changes() -> None:
    blocks = chain(final=900)
    async with pool_of(blocks) as (pool, nodes):
        await finalized(pool)
        blocks.finalized = 899
        with pytest.raises(EndpointLied, match="back to 899"):
            await finalized(pool)
        nodes[0].answer = lambda m, p: blocks.header(900 if p[0] == "finalized" else 1000) | {"hash": "0x" + "99" * 32}
        with pytest.raises(EndpointLied, match="back to 900"):
            await finalized(pool)


async def test_an_endpoint_whose_final_block_lags_gives_way_to_another() -> None:
    async with pool_of(chain(final=900), chain(final=800)) as (pool, _):
        pool.final_seen = (900, bytes.fromhex(chain().hash(900)[2:]))
        assert [(await finalized(pool)).number for _ in range(4)] == [900] * 4


async def test_no_endpoint_is_told_and_not_taken_for_a_missing_tag() -> None:
    async with pool_of(chain()) as (pool, nodes):
        nodes[0].chain_id = 5
        with pytest.raises(NoEndpoint):
            await finalized(pool)


async def test_headers_of_final_blocks_are_asked_for_once() -> None:
    """Searches and closing meet the same ones again; a block that is not final may change."""
    async with pool_of(chain()) as (pool, nodes):
        await finalized(pool)
        before = nodes[0].count("eth_getBlockByNumber")
        low, high = await header(pool, 10), await header(pool, 800)
        for _ in range(3):
            assert await header(pool, 10) == low
            assert low is not None
            assert high is not None
            assert (await header_between(pool, 500, low, high)).number == 500
            await header(pool, 950)
        assert nodes[0].count("eth_getBlockByNumber") - before == 2 + 1 + 3


async def test_a_remembered_header_that_is_out_of_order_is_asked_for_anew() -> None:
    async with pool_of(chain()) as (pool, _):
        await finalized(pool)
        low, high = await header(pool, 10), await header(pool, 800)
        assert low is not None
        assert high is not None
        remember(pool, replace(low, number=500, time=high.time + 1))
        assert (await header_between(pool, 500, low, high)).time == 1_600_006_000


async def test_one_that_makes_its_neighbours_lies_is_forgotten() -> None:
    """Else every later search would end on what an endpoint once said wrongly."""
    async with pool_of(chain()) as (pool, _):
        await finalized(pool)
        low, wrong = await header(pool, 10), replace(Header(800, b"h", b"p", 0), time=1_600_000_121)
        assert low is not None
        remember(pool, wrong)
        with pytest.raises(EndpointLied):
            await header_between(pool, 500, low, wrong)
        assert (await header(pool, 800)) != wrong


async def test_not_all_headers_are_remembered_for_ever() -> None:
    async with pool_of(chain()) as (pool, _):
        pool.final_seen = (10**9, bytes(32))
        for number in range(KEPT + 10):
            remember(pool, Header(number, bytes(32), bytes(32), number))
        assert sorted(pool.headers) == list(range(10, KEPT + 10))
