"""One range: read for those who lack it, and no log is booked by two."""

from __future__ import annotations

import pytest

from indexer.ledger.connect import Database
from indexer.model import Span
from indexer.work.classify import DoubleClaimError
from indexer.work.reading import read_range
from tests.work.world import HEAD, OTHER_FACTORY, START, World, deployment, group_over, pool_address

POOL, FORKED = pool_address(3000), pool_address(3000, OTHER_FACTORY)
SPAN = Span(START, START + 9)


def world() -> World:
    """A pool and one of a fork, both of which trade in the same block."""
    made = World()
    made.pool(POOL)
    made.pool(FORKED, factory=OTHER_FACTORY)
    made.swap(POOL, START + 3, 1, 10**9)
    made.swap(FORKED, START + 3, 2, 10**9)
    return made


async def test_two_deployments_of_the_same_pools_are_refused(database: Database) -> None:
    """Whatever manifests said: the block and the log are named."""
    one, two = deployment("dex.one"), deployment("dex.two")
    async with group_over(world(), database, one, two) as group:
        with pytest.raises(DoubleClaimError, match=f"Block {START + 3}, log 1: dex.one and dex.two both claim it"):
            await read_range(group, SPAN, (one.id, two.id), HEAD)


async def test_two_deployments_of_other_pools_share_a_range(database: Database) -> None:
    """Each books its own log of the same answer, and of the same block."""
    one, fork = deployment("dex.one"), deployment("fork.two", factory=[OTHER_FACTORY])
    async with group_over(world(), database, one, fork) as group:
        reading = await read_range(group, SPAN, (one.id, fork.id), HEAD)
    booked = {
        owner.deployment: [int(index) for flows in made.flows for index in flows.where.log_index]
        for owner, made in reading.classified.items()
    }
    assert booked == {"dex.one": [1], "fork.two": [2]}


async def test_only_those_who_lack_the_range_are_read(database: Database) -> None:
    """The other deployment of the group holds these blocks already: its pool is not even asked who it is."""
    one, bound = deployment("dex.one", pools=[POOL]), deployment("fork.two", factory=[OTHER_FACTORY], pools=[FORKED])
    chain = world()
    async with group_over(chain, database, one, bound) as group:
        reading = await read_range(group, SPAN, (bound.id,), HEAD)
    assert [owner.deployment for owner in reading.classified] == ["fork.two"]
    assert reading.logs_received == 1
    assert (chain.times_asked(POOL), chain.times_asked(FORKED)) == (0, 1)
