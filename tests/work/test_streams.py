"""What accrues with time needs every event before it, or the state at one block; both make the same streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from indexer.chain.sizing import GLANCE
from indexer.errors import BadInput, EndpointUnusable
from indexer.families.interface import OPENING
from indexer.families.staking_rewards import (
    ADDED,
    DURATION,
    DURATION_UPDATED,
    REWARD_ADDED,
    STAKE,
    STAKED,
    WITHDRAWAL,
    WITHDRAWN,
    Programme,
)
from indexer.ledger import context, ranges
from indexer.ledger.connect import Database
from indexer.ledger.registry import register
from indexer.manifest import Category, Deployment, Protocol
from indexer.model import Basis, Kind, Span
from indexer.work.backfill import backfill
from indexer.work.group import Group
from indexer.work.plan import planned
from indexer.work.progress import Progress
from indexer.work.source import DEAR
from indexer.work.streams import ensure_openings, rebuild
from tests.families.staking import Contract, Happening, happen
from tests.work.world import HEAD, START, World, address, group_over, selector, word

POOL, TOKEN, USER = address("farm"), address("reward"), address("staker")
DAY = 86_400
LIMIT = 10
FAR = START + 9 * GLANCE + LIMIT * DEAR  # after a few first looks still more than DEAR questions of LIMIT blocks
EVENTS = {
    ADDED: (REWARD_ADDED, "reward"),
    STAKE: (STAKED, "amount"),
    WITHDRAWAL: (WITHDRAWN, "amount"),
    DURATION: (DURATION_UPDATED, "newDuration"),
}
STATE = ("rewardRate", "periodFinish", "totalSupply", "rewardsDuration")
ONE = Deployment(
    "farm.one", "farm", "ethereum", "staking_rewards", START, {"pool": (POOL,), "token": (TOKEN,)},
    {Kind.INCENTIVE: Basis.ACCRUED}, "exact", bytes(32), Programme(duration=DAY, why="Made up for this test."),
)  # fmt: skip


def time_at(block: int) -> int:
    return 1_700_000_000 + 12 * (block - START)


class Still(Contract):
    """Years of it at once."""

    def wait_until(self, now: int) -> None:
        self.now = now


@dataclass
class FarmWorld(World):
    """A StakingRewards whose state at any block is what its logs had made of it. born: the block it was made in."""

    happenings: list[tuple[int, Happening]] = field(default_factory=list)
    born: int = START
    headers: list[int] = field(default_factory=list)
    asked_at: set[int] = field(default_factory=set)  # blocks whose state of the pool was asked

    def __post_init__(self) -> None:
        for number, name in enumerate(STATE):
            asked = selector(f"{name}() returns (uint256)")
            self.answers[POOL, asked] = lambda block, number=number: (
                self.state(block)[number] if block >= self.born else b""
            )

    def __call__(self, method: str, params: Any) -> Any:
        if method != "eth_getBlockByNumber":
            return super().__call__(method, params)
        number = int(params[0], 16)
        self.headers.append(number)
        hashes = {"hash": f"0x{number:064x}", "parentHash": f"0x{number - 1:064x}"}
        return {"number": hex(number), "timestamp": hex(time_at(number)), "logsBloom": "0x" + "00" * 256, **hashes}

    def call(self, to: bytes, data: bytes, block: int) -> tuple[bool, bytes]:
        self.asked_at |= {block} if to == POOL else set()
        return super().call(to, data, block)

    def happen(self, block: int, name: str, amount: int, index: int = 0) -> None:
        event, argument = EVENTS[name]
        self.emit(POOL, event, START + block, index, user=USER, **{argument: amount})
        self.happenings.append((START + block, Happening(time_at(START + block), name, amount)))

    def state(self, block: int) -> list[bytes]:
        contract = Still(DAY)
        for at, one in self.happenings:
            if at <= block:
                happen(contract, one, 0)
        return [word(value) for value in contract.state]

    def questions(self) -> int:
        """How often the pool was asked for its state."""
        return sum(count for (to, _), count in self.asked.items() if to == POOL)


def farm(*happenings: tuple[int, str, int]) -> FarmWorld:
    world = FarmWorld()
    for block, name, amount in happenings:
        world.happen(block, name, amount)
    return world


LIFE = ((10, STAKE, 7), (20, ADDED, 8_640_000), (4_000, ADDED, 4_320_000), (5_000, WITHDRAWAL, 7), (5_500, STAKE, 1))


async def run(world: FarmWorld, database: Database, target: Span, one: Deployment = ONE) -> None:
    """Reads the target and makes its streams, as a run does."""
    await register(
        database,
        {"ethereum": 1},
        [Protocol("farm", "Farm", Category.FARM, "Made up.", (), (one,))],
        {"staking_rewards": 1},
    )
    async with group_over(world, database, one) as group:
        await backfill(group, target, target.last, Progress("ethereum"))
        await rebuild(database, 1, [one], HEAD)


async def streams(database: Database) -> list[tuple[int, int, int]]:
    """(rate, first, last) of each stream, the times as seconds since START's block."""
    rows = await database.fetch("SELECT numerator, begins, ends FROM stream ORDER BY begins")
    zero = time_at(START)
    return [(int(row[0]), int(row[1].timestamp()) - zero, int(row[2].timestamp()) - zero) for row in rows]


def cut_off(found: Sequence[tuple[int, int, int]], block: int) -> list[tuple[int, int, int]]:
    """What is left of streams from a block's time on."""
    first = time_at(block) - time_at(START)
    return [(rate, max(begins, first), ends) for rate, begins, ends in found if ends > first]


@asynccontextmanager
async def opened(world: FarmWorld, database: Database, target: Span) -> AsyncIterator[Group]:
    async with group_over(world, database, ONE) as group:
        await ensure_openings(group, target)
        yield group


# ---------------------------------------------------------------- from events


async def test_from_its_start_on_the_ranges_tell_everything(database: Database) -> None:
    """8,640,000 over a day is 100 a second; topped up by half after 47,760 seconds it is 94 for a day more."""
    world = farm(*LIFE)
    await run(world, database, Span(START - 5, START + 9_000))
    end = 48_000 + DAY
    assert await streams(database) == [(100, 240, 48_000), (94, 48_000, 60_000), (94, 66_000, end)]
    assert (4_320_000 + (DAY - 47_760) * 100) // DAY == 94
    assert (world.questions(), world.headers) == (0, [])


async def test_a_later_target_reads_the_events_before_it_and_nothing_twice(database: Database) -> None:
    world = farm(*LIFE)
    await run(world, database, Span(START + 4_500, START + 9_000))
    late = await streams(database)
    spans = sorted(world.spans)
    assert (spans[0].first, spans[-1].last) == (START, START + 9_000)
    assert all(span.last < START + 4_500 or span.first >= START + 4_500 for span in spans)
    assert world.questions() == 0
    await database.fetch("TRUNCATE history, range_deployment, stream, stream_span, parameter")
    await run(world, database, Span(START, START + 9_000))
    assert await streams(database) == late


async def test_what_is_known_is_not_asked_again(database: Database) -> None:
    """Following, restarting, or a target in the midst of what is held: the events before it are known."""
    world = farm(*LIFE)
    await run(world, database, Span(START + 100, START + 3_000))
    world.spans.clear()
    for last in (3_000, 6_000):
        await run(world, database, Span(START + 100, START + last))
    await run(world, database, Span(START + 2_000, START + 6_000))
    assert sorted(world.spans)[0].first == START + 3_001


async def test_a_gap_between_two_targets_is_read_for_its_events_alone(database: Database) -> None:
    world = farm(*LIFE)
    await run(world, database, Span(START, START + 1_000))
    world.spans.clear()
    await run(world, database, Span(START + 8_000, START + 9_000))
    assert sorted(world.spans)[0].first == START + 1_001
    assert cut_off(await streams(database), START) == await streams(database)
    rows = await database.fetch("SELECT first_block, last_block FROM stream_span")
    assert [tuple(row) for row in rows] == [(START, START + 9_000)]


# ---------------------------------------------------------------- from the state


def dear(*happenings: tuple[int, str, int]) -> FarmWorld:
    """An endpoint that answers ten blocks at a time."""
    world = farm(*happenings)
    world.max_blocks = LIMIT
    return world


@pytest.mark.parametrize("first", [3_900, 4_000, 4_001, 4_999, 5_000, 5_200, 5_501])
async def test_short_ranges_begin_with_the_state_and_stream_the_same_from_there(database: Database, first: int) -> None:
    """One state as of the block before the target, with its time; then the ranges' own events."""
    target = Span(FAR + first, FAR + 5_600)
    life = tuple((FAR - START + block, name, amount) for block, name, amount in LIFE)
    world = dear(*life)
    await run(world, database, target)
    assert (world.asked_at, world.headers) == ({target.first - 1}, [target.first - 1])
    assert world.questions() == len(STATE)
    mine = await streams(database)
    (row,) = await database.fetch("SELECT block_number, tx_hash, log_index FROM stream ORDER BY begins LIMIT 1")
    if mine[0][1] == time_at(target.first - 1) - time_at(START):
        assert tuple(row) == (target.first - 1, None, None), "an eth_call told this rate"
    await database.fetch("TRUNCATE history, range_deployment, stream, stream_span, parameter")
    await run(farm(*life), database, Span(START, target.last))
    assert mine == cut_off(await streams(database), target.first - 1)


async def test_going_on_needs_no_further_state(database: Database) -> None:
    world = dear(*LIFE)
    for last in (FAR + 50, FAR + 50, FAR + 90):
        await run(world, database, Span(FAR, last))
    assert world.questions() == len(STATE)


async def test_an_earlier_target_begins_with_an_earlier_state_and_the_two_agree(database: Database) -> None:
    world = dear((10, STAKE, 7), (FAR - START - 300, ADDED, 8_640_000), (FAR - START - 40, ADDED, 999_999))
    await run(world, database, Span(FAR, FAR + 60))
    later = await streams(database)
    await run(world, database, Span(FAR - 100, FAR + 60))
    assert world.asked_at == {FAR - 1, FAR - 101}
    assert cut_off(await streams(database), FAR - 1) == later
    assert len(await streams(database)) == 2


async def test_a_state_that_the_logs_do_not_make_is_refused(database: Database) -> None:
    """An endpoint that leaves a log out is found by the next state that is asked."""
    world = dear((10, STAKE, 7), (FAR - START - 40, ADDED, 999_999))
    await run(world, database, Span(FAR, FAR + 60))
    world.logs = [log for log in world.logs if int(log["blockNumber"], 16) != FAR - 40]
    with pytest.raises(BadInput, match=rf"block {FAR - 1}: rewardRate.* are 11, .* but its events make them 0, 0, 7"):
        await run(world, database, Span(FAR - 100, FAR + 60))


async def test_what_a_new_manifest_retires_is_not_asked_for_again(database: Database) -> None:
    """The state of a block stays what it was, whoever reads it."""
    world = dear(*LIFE)
    await run(world, database, Span(FAR, FAR + 50))
    world.asked.clear()
    await run(world, database, Span(FAR, FAR + 50), replace(ONE, digest=b"\1" * 32))
    assert (world.questions(), len(world.headers)) == (0, 1)
    assert [tuple(row) for row in await database.fetch("SELECT first_block, last_block FROM stream_span")] == [
        (FAR - 1, FAR + 50)
    ]


async def test_a_contract_that_is_not_there_yet_begins_as_its_constructor_makes_it(database: Database) -> None:
    """A start block may be given too early; option duration says what the constructor sets."""
    world = dear((FAR - START + 10, STAKE, 1), (FAR - START + 20, ADDED, DAY * 5))
    world.born = FAR + 5
    await run(world, database, Span(FAR, FAR + 50))
    zero = 12 * (FAR - START)
    assert await streams(database) == [(5, zero + 240, zero + 240 + DAY)]


async def test_without_old_state_the_run_is_refused_with_what_to_do(database: Database) -> None:
    world = dear(*LIFE)
    world.oldest_state = HEAD
    async with group_over(world, database, ONE) as group:
        with pytest.raises(EndpointUnusable) as caught:
            await ensure_openings(group, Span(FAR, FAR + 50))
    said = str(caught.value)
    assert f"farm.one accrues with time, so what block {FAR - 1} left must be known" in said
    assert f"at {LIMIT} blocks a request" in said
    assert f"Start at block {START}, or give an archive endpoint or one that allows wider ranges." in said
    assert caught.value.exit_code == 3


async def test_a_short_gap_is_read_whatever_the_limit(database: Database) -> None:
    world = dear(*LIFE)
    world.oldest_state = HEAD
    async with opened(world, database, Span(START + LIMIT * DEAR // 2, START + LIMIT * DEAR)):
        assert world.questions() == 0
    assert sorted(world.spans)[-1].last == START + LIMIT * DEAR // 2 - 1


async def test_a_contract_that_is_no_staking_rewards_is_refused(database: Database) -> None:
    world = dear(*LIFE)
    world.answers[POOL, selector("periodFinish() returns (uint256)")] = None
    async with group_over(world, database, ONE) as group:
        with pytest.raises(
            BadInput, match=rf"farm.one: contract 0x{POOL.hex()} at block {FAR - 1}: .*periodFinish\(\)"
        ):
            await ensure_openings(group, Span(FAR, FAR + 50))
    assert await context.histories(database, 1, ["farm.one"]) != {"farm.one": [Span(FAR - 1, FAR - 1)]}


async def test_a_family_without_streams_asks_nothing(database: Database) -> None:
    from tests.work.world import deployment

    world = farm(*LIFE)
    async with group_over(world, database, deployment()) as group:
        await ensure_openings(group, Span(FAR, FAR + 50))
    assert (world.spans, world.asked_at, world.headers) == ([], set(), [])


# ---------------------------------------------------------------- what it will cost


@pytest.mark.parametrize(
    ("first", "known", "gaps"),
    [
        (START - 9, [], []),
        (START, [], []),
        (START + 50, [], [Span(START, START + 49)]),
        (START + 50, [Span(START, START + 29)], [Span(START + 30, START + 49)]),
        (START + 50, [Span(START, START + 29), Span(START + 49, START + 49)], []),
    ],
    ids=["before it", "its start", "nothing known", "half known", "a state known"],
)
def test_the_events_before_a_target_are_part_of_the_plan(first: int, known: list[Span], gaps: list[Span]) -> None:
    """So an endpoint whose history is pruned is left out, and the cost is told before."""
    plan = planned([ONE], Span(first, START + 90), {}, {"farm.one": known})
    assert list(plan.history) == gaps
    assert len(plan.events) == 1
    assert planned([ONE], Span(first, START + 90), {"farm.one": [Span(first, START + 90)]}, {}).history == ()


# ---------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize("first", [START, START + 100], ids=["in a range", "in the history before"])
async def test_a_named_contract_s_log_that_cannot_be_decoded_is_refused(database: Database, first: int) -> None:
    """Left out it would change the stream; so it is the manifest's mistake."""
    world = farm(*LIFE)
    (broken,) = [log for log in world.logs if int(log["blockNumber"], 16) == START + 20]
    broken["data"] += "00" * 32
    with pytest.raises(
        BadInput, match=rf"farm.one: block {START + 20}, log 0: a log of contract 0x{POOL.hex()} has 64 octets"
    ):
        await run(world, database, Span(first, START + 200))
    assert await streams(database) == []
    held = await ranges.held(database, 1, ["farm.one"])
    assert all(not span.first <= START + 20 <= span.last for span in held["farm.one"]), "nothing of it was committed"


# ---------------------------------------------------------------- both ways, in any order


@pytest.mark.parametrize("seed", range(3))
async def test_any_targets_in_any_order_make_the_same_streams(database: Database, seed: int) -> None:
    """Part read by an endpoint with short ranges, part by one without limits."""
    dice, staked, life, block = Random(seed), 0, [], FAR - START - 500
    for _ in range(25):
        block += dice.randrange(1, 60)
        name = dice.choice([ADDED, STAKE, WITHDRAWAL, DURATION])
        name = STAKE if name == WITHDRAWAL and not staked else name
        amount = {ADDED: dice.randrange(10**9), STAKE: 3, DURATION: dice.randrange(60, 9_000)}.get(
            name, staked if dice.random() < 0.5 else 3
        )
        staked += {STAKE: amount, WITHDRAWAL: -amount}.get(name, 0)
        life.append((block, name, amount))
    world, end = farm(*life), START + block + 40
    edges = sorted(dice.sample(range(FAR - 450, end), 3))
    parts = [Span(edges[0], edges[1] - 1), Span(edges[1], edges[2] - 1), Span(edges[2], end)]
    dice.shuffle(parts)
    for part in parts:
        world.max_blocks = dice.choice([LIMIT, None])
        await run(world, database, part)
    world.max_blocks = None
    apart = await streams(database)
    await database.fetch("TRUNCATE history, range_deployment, stream, stream_span, parameter")
    await run(world, database, Span(START, end))
    whole = await streams(database)
    assert apart[-1] == whole[-1]
    known = await database.fetch("SELECT name FROM parameter WHERE name = $1", OPENING)
    assert known == []
    assert cut_off(apart, edges[0] - 1) == cut_off(whole, edges[0] - 1)
