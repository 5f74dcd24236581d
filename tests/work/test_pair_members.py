"""Pairs and pools read together: each stranger is asked what those who met it need to know, once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from indexer.errors import BadInput
from indexer.families.fee_to import UNISWAP_INIT_CODE_HASH
from indexer.families.uniswap_v2 import GET_PAIR, SWAP, SYNC
from indexer.ledger.connect import Database
from indexer.manifest import Deployment
from indexer.model import Span
from tests.work.world import (
    FACTORY,
    FACTS,
    OTHER_FACTORY,
    START,
    TOKEN0,
    TOKEN1,
    TRADER,
    World,
    address,
    deployment,
    group_over,
    meet,
    pool_address,
    word,
)

SPAN = Span(START, START + 100)
PAIR_FACTORY, FORK_FACTORY = address("pair factory"), address("fork's pair factory")
PAIR_FACTS = {"token0": TOKEN0, "token1": TOKEN1}
IMPOSTOR, STRANGER = address("impostor"), address("stranger")


def pair_address(factory: bytes = PAIR_FACTORY) -> bytes:
    """The CREATE2 address of the factory's pair of both tokens."""
    return keccak(b"\xff" + factory + keccak(TOKEN0 + TOKEN1) + UNISWAP_INIT_CODE_HASH)[12:]


PAIR, FORKED = pair_address(), address("a fork's pair")  # the fork's code has another hash
POOL = pool_address(3000)


def pairs(name: str, factory: bytes, **contracts: tuple[bytes, ...]) -> Deployment:
    held = {"factory": (factory,), "pairs": (), "price_pairs": ()} | contracts
    return replace(deployment(name), family="uniswap_v2", contracts=held)


ONE, FORK, POOLS = pairs("pairs.one", PAIR_FACTORY), pairs("pairs.fork", FORK_FACTORY), deployment("dex.one")


def trading(world: World, *contracts: bytes) -> World:
    """A world in which these contracts emit Uniswap v2's Swap."""
    for index, contract in enumerate(contracts):
        given = {"sender": TRADER, "to": TRADER, "amount0In": 10**6, "amount1Out": 5}
        world.emit(contract, SWAP, START + 1 + index, 0, **given)
    return world


def pair(world: World, contract: bytes, factory: bytes = PAIR_FACTORY) -> None:
    """A contract that says it is this pair, truly or not; its fee() and tickSpacing() revert without a reason."""
    for asked, value in zip(FACTS, (factory, TOKEN0, TOKEN1), strict=False):
        world.answers[contract, asked] = word(value)


def vouch(world: World, contract: bytes, factory: bytes) -> None:
    """The factory's getPair gives this address."""
    world.answers[factory, GET_PAIR + word(TOKEN0) + word(TOKEN1)] = word(contract)


def questions(world: World, contract: bytes) -> Counter[bytes]:
    """How often each question was put to a contract."""
    return Counter({data: count for (to, data), count in world.asked.items() if to == contract})


async def test_a_pair_is_asked_three_questions_once_however_many_exchanges_meet_it(database: Database) -> None:
    """Two exchanges of pairs and one of pools: a pair is not asked for a tier, a pool is."""
    world = trading(World(), PAIR, FORKED, STRANGER)
    pair(world, PAIR)
    pair(world, FORKED, FORK_FACTORY)
    vouch(world, FORKED, FORK_FACTORY)
    world.pool(POOL)
    world.swap(POOL, START + 9)
    async with group_over(world, database, ONE, FORK, POOLS) as group:
        await meet(group, SPAN)
        assert group.members[ONE.id] == {PAIR: PAIR_FACTS, FORKED: None, STRANGER: None}
        assert group.members[FORK.id] == {PAIR: None, FORKED: PAIR_FACTS, STRANGER: None}
        assert list(group.members[POOLS.id]) == [POOL]
    for contract in (PAIR, FORKED, STRANGER):
        assert questions(world, contract) == Counter(FACTS[:3])
    assert questions(world, POOL) == Counter(FACTS)
    assert [len(questions(world, factory)) for factory in (PAIR_FACTORY, FORK_FACTORY, FACTORY)] == [0, 1, 0]


async def test_an_impostor_that_names_our_factory_is_not_a_member(database: Database) -> None:
    """getPair gives the real pair's address, and nothing at all for tokens that have none."""
    world = trading(World(), PAIR, IMPOSTOR)
    pair(world, PAIR)
    pair(world, IMPOSTOR)
    vouch(world, PAIR, PAIR_FACTORY)
    async with group_over(world, database, ONE) as group:
        await meet(group, SPAN)
        assert group.members[ONE.id] == {PAIR: PAIR_FACTS, IMPOSTOR: None}


@pytest.mark.parametrize("role", ["pairs", "price_pairs"])
async def test_a_named_pair_that_is_none_of_the_factorys_is_the_manifests_mistake(
    database: Database, role: str
) -> None:
    """Beside any number of unnamed ones too: a price would silently be missing otherwise."""
    world = trading(World(), IMPOSTOR)
    pair(world, IMPOSTOR, OTHER_FACTORY)
    async with group_over(world, database, pairs("pairs.one", PAIR_FACTORY, **{role: (IMPOSTOR,)})) as group:
        with pytest.raises(BadInput, match=f"pairs.one: contract 0x{IMPOSTOR.hex()} is named in the manifest"):
            await meet(group, SPAN)


async def test_a_price_pair_that_only_told_its_reserves_is_asked_who_it_is(database: Database) -> None:
    world = World()
    world.emit(PAIR, SYNC, START + 1, 0, reserve0=10**6, reserve1=10**6)
    pair(world, PAIR)
    async with group_over(world, database, pairs("pairs.one", PAIR_FACTORY, price_pairs=(PAIR,))) as group:
        await meet(group, SPAN)
        assert group.members["pairs.one"] == {PAIR: PAIR_FACTS}


async def test_malformed_swaps_of_pairs_are_kept_aside_and_those_of_strangers_are_not(database: Database) -> None:
    """An octet short, or a recipient that is no address: in quarantine with its reason, never a flow."""
    world = trading(World(), PAIR, PAIR, STRANGER)
    pair(world, PAIR)
    world.logs[0]["data"] = world.logs[0]["data"][:-2]
    world.logs[1]["topics"][2] = "0x" + "ff" * 32
    world.logs[2]["data"] = "0x"
    async with group_over(world, database, ONE) as group:
        matched, _ = await meet(group, SPAN)
        members = {contract for contract, facts in group.members[ONE.id].items() if facts is not None}
        kept = matched[ONE.id].quarantined(members)
    assert [(one.block, one.contract) for one in kept] == [(START + 1, PAIR), (START + 2, PAIR)]
    assert kept[0].reason == "has 127 octets of data, Swap needs exactly 128"
    assert kept[1].reason.startswith("to is no address")
    assert not matched[ONE.id].batches
