"""Who belongs to a deployment: its address or the factory says so, a contract's own words do not."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from indexer.errors import BadInput, IndexerError
from indexer.ledger.connect import Database
from indexer.model import Evidence, Member, Span
from indexer.work.members import own
from tests.fakes.node import Fault
from tests.work.world import (
    FACTORY,
    FACTS,
    HEAD,
    OTHER_FACTORY,
    SPACING,
    START,
    TOKEN0,
    TOKEN1,
    World,
    address,
    deployment,
    group_over,
    meet,
    pool_address,
    word,
)

POOL = pool_address(3000)
IMPOSTOR, MOVED, STRANGER = address("impostor"), address("moved"), address("stranger")
POOL_FACTS = {"token0": TOKEN0, "token1": TOKEN1, "fee_ppm": 3000, "tick_spacing": SPACING}
SPAN = Span(START, START + 100)
ONE, TWO = deployment(), deployment("fork.two", factory=[OTHER_FACTORY])


def busy(*contracts: bytes) -> World:
    """A world in which these contracts emit Swap."""
    world = World()
    for index, contract in enumerate(contracts):
        world.swap(contract, START + 1 + index)
        world.swap(contract, START + 1 + index, 1)
    return world


async def test_an_impostor_that_names_our_factory_is_not_a_member(database: Database) -> None:
    """Its address is not the one the factory would have made, and getPool gives the real pool's."""
    world = busy(POOL, IMPOSTOR)
    for contract in (POOL, IMPOSTOR):
        world.pool(contract)
    world.vouch(POOL)
    async with group_over(world, database, ONE) as group:
        await meet(group, SPAN)
        assert group.members[ONE.id] == {POOL: POOL_FACTS, IMPOSTOR: None}
        assert own(group, ONE, [POOL, IMPOSTOR, STRANGER]) == {POOL: POOL_FACTS}


async def test_a_moved_pool_is_a_member_because_the_factory_vouches_for_it(database: Database) -> None:
    """Optimism's pools of 2021 have no CREATE2 address; getPool answers with theirs."""
    world = busy(MOVED)
    world.pool(MOVED)
    world.vouch(MOVED)
    async with group_over(world, database, ONE) as group:
        await meet(group, SPAN)
        assert group.members[ONE.id] == {MOVED: POOL_FACTS}


async def test_a_create2_address_needs_no_second_question(database: Database) -> None:
    """The factory is asked nothing where an address proves itself."""
    world = busy(POOL)
    world.pool(POOL)
    async with group_over(world, database, ONE) as group:
        await meet(group, SPAN)
        assert group.members[ONE.id] == {POOL: POOL_FACTS}
    assert world.times_asked(FACTORY) == 0


@pytest.mark.parametrize(
    "vouched",
    [
        None,
        b"",
        word(0),
        word(IMPOSTOR)[12:],
        word(IMPOSTOR) + bytes(32),
        b"\x01" + word(IMPOSTOR)[1:],
        word(IMPOSTOR)[:-1],
        b"\xff" * 31,
    ],
    ids=["reverts", "empty", "zero", "short", "long", "dirty", "cut", "garbage"],
)
async def test_only_the_exact_answer_vouches(database: Database, vouched: bytes | None) -> None:
    """A factory that reverts or answers anything but the address alone does not vouch."""
    world = busy(IMPOSTOR)
    world.pool(IMPOSTOR)
    asked = deployment().contracts["factory"][0]
    world.vouch(IMPOSTOR)
    (key,) = (key for key in world.answers if key[0] == asked)
    world.answers[key] = vouched
    async with group_over(world, database, ONE) as group:
        await meet(group, SPAN)
        assert group.members[ONE.id] == {IMPOSTOR: None}


GARBAGE = [None, b"", b"\x01", bytes(31), b"\xff" * 32, b"\xff" * 64, b"\x00" * 4096, b"\x08\xc3\x79\xa0" + bytes(96)]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("question", range(5), ids=["factory", "token0", "token1", "fee", "spacing"])
async def test_a_contract_that_answers_nonsense_is_not_a_member(
    database: Database, question: int, garbage: bytes | None
) -> None:
    """Reverts, nothing, too little, dirty octets, too large a tier: asked, and not ours; its neighbour is."""
    world = busy(IMPOSTOR, POOL)
    world.pool(POOL)
    world.pool(IMPOSTOR)
    world.answers[IMPOSTOR, FACTS[question]] = garbage
    async with group_over(world, database, ONE) as group:
        await meet(group, SPAN)
        assert group.members[ONE.id] == {POOL: POOL_FACTS, IMPOSTOR: None}


async def test_strangers_are_asked_once_and_never_again(database: Database) -> None:
    """Not in the next range, not after a restart: the ledger remembers who is not ours, too."""
    world = busy(POOL, IMPOSTOR, STRANGER)
    world.pool(POOL)
    world.pool(IMPOSTOR)
    world.pool(STRANGER, OTHER_FACTORY)
    for _ in range(2):
        async with group_over(world, database, ONE) as group:
            for _ in range(2):
                await meet(group, SPAN)
            assert group.members[ONE.id] == {POOL: POOL_FACTS, IMPOSTOR: None, STRANGER: None}
    assert [world.times_asked(contract) for contract in (POOL, IMPOSTOR, STRANGER, FACTORY)] == [1, 1, 1, 1]
    assert world.blocks == {HEAD}


async def test_who_is_turned_away_is_told_once(database: Database) -> None:
    """Apart from others those that answered nothing at all, whose words nobody could judge."""
    world = busy(POOL, IMPOSTOR, STRANGER)
    world.pool(POOL)
    world.pool(IMPOSTOR)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            async with group_over(world, database, ONE) as group:
                await meet(group, SPAN)
    assert [line for line in logs if line["event"] == "contracts turned away"] == [
        {
            "event": "contracts turned away",
            "log_level": "info",
            "deployment": ONE.id,
            "contracts": 2,
            "without_an_answer": [f"0x{STRANGER.hex()}"],
        }
    ]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(-32005, "daily request count exceeded, request rate limited"),
        Fault(-32000, "internal error"),
        Fault(-32000, "header not found"),
        Fault(-32000, f"missing trie node {'ab' * 32} (path )"),
        Fault(-32603, "execution timeout"),
    ],
    ids=lambda fault: str(fault)[:20],
)
@pytest.mark.parametrize("to", [POOL, FACTORY], ids=["pool", "proof"])
async def test_an_endpoint_that_fails_says_nothing_of_a_contract(
    database: Database, monkeypatch: pytest.MonkeyPatch, fault: Fault, to: bytes
) -> None:
    """Nothing is remembered of it, and who is asked again is a member."""
    contract = POOL if to == POOL else MOVED  # which needs the factory's proof
    world = busy(contract)
    world.pool(contract)
    world.vouch(contract)
    called = World.call

    def fails(this: World, asked: bytes, data: bytes, block: int) -> tuple[bool, bytes]:
        if asked == to:
            raise fault
        return called(this, asked, data, block)

    async with group_over(world, database, ONE) as group:
        with monkeypatch.context() as patch:
            patch.setattr(World, "call", fails)
            with pytest.raises(IndexerError):
                await meet(group, SPAN)
        assert group.members[ONE.id] == {}
        assert await database.fetch("SELECT FROM contract") == []
    async with group_over(world, database, ONE) as group:
        await meet(group, SPAN)
        assert group.members[ONE.id] == {contract: POOL_FACTS}


async def test_readers_side_by_side_ask_a_stranger_once(database: Database) -> None:
    """Four ranges at once, all with the same new pools."""
    world = busy(POOL, IMPOSTOR)
    world.pool(POOL)
    world.pool(IMPOSTOR)
    async with group_over(world, database, ONE) as group:
        await asyncio.gather(*(meet(group, SPAN) for _ in range(4)))
    assert [world.times_asked(contract) for contract in (POOL, IMPOSTOR)] == [1, 1]


async def test_two_deployments_ask_the_same_stranger_once(database: Database) -> None:
    """Each keeps its own verdict, from the same answers."""
    theirs = pool_address(500, OTHER_FACTORY)
    world = busy(POOL, theirs, STRANGER)
    world.pool(POOL)
    world.pool(theirs, OTHER_FACTORY, 500)
    async with group_over(world, database, ONE, TWO) as group:
        await meet(group, SPAN)
        assert group.members[ONE.id] == {POOL: POOL_FACTS, theirs: None, STRANGER: None}
        assert group.members[TWO.id] == {POOL: None, theirs: POOL_FACTS | {"fee_ppm": 500}, STRANGER: None}
    assert [world.times_asked(contract) for contract in (POOL, theirs, STRANGER)] == [1, 1, 1]


async def test_a_deployment_added_later_asks_again_for_itself(database: Database) -> None:
    """What one deployment knows is no answer to another's question."""
    world = busy(POOL)
    world.pool(POOL)
    async with group_over(world, database, ONE) as group:
        await meet(group, SPAN)
    async with group_over(world, database, ONE, TWO) as group:
        await meet(group, SPAN)
        assert group.members == {ONE.id: {POOL: POOL_FACTS}, TWO.id: {POOL: None}}
    assert world.times_asked(POOL) == 2


async def test_announced_pools_need_no_call(database: Database) -> None:
    """PoolCreated of the factory in the same logs tells everything; another factory's tells nothing."""
    world = busy(POOL, IMPOSTOR)
    world.create(POOL, START)
    world.create(IMPOSTOR, START, 1, factory=OTHER_FACTORY)
    async with group_over(world, database, ONE) as group:
        _, announced = await meet(group, SPAN)
        assert announced[ONE.id] == [Member(POOL, POOL_FACTS, Evidence(START, (START * 1000).to_bytes(32, "big"), 0))]
        assert group.members[ONE.id] == {POOL: POOL_FACTS, IMPOSTOR: None}
    assert world.times_asked(POOL) == 0
    assert world.times_asked(FACTORY) == 0
    assert world.times_asked(IMPOSTOR) == 1


async def test_named_pools_prove_themselves_like_any_other(database: Database) -> None:
    """A manifest that names its pools: the real one is asked for its facts, once, and is a member after a restart."""
    world = busy(POOL, STRANGER)
    world.pool(POOL)
    named = deployment(pools=[POOL])
    for _ in range(2):
        async with group_over(world, database, named) as group:
            await meet(group, SPAN)
            assert group.members[named.id] == {POOL: POOL_FACTS}
    assert world.times_asked(POOL) == 1
    assert world.times_asked(STRANGER) == 0


async def test_a_named_pool_that_cannot_prove_itself_is_the_manifests_mistake(database: Database) -> None:
    """The sentence names the deployment and the contract."""
    world = busy(IMPOSTOR)
    world.pool(IMPOSTOR)
    async with group_over(world, database, deployment(pools=[IMPOSTOR])) as group:
        with pytest.raises(BadInput, match=f"dex.one: contract 0x{IMPOSTOR.hex()} is named in the manifest"):
            await meet(group, SPAN)


async def test_ranges_without_logs_ask_nobody(database: Database) -> None:
    """No log, no call."""
    world = busy(POOL)
    async with group_over(world, database, ONE) as group:
        matched, announced = await meet(group, Span(START + 50, START + 60))
        assert matched[ONE.id].emitters() == set()
        assert announced == {ONE.id: []}
    assert not world.asked
