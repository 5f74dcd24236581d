"""Contracts are asked by signature; whatever they answer becomes values or None, never an exception."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from indexer.chain.chains import load_chains
from indexer.chain.pool import Endpoints
from indexer.chain.questions import _decoded, ask, ask_at, ask_numbered, ask_raw
from indexer.chain.rpc import Endpoint
from indexer.decode.signature import parse_function
from tests.fakes.node import Node
from tests.work.world import HEAD, World, address, word

ETHEREUM = load_chains()["ethereum"]
OWNER, FEE = "owner() returns (address)", "fee() returns (uint24)"
SLOT0 = "slot0() returns (uint160,int24,uint16,uint16,uint16,uint8,bool)"
NAME = "name() returns (string)"
A, B = address("a"), address("b")


def selector(text: str) -> bytes:
    return parse_function(text).selector


@asynccontextmanager
async def asking(answers: Mapping[tuple[bytes, str], bytes | None]) -> AsyncIterator[tuple[Endpoints, World]]:
    world = World({(contract, selector(text)): octets for (contract, text), octets in answers.items()})
    async with Node(world) as node:
        pool = Endpoints(ETHEREUM, [Endpoint(SecretStr(node.url))], attempts=2)
        try:
            yield pool, world
        finally:
            await pool.close()


async def test_each_contract_answers_each_question() -> None:
    """Addresses come as 20 octets, numbers as int, several outputs as one tuple, text as text."""
    slot0 = b"".join(map(word, (2**96, -5, 1, 2, 3, 0x54, 1)))
    answers = {
        (A, OWNER): word(B), (A, FEE): word(3000), (A, SLOT0): slot0, (A, NAME): encode(["string"], ["Pool"]),
        (B, OWNER): word(A), (B, FEE): word(2**24 - 1), (B, SLOT0): None, (B, NAME): b"",
    }  # fmt: skip
    async with asking(answers) as (pool, world):
        found = await ask(pool, [A, B], [OWNER, FEE, SLOT0, NAME], HEAD)
        assert found == {
            A: {OWNER: (B,), FEE: (3000,), SLOT0: (2**96, -5, 1, 2, 3, 0x54, True), NAME: ("Pool",)},
            B: {OWNER: (A,), FEE: (2**24 - 1,), SLOT0: None, NAME: None},
        }
        assert world.blocks == {HEAD}


async def test_all_questions_to_all_contracts_are_one_request() -> None:
    """Eight calls, one eth_call beside the chain's id."""
    async with asking({}) as (pool, world):
        await ask(pool, [A, B], [OWNER, FEE, SLOT0, NAME], HEAD)
        assert pool.requests == 2
        assert sum(world.asked.values()) == 8


async def test_each_is_asked_at_a_block_of_its_own() -> None:
    """In one batch, in the order asked; what reverts or is not there yet answers nothing."""
    async with asking({(B, FEE): None}) as (pool, world):
        world.answers[A, selector(FEE)] = lambda block: word(block % 1000) if block > HEAD - 50 else b""
        found = await ask_at(pool, FEE, [(A, HEAD - 7), (B, HEAD), (A, HEAD - 90), (A, HEAD)])
        assert found == [((HEAD - 7) % 1000,), None, None, (HEAD % 1000,)]
        assert world.blocks == {HEAD - 90, HEAD - 7, HEAD}
        assert await ask_at(pool, FEE, []) == []


async def test_a_function_of_a_number_is_asked_each_its_own() -> None:
    """One request for all of them."""
    numbered = "phaseAggregators(uint16) returns (address)"
    async with asking({}) as (pool, world):
        for number, told in ((1, A), (2, B)):
            world.answers[A, selector(numbered) + word(number)] = word(told)
        found = await ask_numbered(pool, numbered, [(A, 2), (A, 1), (A, 3), (B, 1)], HEAD)
        assert found == [(B,), (A,), None, None]
        assert pool.requests <= 3


async def test_nobody_or_nothing_asked_is_no_request() -> None:
    """Empty lists are fine."""
    async with asking({}) as (pool, _):
        assert await ask(pool, [], [OWNER], HEAD) == {}
        assert await ask(pool, [A], [], HEAD) == {A: {}}
        assert await ask_raw(pool, [], [OWNER], HEAD) == {}
        assert pool.requests == 0


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (OWNER, None),
        (OWNER, b""),
        (OWNER, b"\x01"),
        (OWNER, bytes(31)),
        (OWNER, b"\x01" + word(A)[1:]),
        (OWNER, b"\xff" * 32),
        (FEE, word(2**24)),
        (FEE, word(-1)),
        (SLOT0, bytes(32 * 6)),
        (SLOT0, b"\xff" * 224),
        (NAME, word(2**255) + bytes(64)),
        (NAME, word(32) + word(2**250)),
        (NAME, word(32) + word(1) + b"\xff" + bytes(31)),
    ],
)
async def test_reverts_and_nonsense_are_none(text: str, octets: bytes | None) -> None:
    """Too short, dirty octets beside the value, offsets and lengths beyond the answer, text that is no UTF-8."""
    async with asking({(A, text): octets, (B, text): octets}) as (pool, _):
        assert await ask(pool, [A, B], [text], HEAD) == {A: {text: None}, B: {text: None}}
        assert await ask(pool, [A], [text], HEAD) == {A: {text: None}}


async def test_raw_answers_are_the_octets_in_the_order_asked() -> None:
    """None for a revert or an empty answer, nothing decoded."""
    async with asking({(A, OWNER): b"\x01", (A, FEE): None, (B, OWNER): b"", (B, FEE): b"\xff" * 40}) as (pool, _):
        assert await ask_raw(pool, [A, B], [OWNER, FEE], HEAD) == {A: [b"\x01", None], B: [None, b"\xff" * 40]}


OUTPUTS = st.sampled_from([OWNER, FEE, SLOT0, NAME, "many() returns (uint256[])", "pair() returns (bytes32,bytes)"])
WORDS = st.lists(st.sampled_from([word(0), word(32), word(64), word(A), b"\xff" * 32, word(2**64)]), max_size=8)


@settings(max_examples=300, deadline=None)
@given(OUTPUTS, st.one_of(st.binary(max_size=300), WORDS.map(b"".join)))
def test_any_octets_are_values_or_none(text: str, octets: bytes) -> None:
    """Whatever a hostile contract returns; what is a value is of the type asked for."""
    function = parse_function(text)
    found: Any = _decoded(function, octets)
    assert found is None or len(found) == len(function.outputs)
    for kind, value in zip(function.outputs, found or (), strict=False):
        if kind == "address":
            assert isinstance(value, bytes)
            assert len(value) == 20
        if kind == "uint24":
            assert 0 <= value < 2**24
