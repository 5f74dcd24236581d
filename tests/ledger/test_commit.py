"""One range, one transaction: all of it or nothing, and a repeat changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any

import asyncpg
import pytest

from indexer.errors import DatabaseUnusable, LeaseLost
from indexer.ledger.closing import close_days, put_day_start
from indexer.ledger.connect import Database
from indexer.ledger.ranges import Reading, claim, commit
from indexer.ledger.rows import add_digests, row_hashes
from indexer.model import Classified, Evidence, Flows, Member, Quarantined, Span, Step
from tests.ledger.made import (
    CHAIN,
    CUT,
    DAY,
    JANUARY,
    ONE,
    OTHER_POOL,
    POOL,
    TWO,
    USDC,
    WETH,
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
    trades,
    utc,
)  # fmt: skip


def whole() -> Reading:
    """A reading with something of everything that a commit writes."""
    rows = [at(0, 5), at(0, 6), at(1, 7)]
    swaps = trades(rows, (USDC, WETH), [(10, -3), (-20, 6), (30, -9)], (500, 1000))
    other = Classified([flows([at(0, 8, 3, contract=OTHER_POOL)], [77])])
    return Reading(
        {ONE: Classified([flows(rows, [1, 2, 3]), flows(rows[:1], [4], label=CUT, leg=1)], [swaps]), TWO: other},
        members={"made.one": [Member(POOL, {"token0": USDC, "fee_ppm": 500}, Evidence(5, b"\1" * 32, 0))]},
        steps=[Step(POOL, "fee_protocol", 5, 0, (4, 4), b"\1" * 32)],
        quarantined={"made.one": [Quarantined(6, 9, bytes(32), POOL, bytes(32), "too short", b"\0" * 70_000)]},
        logs_received=9,
        logs_used=5,
        anchor=(8647, b"\7" * 32),
        endpoint="http://made",
    )


@pytest.fixture
async def ready(database: Database) -> Database:
    """A database that knows both deployments."""
    await known(database, deployment("one"), deployment("two"))
    return database


async def test_a_commit_writes_everything_it_was_given(ready: Database) -> None:
    await store(ready, 0, 9000, whole())
    found = await contents(ready)
    assert [row[-1] for row in found["flow"]] == [1, 4, 2, 77, 3]
    assert found["range"] == [(0, 9000, 5, "http://made")]
    assert found["range_deployment"] == [("made.one", 0, 9000), ("made.two", 0, 9000)]
    days = [row[:5] for row in found["range_day"]]
    assert days == [
        ("made.one", date(2026, 1, 1), 5, 6, 3),
        ("made.one", date(2026, 1, 2), 8647, 8647, 1),
        ("made.two", date(2026, 1, 1), 8, 8, 1),
    ]
    swaps = [row[:8] for row in found["range_trade"]]
    assert swaps == [
        ("made.one", date(2026, 1, 1), POOL, 2, 10, 6, 20, 3),
        ("made.one", date(2026, 1, 2), POOL, 1, 30, 0, 0, 9),
    ]
    assert found["quarantine"] == [(6, 9, "made.one", "too short")]
    assert found["contract"] == [("made.one", POOL, {"token0": "0x" + USDC.hex(), "fee_ppm": 500})]
    assert found["parameter"] == [(POOL, "fee_protocol", 5, 0)]
    assert found["lease"] == []
    dirty = {(name, day) for name, day in found["dirty_day"]}
    assert dirty == {(name, date(2026, 1, day)) for name in ("made.one", "made.two") for day in (1, 2)}


async def test_a_days_digest_is_the_sum_of_its_flows_hashes(ready: Database) -> None:
    made = whole()
    await store(ready, 0, 9000, made)
    rows = await ready.fetch("SELECT digest FROM range_day WHERE deployment = 'made.two'")
    (batch,) = made.classified[TWO].flows
    assert rows[0]["digest"] == add_digests(row_hashes(TWO, batch))


async def test_committing_the_same_blocks_again_changes_nothing_but_the_range(ready: Database) -> None:
    await store(ready, 0, 9000, whole())
    once = await contents(ready)
    await store(ready, 0, 9000, whole())
    twice = await contents(ready)
    assert len(twice.pop("range")) == len(once.pop("range")) + 1
    assert twice == once


async def test_a_commit_replaces_what_the_ledger_held_of_its_blocks(ready: Database) -> None:
    """Another node told other logs: nothing of the first reading is left, in any table."""
    await store(ready, 0, 9000, whole())
    other = Reading({ONE: Classified([flows([at(0, 6)], [9])]), TWO: Classified()}, endpoint="http://made")
    await store(ready, 0, 9000, other)
    found = await contents(ready)
    assert [row[-1] for row in found["flow"]] == [9]
    assert [row[0] for row in found["range_day"]] == ["made.one"]
    assert (found["range_trade"], found["quarantine"]) == ([], [])


async def test_a_commit_replaces_smaller_ranges_inside_of_it(ready: Database) -> None:
    for first in (0, 4, 8):
        await store(ready, first, first + 3, reading(flows([at(0, first + 1)], [first + 1])))
    rows = [at(0, 1), at(0, 5), at(0, 9)]
    await store(ready, 0, 11, reading(flows(rows, [1, 5, 9])))
    found = await contents(ready)
    assert [row[-1] for row in found["flow"]] == [1, 5, 9]
    assert found["range_deployment"] == [("made.one", 0, 11)]
    assert [row[4] for row in found["range_day"]] == [3]


async def test_a_range_that_reaches_beyond_is_not_torn_apart(ready: Database) -> None:
    await store(ready, 0, 99, reading(flows([at(0, 5)], [5])))
    before = await contents(ready)
    stray = await lease(ready, 50, 149, "made.one")
    with pytest.raises(LeaseLost, match="50-149"):
        await commit(ready, stray, reading(flows([at(0, 60)], [60])))
    after = await contents(ready)
    assert after.pop("lease") == [(50, 149)]
    before.pop("lease")
    assert after == before


async def test_other_deployments_of_the_same_blocks_are_left_alone(ready: Database) -> None:
    await store(ready, 0, 99, reading(flows([at(0, 5)], [5])))
    await store(ready, 0, 99, reading(flows([at(0, 5, 1)], [6]), owner=TWO))
    await store(ready, 0, 99, reading(flows([at(0, 5)], [7])))
    assert [(row[12], row[-1]) for row in await stored(ready)] == [("made.one", 7), ("made.two", 6)]


async def test_flows_of_two_months_land_in_their_partitions(ready: Database) -> None:
    """The last second of a month belongs to it, the first of the next one does not; so do leap Februaries."""
    moments = [
        (JANUARY - 1, "flow_2025_12"), (JANUARY, "flow_2026_01"), (JANUARY + 31 * DAY - 1, "flow_2026_01"),
        (JANUARY + 31 * DAY, "flow_2026_02"), (JANUARY + 90 * DAY, "flow_2026_04"),
        (1_709_251_199, "flow_2024_02"), (1_709_251_200, "flow_2024_03"),
    ]  # fmt: skip
    rows = [Row(number, moment) for number, (moment, _) in enumerate(sorted(moments))]
    await store(ready, 0, 99, reading(flows(rows, [1] * len(rows))))
    found = await ready.fetch("SELECT tableoid::regclass::text AS held, block_time FROM flow ORDER BY block_number")
    assert [(row["block_time"], row["held"]) for row in found] == [(utc(time), name) for time, name in sorted(moments)]


async def test_partitions_are_made_once_by_workers_that_need_them_at_once(ready: Database, url: str) -> None:
    databases = [await Database.open(url, size=1) for _ in range(4)]
    leases = [await lease(ready, 10 * number, 10 * number + 9) for number in range(4)]
    try:
        await asyncio.gather(
            *(
                commit(database, one, reading(flows([Row(one.span.first, JANUARY + 200 * DAY)], [1])))
                for database, one in zip(databases, leases, strict=True)
            )
        )
    finally:
        await asyncio.gather(*(database.close() for database in databases))
    assert len(await stored(ready)) == 4


async def test_a_database_opened_later_has_partitions_of_its_own(ready: Database, blank: Database) -> None:
    """What one database has must not be believed of another that happens to get the same place in memory."""
    from indexer.ledger.migrate import migrate

    await migrate(blank)
    await known(blank)
    for number in range(8):
        earlier = Database(ready.pool)
        await store(earlier, number, number, reading(flows([at(0, number)], [1])))
        del earlier  # its place in memory is free for the next one
        later = Database(blank.pool)
        await store(later, number, number, reading(flows([at(0, number)], [1])))
    assert len(await stored(blank)) == 8


STATEMENTS = ("execute", "executemany", "fetch", "fetchval", "fetchrow", "copy_to_table")


def counting(monkeypatch: pytest.MonkeyPatch, strike: Callable[[int], None]) -> None:
    """Calls `strike` with a running number before each statement of any connection."""
    seen = [0]

    def wrapped(method: Any) -> Any:
        async def call(self: asyncpg.Connection, *values: Any, **more: Any) -> Any:
            seen[0] += 1
            strike(seen[0])
            return await method(self, *values, **more)

        return call

    for name in STATEMENTS:
        monkeypatch.setattr(asyncpg.Connection, name, wrapped(getattr(asyncpg.Connection, name)))


async def test_a_failure_at_any_statement_of_a_commit_leaves_nothing(
    ready: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each boundary of the transaction is struck once; what was there stays, and the same lease commits afterwards."""
    await store(ready, 0, 9000, reading(flows([at(0, 1)], [1]), others={TWO: Classified()}))
    mine = await lease(ready, 0, 9000, "made.one", "made.two")
    before, struck = await contents(ready), 0
    for number in range(1, 60):

        def strike(seen: int, wanted: int = number) -> None:
            if seen == wanted:
                raise ZeroDivisionError(f"struck before statement {wanted}")

        with monkeypatch.context() as patch:
            counting(patch, strike)
            try:
                await commit(ready, mine, whole())
            except ZeroDivisionError:
                struck += 1
            else:
                break
        if (await contents(ready))["lease"] == []:
            break  # struck after COMMIT: all of it is there
        assert await contents(ready) == before, f"struck before statement {number}"
    assert struck >= 15
    assert [row[-1] for row in await stored(ready)] == [1, 4, 2, 77, 3]


async def test_a_failure_that_goes_by_at_any_statement_is_survived(
    ready: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 20):
        strikes = iter([number])
        wanted = next(strikes)

        def strike(seen: int, wanted: int = wanted) -> None:
            if seen == wanted:
                raise asyncpg.SerializationError("could not serialize access")

        with monkeypatch.context() as patch:
            counting(patch, strike)
            await store(ready, 0, 9000, whole())
        assert [row[-1] for row in await stored(ready)] == [1, 4, 2, 77, 3]
        rows = await ready.fetch("SELECT count(*) AS n FROM range_day")
        assert rows[0]["n"] == 3


async def test_a_row_that_the_server_refuses_takes_the_range_with_it(ready: Database) -> None:
    """Here a trigger refuses; the server rolls back what the COPY before it brought."""
    await ready.fetch(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$"
    )
    await ready.fetch("CREATE TRIGGER refuse BEFORE INSERT ON range_trade FOR EACH ROW EXECUTE FUNCTION refuse()")
    mine = await lease(ready, 0, 9000, "made.one", "made.two")
    before = await contents(ready)
    with pytest.raises(asyncpg.RaiseError):
        await commit(ready, mine, whole())
    assert await contents(ready) == before


async def test_a_flow_twice_in_one_range_is_refused(ready: Database) -> None:
    """The key is (chain, block, log index, leg, contract, time): a family that numbers legs wrongly is told."""
    mine = await lease(ready, 0, 99)
    twice: list[Flows] = [flows([at(0, 5)], [1]), flows([at(0, 5)], [2])]
    with pytest.raises(DatabaseUnusable):
        await commit(ready, mine, reading(*twice))
    assert await stored(ready) == []


async def test_who_closes_a_day_waits_for_a_commit_that_touches_it(ready: Database) -> None:
    """The day is dirty already when the commit marks it again: its closing must not pass the commit by."""
    for day, first in ((date(2026, 1, 1), 0), (date(2026, 1, 2), 8640)):
        await put_day_start(ready, CHAIN, day, first)
    await store(ready, 0, 9, reading(flows([at(0, 5)], [5])))
    await ready.fetch(
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock(4242); RETURN NULL; END $$"
    )
    await ready.fetch(
        "CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON range DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION linger()"
    )
    async with ready.pool.acquire() as gate:
        await gate.execute("SELECT pg_advisory_lock(4242)")
        committing = asyncio.create_task(store(ready, 10, 19, reading(flows([at(0, 15)], [15]))))
        while not await gate.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            await asyncio.sleep(0.01)
        closing = asyncio.create_task(close_days(ready, CHAIN, date(2026, 1, 2)))
        await asyncio.sleep(0.2)
        await gate.execute("SELECT pg_advisory_unlock(4242)")
    await committing
    await closing
    await close_days(ready, CHAIN, date(2026, 1, 2))
    rows = await ready.fetch("SELECT flows, blocks_held FROM deployment_day WHERE deployment = 'made.one'")
    assert [tuple(row) for row in rows] == [(2, 20)]


async def test_a_day_far_from_the_range_is_not_touched(ready: Database) -> None:
    """Between two stretches whose days are known lie days that nobody looked at: the one before them stays closed."""
    for day, first in ((1, 0), (2, 8640), (10, 77_760), (11, 86_400)):
        await put_day_start(ready, CHAIN, date(2026, 1, day), first)
    await store(ready, 60_000, 69_999, reading())
    found = await contents(ready)
    assert found["dirty_day"] == []


async def test_claims_and_commits_of_many_workers_hold_every_flow_once(ready: Database) -> None:
    """Workers fail at random statements, give up their ranges and go on; every block ends up with its one flow."""
    import random

    dice = random.Random(11)
    wanted = {"made.one": Span(0, 199)}

    async def work() -> None:
        while (mine := await claim(ready, CHAIN, wanted, dice.randint(1, 25))) is not None:
            rows = [at(0, block) for block in range(mine.span.first, mine.span.last + 1)]
            made = reading(flows(rows, [row.block + 1 for row in rows]))
            if dice.random() < 0.3:
                await ready.fetch("DELETE FROM lease WHERE fence = $1", mine.fence)
            try:
                await commit(ready, mine, made)
            except LeaseLost:
                continue

    await asyncio.gather(*(work() for _ in range(5)))
    assert [(row[1], row[-1]) for row in await stored(ready)] == [(block, block + 1) for block in range(200)]
