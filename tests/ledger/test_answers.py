"""Answers of feeds: committed with their range, dropped and retired with it, and weighed by phase where days close."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple

import pytest

from indexer.decode import wide
from indexer.ledger import closing, feeds, ranges
from indexer.ledger.connect import Database
from indexer.ledger.feeds import Feed, Phase
from indexer.ledger.rows import Owner
from indexer.model import Answers, Classified, Evidence, Span
from tests.ledger.made import CHAIN, WETH, Row, address, at, deployment, known, reading, store, where

FEED = Feed(CHAIN, "made.feed", address(0xC0))
DECIMALS = 8
DAY = date(2026, 1, 2)  # blocks 8640 to 17279
TODAY = date(2026, 1, 5)


class Said(NamedTuple):
    """One answer of a phase."""

    phase: int
    block: int
    value: int
    log_index: int = 0


def aggregator(phase: int) -> bytes:
    return address(0xD0 + phase)


def owner(phase: int) -> Owner:
    return Owner(CHAIN, "made", FEED.deployment(phase))


def row(said: Said) -> Row:
    """Where it stood: ten seconds a block from 2026-01-01 on."""
    return replace(at(0, said.block, said.log_index), contract=aggregator(said.phase))


def answers(said: Sequence[Said], decimals: int = DECIMALS) -> Answers:
    rows = sorted(said, key=lambda one: (one.block, one.log_index))
    return Answers(where([row(one) for one in rows]), WETH, wide.from_ints([one.value for one in rows]), decimals)


def phase(number: int, first: int | None = None, last: int | None = None) -> Phase:
    seen = None if first is None or last is None else Span(first, last)
    return Phase(number, aggregator(number) if number else None, DECIMALS if number else None, 99_999, seen)


async def register(database: Database, *phases: Phase) -> None:
    """Makes the phases known, and the deployments that read them."""
    members = [replace(deployment(f"feed.p{one.number}"), family="masterchef") for one in phases if one.number]
    await known(database, *members)
    await feeds.keep(database, FEED, phases)


async def say(database: Database, said: Sequence[Said], first: int = 0, last: int = 30_000, size: int = 40_000) -> None:
    """Commits the answers in ranges of so many blocks."""
    phases = sorted({one.phase for one in said})
    for start in range(first, last + 1, size):
        end = min(start + size - 1, last)
        made = {
            owner(number): Classified(answers=[answers(mine)] if mine else [])
            for number in phases
            for mine in [[one for one in said if one.phase == number and start <= one.block <= end]]
        }
        await store(database, start, end, replace(reading(), classified=made))


async def close(database: Database) -> list[date]:
    for day in range(1, 6):
        await closing.put_day_start(database, CHAIN, date(2026, 1, day), (day - 1) * 8640)
    return await closing.close_days(database, CHAIN, TODAY)


async def daily(database: Database, day: date = DAY) -> dict[str, tuple[int, Decimal, Decimal, int, int]]:
    rows = await database.fetch(
        "SELECT deployment, answers, mean_usd, close_usd, close_block, close_log_index, token, contract "
        "FROM answer_daily WHERE day = $1",
        day,
    )
    assert all(row["token"] == WETH for row in rows)
    return {row["deployment"]: tuple(row)[1:6] for row in rows}


async def counted(database: Database, day: date = DAY) -> dict[int, int]:
    """How many answers of each phase counted."""
    return {int(name.rpartition("p")[2]): found[0] for name, found in (await daily(database, day)).items()}


async def table(database: Database, name: str) -> list[tuple[Any, ...]]:
    texts = {
        "range_answer": "SELECT deployment, day, contract, token, decimals, blocks, log_indexes, answers "
        "FROM range_answer ORDER BY deployment, day, blocks",
        "answer_daily": "SELECT * FROM answer_daily ORDER BY deployment, day, contract",
        "dirty_day": "SELECT deployment, day FROM dirty_day ORDER BY deployment, day",
    }
    return [tuple(row) for row in await database.fetch(texts[name])]


# ------------------------------------------------------------ with the range


async def test_every_answer_is_kept_with_its_log(database: Database) -> None:
    await register(database, phase(1, 0, 30_000))
    await say(database, [Said(1, 9000, 2**200), Said(1, 9000, 7, 3), Said(1, 20_000, 1)])
    (first, second) = await table(database, "range_answer")
    assert first == ("made.feed.p1", DAY, aggregator(1), WETH, DECIMALS, [9000, 9000], [0, 3], [2**200, 7])
    assert second[1:] == (date(2026, 1, 3), aggregator(1), WETH, DECIMALS, [20_000], [0], [1])


async def test_a_range_that_is_read_again_replaces_its_answers(database: Database) -> None:
    await register(database, phase(1, 0, 30_000))
    await say(database, [Said(1, 9000, 5), Said(1, 9001, 6)])
    await say(database, [Said(1, 9000, 5)])
    assert [row[5:] for row in await table(database, "range_answer")] == [([9000], [0], [5])]


async def test_days_with_answers_are_dirty_before_their_bounds_are_known(database: Database) -> None:
    await register(database, phase(1, 0, 30_000))
    await say(database, [Said(1, 9000, 5)])
    assert ("made.feed.p1", DAY) in await table(database, "dirty_day")


async def test_a_changed_manifest_retires_the_answers(database: Database) -> None:
    await register(database, phase(1, 0, 30_000))
    await say(database, [Said(1, 9000, 5)])
    await close(database)
    changed = replace(deployment("feed.p1"), family="masterchef", digest=bytes([1] * 32))
    assert await known(database, changed) == ["made.feed.p1"]
    assert await table(database, "range_answer") == []
    assert await close(database) == [date(2026, 1, 1), DAY, date(2026, 1, 3), date(2026, 1, 4)]
    assert await table(database, "answer_daily") == []


async def test_a_forgotten_deployment_takes_its_answers_along(database: Database) -> None:
    await register(database, phase(1, 0, 20_000), phase(2, 20_001, 30_000))
    await say(database, [Said(1, 9000, 5), Said(2, 21_000, 6)])
    await close(database)
    await database.fetch("SELECT forget_deployment('made.feed.p1')")
    assert {row[0] for row in await table(database, "range_answer")} == {"made.feed.p2"}
    assert {row[1] for row in await table(database, "answer_daily")} == {"made.feed.p2"}
    assert [one.number for one in (await feeds.phases(database, CHAIN, [FEED]))[FEED.id]] == [2]
    assert await database.fetch("SELECT FROM dirty_value WHERE day = $1", DAY)


async def test_a_lost_lease_leaves_no_answer(database: Database) -> None:
    await register(database, phase(1, 0, 30_000))
    made = replace(reading(), classified={owner(1): Classified(answers=[answers([Said(1, 9000, 5)])])})
    gone = ranges.Lease(CHAIN, 10**9, Span(0, 30_000), ("made.feed.p1",))
    with pytest.raises(ranges.LeaseLost):
        await ranges.commit(database, gone, made)
    assert await table(database, "range_answer") == []


# ------------------------------------------------------------ a day's figures


async def test_the_mean_is_the_exact_sum_divided_once(database: Database) -> None:
    said = [Said(1, 9000 + at, 3_000_00000001 + at, at % 3) for at in range(7)]
    await register(database, phase(1, 0, 30_000))
    await say(database, said)
    await close(database)
    count, mean, last, block, index = (await daily(database))["made.feed.p1"]
    exact = Fraction(sum(one.value for one in said), 7 * 10**DECIMALS)
    assert abs(Fraction(mean) - exact) < exact / 10**15
    assert (count, last, block, index) == (7, Decimal("3000.00000007"), 9006, 0)


@pytest.mark.parametrize(("decimals", "value"), [(0, 1), (8, 1), (18, 3), (18, 10**30 + 1), (36, 7)])
async def test_small_and_large_answers_keep_their_digits(database: Database, decimals: int, value: int) -> None:
    said = [Said(1, 9000, value), Said(1, 9001, value), Said(1, 9002, value + 1)]
    await register(database, phase(1, 0, 30_000))
    made = {owner(1): Classified(answers=[answers(said, decimals)])}
    await store(database, 0, 30_000, replace(reading(), classified=made))
    await close(database)
    _, mean, last, _, _ = (await daily(database))["made.feed.p1"]
    exact = Fraction(3 * value + 1, 3 * 10**decimals)
    assert abs(Fraction(mean) - exact) < exact / 10**15
    assert Fraction(last) == Fraction(value + 1, 10**decimals)


@pytest.mark.parametrize("size", [40_000, 8640, 5000, 777])
async def test_sizes_of_ranges_decide_nothing(database: Database, size: int) -> None:
    random = Random(7)
    said = [
        Said(random.choice((1, 2)), block, random.randrange(1, 10**12)) for block in random.sample(range(30_000), 300)
    ]
    await register(database, phase(1, 0, 12_000), phase(2, 12_001, 30_000))
    await say(database, said, size=size)
    await close(database)
    expected: dict[tuple[int, int], list[Said]] = {}
    for one in sorted(said, key=lambda one: one.block):
        if (one.block > 12_000) == (one.phase == 2):
            expected.setdefault((one.block // 8640, one.phase), []).append(one)
    assert {day for day, _ in expected} == {0, 1, 2, 3}
    for day in range(4):
        found = await daily(database, date(2026, 1, 1 + day))
        assert {name: (one[0], one[3]) for name, one in found.items()} == {
            FEED.deployment(number): (len(mine), mine[-1].block) for (of, number), mine in expected.items() if of == day
        }
        for number, mine in ((number, mine) for (of, number), mine in expected.items() if of == day):
            exact = Fraction(sum(one.value for one in mine), len(mine) * 10**DECIMALS)
            assert abs(Fraction(found[FEED.deployment(number)][1]) - exact) < exact / 10**15


# ------------------------------------------------------------ which phase counts


async def test_an_answer_counts_while_the_proxy_pointed_to_its_phase(database: Database) -> None:
    """The old aggregator goes on answering, the new one was tested before: neither is listened to."""
    await register(database, phase(1, 0, 11_999), phase(2, 12_000, 30_000))
    test, late = Said(2, 9000, 10**8), Said(1, 15_000, 10**13)
    await say(database, [Said(1, 10_000, 3), Said(1, 11_999, 5), test, Said(2, 12_000, 7), Said(2, 16_000, 9), late])
    await close(database)
    found = await daily(database)
    assert {name: (one[0], one[1] * 10**DECIMALS, one[3]) for name, one in found.items()} == {
        "made.feed.p1": (2, 4, 11_999),
        "made.feed.p2": (2, 8, 16_000),
    }


async def test_a_phase_that_was_only_tested_sets_no_price(database: Database) -> None:
    await register(database, phase(1, 0, 30_000), phase(2, 30_001, 40_000))
    await say(database, [Said(2, 9000, 10**8), Said(2, 9100, 10**8)])
    await close(database)
    assert await counted(database) == {}


async def test_without_evidence_the_phase_that_answers_most_is_the_days_price_alone(database: Database) -> None:
    await register(database, phase(1), phase(2, 40_000, 40_000))
    await say(database, [*(Said(1, 9000 + at, 5) for at in range(5)), Said(2, 9002, 6), Said(2, 9003, 6)])
    await close(database)
    assert await counted(database) == {1: 5}


async def test_of_phases_that_answer_alike_the_older_one_counts(database: Database) -> None:
    await register(database, phase(1), phase(2), phase(3, 40_000, 40_000))
    await say(database, [Said(3, 9001, 9), Said(2, 9002, 6), Said(2, 9004, 6), Said(3, 9003, 6)])
    await close(database)
    assert await counted(database) == {2: 2}


async def test_a_phase_that_alone_answered_counts_where_nothing_speaks_against_it(database: Database) -> None:
    await register(database, phase(1), phase(2), phase(3, 40_000, 40_000))
    await say(database, [Said(2, 9000, 5), Said(3, 25_000, 5)])
    await close(database)
    assert await counted(database) == {2: 1}
    assert await counted(database, date(2026, 1, 3)) == {3: 1}


async def test_answers_that_count_for_certain_leave_out_those_that_may(database: Database) -> None:
    """Phase 1 was seen until block 10,000 and phase 2 from 16,000 on; who was it in between?"""
    await register(database, phase(1, 0, 10_000), phase(2, 16_000, 40_000))
    await say(database, [Said(1, 9000, 5), *(Said(2, 12_000 + at, 99) for at in range(9)), Said(2, 16_500, 7)])
    await close(database)
    found = await daily(database)
    assert {name: (one[0], one[1] * 10**DECIMALS) for name, one in found.items()} == {
        "made.feed.p1": (1, 5),
        "made.feed.p2": (1, 7),
    }


async def test_an_aggregator_that_is_pointed_to_again_counts_again(database: Database) -> None:
    """Phases 1 and 3 have the same aggregator: both read all of its answers, each counts its own."""
    back = replace(phase(3, 14_000, 40_000), aggregator=aggregator(1))
    await register(database, phase(1, 0, 9999), phase(2, 10_000, 13_999), back)
    said = [(block, block) for block in (9000, 12_000, 15_000)]
    for number in (1, 3):
        rows = [Said(1, block, value) for block, value in said]
        made = {owner(number): Classified(answers=[answers(rows)])}
        await store(database, 0, 30_000, replace(reading(), classified=made))
    await say(database, [Said(2, 12_500, 1)])
    await close(database)
    found = {name: (one[0], one[3]) for name, one in (await daily(database)).items()}
    assert found == {"made.feed.p1": (1, 9000), "made.feed.p2": (1, 12_500), "made.feed.p3": (1, 15_000)}


async def test_two_changes_in_one_block_leave_nothing_to_the_phase_between(database: Database) -> None:
    await register(database, phase(1, 0, 11_999), phase(2), phase(3, 12_000, 40_000))
    await say(database, [Said(1, 11_000, 1), Said(2, 11_999, 2), Said(2, 12_000, 3), Said(3, 12_001, 4)])
    await close(database)
    assert await counted(database) == {1: 1, 3: 1}


async def test_better_evidence_closes_the_days_it_touches_again_and_no_others(database: Database) -> None:
    await register(database, phase(1, 0, 8000), phase(2, 40_000, 40_000))
    await say(database, [Said(1, 500, 1), *(Said(2, 9000 + at, 2) for at in range(3)), Said(1, 9500, 1)])
    await say(database, [Said(1, 500, 1), Said(1, 9500, 1)])
    await close(database)
    assert await counted(database) == {2: 3}
    await feeds.keep(database, FEED, [phase(1, 0, 9999), phase(2, 10_000, 40_000)])
    assert {day for _, day in await table(database, "dirty_day")} == {DAY}
    assert await close(database) == [DAY]
    assert await counted(database) == {1: 1}


async def test_evidence_only_grows(database: Database) -> None:
    await register(database, phase(1, 100, 200))
    log = Evidence(50, b"\x07" * 32, 3)
    await feeds.keep(database, FEED, [replace(phase(1, 150, 300), asked=5)])
    await feeds.keep(database, FEED, [replace(phase(1, 50, 60), log=log)])
    (found,) = (await feeds.phases(database, CHAIN, [FEED]))[FEED.id]
    assert (found.seen, found.asked, found.log) == (Span(50, 300), 99_999, log)


async def test_another_proxy_is_another_feed(database: Database) -> None:
    """What was read of the old proxy's phases is forgotten; its second phase is nobody's now."""
    await register(database, phase(1, 0, 11_999), phase(2, 12_000, 30_000))
    await say(database, [Said(1, 9000, 5), Said(2, 13_000, 6)])
    await close(database)
    moved = replace(FEED, proxy=address(0xC1))
    assert (await feeds.phases(database, CHAIN, [moved]))[FEED.id] == []
    await feeds.keep(database, moved, [phase(1, 0, 30_000)])
    assert await table(database, "range_answer") == []
    assert await table(database, "answer_daily") == []
    assert [one.number for one in (await feeds.phases(database, CHAIN, [moved]))[FEED.id]] == [1]


# ------------------------------------------------------------ against plain Python


def oracle(said: Iterable[Said], seen: Mapping[int, Span]) -> dict[int, list[Said]]:
    """What counts of one day's answers: by asking for every answer which phases the proxy can have been in."""

    def may(block: int) -> set[int]:
        """Phases only go up: whatever was seen before or at this block is a least one, after or at it a most one."""
        least = max((number for number, span in seen.items() if span.first <= block), default=0)
        most = min((number for number, span in seen.items() if span.last >= block), default=10**9)
        return {number for number in (1, 2, 3, 4) if least <= number <= most}

    phases = {1, 2, 3, 4}
    certain: dict[int, list[Said]] = {}
    possible: dict[int, list[Said]] = {}
    for one in said:
        allowed = may(one.block)
        # For certain only if nothing else is left, were there phases beyond all that are known, too.
        bounded = any(span.last >= one.block for span in seen.values()) and (
            one.phase == 1 or any(span.first <= one.block for span in seen.values())
        )
        if allowed & phases == {one.phase} and bounded:
            certain.setdefault(one.phase, []).append(one)
        if one.phase in allowed:
            possible.setdefault(one.phase, []).append(one)
    if certain or not possible:
        return certain
    best = max(possible, key=lambda number: (len(possible[number]), -number))
    return {best: possible[best]}


async def test_what_counts_is_what_plain_python_lets_count(database: Database) -> None:
    """Feeds of four phases each, of which some were seen at random blocks; answers of all of them on one day."""
    random = Random(20260102)
    spoken = {}
    for number in range(25):
        feed = replace(FEED, id=f"made.feed{number}")
        seen = sights(random)
        said = [Said(random.choice((1, 2, 3, 4)), block, block) for block in random.sample(range(8640, 17_280), 40)]
        phases = [phase(n, seen[n].first, seen[n].last) if n in seen else phase(n) for n in (1, 2, 3, 4)]
        await known(
            database, *(replace(deployment(), id=feed.deployment(n), family="masterchef") for n in (1, 2, 3, 4))
        )
        await feeds.keep(database, feed, phases)
        made = {
            Owner(CHAIN, "made", feed.deployment(n)): Classified(answers=[answers(mine)])
            for n in (1, 2, 3, 4)
            if (mine := [one for one in said if one.phase == n])
        }
        await store(database, 0, 30_000, replace(reading(), classified=made))
        spoken |= {feed.deployment(n): found for n, found in oracle(said, seen).items()}
    await close(database)
    found = await daily(database)
    assert {name: one[0] for name, one in found.items()} == {name: len(said) for name, said in spoken.items()}
    for name, said in spoken.items():
        exact = Fraction(sum(one.value for one in said), len(said) * 10**DECIMALS)
        assert abs(Fraction(found[name][1]) - exact) < exact / 10**15


def sights(random: Random) -> dict[int, Span]:
    """Where some of four phases were seen, consistent with changes at three blocks of the day."""
    cuts = [0, *sorted(random.sample(range(8640, 17_280), 3)), 40_000]
    seen = {}
    for number in (1, 2, 3, 4):
        if random.random() < 0.6:
            blocks = sorted(random.choices(range(cuts[number - 1], cuts[number]), k=random.choice((1, 2))))
            seen[number] = Span(blocks[0], blocks[-1])
    return seen
