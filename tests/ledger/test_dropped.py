"""A month's flows go only if all of them are closed and archived, and nothing that still comes is lost with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from indexer.errors import ArchiveUnusable
from indexer.ledger.archive import Kept, drop_month, flow_months
from indexer.ledger.closing import close_days, dirty_days, put_day_start
from indexer.ledger.connect import Database
from indexer.ledger.dropped import dropped_ranges, put_back
from indexer.ledger.ranges import Reading, commit
from indexer.ledger.sql import texts
from indexer.model import Classified, Flows, Span
from tests.ledger.made import (
    CHAIN,
    JANUARY,
    ONE,
    TWO,
    Row,
    at,
    contents,
    deployment,
    flows,
    known,
    lease,
    reading,
    store,
    stored,
)  # fmt: skip

MONTH = date(2026, 1, 1)
FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)
CHECKS = ("flow_daily.sql", "range_digest.sql", "day_digest.sql", "uncovered_flows.sql", "dropped_flows.sql")


def archived(*made: Flows, file: str = "f", **more: Any) -> Reading:
    """A reading whose logs an archive file holds."""
    read = reading(*made, **more)
    question = (bytes(32), [])
    kept = [Kept(file, "logs", Span(0, 99_999), 1, 1, question)]
    return Reading(**{name: getattr(read, name) for name in Reading.__dataclass_fields__} | {"kept": kept})


async def begin(database: Database, *readings: tuple[int, int, Reading], days: int = 3) -> None:
    """Both deployments known, blocks read, the first days closed."""
    await known(database, deployment("one"), deployment("two"))
    for number in range(days + 1):
        await put_day_start(database, CHAIN, date(2026, 1, 1 + number), number * 8640)
    for first, last, made in readings:
        await store(database, first, last, made)
    await close_days(database, CHAIN, date(2026, 1, 1 + days))


PLAIN = (0, 25_919, archived(flows([at(0, 5), at(0, 6), at(1, 5)], [100, 11, 7])))


async def sound(database: Database) -> None:
    for name, text in texts("checks"):
        if name in CHECKS:
            assert await database.fetch(text) == [], name


async def sums(database: Database) -> list[tuple[Any, ...]]:
    rows = await database.fetch("SELECT deployment, day, amount, flows FROM flow_daily ORDER BY 1, 2")
    return [tuple(row) for row in rows]


async def test_a_closed_and_archived_month_is_dropped_and_its_sums_stay(database: Database) -> None:
    """The partition is gone, the record says so, and no check complains."""
    await begin(database, PLAIN)
    before = await sums(database)
    assert await flow_months(database, date(2026, 2, 1)) == [MONTH]
    assert await drop_month(database, MONTH) == 3
    assert (await stored(database), await flow_months(database, date(2026, 2, 1))) == ([], [])
    assert await sums(database) == before
    rows = await database.fetch("SELECT chain_id, month, flows FROM dropped_month")
    assert [tuple(row) for row in rows] == [(CHAIN, MONTH, 3)]
    await sound(database)
    assert await drop_month(database, MONTH) is None, "there is nothing to drop any more"


async def test_a_month_is_not_over_before_its_last_day(database: Database) -> None:
    """Partitions are asked by when their month ends."""
    await begin(database, PLAIN)
    assert await flow_months(database, date(2026, 1, 31)) == []


NOT_YET: dict[str, Sequence[tuple[int, int, Reading]]] = {
    "not archived": [(0, 25_919, reading(flows([at(0, 5)], [1])))],
    "one range not archived": [PLAIN, (25_920, 25_930, reading(flows([at(3, 2)], [1])))],
    "a day not closed": [PLAIN, (25_920, 25_930, archived(flows([at(3, 2)], [1]), file="g"))],
    "another deployment's day not closed": [
        PLAIN, (25_920, 25_930, archived(flows([at(3, 2)], [1]), file="g", owner=TWO)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("readings", NOT_YET.values(), ids=NOT_YET)
async def test_a_month_stays_that_is_not_closed_and_archived(
    database: Database, readings: Sequence[tuple[int, int, Reading]]
) -> None:
    await begin(database, *readings)
    before = await stored(database)
    assert await drop_month(database, MONTH) is None
    assert await stored(database) == before != []


async def test_a_month_stays_while_one_of_its_days_is_dirty(database: Database) -> None:
    await begin(database, PLAIN)
    await database.fetch("INSERT INTO dirty_day VALUES ($1, 'made.two', $2)", CHAIN, SECOND)
    assert await drop_month(database, MONTH) is None
    await database.fetch("UPDATE dirty_day SET day = '2026-02-01'")
    assert await drop_month(database, MONTH) == 3


async def test_a_month_stays_while_another_chain_needs_it(database: Database) -> None:
    """Partitions hold all chains."""
    await begin(database, PLAIN)
    await database.fetch("INSERT INTO range_day VALUES (99, 1, 'other.one', '2026-01-09', 1, 1, 1, $1)", bytes(32))
    assert await drop_month(database, MONTH) is None


async def test_who_reads_the_flows_is_not_waited_for_long(database: Database) -> None:
    """An analyst's long query holds the month back, and nobody queues behind us for more than two seconds."""
    await begin(database, PLAIN)
    async with database.pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT count(*) FROM flow")
        assert await asyncio.wait_for(drop_month(database, MONTH), 20) is None
    assert len(await stored(database)) == 3
    assert await drop_month(database, MONTH) == 3


async def test_a_commit_that_is_under_way_is_waited_for_and_keeps_the_month(database: Database) -> None:
    """Its flows are there and its day is dirty by the time that the month is looked at again."""
    await begin(database, PLAIN)
    async with database.pool.acquire() as writer:
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute(
            "INSERT INTO flow SELECT chain_id, block_number, block_time, log_index + 9, kind, source, side, basis, leg, "
            "tx_hash, contract, protocol, 'made.two', token, amount FROM flow LIMIT 1"
        )
        await writer.execute("INSERT INTO dirty_day VALUES ($1, 'made.two', $2)", CHAIN, FIRST)
        dropping = asyncio.create_task(drop_month(database, MONTH))
        await asyncio.sleep(0.5)
        await transaction.commit()
        assert await dropping is None
    assert len(await stored(database)) == 4


async def test_flows_that_come_later_find_room_again(database: Database) -> None:
    """A process that made the month's partition before it was dropped makes another one, and loses nothing."""
    await begin(database, PLAIN)
    assert await drop_month(database, MONTH) == 3
    await store(database, 0, 25_919, archived(flows([at(0, 9)], [5]), file="g", owner=TWO))
    assert [row[12] for row in await stored(database)] == ["made.two"]
    await close_days(database, CHAIN, date(2026, 1, 4))
    assert await sums(database) == [("made.one", FIRST, 111, 2), ("made.one", SECOND, 7, 1), ("made.two", FIRST, 5, 1)]
    await sound(database)
    assert await drop_month(database, MONTH) == 1
    await sound(database)


# ---------------------------------------------------------------- a dropped day is to be closed again

HALVES = (
    (0, 4_999, archived(flows([at(0, 5), at(0, 6)], [100, 11]), file="a")),
    (5_000, 12_000, archived(flows([at(0, 6000), at(1, 5)], [7, 9]), file="b")),
)


async def test_a_day_whose_flows_are_gone_is_not_summed_from_what_is_there(database: Database) -> None:
    """Later blocks of the day come in: the day waits, and its sum stays what it was."""
    await begin(database, HALVES[1])
    assert await drop_month(database, MONTH) == 2
    await store(database, *HALVES[0])
    assert await dirty_days(database, CHAIN, date(2026, 1, 4)) == []
    await close_days(database, CHAIN, date(2026, 1, 4))
    assert await sums(database) == [("made.one", FIRST, 7, 1), ("made.one", SECOND, 9, 1)]


async def test_with_its_flows_back_the_day_is_summed_whole(database: Database) -> None:
    """All of the range's flows come back, those of days beside it too; those days are not touched by it."""
    await begin(database, HALVES[1])
    assert await drop_month(database, MONTH) == 2
    await store(database, *HALVES[0])
    (gone,) = await dropped_ranges(database, CHAIN, ["made.one", "made.two"])
    assert (gone.deployment, gone.span) == ("made.one", Span(5_000, 12_000))
    assert await dropped_ranges(database, CHAIN, ["made.two"]) == []
    for _ in range(2):  # once more changes nothing
        await put_back(database, gone, ONE, HALVES[1][2].classified[ONE])
    assert await dirty_days(database, CHAIN, date(2026, 1, 4)) == [FIRST]
    await sound(database)
    await close_days(database, CHAIN, date(2026, 1, 4))
    assert await sums(database) == [("made.one", FIRST, 118, 3), ("made.one", SECOND, 9, 1)]
    await sound(database)
    assert await dropped_ranges(database, CHAIN, ["made.one"]) == []
    assert await drop_month(database, MONTH) == 4


@pytest.mark.parametrize(
    "wrong",
    [[], [flows([at(0, 6000)], [7])], [flows([at(0, 6000), at(1, 5)], [7, 10])]],
    ids=["nothing", "one missing", "another amount"],
)
async def test_other_flows_than_those_dropped_are_refused(database: Database, wrong: list[Flows]) -> None:
    """The range's digests were kept."""
    await begin(database, HALVES[1])
    await drop_month(database, MONTH)
    await store(database, *HALVES[0])
    before = await contents(database)
    (gone,) = await dropped_ranges(database, CHAIN, ["made.one"])
    with pytest.raises(ArchiveUnusable, match="made.one, blocks 5000 to 12000: the archive makes other flows"):
        await put_back(database, gone, ONE, Classified(wrong))
    assert await contents(database) == before


async def test_what_was_retired_meanwhile_does_not_come_back(database: Database) -> None:
    await begin(database, HALVES[1])
    await drop_month(database, MONTH)
    await store(database, *HALVES[0])
    (gone,) = await dropped_ranges(database, CHAIN, ["made.one"])
    await known(database, deployment("one", digest=b"\1" * 32), deployment("two"))
    await put_back(database, gone, ONE, HALVES[1][2].classified[ONE])
    assert await stored(database) == []


async def test_a_range_over_two_months_comes_back_though_one_of_them_stayed(database: Database) -> None:
    """The flows of the month that stayed are not doubled."""
    february = JANUARY + 31 * 86_400
    rows = [at(30, 8000), Row(31 * 8640 + 5, february + 50)]
    await begin(database)
    for number in (30, 31, 32):
        await put_day_start(database, CHAIN, date.fromordinal(MONTH.toordinal() + number), number * 8640)
    await store(database, 30 * 8640, 32 * 8640 - 1, archived(flows(rows, [3, 4])))
    await close_days(database, CHAIN, date(2026, 2, 2))
    before = await stored(database)
    assert await drop_month(database, MONTH) == 1
    await database.fetch("INSERT INTO dirty_day VALUES ($1, 'made.one', '2026-01-31')", CHAIN)
    (gone,) = await dropped_ranges(database, CHAIN, ["made.one"])
    await put_back(database, gone, ONE, Classified([flows(rows, [3, 4])]))
    assert await stored(database) == before
    await close_days(database, CHAIN, date(2026, 2, 2))
    await sound(database)


async def test_a_commit_repeated_after_its_month_was_dropped_is_still_one(database: Database) -> None:
    """The lease was ended by the first attempt that went through."""
    await known(database, deployment("one"))
    held = await lease(database, 0, 99)
    made = archived(flows([at(0, 5)], [1]))
    await commit(database, held, made)
    await commit(database, held, made)
    assert len(await stored(database)) == 1
