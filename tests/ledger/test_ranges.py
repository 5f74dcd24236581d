"""Leases: who reads which blocks, and who may still commit them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import asyncpg
import pytest

from indexer.errors import LeaseLost
from indexer.ledger import ranges
from indexer.ledger.connect import Database
from indexer.ledger.ranges import Lease, claim, commit, held, leased_elsewhere, release, renew
from indexer.model import Span
from tests.ledger.made import CHAIN, ONE, TWO, at, contents, deployment, flows, known, reading, store, stored

WANTED = {"made.one": Span(10, 400), "made.two": Span(150, 300)}


async def expire(database: Database) -> None:
    await database.fetch("UPDATE lease SET expires_at = now() - interval '1 second'")


async def taken(database: Database, wanted: dict[str, Span] | None = None, size: int = 1000) -> Lease:
    lease = await claim(database, CHAIN, wanted if wanted is not None else {"made.one": Span(0, 99)}, size)
    assert lease is not None
    return lease


async def test_claims_of_many_workers_never_overlap_and_leave_nothing(database: Database) -> None:
    await known(database, deployment("one"), deployment("two"))
    dice = random.Random(7)

    async def work() -> list[Lease]:
        mine = []
        while (lease := await claim(database, CHAIN, WANTED, dice.randint(1, 60))) is not None:
            mine.append(lease)
            if dice.random() < 0.5:
                await commit(database, lease, reading())
        return mine

    leases = [lease for done in await asyncio.gather(*(work() for _ in range(6))) for lease in done]
    read = Counter(
        (name, block)
        for one in leases
        for name in one.deployments
        for block in range(one.span.first, one.span.last + 1)
    )
    assert set(read.values()) == {1}
    assert set(read) == {(name, block) for name, span in WANTED.items() for block in range(span.first, span.last + 1)}


async def test_a_claim_ends_where_other_deployments_begin_or_end(database: Database) -> None:
    spans = [((lease := await taken(database, WANTED)).span, lease.deployments) for _ in range(3)]
    assert spans == [
        (Span(10, 149), ("made.one",)),
        (Span(150, 300), ("made.one", "made.two")),
        (Span(301, 400), ("made.one",)),
    ]
    assert await claim(database, CHAIN, WANTED, 1000) is None


async def test_a_lease_of_another_chain_does_not_count(database: Database) -> None:
    mine = await taken(database)
    theirs = await claim(database, CHAIN + 1, {"made.one": Span(0, 99)}, 1000)
    assert theirs is not None
    assert mine.span == theirs.span


async def test_a_released_range_is_taken_again_under_a_higher_fence(database: Database) -> None:
    first = await taken(database)
    await release(database, first)
    second = await taken(database)
    assert (second.span, second.fence > first.fence) == (first.span, True)


async def test_an_expired_lease_is_taken_over_and_the_stale_commit_writes_nothing(database: Database) -> None:
    await known(database)
    stale = await taken(database)
    await expire(database)
    fresh = await taken(database)
    assert fresh.span == stale.span
    before = await contents(database)
    with pytest.raises(LeaseLost, match="0-99"):
        await commit(database, stale, reading(flows([at(0, 5)], [111])))
    assert await contents(database) == before
    await commit(database, fresh, reading(flows([at(0, 5)], [222])))
    assert [row[-1] for row in await stored(database)] == [222]
    with pytest.raises(LeaseLost):
        await commit(database, stale, reading(flows([at(0, 5)], [111])))
    assert [row[-1] for row in await stored(database)] == [222]


async def test_an_expired_lease_that_nobody_took_may_still_commit(database: Database) -> None:
    """Nobody else can have written: to refuse would only cost a second reading."""
    await known(database)
    slow = await taken(database)
    await expire(database)
    await commit(database, slow, reading(flows([at(0, 5)], [111])))
    assert len(await stored(database)) == 1


async def test_an_expired_lease_is_not_held_once_somebody_claims(database: Database) -> None:
    await taken(database)
    await expire(database)
    assert (await taken(database)).span == Span(0, 99)
    rows = await database.fetch("SELECT count(*) AS n FROM lease")
    assert rows[0]["n"] == 1


async def test_renewing_keeps_a_lease(database: Database) -> None:
    lease = await taken(database)
    await expire(database)
    await renew(database, [lease])
    assert await claim(database, CHAIN, {"made.one": Span(0, 99)}, 1000) is None


async def test_renewing_does_not_bring_back_a_lost_lease(database: Database) -> None:
    stale = await taken(database)
    await expire(database)
    await taken(database)
    await renew(database, [stale])
    with pytest.raises(LeaseLost):
        await commit(database, stale, reading())


async def test_a_commit_that_is_repeated_after_a_lost_answer_is_recognised(database: Database) -> None:
    await known(database)
    lease, made = await taken(database), reading(flows([at(0, 5), at(0, 6)], [1, 2]))
    await commit(database, lease, made)
    once = await contents(database)
    await commit(database, lease, made)
    assert await contents(database) == once


async def test_a_cut_after_commit_is_resolved_by_reading_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server commits, the answer is lost, the transaction is tried again: the flows are there once."""
    await known(database)
    lease, cuts = await taken(database), []
    execute = asyncpg.Connection.execute

    async def cut(self: asyncpg.Connection, text: str, *values: object, **more: object) -> str:
        answer: str = await execute(self, text, *values, **more)
        if text.startswith("COMMIT") and not cuts:
            cuts.append(text)
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return answer

    monkeypatch.setattr(asyncpg.Connection, "execute", cut)
    await commit(database, lease, reading(flows([at(0, 5)], [5])))
    assert cuts
    assert [row[-1] for row in await stored(database)] == [5]
    rows = await database.fetch("SELECT count(*) AS n FROM range")
    assert rows[0]["n"] == 1


async def test_others_leases_are_told_from_ones_own(database: Database) -> None:
    mine = await taken(database)
    assert not await leased_elsewhere(database, CHAIN, {"made.one": Span(0, 99)}, [mine.fence])
    assert await leased_elsewhere(database, CHAIN, {"made.one": Span(0, 99)}, [])
    assert not await leased_elsewhere(database, CHAIN, {"made.two": Span(0, 99)}, [])


async def test_leases_beyond_what_is_wanted_are_nobodys_concern(database: Database) -> None:
    """A run over one day does not wait for another process's years."""
    mine = await taken(database)
    beyond = Span(mine.span.last + 1, mine.span.last + 99)
    assert not await leased_elsewhere(database, CHAIN, {"made.one": beyond}, [])


async def test_held_counts_what_is_committed_and_what_is_being_read(database: Database) -> None:
    await known(database, deployment("one"), deployment("two"))
    await store(database, 0, 49, reading(owner=ONE))
    await taken(database, {"made.two": Span(20, 30)})
    assert await held(database, CHAIN, [ONE.deployment, TWO.deployment]) == {
        "made.one": [Span(0, 49)],
        "made.two": [Span(20, 30)],
    }


async def test_a_holder_is_named_by_host_and_process(database: Database) -> None:
    await taken(database)
    rows = await database.fetch("SELECT holder FROM lease")
    assert [row["holder"] for row in rows] == [ranges.holder()]
