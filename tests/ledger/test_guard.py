"""Dead workers: Postgres knows at once, and where it cannot, time tells."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from indexer.errors import LeaseLost
from indexer.ledger import guard
from indexer.ledger.connect import Database
from indexer.ledger.outlook import Outlook, look
from indexer.ledger.ranges import Lease, claim, commit, held, leased_elsewhere, release
from indexer.ledger.sql import query, texts
from indexer.model import Span
from tests.ledger.made import CHAIN, at, deployment, flows, known, reading, stored

WANTED = {"made.one": Span(0, 99)}


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[Database]:
    """What another process has: connections of its own, one of them its guard's."""
    other = await Database.open(url)
    async with other.guard:
        yield other
    await other.close()


async def taken(database: Database, size: int = 1000) -> Lease:
    lease = await claim(database, CHAIN, WANTED, size)
    assert lease is not None
    return lease


async def guards(database: Database) -> set[int]:
    return {row["guard"] for row in await database.fetch("SELECT guard FROM live_guard")}


async def end_sessions(database: Database, number: int) -> None:
    """What the server does once it knows that the client of the guard's session is gone."""
    await database.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND objsubid = 2 "
        "AND classid = hashtext('guard')::oid",
        number,
    )


async def test_a_process_is_alive_while_it_reads_and_no_longer(url: str, database: Database) -> None:
    async with worker(url) as one, worker(url) as two:
        assert await guards(database) == {one.guard.number, two.guard.number}
        async with one.guard:
            pass
        assert one.guard.held, "whoever leaves first does not take it from the others"
    assert await guards(database) == set()


async def test_who_is_cancelled_on_the_way_in_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another chain's error ends a run just as it begins to read: its connections must close."""
    other = await Database.open(url)
    slow = asyncio.Event()
    monkeypatch.setattr(guard.Guard, "_hold", lambda *_: slow.wait())
    entering = asyncio.create_task(other.guard.__aenter__())
    await asyncio.sleep(0.05)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    async with asyncio.timeout(5):
        await other.close()


async def test_a_dead_holders_range_is_taken_at_once_and_its_commit_is_refused(url: str, database: Database) -> None:
    """Split brain: the process lives on and does not know that it counts as dead."""
    await known(database)
    async with worker(url) as stale:
        old = await taken(stale)
        assert await claim(database, CHAIN, WANTED, 1000) is None
        stale.guard._task.cancel()  # type: ignore[union-attr]
        while await guards(database):
            await asyncio.sleep(0.01)
        assert await leased_elsewhere(database, CHAIN, WANTED, []) == {old.fence: False}
        assert await database.fetch(dict(texts("checks"))["expired_leases.sql"])
        fresh = await taken(database)
        assert (fresh.span, fresh.fence > old.fence) == (old.span, True)
        with pytest.raises(LeaseLost, match="0-99"):
            await commit(stale, old, reading(flows([at(0, 5)], [111])))
        await commit(database, fresh, reading(flows([at(0, 5)], [222])))
    assert [row[-1] for row in await stored(database)] == [222]


async def test_a_half_open_sessions_lease_ends_by_time(url: str, database: Database) -> None:
    """The machine is gone and the server does not know it yet: the lock is held, but nobody renews the lease."""
    async with worker(url) as gone:
        lease = await taken(gone)
        assert await claim(database, CHAIN, WANTED, 1000) is None
        await database.fetch("UPDATE lease SET expires_at = now() - interval '1 second'")
        assert await leased_elsewhere(database, CHAIN, WANTED, []) == {lease.fence: False}
        assert (await taken(database)).span == lease.span
        assert gone.guard.number in await guards(database)


async def test_a_lease_without_a_guard_ends_by_time_only(database: Database) -> None:
    """One that was taken while the database had no session to spare."""
    lease = await taken(database)
    assert await leased_elsewhere(database, CHAIN, WANTED, []) == {lease.fence: True}
    assert await claim(database, CHAIN, WANTED, 1000) is None


async def test_a_lost_session_is_replaced_and_the_process_keeps_its_ranges(url: str, database: Database) -> None:
    """Its own claims do not take its leases for dead, and soon nobody's do."""
    await known(database)
    async with worker(url) as one:
        lease, number = await taken(one, 10), one.guard.number
        assert number is not None
        await end_sessions(database, number)
        while one.guard.held:
            await asyncio.sleep(0.001)
        assert await claim(one, CHAIN, {"made.one": Span(0, 9)}, 10) is None
        while not one.guard.held:
            await asyncio.sleep(0.01)
        assert await guards(database) == {number}
        await commit(one, lease, reading(flows([at(0, 5)], [5])))
    assert len(await stored(database)) == 1


async def test_a_session_that_does_not_answer_is_replaced(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "ASKED_EVERY", 0.2)
    execute, asked = asyncpg.Connection.execute, []

    async def deaf(self: asyncpg.Connection, text: str, *values: object, **more: object) -> str:
        if text == query("ask_guard") and not asked:
            asked.append(self)
            raise TimeoutError
        answer: str = await execute(self, text, *values, **more)
        return answer

    monkeypatch.setattr(asyncpg.Connection, "execute", deaf)
    async with worker(url) as one:
        while not asked or not one.guard.held:
            await asyncio.sleep(0.02)
        assert await guards(database) == {one.guard.number}


async def test_a_commit_under_way_is_not_taken_for_dead_and_holds_up_no_claim(url: str, database: Database) -> None:
    """Its lease has expired, and the row is locked: whoever claims goes on with other blocks and does not wait."""
    await known(database)
    old = await taken(database, 10)
    await database.fetch("UPDATE lease SET expires_at = now() - interval '1 second'")
    admin = await asyncpg.connect(url)
    async with admin.transaction():
        await admin.execute(query("end_lease"), CHAIN, old.fence)
        lease = await asyncio.wait_for(taken(database, 10), 5)
    assert lease.span == Span(10, 19)
    await admin.close()


async def test_what_a_process_remembers_is_what_the_ledger_says(url: str, database: Database) -> None:
    """Four processes claim, commit, give back and lose ranges in any order; each sees what a first look sees."""
    await known(database, deployment("one"), deployment("two"))
    wanted = {"made.one": Span(0, 150), "made.two": Span(40, 120)}
    dice = random.Random(3)
    outlooks = [Outlook(list(wanted)) for _ in range(4)]
    leases: list[Lease] = []
    for _ in range(150):
        deed = dice.choice(["claim", "claim", "commit", "release", "expire", "look"])
        outlook = dice.choice(outlooks)
        if deed == "claim":
            lease = await claim(database, CHAIN, wanted, dice.randint(1, 9), outlook)
            leases += [lease] if lease is not None else []
        elif deed == "look":
            assert await look(database, CHAIN, outlook) == await held(database, CHAIN, list(wanted))
        elif leases and deed == "expire":
            lost = dice.choice(leases)
            await database.fetch("UPDATE lease SET expires_at = now() - interval '1 hour' WHERE fence = $1", lost.fence)
        elif leases:
            lease = leases.pop(dice.randrange(len(leases)))
            if deed == "release":
                await release(database, lease)
                continue
            with suppress(LeaseLost):
                await commit(database, lease, reading())
    for outlook in outlooks:
        assert await look(database, CHAIN, outlook) == await held(database, CHAIN, list(wanted))
    rows = await database.fetch("SELECT deployment, first_block, last_block FROM range_deployment")
    read = [(row["deployment"], block) for row in rows for block in range(row["first_block"], row["last_block"] + 1)]
    assert len(read) == len(set(read)) > 100


async def test_a_commit_between_the_questions_of_a_first_look_is_seen(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its questions the commit falls between."""
    await known(database)
    fetch = Database.fetch
    for before in range(3):
        lease, asked = await taken(database, 10), [0]

        async def slow(self: Database, text: str, *values: object) -> list[asyncpg.Record]:
            if asked[0] == before:  # noqa: B023
                monkeypatch.undo()
                await commit(self, lease, reading())  # noqa: B023
            asked[0] += 1  # noqa: B023
            return await fetch(self, text, *values)

        outlook = Outlook(["made.one"])
        monkeypatch.setattr(Database, "fetch", slow)
        await look(database, CHAIN, outlook)
        assert await look(database, CHAIN, outlook) == {"made.one": [Span(0, lease.span.last)]}
