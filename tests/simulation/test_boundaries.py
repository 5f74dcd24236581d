"""kill -9 at each boundary of each statement: recorded once, then hit one after the other, and none may be left out.

A boundary is the moment before a statement is sent or after its answer came, within one operation of the ledger. The
moment after one statement is that before the next, so by default each is hit from its left side only, and COMMIT from
both, each kill on what the one before left; CRASH_TESTS=nightly hits both sides and every repetition, each on a ledger
of its own.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from indexer.families import uniswap_v3
from indexer.families.uniswap_v3 import UniswapV3
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.work.retain import drop_old_months
from tests.simulation.demo import booked, complaints, index, opened, outcome, told
from tests.simulation.node import DemoChain
from tests.simulation.statements import statements
from tests.simulation.test_crash import KILLED, Workers, workers
from tests.simulation.test_retention import LATER

NIGHTLY = os.environ.get("CRASH_TESTS") == "nightly"
FIRST, LAST = 20, 200  # most pools are older, one pair is born in between
EDGES = ("before", "after") if NIGHTLY else ("after",)
COMMAND = "CRASH_TESTS={} python -m pytest tests/simulation/test_boundaries.py -k {}"


@dataclass(frozen=True)
class Scenario:
    """A worker's life: what it is told, what the ledger held before, and the operations that it must be killed in."""

    name: str
    operations: tuple[str, ...]
    more: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)  # operation and statement: where else it is met
    other: frozenset[str] = frozenset()  # what is not that of a fresh index, even if nobody is killed


_RETIRED = {f"registry.register {name}": "of another rule or manifest: redo" for name in statements("registry.retire")}
_NEW = (
    statements("registry.register")
    - statements("registry.retire")
    - {"lock_registry", "put_chain", "put_protocol", "put_deployment"}
)
READ = Scenario(
    "read",
    ("registry.register", "archive.list_kept", "ranges.claim", "ranges.commit", "streams.rebuild", "closing.dirty_days",
     "closing.close_days", "closing.value_days", "closing.refresh"),
    {"from": FIRST},
    {
        "ranges.claim held": "looked up before the first claim",
        "ranges.claim latest_fence": "likewise",
        "ranges.claim lease_stands": "asked after a lost answer only: test_cuts",
        "ranges.commit committed": "asked after a lost answer only: test_cuts",
        "ranges.commit put_archive_calls": "facts are listed by themselves: archive.list_kept",
        **_RETIRED,
    },
)  # fmt: skip
REDO = Scenario(
    "redo",
    ("registry.register", "registry.retire"),
    {"redo": True, "changed": True, "whole": True},
    {f"registry.register {name}": "of a new ledger: read" for name in _NEW},
    frozenset({"facts"}),  # a feed's phases are known at once, later ones too
)
RETAIN = Scenario(
    "retain",
    ("dropped.dropped_ranges", "dropped.put_back", "archive.flow_months", "archive.drop_month"),
    {"from": FIRST, "keep_flows": 1, "later": LATER.isoformat()},
    {"dropped.put_back ensure_flow_month": "the commits before it have made it: read"},
    frozenset({"flows"}),  # they are dropped
)


class Stage:
    """A scenario's ledger: made as often as it is wanted from what it was before, and compared with what it must be."""

    def __init__(self, scenario: Scenario, server: EmbeddedPostgres, admin: Any, folder: Path, source: Workers) -> None:
        self._scenario, self._admin, self._folder, self._source = scenario, admin, folder, source
        self.base, self.name = f"base_{scenario.name}", f"stage_{scenario.name}"
        self.expected: dict[str, Any] = {}
        self.sums: dict[Any, Any] = {}
        self.url = server.url("postgres").replace("/postgres?", f"/{self.name}?")
        self.checked = 0
        self._inside: Any = None

    async def restore(self) -> None:
        """The ledger and the archive as they were before."""
        await self.leave()
        await self._admin.execute(f'CREATE DATABASE "{self.name}" TEMPLATE "{self.base}"')
        shutil.rmtree(self._folder / "now", ignore_errors=True)
        shutil.copytree(self._folder / "before", self._folder / "now")
        self._inside = await asyncpg.connect(self.url)

    async def leave(self) -> None:
        """Drops the ledger."""
        if self._inside is not None:
            await self._inside.close()
        await self._admin.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    async def run(self, **told: Any) -> int:
        """One worker; leases of those before it have expired."""
        await self._inside.execute("DELETE FROM lease")
        line = {"database": self.url, "archive": str(self._folder / "now"), "to": LAST}
        return int((await self._source.run(**(line | dict(self._scenario.more) | told)))["code"])

    async def killed(self, name: str, nth: int = 1) -> bool:
        """Whether the worker got to a boundary and was killed there; if it came to its end the ledger is compared."""
        code = await self.run(at=[name, nth])
        if code == 0:
            await self.compare(f"no {name!r}")
        assert code in (0, KILLED), name
        return code == KILLED

    async def finish(self, last: str) -> None:
        """The worker after the last kill is left alone."""
        assert await self.run() == 0, last
        await self.compare(last)

    async def compare(self, last: str) -> None:
        """Digests, days, sums, prices: as if nothing had happened; flows are those of the oracle."""
        where = f"after {last!r}; again: {COMMAND.format(os.environ.get('CRASH_TESTS', ''), self._scenario.name)}"
        async with opened(self.url) as database:
            assert await outcome(database) == self.expected, where
            assert await booked(database) == self.sums, where
            assert await complaints(database) == {}, where
        self.checked += 1


@pytest.fixture
async def stage(
    request: pytest.FixtureRequest, server: EmbeddedPostgres, template: str, node: DemoChain, tmp_path: Path
) -> AsyncIterator[Stage]:
    """The stage of the scenario that the test is about, with its first ledger."""
    scenario: Scenario = request.param
    admin = await asyncpg.connect(server.url("postgres"))
    before = tmp_path / "before"
    before.mkdir()
    async with workers(server.url("postgres"), node, 60) as source:
        made = Stage(scenario, server, admin, tmp_path, source)
        try:
            await admin.execute(f'CREATE DATABASE "{made.base}" TEMPLATE "{template}"')
            async with opened(server.url(made.base)) as database:
                await _before(scenario, database, node, str(before))
            yield made
        finally:
            await made.leave()
            await admin.execute(f'DROP DATABASE IF EXISTS "{made.base}" WITH (FORCE)')
            await admin.close()


async def _before(scenario: Scenario, database: Database, node: DemoChain, place: str) -> None:
    """What the ledger holds when the scenario begins."""
    if scenario is REDO:
        await index(database, node.url, start=FIRST, to=LAST, archive=place)
    if scenario is RETAIN:
        await index(database, node.url, start=150, to=LAST, archive=place)
        assert await drop_old_months(database, 1, LATER)


async def _undisturbed(stage: Stage, scenario: Scenario, node: DemoChain, fresh: Database, record: Path) -> list[str]:
    """The boundaries of a worker that nobody kills; it must come to what the oracle and a fresh index do."""
    with pytest.MonkeyPatch.context() as patch:
        if scenario is REDO:
            patch.setattr(uniswap_v3, "PPM", 2 * 10**6)
            patch.setattr(UniswapV3, "version", 99)
        await index(fresh, node.url, start=FIRST, to=LAST)
    assert await booked(fresh) == await told(node.url, FIRST, LAST, 2 * 10**6 if scenario is REDO else 10**6)
    await stage.restore()
    assert await stage.run(record=str(record)) == 0
    async with opened(stage.url) as database:
        stage.expected, stage.sums = await outcome(database), await booked(database)
    told_fresh = await outcome(fresh)
    assert {name for name, rows in stage.expected.items() if rows != told_fresh[name]} == scenario.other
    assert "flows" in scenario.other or stage.sums == await booked(fresh)
    return record.read_text().splitlines()


@pytest.mark.parametrize("stage", [READ, REDO, RETAIN], ids=lambda scenario: scenario.name, indirect=True)
async def test_each_boundary_may_be_the_last(
    stage: Stage, request: pytest.FixtureRequest, node: DemoChain, database: Database, tmp_path: Path
) -> None:
    """Nothing is lost, nothing doubled, and no statement of the operations is without its kill."""
    scenario: Scenario = request.node.callspec.params["stage"]
    passed = await _undisturbed(stage, scenario, node, database, tmp_path / "record")
    points = [name for name in passed if _wanted(scenario, *name.split())]
    await stage.restore()
    hit = await (_repeated(stage, points) if NIGHTLY else _once(stage, points))
    print(f"{scenario.name}: {len(hit)} boundaries, {sum(hit.values())} kills, compared {stage.checked} times")
    assert not (left := _not_hit(scenario, hit)), left


def _wanted(scenario: Scenario, operation: str, statement: str, edge: str) -> bool:
    return operation in scenario.operations and (edge in EDGES or statement == "COMMIT")


async def _once(stage: Stage, points: list[str]) -> Counter[str]:
    """Each distinct boundary, on what the kills before left, or from the start where those went past it."""
    hit: Counter[str] = Counter()
    for name in dict.fromkeys(points):
        if not await stage.killed(name):
            await stage.restore()
            assert await stage.killed(name), name
        hit[name] += 1
    await stage.finish(str(list(hit)[-1]))
    return hit


async def _repeated(stage: Stage, points: list[str]) -> Counter[str]:
    """Each pass of each boundary on a ledger of its own; four readers take turns, so a late pass may not come."""
    hit: Counter[str] = Counter()
    for name, passes in Counter(points).items():
        for nth in range(1, passes + 1):
            await stage.restore()
            if await stage.killed(name, nth):
                hit[name] += 1
                await stage.finish(f"{name} {nth}")
    return hit


def _not_hit(scenario: Scenario, hit: Counter[str]) -> list[str]:
    """Statements that the operations have by their source, and the ends of their transactions, without a kill."""
    wanted = {f"{operation} {name}" for operation in scenario.operations for name in statements(operation)}
    return sorted({f"{name} {edge}" for name in wanted - scenario.left_out.keys() for edge in EDGES} - hit.keys())
