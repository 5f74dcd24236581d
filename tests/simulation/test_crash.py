"""kill -9 at any point, and several workers on one database: nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from indexer.ledger import ranges
from indexer.ledger.connect import Database
from indexer.work import backfill
from tests.simulation.demo import booked, complaints, index, outcome, told
from tests.simulation.node import DemoChain

ROOT = Path(__file__).parents[2]
KILLED = -9
KILLS, READING = 25, 15  # of a seed, and how many of these meet the history half read
AGAIN = "CRASH_SEEDS={} python -m pytest tests/simulation/test_crash.py -k random"


def _seeds(written: str) -> range:
    """As "7" or "1-40"."""
    first, _, last = written.partition("-")
    return range(int(first), int(last or first) + 1)


SEEDS = _seeds(os.environ.get("CRASH_SEEDS", "1-2"))  # fifty kills; 1-40 are a thousand


class Workers:
    """Workers that are started one after another, each from a process that has imported everything."""

    def __init__(self, process: asyncio.subprocess.Process, plain: dict[str, Any]) -> None:
        self._process, self._plain = process, plain

    async def run(self, die: int = 0, **changes: Any) -> dict[str, Any]:
        """One worker to its end, by itself or at point `die`: its exit code, and the points it passed if it lived."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write((json.dumps(self._plain | {"die": die} | changes) + "\n").encode())
        return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def workers(url: str, node: DemoChain, blocks: int) -> AsyncIterator[Workers]:
    """A source of workers on one database."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "tests.simulation.worker", cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    try:
        yield Workers(process, {"database": url, "rpc": node.url, "blocks": blocks, "lease_s": 2, "from": 0})
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def held(database: Database) -> int:
    rows = await database.fetch("SELECT coalesce(sum(last_block - first_block + 1), 0) AS n FROM range_deployment")
    return int(rows[0]["n"])


@pytest.mark.parametrize("seed", SEEDS)
async def test_workers_killed_at_random_points_lose_and_double_nothing(
    seed: int, url: str, database: Database, node: DemoChain, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """Between any two statements, after COMMIT, while a node is asked; then while all is closed or made again."""
    dice, advance, again = random.Random(seed), [0], AGAIN.format(seed)
    more: dict[str, Any] = {"archive": str(tmp_path)} if dice.random() < 0.5 else {}
    more |= {"every": 0.02} if seed % 2 else {}  # days are closed all the while
    async with workers(url, node, dice.choice([25, 60, 150])) as source:
        for kill in range(KILLS):
            redo = kill >= READING and "archive" in more and dice.random() < 0.5
            if kill == READING:
                assert (await source.run(**more))["code"] == 0, again
            if kill >= READING and not redo:
                await spoil(database)
            point = dice.choice([dice.randint(1, 150), dice.randint(150, 250 if kill >= READING else 900)])
            while (code := (await source.run(point, redo=redo, whole=redo, **more))["code"]) == 0:
                point //= 2  # so little was left to do
            assert code == KILLED, f"kill {kill} at point {point}: {again}"
            advance.append(await held(database))
            if kill % 6 == 5:
                assert set(await complaints(database)) <= {"expired_leases.sql"}, f"kill {kill} at {point}: {again}"
        assert (await source.run(**more))["code"] == 0, again
    assert max(advance) > 1000, again
    assert await outcome(database) == undisturbed, again
    assert await booked(database) == await told(node.url, 0, node.head), again
    assert await complaints(database) == {}, again


async def spoil(database: Database) -> None:
    """Every closed day is dirty again."""
    await database.fetch(
        "INSERT INTO dirty_day SELECT chain_id, deployment, day FROM deployment_day ON CONFLICT DO NOTHING"
    )


@pytest.mark.parametrize("count", [2, 4])
async def test_workers_at_once_share_the_blocks(
    count: int, url: str, database: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    """Each from its own process, started at the same moment on an empty ledger; one of four is killed half way."""
    async with AsyncExitStack() as stack:
        sources = [await stack.enter_async_context(workers(url, node, 40)) for _ in range(count)]
        ended = await asyncio.gather(*(source.run(500 if at == 3 else 0) for at, source in enumerate(sources)))
    assert [one["code"] for one in ended] == [0, 0, 0, KILLED][:count]
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}
    rows = await database.fetch(
        "SELECT deployment, sum(last_block - first_block + 1) AS n FROM range_deployment GROUP BY 1 ORDER BY 1"
    )
    assert [(row["deployment"], int(row["n"])) for row in rows] == [
        ("demo_dex.demo", 1217), ("demo_farm.demo.chef", 1216), ("demo_farm.demo.exchange", 1217),
        ("demo_farm.demo.staking", 1196), ("demo_feed.demo.weth_usd.p1", 1194), ("demo_feed.demo.weth_usd.p2", 502),
        ("demo_pairs.demo", 1201),
    ]  # fmt: skip


async def test_a_run_waits_for_blocks_that_a_dead_worker_holds(
    database: Database, node: DemoChain, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is missing is leased by somebody who will never commit it: the run must not say that it is done."""
    await index(database, node.url)
    await database.fetch("DELETE FROM flow WHERE block_number BETWEEN 100 AND 199")
    cut = "WHERE deployment = 'demo_dex.demo' AND first_block <= 199 AND last_block >= 100 RETURNING *"
    spans = await database.fetch(f"DELETE FROM range_deployment {cut}")
    for span in spans:
        await database.fetch(
            "DELETE FROM range_day WHERE range_id = $1 AND deployment = $2", span["range_id"], "demo_dex.demo"
        )
        await database.fetch(
            "DELETE FROM range_trade WHERE range_id = $1 AND deployment = $2", span["range_id"], "demo_dex.demo"
        )
        await database.fetch(
            "INSERT INTO lease (chain_id, first_block, last_block, deployments, holder, expires_at) "
            "VALUES (31337, $1, $2, '{demo_dex.demo}', 'gone:1', now() + interval '1 second')",
            span["first_block"], span["last_block"],
        )  # fmt: skip
    await database.fetch("DELETE FROM range_deployment WHERE deployment <> 'demo_dex.demo' AND first_block <= 199")
    monkeypatch.setattr(backfill, "_POLL", 0.1)
    await index(database, node.url, protocols=["demo_dex"])
    rows = await database.fetch("SELECT count(*) AS n FROM flow WHERE deployment = 'demo_dex.demo'")
    assert rows[0]["n"] == {row[0]: row[1] for row in undisturbed["flows"]}["demo_dex.demo"]


async def test_a_worker_whose_lease_was_taken_over_goes_on_with_other_blocks(
    database: Database, node: DemoChain, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third lease vanishes while its blocks are being read."""
    claim, seen = ranges.claim, [0]

    async def robbed(*values: Any) -> Any:
        lease = await claim(*values)
        seen[0] += lease is not None
        if lease is not None and seen[0] % 3 == 0:
            await database.fetch("DELETE FROM lease WHERE fence = $1", lease.fence)
        return lease

    monkeypatch.setattr(ranges, "claim", robbed)
    await index(database, node.url)
    assert await outcome(database) == undisturbed
