"""Feeds: phases asked once, dated by the best evidence there is, read as deployments of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.errors import BadInput, EndpointLied
from indexer.ledger import context
from indexer.ledger.connect import Database
from indexer.manifest import Deployment
from indexer.model import Span
from indexer.settings import load_settings
from indexer.work import follow as following
from indexer.work.feeds import is_feed, read_along
from indexer.work.job import ChainJob
from indexer.work.progress import Progress
from tests.fakes.node import Node
from tests.work.feeding import (
    MIDNIGHT,
    OTHER_TOKEN,
    PROXY,
    TOKEN,
    FeedWorld,
    aggregator,
    feed,
    feeds_over,
    head,
    made_known,
)
from tests.work.world import ETHEREUM, START, address
from tests.work.world import deployment as other

NAME = "feeds.ethereum.eth"
CHANGES = (START + 1000, START + 40_000, START + 90_000)
WHOLE = Span(START, START + 100_000)
LAST = head(WHOLE.last)


@pytest.fixture
def world() -> FeedWorld:
    made = FeedWorld()
    made.proxy(*CHANGES)
    return made


async def resolve(
    world: FeedWorld, database: Database, target: Span = WHOLE, *deployments: Deployment
) -> dict[str, Deployment]:
    async with feeds_over(world, database, deployments or (feed(),)) as found:
        return {one.id: one for one in await found.resolve(target, head(max(target.last, LAST.number)))}


async def rows(database: Database, statement: str, *values: object) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await database.fetch(statement, *values)]


async def bounds(database: Database) -> dict[int, tuple[int | None, ...]]:
    found = await rows(
        database,
        "SELECT phase, possible_from, certain_from, certain_to, possible_to FROM feed_validity ORDER BY phase",
    )
    return {row[0]: row[1:] for row in found}


# ------------------------------------------------------------ asking


async def test_a_weeks_figures_need_the_phase_of_that_week_alone(world: FeedWorld, database: Database) -> None:
    found = await resolve(world, database, Span(START + 95_000, WHOLE.last))
    assert list(found) == [f"{NAME}.p3"]
    one = found[f"{NAME}.p3"]
    assert one.contracts == {"proxy": (PROXY,), "aggregator": (aggregator(3),)}
    assert not is_feed(one)
    assert world.asked_phase() == 2  # now and at the start of the week
    assert (await bounds(database))[3] == (None, START + 95_000, WHOLE.last, None)


async def test_old_phases_are_read_for_history_from_the_block_they_began_at(
    world: FeedWorld, database: Database
) -> None:
    found = await resolve(world, database)
    assert {name: one.start_block for name, one in found.items()} == {
        f"{NAME}.p{number}": begun for number, begun in enumerate(CHANGES, start=1)
    }
    one, two, three = CHANGES
    assert await bounds(database) == {
        0: (None, START, one - 1, one - 1),
        1: (one, one, two - 1, two - 1),
        2: (two, two, three - 1, three - 1),
        3: (three, three, WHOLE.last, None),
    }
    assert world.asked_phase() < 60  # three halvings of 100,000 blocks


async def test_what_is_known_is_not_asked_again(world: FeedWorld, database: Database) -> None:
    first = await resolve(world, database)
    world.asked.clear()
    assert await resolve(world, database) == first
    assert world.asked == {(PROXY, key[1]): 1 for key in world.asked if key[0] == PROXY}
    assert world.asked.total() == 1


async def test_a_later_run_with_an_earlier_start_dates_only_what_it_needs(world: FeedWorld, database: Database) -> None:
    await resolve(world, database, Span(START + 95_000, WHOLE.last))
    world.asked.clear()
    found = await resolve(world, database, Span(START + 50_000, WHOLE.last))
    assert {name: one.start_block for name, one in found.items()} == {f"{NAME}.p2": START, f"{NAME}.p3": CHANGES[2]}
    assert (await bounds(database))[2][:2] == (None, START + 50_000)
    assert world.asked_phase() < 20


async def test_without_old_state_every_phase_is_read_and_no_day_is_certain(
    world: FeedWorld, database: Database
) -> None:
    world.oldest_state = WHOLE.last - 100
    found = await resolve(world, database)
    assert {name: one.start_block for name, one in found.items()} == {f"{NAME}.p{n}": START for n in (1, 2, 3)}
    end = WHOLE.last
    assert await bounds(database) == {
        1: (None, 0, None, end - 1),
        2: (None, end, None, end - 1),
        3: (None, end, end, None),
    }


async def test_a_new_phase_is_read_from_where_the_old_one_was_last_seen(world: FeedWorld, database: Database) -> None:
    """A node with recent state only: the change lies somewhere in the day between the two looks."""
    world.oldest_state = WHOLE.last - 100
    before = await resolve(world, database)
    world.point(WHOLE.last + 5000, aggregator(4))
    world.oldest_state = WHOLE.last + 7100
    after = await resolve(world, database, Span(START, WHOLE.last + 7200))
    assert after.keys() - before.keys() == {f"{NAME}.p4"}
    assert after[f"{NAME}.p4"].start_block == WHOLE.last + 1
    assert {name: one.digest for name, one in before.items()} == {name: after[name].digest for name in before}
    assert (await bounds(database))[4] == (WHOLE.last + 1, WHOLE.last + 7200, WHOLE.last + 7200, None)


async def test_a_new_phase_is_dated_where_the_state_is_there(world: FeedWorld, database: Database) -> None:
    await resolve(world, database)
    world.asked.clear()
    begun = WHOLE.last + 5000
    world.point(begun, aggregator(4))
    found = await resolve(world, database, Span(START, WHOLE.last + 7200))
    assert found[f"{NAME}.p4"].start_block == begun
    assert (await bounds(database))[3][2:] == (begun - 1, begun - 1)
    assert world.asked_phase() <= 15  # one halving of 7,200 blocks


async def test_feeds_that_share_a_proxy_share_its_questions(world: FeedWorld, database: Database) -> None:
    twin = feed("feeds.ethereum.bridged", token=OTHER_TOKEN)
    found = await resolve(world, database, Span(START + 95_000, WHOLE.last), feed(), twin)
    assert set(found) == {f"{NAME}.p3", "feeds.ethereum.bridged.p3"}
    assert world.asked_phase() == 2


async def test_a_feed_of_the_future_is_not_asked(world: FeedWorld, database: Database) -> None:
    assert await resolve(world, database, WHOLE, feed(start=LAST.number + 1)) == {}
    assert world.asked.total() == 0


async def test_a_proxy_that_answers_nothing_is_left_out_and_the_others_are_read(
    world: FeedWorld, database: Database
) -> None:
    """A chain without that contract can be indexed all the same: what the feed would price has other prices or none."""
    wrong, reverting = address("no contract"), address("no proxy")
    world.answers[reverting, next(iter(world.answers))[1]] = None
    mistaken = [feed("feeds.ethereum.a", wrong), feed("feeds.ethereum.b", reverting, OTHER_TOKEN)]
    with capture_logs() as told:
        found = await resolve(world, database, WHOLE, *mistaken, feed())
    assert {name.rpartition(".")[0] for name in found} == {NAME}
    left = [line for line in told if line["event"] == "price feed left out"]
    for line, name, contract in zip(left, ("a", "b"), (wrong, reverting), strict=True):
        assert (line["log_level"], line["chain"], line["feed"]) == ("warning", "ethereum", f"feeds.ethereum.{name}")
        assert f"contract 0x{contract.hex()} answers nothing to phaseId() at block" in line["reason"]
        assert "feeds = false under [prices]" in line["reason"]


async def test_a_proxy_that_answered_before_and_tells_nothing_now_is_not_believed(
    world: FeedWorld, database: Database
) -> None:
    await resolve(world, database)
    world.changes[PROXY].clear()
    with pytest.raises(BadInput, match="answers nothing to phaseId"):
        await resolve(world, database, Span(START, WHOLE.last + 10))


async def test_an_aggregator_of_many_feeds_is_left_out(world: FeedWorld, database: Database) -> None:
    """It tells its decimals to proxies only, so its logs cannot be told apart; the phase is known, and not read."""
    shared = address("cache of feeds")
    world.point(START + 95_000, shared, decimals=None)
    found = await resolve(world, database)
    assert set(found) == {f"{NAME}.p{number}" for number in (1, 2, 3)}
    assert (await rows(database, "SELECT aggregator, decimals FROM feed_phase WHERE phase = 4")) == [(shared, None)]
    assert (await bounds(database))[3][2:] == (START + 94_999, START + 94_999)


async def test_an_endpoint_that_lags_behind_what_was_seen_is_not_believed(world: FeedWorld, database: Database) -> None:
    await resolve(world, database)
    world.changes[PROXY].pop()
    with pytest.raises(EndpointLied, match="phase 2"):
        await resolve(world, database, Span(START, WHOLE.last + 10))


async def test_what_the_ledger_knows_of_phases_needs_no_question(world: FeedWorld, database: Database) -> None:
    asked = await resolve(world, database)
    world.asked.clear()
    async with feeds_over(world, database, [feed()]) as found:
        assert {one.id: one for one in await found.known(WHOLE)} == asked
        assert await found.held() == list(asked)
    assert world.asked.total() == 0


async def test_the_facts_of_a_phase_have_their_evidence(world: FeedWorld, database: Database) -> None:
    await resolve(world, database)
    facts = await context.contracts(database, 1, f"{NAME}.p2", [aggregator(2)])
    assert facts == {aggregator(2): {"decimals": 8, "phase": 2}}
    assert await rows(database, "SELECT DISTINCT block_number FROM contract") == [(WHOLE.last,)]


async def test_another_token_retires_every_phase_that_was_read(world: FeedWorld, database: Database) -> None:
    """Also those that the present run does not read: their answers price the wrong token."""
    await resolve(world, database)
    await database.fetch(
        "INSERT INTO range_answer VALUES (1, 7, $1, '2023-11-15', $2, $3, 8, '{1}', '{0}', '{5}')",
        f"{NAME}.p1", aggregator(1), TOKEN,
    )  # fmt: skip
    found = await resolve(world, database, Span(START + 95_000, WHOLE.last), feed(token=OTHER_TOKEN))
    assert list(found) == [f"{NAME}.p3"]
    assert await rows(database, "SELECT FROM range_answer") == []


# ------------------------------------------------------------ which feeds matter


def test_feeds_of_tokens_that_matter_are_read_along() -> None:
    offered = [feed("f.ethereum.a"), feed("f.ethereum.b", token=OTHER_TOKEN), other("dex.one")]
    assert [one.id for one in read_along(offered, [other("dex.two")], {TOKEN})] == ["f.ethereum.a"]
    assert read_along(offered, [], set()) == []


def test_a_feed_that_is_named_stands_for_the_one_that_comes_along() -> None:
    mine = feed("mine.ethereum.a")
    assert read_along([feed("f.ethereum.a")], [mine], {TOKEN}) == []


def test_two_feeds_of_one_token_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^g\.ethereum\.a: prices the same token as f\.ethereum\.a: name the protocol"):
        read_along([feed("f.ethereum.a"), feed("g.ethereum.a")], [], {TOKEN})


# ------------------------------------------------------------ a run


@asynccontextmanager
async def job(world: FeedWorld, database: Database, start: int = START) -> AsyncIterator[ChainJob]:
    """A run over this world from a block on, with one feed."""
    await made_known(database)
    settings = load_settings(None, {"from": start, "chains": {"ethereum": {"rpc": "http://made"}}}, environment=False)
    async with Node(world) as node:
        pool = Endpoints(ETHEREUM, [Endpoint(SecretStr(node.url))], attempts=2)
        running = ChainJob(settings, pool, [feed()], database, Progress("ethereum"))
        try:
            yield running
        finally:
            await running.close()


async def daily(database: Database) -> list[tuple[str, int, int, Decimal]]:
    return await rows(
        database,
        "SELECT right(deployment, 2), extract(day FROM day)::int, answers::int, mean_usd * 10^8 "
        "FROM answer_daily ORDER BY day, deployment",
    )


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.05)


def day(number: int) -> int:
    """The first block of a day of November 2023."""
    return MIDNIGHT + 7200 * (number - 15)


async def test_a_run_counts_each_phase_while_it_lasted(database: Database) -> None:
    """Tests of the second aggregator before the change, a late answer of the first one after it."""
    world = FeedWorld()
    world.proxy(START + 10, day(16) + 3000)
    for block, value in ((day(15) + 5, 300), (day(16) + 10, 310), (day(16) + 2999, 312)):
        world.answer(aggregator(1), block, value)
    for block in (day(15) + 6, day(16) + 11, day(16) + 2998):
        world.answer(aggregator(2), block, 1)  # tests
    world.answer(aggregator(2), day(16) + 3000, 320)
    world.answer(aggregator(1), day(16) + 3001, 99_999)
    world.answer(aggregator(2), day(17) + 1, 330)
    world.answer(aggregator(2), day(17) + 2, -5)
    world.finalized = day(18) + 10
    async with job(world, database) as running:
        await running.history()
    assert await daily(database) == [("p1", 15, 1, 300), ("p1", 16, 2, 311), ("p2", 16, 1, 320), ("p2", 17, 1, 330)]
    assert await rows(database, "SELECT sum(flows)::int, count(*)::int FROM deployment_day") == [(0, 6)]


async def test_a_proxy_that_says_so_is_dated_by_its_log(database: Database) -> None:
    """No old state, but the proxy of the newer kind: the days are right when they are closed the first time."""
    world = FeedWorld()
    world.proxy(START + 10)
    world.point(day(16) + 3000, aggregator(2), loud=True)
    for block in range(day(16) + 2000, day(16) + 3000, 100):
        world.answer(aggregator(2), block, 1)
    world.answer(aggregator(1), day(16) + 10, 310)
    world.answer(aggregator(2), day(16) + 3001, 320)
    world.answer(aggregator(1), day(16) + 3002, 99_999)
    world.finalized = day(18) + 10
    world.oldest_state = world.finalized - 128
    async with job(world, database) as running:
        await running.history()
    assert await daily(database) == [("p1", 16, 1, 310), ("p2", 16, 1, 320)]
    told = await rows(database, "SELECT phase, seen_first, log_index FROM feed_phase WHERE tx_hash IS NOT NULL")
    assert told == [(2, day(16) + 3000, 9)]


async def test_following_finds_a_new_phase_and_reads_what_is_missing_of_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked once a day, before the day is closed; the span of the old phase is not read again."""
    monkeypatch.setattr(following, "POLL", 0.05)
    world = FeedWorld()
    world.proxy(START + 10)
    world.answer(aggregator(1), day(15) + 5, 300)
    world.finalized = day(15) + 100
    async with job(world, database) as running:
        final = await running.history()
        world.point(day(15) + 3000, aggregator(2))
        world.answer(aggregator(1), day(15) + 2999, 302)
        world.answer(aggregator(2), day(15) + 2000, 1)
        world.answer(aggregator(2), day(15) + 3000, 310)
        world.answer(aggregator(1), day(15) + 3001, 99_999)
        task = asyncio.create_task(running.follow(final))
        asked = world.asked_phase()
        world.finalized = day(15) + 5000

        async def held() -> bool:
            found = await rows(database, "SELECT max(last_block) FROM range_deployment")
            return bool(found == [(world.finalized,)])

        await until(held)
        assert world.asked_phase() == asked  # the same day
        spans = len(world.spans)
        world.finalized = day(16) + 10
        await until(lambda: _closed(database, date(2023, 11, 15)))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await daily(database) == [("p1", 15, 2, 301), ("p2", 15, 1, 310)]
    assert min(span.first for span in world.spans[spans:]) == day(15) + 3000


async def _closed(database: Database, of: date) -> bool:
    return bool(await rows(database, "SELECT FROM deployment_day WHERE day = $1 AND deployment LIKE '%p2'", of))
