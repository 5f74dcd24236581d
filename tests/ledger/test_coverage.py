"""Coverage and status: what closed days say of it, with what the ranges say of the rest, is what all ranges say."""

from __future__ import annotations

import random
import re
from datetime import date, timedelta

import pytest

from indexer.ledger import ranges, registry
from indexer.ledger.closing import close_days, put_day_start
from indexer.ledger.connect import Database
from indexer.ledger.context import put_history
from indexer.ledger.ranges import Reading
from indexer.ledger.sql import query
from indexer.ledger.standing import held_spans
from indexer.ledger.streams import Accruing, rebuild
from indexer.model import Basis, Classified, Evidence, Kind, Label, Side, Source, Span, Stream
from tests.bench.history import History, Shape
from tests.ledger.made import CHAIN, COIN, JANUARY, POOL, Owner, Row, deployment, flows, known

DAY, BLOCKS = 86_400, 8640
FIRST = date(2026, 1, 1)
DAYS = 6
NAMES = ("made.one", "made.two", "made.three")
REWARD = Label(Kind.INCENTIVE, Source.STAKING_REWARD, Side.SUPPLY, Basis.ACCRUED)

COVERAGE = """
SELECT d.deployment, d.protocol, c.name AS chain,
    range_agg(int8range(r.first_block, r.last_block, '[]')) FILTER (WHERE r.first_block IS NOT NULL) AS blocks_held,
    min(r.first_block) AS first_block, max(r.last_block) AS last_block
FROM deployment AS d
JOIN chain AS c USING (chain_id)
LEFT JOIN range_deployment AS r USING (chain_id, deployment)
GROUP BY d.deployment, d.protocol, c.name
ORDER BY d.deployment
"""
STATUS = """
SELECT
    d.deployment, g.first_block AS wanted_from, min(r.first_block) AS held_from, max(r.last_block) AS held_to,
    coalesce(sum(r.last_block - r.first_block + 1), 0)::bigint AS blocks_held,
    coalesce(sum(greatest(
        least(r.last_block, g.last_block) - greatest(r.first_block, g.first_block) + 1, 0
    )) FILTER (WHERE r.first_block IS NOT NULL), 0)::bigint AS blocks_held_of_wanted,
    (SELECT count(*) FROM unnest(range_agg(int8range(r.first_block, r.last_block, '[]')))) - 1 AS gaps,
    (SELECT coalesce(sum(flows), 0)::bigint FROM range_day AS m WHERE m.deployment = d.deployment) AS flows,
    (SELECT coalesce(sum(flows), 0)::bigint FROM range_day AS m WHERE m.deployment = d.deployment AND NOT dropped) AS flows_kept
FROM deployment AS d
LEFT JOIN range_deployment AS r USING (chain_id, deployment)
LEFT JOIN goal AS g USING (chain_id, deployment)
GROUP BY d.deployment, g.first_block, g.last_block
ORDER BY d.deployment
"""
SETTLED = """
SELECT FROM deployment_day LEFT JOIN dirty_day AS dirty USING (chain_id, deployment, day)
WHERE dirty IS NULL AND blocks_held = blocks
"""


class Life:
    """A ledger to which things happen by the dice."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.dice = database, random.Random(seed)
        self.start = 0

    async def read(self) -> None:
        """A range of some deployments, the lowest they lack from somewhere on, with flows."""
        first = self.dice.randrange(DAYS * BLOCKS)
        span = Span(first, min(first + self.dice.randrange(1, 4 * BLOCKS), DAYS * BLOCKS - 1))
        names = self.dice.sample(NAMES, self.dice.randint(1, 3))
        lease = await ranges.claim(self.database, CHAIN, dict.fromkeys(names, span), 10**6)
        if lease is None:
            return
        blocks = sorted(self.dice.sample(range(lease.span.first, lease.span.last + 1), min(3, len(lease.span))))
        classified = {
            Owner(CHAIN, "made", name): Classified(
                [flows([Row(block, JANUARY + 10 * block, NAMES.index(name)) for block in blocks], [1] * len(blocks))]
            )
            for name in lease.deployments
        }
        await ranges.commit(self.database, lease, Reading(classified))

    async def date(self) -> None:
        """A midnight becomes known."""
        number = self.dice.randrange(DAYS + 1)
        await put_day_start(self.database, CHAIN, FIRST + timedelta(days=number), number * BLOCKS)

    async def close(self) -> None:
        """Days up to one of them are closed."""
        await close_days(self.database, CHAIN, FIRST + timedelta(days=self.dice.randrange(DAYS + 1)))

    async def accrue(self) -> None:
        """The third deployment's rewards are told anew."""
        rewards = Stream(POOL, COIN, REWARD, self.dice.randint(1, 9), 1, JANUARY, JANUARY + DAYS * DAY, Evidence(0))
        await put_history(self.database, CHAIN, ["made.three"], Span(0, DAYS * BLOCKS), [])
        of = Accruing(CHAIN, "made.three", 0, [POOL])
        await rebuild(self.database, of, DAYS * BLOCKS, lambda _: [rewards])

    async def retire(self) -> None:
        """What was read for one counts no longer; the second begins elsewhere now and then."""
        if self.dice.random() < 0.5:
            await registry.retire(self.database, CHAIN, [self.dice.choice(NAMES)], "so say the dice")
        else:
            self.start = self.dice.randrange(DAYS * BLOCKS)
            await self.know()

    async def know(self) -> None:
        """The deployments as their manifest has them now."""
        moved = deployment("two", start_block=self.start, digest=self.start.to_bytes(32, "big"))
        await known(self.database, deployment("one"), moved, deployment("three"))

    async def drop(self) -> None:
        """A day's flows are dropped."""
        day = FIRST + timedelta(days=self.dice.randrange(DAYS))
        await self.database.fetch("UPDATE range_day SET dropped = true WHERE day = $1", day)

    async def want(self) -> None:
        """A run sets out for other blocks."""
        first = self.dice.randrange(DAYS * BLOCKS)
        last = self.dice.randrange(first - 1, DAYS * BLOCKS)
        await self.database.fetch(query("put_goal"), CHAIN, self.dice.choice(NAMES), first, last)


@pytest.mark.parametrize("seed", [0, 3])
async def test_coverage_and_status_say_what_all_ranges_say(database: Database, seed: int) -> None:
    """Whatever was read, closed, retired, dropped and accrued before: against plain counts over all ranges."""
    life = Life(database, seed)
    await life.know()
    happenings = [life.read] * 8 + [life.date] * 4 + [life.close] * 3
    happenings += [life.accrue, life.retire, life.retire, life.drop, life.want]
    settled = pieces = 0
    for _ in range(100):
        await life.dice.choice(happenings)()
        assert await database.fetch("SELECT * FROM coverage ORDER BY deployment") == await database.fetch(COVERAGE)
        told = [dict(row) for row in await database.fetch(query("status_deployments"))]
        expected = [dict(row) for row in await database.fetch(STATUS)]
        assert [{name: one[name] for name in expected[0]} for one in told] == expected
        spans = await held_spans(database)
        assert {name: span["blocks"] for name, span in spans.items()} == {
            one["deployment"]: one["blocks_held"] for one in expected if one["blocks_held"]
        }
        settled += len(await database.fetch(SETTLED))
        pieces += len(await database.fetch("SELECT FROM stream_piece"))
    assert min(settled, pieces) > 30, (settled, pieces)


async def test_neither_reads_the_ranges_of_settled_days(database: Database) -> None:
    """Of thousands of ranges only those at the ends."""
    shape = Shape(days=60, detailed=1, protocols=4, bigs=1, big=10, small=5, ranges=2000)
    async with database.pool.acquire() as connection:
        await History(connection, shape).make()
        await connection.execute("ANALYZE")
        for text in ("SELECT * FROM coverage", query("status_deployments")):
            plan = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {text}")
            told = "\n".join(row[0] for row in plan)
            read = re.findall(r"Scan[^\n]* on range_\w+[^\n]*\(actual rows=([0-9]+)[^\n]*loops=([1-9][0-9]*)\)", told)
            assert read, told
            assert sum(int(rows) * int(loops) for rows, loops in read) <= 2 * shape.protocols, told
