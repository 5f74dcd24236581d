"""Parameters as of a block, from their events or from the state, whichever the endpoint makes possible."""

from __future__ import annotations

from random import Random

import pytest

from indexer.chain.sizing import GLANCE
from indexer.families.uniswap_v3 import SHARE
from indexer.ledger.connect import Database
from indexer.model import Span, Step
from indexer.work import history
from indexer.work.group import Group
from indexer.work.history import ensure_history, steps_for
from indexer.work.reading import read_range
from indexer.work.source import DEAR
from tests.families.columns import Booked, booked
from tests.work.world import HEAD, SLOT0, START, World, address, deployment, group_over, pool_address

POOL, OTHER, STRANGER = pool_address(3000), pool_address(500), address("stranger")
ONE = deployment()
KEY = (POOL, SHARE)
LIMIT = 10
FAR = START + GLANCE + LIMIT * (DEAR + 50)  # after the first look still more than DEAR questions of LIMIT blocks
END_OF_BLOCK = (1 << 24) - 1


def switched(*changes: tuple[int, int, int], pool: bytes = POOL) -> World:
    """A pool whose switch is set at (block after START, new0, new1)."""
    world = World()
    world.pool(POOL)
    world.pool(OTHER, fee=500)
    for index, (block, new0, new1) in enumerate(changes):
        world.switch(pool, START + block, index, new0, new1)
    world.settle(pool)
    return world


def taken(steps: dict[tuple[bytes, str], list[Step]]) -> list[tuple[int, tuple[int, ...]]]:
    return [(step.block - START, step.values) for step in steps.get(KEY, [])]


# ---------------------------------------------------------------- from events


async def test_every_change_up_to_the_end_is_known_whatever_range_comes_first(database: Database) -> None:
    """A late range sees all changes, an early one none that come after it; asked in any order."""
    world = switched((10, 4, 4), (500, 5, 6), (90_000, 0, 0))
    async with group_over(world, database, ONE) as group:
        await ensure_history(group, Span(START, START + 100_000))
        assert not group.steps_from_state
        late = await steps_for(group, ONE, [POOL], Span(START + 95_000, START + 99_000), [])
        early = await steps_for(group, ONE, [POOL], Span(START, START + 400), [])
        assert taken(late) == [(10, (4, 4)), (500, (5, 6)), (90_000, (0, 0))]
        assert taken(early) == [(10, (4, 4))]


async def test_history_is_read_once_and_then_only_what_is_new(database: Database) -> None:
    """After a restart, and for later blocks: no block's events are asked for twice."""
    world = switched((10, 4, 4), (5000, 5, 6))
    for last in (4000, 4000, 9000):
        async with group_over(world, database, ONE) as group:
            await ensure_history(group, Span(START, START + last))
    asked = sorted(world.spans)
    assert asked[0].first == START
    assert asked[-1].last == START + 9000
    assert [span.first for span in asked[1:]] == [span.last + 1 for span in asked[:-1]]
    async with group_over(world, database, ONE) as group:
        assert taken(await steps_for(group, ONE, [POOL], Span(START, START + 9000), [])) == [
            (10, (4, 4)),
            (5000, (5, 6)),
        ]


async def test_a_long_history_is_read_in_ever_larger_parts(database: Database) -> None:
    """Two million blocks of rare events without a limit: few questions."""
    world = switched((1_000_000, 4, 4))
    async with group_over(world, database, ONE) as group:
        await ensure_history(group, Span(START, HEAD))
        assert taken(await steps_for(group, ONE, [POOL], Span(HEAD, HEAD), [])) == [(1_000_000, (4, 4))]
    assert len(world.spans) < 15


async def test_what_a_range_s_own_logs_tell_is_not_told_twice(database: Database) -> None:
    """A change that the ledger knows already and the range sees again is one step, in its place."""
    world = switched((10, 4, 4), (20, 5, 5))
    async with group_over(world, database, ONE) as group:
        await ensure_history(group, Span(START, START + 100))
        span = Span(START + 15, START + 30)
        (known,) = (await steps_for(group, ONE, [POOL], span, [])).values()
        again = await steps_for(group, ONE, [POOL], span, [known[1]])
        assert taken(again) == [(10, (4, 4)), (20, (5, 5))]


# ---------------------------------------------------------------- from the state


async def test_short_ranges_and_old_state_make_ranges_ask_the_state(database: Database) -> None:
    """Ten blocks a question: what the switch was is asked at the block before the range, not read from two million."""
    world = switched((10, 4, 4), (1_000_000, 5, 6))
    world.max_blocks = LIMIT
    async with group_over(world, database, ONE) as group:
        await ensure_history(group, Span(START, HEAD))
        assert group.steps_from_state
        assert len(world.spans) < DEAR
        world.blocks.clear()
        assert taken(await steps_for(group, ONE, [POOL], Span(START + 50, START + 59), [])) == [(49, (4, 4))]
        assert taken(await steps_for(group, ONE, [POOL], Span(HEAD - 9, HEAD), [])) == [(HEAD - 10 - START, (5, 6))]
        assert world.blocks == {START + 49, HEAD - 10}


async def test_state_counts_before_the_range_and_its_own_logs_within(database: Database) -> None:
    """A switch set twice inside the range: the state at its start, then each change at its log."""
    world = switched((10, 4, 4), (52, 5, 6), (55, 7, 0))
    async with group_over(world, database, ONE) as group:
        group.steps_from_state = True
        seen = [Step(POOL, SHARE, START + block, 0, values) for block, values in ((55, (7, 0)), (52, (5, 6)))]
        steps = await steps_for(group, ONE, [POOL], Span(START + 50, START + 59), seen)
    assert taken(steps) == [(49, (4, 4)), (52, (5, 6)), (55, (7, 0))]
    assert steps[KEY][0].log_index == END_OF_BLOCK


@pytest.mark.parametrize("answer", [None, b"", b"\xff" * 32, b"\xff" * 224], ids=["reverts", "none", "short", "dirty"])
async def test_a_pool_that_was_not_there_yet_has_the_initial_switch(database: Database, answer: bytes | None) -> None:
    """Before its creation a pool answers nothing: the switch was off."""
    world = switched()
    world.answers[POOL, SLOT0] = answer
    async with group_over(world, database, ONE) as group:
        group.steps_from_state = True
        assert taken(await steps_for(group, ONE, [POOL], Span(START, START + 9), [])) == [(-1, (0, 0))]


async def test_the_first_block_of_all_has_no_block_before_it(database: Database) -> None:
    """A chain whose deployment starts at block 0 is asked at block 0."""
    world = switched()
    async with group_over(world, database, ONE) as group:
        group.steps_from_state = True
        await steps_for(group, ONE, [POOL], Span(0, 9), [])
    assert world.blocks == {0}


async def test_without_old_state_events_are_read_however_many_questions_it_takes(database: Database) -> None:
    """A node that prunes: asked for old state once, then all events, ten blocks at a time."""
    world = switched((10, 4, 4), (2_000, 5, 6))
    world.max_blocks, world.oldest_state = LIMIT, HEAD - 128
    async with group_over(world, database, ONE) as group:
        await ensure_history(group, Span(START, FAR))
        assert not group.steps_from_state
        assert world.blocks == {START - 1}, "the state just before the span"
        calls = group.pool.requests - len(world.spans)
        assert calls < 10, "the missing state is asked for once, not before every part"
        assert taken(await steps_for(group, ONE, [POOL], Span(FAR, FAR), [])) == [(10, (4, 4)), (2_000, (5, 6))]
    assert sorted(world.spans)[-1].last == FAR


async def test_a_limit_learnt_halfway_is_not_too_dear_for_a_short_history(database: Database) -> None:
    """Fewer than DEAR questions are simply asked."""
    world = switched((10, 4, 4))
    world.max_blocks = LIMIT
    async with group_over(world, database, ONE) as group:
        await ensure_history(group, Span(START, START + LIMIT * DEAR // 2))
        assert not group.steps_from_state
    assert not world.blocks


async def test_nothing_is_asked_for_no_contract(database: Database) -> None:
    """A range without members needs no parameters."""
    world = switched()
    async with group_over(world, database, ONE) as group:
        group.steps_from_state = True
        assert await steps_for(group, ONE, [], Span(START, START + 9), []) == {}
    assert not world.asked


# ---------------------------------------------------------------- both ways, the same flows


async def flows(group: Group, spans: list[Span]) -> list[Booked]:
    """What these ranges book, read in this order."""
    found: list[Booked] = []
    for span in spans:
        reading = await read_range(group, span, (ONE.id,), HEAD)
        found += [row for classified in reading.classified.values() for row in booked(classified)]
    return sorted(found, key=lambda row: (row[0], row[1], row[5], row[6]))


@pytest.mark.parametrize("seed", range(4))
async def test_events_and_state_book_the_same_flows_in_any_order_of_ranges(
    database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pools, swaps and switches in any order, often in one block; strangers switch, too."""
    dice, world = Random(seed), switched()
    world.settle(OTHER)
    for block in range(START, START + 60):
        for index in range(dice.randint(0, 4)):
            pool = dice.choice([POOL, OTHER, STRANGER])
            if dice.random() < 0.3:
                world.switch(pool, block, index, dice.choice([0, 4, 10]), dice.choice([0, 5, 7]))
            else:
                world.swap(pool, block, index, dice.choice([1, -1]) * dice.randrange(1, 10**12))
    spans = [
        Span(START, START + 11),
        Span(START + 12, START + 12),
        Span(START + 13, START + 40),
        Span(START + 41, START + 60),
    ]
    async with group_over(world, database, ONE) as group:
        await ensure_history(group, Span(START, START + 60))
        from_events = await flows(group, spans)
        dice.shuffle(spans)
        assert await flows(group, spans) == from_events
        group.steps_from_state = True
        monkeypatch.setattr(history.context, "steps", None)
        assert await flows(group, spans) == from_events
    sides = {row[4].side for row in from_events}
    assert len(sides) == 2, "some swap was shared with the protocol"
