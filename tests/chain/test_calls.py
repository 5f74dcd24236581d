"""Many eth_calls at once: through aggregate3 where it exists, one by one where it does not, the same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from indexer.chain.calls import AGGREGATE3, CHUNK, Call, _encoded, multicall
from indexer.chain.chains import load_chains
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.errors import EndpointLied, NoEndpoint
from tests.fakes.node import Fault, Node

ETHEREUM = load_chains()["ethereum"]
LATE = 20_000_000
MULTICALL3 = "0x" + ETHEREUM.multicall3.hex()


def contract(number: int) -> bytes:
    return number.to_bytes(20, "big")


class Contracts:
    """Answers eth_call: contract n gives its number as 32 octets; some revert, with a reason or none, some are empty.

    at_most: how many calls Multicall3 bears; burns: contracts that leave no gas to those after them.
    """

    def __init__(self) -> None:
        self.deployed, self.at_most = True, 1000
        self.silent: set[int] = set()
        self.loud: set[int] = set()
        self.empty: set[int] = set()
        self.burns: set[int] = set()
        self.aggregates: list[int] = []
        self.blocks: set[str] = set()

    def one(self, number: int) -> tuple[bool, bytes]:
        if number in self.silent | self.burns:
            return False, b""
        if number in self.loud:
            return False, bytes.fromhex("08c379a0") + b"\x00" * 64
        return True, b"" if number in self.empty else number.to_bytes(32, "big")

    def __call__(self, method: str, params: Any) -> str:
        if method != "eth_call":
            raise Fault(-32601, "method not found")
        self.blocks.add(params[1])
        data = bytes.fromhex(params[0]["data"][2:])
        if params[0]["to"] == MULTICALL3:
            return "0x" + (self.aggregate(data).hex() if self.deployed else "")
        good, answer = self.one(int(params[0]["to"], 16))
        if not good:
            raise Fault(3, "execution reverted", "0x" + answer.hex())
        return "0x" + answer.hex()

    def aggregate(self, data: bytes) -> bytes:
        assert data[:4] == AGGREGATE3
        (calls,) = decode(["(address,bool,bytes)[]"], data[4:])
        self.aggregates.append(len(calls))
        if len(calls) > self.at_most:
            raise Fault(-32000, "out of gas")
        assert all(allowed and asked == b"\x12\x34" for _, allowed, asked in calls)
        results, burnt = [], False
        for target, _, _ in calls:
            number = int(target, 16)
            results.append((False, b"") if burnt else self.one(number))
            burnt = burnt or number in self.burns
        return encode(["(bool,bytes)[]"], [results])


@asynccontextmanager
async def pool_over(contracts: Any, **chain: Any) -> AsyncIterator[tuple[Endpoints, Node]]:
    async with Node(contracts) as node:
        pool = Endpoints(replace(ETHEREUM, **chain), [Endpoint(SecretStr(node.url))], attempts=2)
        yield pool, node
        await pool.close()


@given(st.lists(st.tuples(st.binary(min_size=20, max_size=20), st.binary(max_size=100))))
def test_calls_are_encoded_as_the_abi_has_it(asked: list[Call]) -> None:
    """Against eth_abi, for calldata of any length."""
    expected = encode(["(address,bool,bytes)[]"], [[(contract, True, data) for contract, data in asked]])
    assert _encoded(asked) == expected


def calls(count: int) -> list[tuple[bytes, bytes]]:
    return [(contract(number), b"\x12\x34") for number in range(1, count + 1)]


def expected(count: int, missing: set[int]) -> list[bytes | None]:
    return [None if number in missing else number.to_bytes(32, "big") for number in range(1, count + 1)]


async def test_thousands_of_calls_take_three_requests() -> None:
    contracts = Contracts()
    count = 2 * CHUNK + 100
    async with pool_over(contracts) as (pool, node):
        assert await multicall(pool, calls(count), LATE) == expected(count, set())
        assert sorted(contracts.aggregates) == [100, CHUNK, CHUNK]
        assert node.http == 1 + 3
        assert contracts.blocks == {hex(LATE)}


async def test_reverts_and_empty_answers_are_none_in_their_place() -> None:
    contracts = Contracts()
    contracts.silent, contracts.loud, contracts.empty = {2, 5}, {7}, {9}
    async with pool_over(contracts) as (pool, node):
        assert await multicall(pool, calls(10), LATE) == expected(10, {2, 5, 7, 9})
        assert node.count("eth_call") == 1 + 2, "only failures without a reason are asked again"


async def test_a_contract_that_burns_the_gas_does_not_hide_those_after_it() -> None:
    contracts = Contracts()
    contracts.burns = {3}
    async with pool_over(contracts) as (pool, _):
        assert await multicall(pool, calls(10), LATE) == expected(10, {3})


@pytest.mark.parametrize(("burns", "most"), [({3}, 3), ({900}, 3), ({1}, 3), ({7, 8, 9}, 5), ({3, 500}, 500)])
async def test_hundreds_after_it_are_not_asked_one_by_one(burns: set[int], most: int) -> None:
    """Once more together, backwards, so that what burns the gas does so at the end; only those between two such are."""
    contracts = Contracts()
    contracts.burns = burns
    async with pool_over(contracts) as (pool, node):
        assert await multicall(pool, calls(CHUNK), LATE) == expected(CHUNK, burns)
        assert node.count("eth_call") <= most


async def test_many_that_fail_without_a_reason_are_none() -> None:
    contracts = Contracts()
    contracts.silent = set(range(1, 301))
    async with pool_over(contracts) as (pool, node):
        assert await multicall(pool, calls(400), LATE) == expected(400, contracts.silent)
        assert node.http == 1 + 2 + 3, "the chain id, both ways, and one by one in batches"


@pytest.mark.parametrize("at_most", [100, 1, 0])
async def test_a_multicall_that_fails_as_a_whole_is_split(at_most: int) -> None:
    contracts = Contracts()
    contracts.at_most = at_most
    async with pool_over(contracts) as (pool, _):
        assert await multicall(pool, calls(60), LATE) == expected(60, set())


async def test_before_multicall_existed_calls_go_one_by_one_in_a_batch() -> None:
    contracts = Contracts()
    contracts.silent = {4}
    async with pool_over(contracts) as (pool, node):
        early = (ETHEREUM.multicall3_block or 0) - 1
        assert await multicall(pool, calls(150), early) == expected(150, {4})
        assert contracts.aggregates == []
        assert node.http == 1 + 2


async def test_a_copy_of_a_chain_may_have_multicall_from_the_first() -> None:
    """Its head is below the block at which the true chain got it: one question more, if it has none."""
    contracts = Contracts()
    async with pool_over(contracts) as (pool, _):
        early = (ETHEREUM.multicall3_block or 0) - 1
        pool.final_seen = (early, bytes(32))
        assert await multicall(pool, calls(150), early) == expected(150, set())
        assert contracts.aggregates == [150]
        contracts.deployed = False
        assert await multicall(pool, calls(20), early) == expected(20, set())


@pytest.mark.parametrize("how", ["no code", "not on this chain"])
async def test_without_multicall_calls_go_one_by_one(how: str) -> None:
    contracts = Contracts()
    contracts.deployed = False
    chain: dict[str, Any] = {"multicall3_block": None} if how == "not on this chain" else {}
    async with pool_over(contracts, **chain) as (pool, _):
        assert await multicall(pool, calls(20), "latest") == expected(20, set())
        assert contracts.blocks == {"latest"}


async def test_one_call_or_none_needs_no_multicall() -> None:
    contracts = Contracts()
    async with pool_over(contracts) as (pool, node):
        assert await multicall(pool, [], LATE) == []
        assert node.http == 0
        assert await multicall(pool, calls(1), LATE) == expected(1, set())
        assert contracts.aggregates == []


@pytest.mark.parametrize(
    "answer", ["0x12", "0x" + "ff" * 200, "nonsense", 5, None, "0x" + encode(["(bool,bytes)[]"], [[]]).hex()]
)
async def test_an_answer_of_another_shape_is_a_lie(answer: Any) -> None:
    async with pool_over(lambda method, params: answer) as (pool, _):
        with pytest.raises(EndpointLied):
            await multicall(pool, calls(3), LATE)


async def test_pruned_state_is_told() -> None:
    def pruned(method: str, params: Any) -> Any:
        raise Fault(-32000, "missing trie node 1234 (path ) state 0x1234 is not available")

    async with pool_over(pruned) as (pool, _):
        with pytest.raises(NoEndpoint, match="archive endpoint"):
            await multicall(pool, calls(3), LATE)
