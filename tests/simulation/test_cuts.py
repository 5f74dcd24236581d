"""The line is cut between a COMMIT and its answer: whether it went through is found out, and nothing is done twice."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from eth_utils.address import to_checksum_address

from indexer.chain.fetch import Fetcher
from indexer.families import uniswap_v3
from indexer.families.uniswap_v3 import UniswapV3
from indexer.ledger import ranges
from indexer.ledger.connect import Database
from indexer.ledger.registry import retire
from indexer.model import Span
from indexer.work import job
from indexer.work.prices import load_prices
from indexer.work.retain import drop_old_months
from tests.fakes.cutter import Cut, cutter
from tests.simulation.demo import booked, complaints, index, opened, outcome, redo, told
from tests.simulation.node import DemoChain
from tests.simulation.test_retention import LATER
from tests.simulation.worker import STATEMENTS, boundary

CUTS = 200
LAST = 200
KINDS: tuple[Cut, Cut] = ("unseen", "unanswered")


class Cuts:
    """Which commits are cut: the first two of each operation, one in each way, and more by the dice until it is enough."""

    def __init__(self, seed: int, enough: int) -> None:
        self._dice, self._enough = random.Random(seed), enough
        self.by: dict[int, str] = {}  # operation that speaks on a client's port
        self.done: Counter[tuple[str, Cut]] = Counter()

    @property
    def count(self) -> int:
        """Cuts so far."""
        return sum(self.done.values())

    def choose(self, port: int, statement: str) -> Cut | None:
        """What to do to this one."""
        operation = self.by.get(port, "-").split()[0]
        times = [self.done[operation, kind] for kind in KINDS]
        if min(times) == 0:
            kind = KINDS[times.index(0)]
        elif self.count < self._enough and sum(times) < self._enough // 5 and self._dice.random() < 0.4:
            kind = self._dice.choice(KINDS)
        else:
            return None
        self.done[operation, kind] += 1
        return kind

    def both(self, *operations: str) -> bool:
        """Whether each of these met each kind."""
        return all(self.done[operation, kind] for operation in operations for kind in KINDS)

    def listen(self, patch: pytest.MonkeyPatch) -> None:
        """Learns who speaks on which connection."""
        for name in STATEMENTS:
            patch.setattr(asyncpg.Connection, name, self._noting(getattr(asyncpg.Connection, name)))

    def _noting(self, method: Any) -> Any:
        async def call(this: Any, what: str, *values: Any, **more: Any) -> Any:
            if (own := this._transport.get_extra_info("sockname")) and isinstance(own, tuple):
                self.by[own[1]] = boundary(what, "")
            return await method(this, what, *values, **more)

        return call


@asynccontextmanager
async def cut_off(url: str, choose: Callable[[int, str], Cut | None]) -> AsyncIterator[Database]:
    """A database whose commits are cut off where this says so."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query)["host"][0]
    async with (
        cutter(f"{folder}/.s.PGSQL.5432", choose) as port,
        opened(f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}") as database,
    ):
        yield database


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> Cuts:
    """Two hundred, with small ranges."""
    made = Cuts(7, CUTS)
    made.listen(monkeypatch)
    monkeypatch.setattr(Fetcher, "range_blocks", property(lambda _: 25))
    return made


async def test_two_hundred_commits_without_an_answer(
    cuts: Cuts, url: str, database: Database, node: DemoChain, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """Half of them went through, half did not, and the run neither loses nor doubles one."""
    async with cut_off(url, cuts.choose) as frail:
        await index(frail, node.url, archive=str(tmp_path))
    assert cuts.count >= CUTS, cuts.done
    assert min(sum(count for (_, how), count in cuts.done.items() if how == kind) for kind in KINDS) > CUTS // 3
    assert cuts.both(
        "ranges.claim", "ranges.commit", "closing.close_days", "closing.value_days", "closing.refresh",
        "registry.register", "streams.rebuild", "context.put_history", "archive.list_kept",
    ), cuts.done  # fmt: skip
    assert await outcome(database) == undisturbed
    assert await booked(database) == await told(node.url, 0, node.head)
    assert await complaints(database) == {}
    (row,) = await database.fetch("SELECT count(*) - count(DISTINCT fence) AS twice FROM range")
    assert row["twice"] == 0


async def test_a_claim_whose_answer_was_lost_is_the_claimants(url: str, database: Database) -> None:
    """Else nobody would read those blocks until the lease ended."""
    cutting: Iterator[Cut] = iter(["unanswered"])
    async with cut_off(url, lambda _, statement: next(cutting, None) if statement == "COMMIT" else None) as frail:
        lease = await ranges.claim(frail, 7, {"made.one": Span(0, 99)}, 100)
    assert next(cutting, None) is None
    assert lease is not None
    assert lease.span == Span(0, 99)
    assert [row["fence"] for row in await database.fetch("SELECT fence FROM lease")] == [lease.fence]


RESTATED = (
    "SELECT deployment, day, reason, known, blocks_held, closed_at IS NULL FROM restated_day ORDER BY 1, 2, 3",
    "SELECT deployment, day, column_name, token, old, new FROM restatement ORDER BY 1, 2, 3, 4",
)


async def restated(database: Database) -> list[list[tuple[Any, ...]]]:
    """What closed days said before and now."""
    return [[tuple(row) for row in await database.fetch(text)] for text in RESTATED]


async def test_what_is_made_again_is_restated_once(
    cuts: Cuts, url: str, database: Database, node: DemoChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another rule, with every transaction of it cut off in both ways; whoever listens is told once of each change."""
    place = str(tmp_path)
    await index(database, node.url, to=LAST, archive=place)
    monkeypatch.setattr(uniswap_v3, "PPM", 2 * 10**6)
    monkeypatch.setattr(UniswapV3, "version", 99)
    heard: list[dict[str, Any]] = []
    listener = await asyncpg.connect(url)
    await listener.add_listener("yield_daily", lambda *notice: heard.append(json.loads(notice[3])))
    async with cut_off(url, cuts.choose) as frail:
        await redo(frail, place, everything=True)
    await listener.close()
    assert cuts.both("registry.register", "registry.retire", "ranges.commit", "closing.close_days", "closing.refresh")
    assert await booked(database) == await told(node.url, 0, LAST, 2 * 10**6)
    assert await complaints(database) == {}
    assert [notice["days"] for notice in heard if notice["days"]] == [3], heard
    days, sums = await restated(database)
    assert len(days) == len({row[:2] for row in days}) > 5
    assert {row[2] for row in days} == {"family uniswap_v3 version 2 -> 99", "read again on request"}
    assert not any(row[-1] for row in days)
    assert {row[-2] // row[-1] for row in sums if row[0] == "demo_dex.demo" and ".accrued" in row[2]} == {2, 1}


async def test_a_reason_is_told_once(cuts: Cuts, url: str, database: Database, node: DemoChain) -> None:
    """Of a day that waits for its figures since an earlier change."""
    await index(database, node.url, to=LAST)
    names = ["demo_dex.demo"]
    await retire(database, node.chain_id, names, "manifest changed")
    async with cut_off(url, cuts.choose) as frail:
        await retire(frail, node.chain_id, names, "family uniswap_v3 version 2 -> 3; manifest changed")
    assert cuts.both("registry.retire")
    rows = await database.fetch("SELECT DISTINCT reason FROM restated_day")
    assert [row["reason"] for row in rows] == ["manifest changed; family uniswap_v3 version 2 -> 3; manifest changed"]


async def test_a_month_is_dropped_and_put_back_whatever_the_line_does(
    cuts: Cuts, url: str, database: Database, node: DemoChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late blocks of dropped days; then the month goes again, and figures stay."""
    await index(database, node.url, start=150, to=LAST, archive=str(tmp_path))
    monkeypatch.setattr(job, "drop_old_months", lambda ledger, months, _: drop_old_months(ledger, months, LATER))
    async with cut_off(url, cuts.choose) as frail:
        await drop_old_months(frail, 1, LATER)
        assert await booked(database) == {}
        await index(frail, node.url, start=0, to=LAST, archive=str(tmp_path), keep_flows=1)
    assert cuts.both("archive.drop_month", "dropped.put_back")
    assert await booked(database) == {}
    assert await complaints(database) == {}
    kept = await outcome(database)
    await redo(database, str(tmp_path), everything=True)
    again = await outcome(database)
    assert {name for name in kept if kept[name] != again[name]} <= {"flows", "facts"}
    assert await booked(database) == await told(node.url, 0, LAST)


async def test_prices_of_a_file_count_though_the_answer_was_lost(
    cuts: Cuts, url: str, database: Database, node: DemoChain, tmp_path: Path
) -> None:
    """The days they change are valued at once, not when somebody happens to come by."""
    await index(database, node.url, to=LAST)
    (row,) = await database.fetch(
        "SELECT token FROM flow_daily WHERE deployment = 'demo_dex.demo' ORDER BY token LIMIT 1"
    )
    file = tmp_path / "prices.csv"
    file.write_text(f"chain,token,day,usd,source\ndemo,{to_checksum_address(row['token'])},2026-01-01,7,mine\n")
    async with cut_off(url, cuts.choose) as frail:
        await load_prices(frail, file)
    assert cuts.both("prices.put_file_prices")
    assert await database.fetch("SELECT FROM dirty_value") == []
    assert await database.fetch("SELECT FROM price_daily WHERE token = $1 AND usd = 7", row["token"])
