"""What manifests say becomes known; what another manifest or version had read no longer counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from indexer.errors import LeaseLost
from indexer.ledger.closing import close_days, put_day_start, refresh, value_days
from indexer.ledger.connect import Database
from indexer.ledger.ranges import commit
from indexer.ledger.registry import keep_rules, list_quotes
from indexer.model import Basis, Classified, Kind
from indexer.settings import PriceSettings
from tests.ledger.made import (
    CHAIN,
    MINT,
    ONE,
    TWO,
    USDC,
    WETH,
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
from tests.ledger.test_commit import whole

DAYS = [date(2026, 1, day) for day in range(1, 6)]
NEWER = replace(deployment("one"), digest=b"\1" * 32)


@pytest.fixture
async def closed(database: Database) -> Database:
    """Days 1 to 3 closed for made.one: flows on the first two, none on the third."""
    await known(database, deployment("one"), deployment("two"))
    await list_quotes(database, [(CHAIN, USDC, "USDC", 6, Decimal(1))])
    await database.fetch("INSERT INTO token VALUES ($1, $2, 'USDC', 6, NULL, 0)", CHAIN, USDC)
    for number, day in enumerate(DAYS[:4]):
        await put_day_start(database, CHAIN, day, number * 8640)
    await store(database, 0, 25_919, whole())
    await close(database)
    return database


async def close(database: Database) -> None:
    await close_days(database, CHAIN, DAYS[3])
    await value_days(database, CHAIN)
    await refresh(database)


async def closed_days(database: Database) -> list[tuple[Any, ...]]:
    rows = await database.fetch(
        "SELECT deployment, day, flows, digest, blocks_held, blocks FROM deployment_day ORDER BY 1, 2"
    )
    return [tuple(row) for row in rows]


async def figures(database: Database) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await database.fetch("SELECT * FROM yield_daily ORDER BY day, protocol")]


async def dirty(database: Database) -> set[tuple[str, date]]:
    return {(row["deployment"], row["day"]) for row in await database.fetch("SELECT deployment, day FROM dirty_day")}


async def test_the_same_manifest_again_changes_nothing(closed: Database) -> None:
    before = await contents(closed)
    assert await known(closed, deployment("one"), deployment("two")) == []
    await list_quotes(closed, [(CHAIN, USDC, "USDC", 6, Decimal(1))])
    assert await contents(closed) == before
    assert await closed.fetch("SELECT FROM dirty_value") == []


async def test_a_changed_manifest_retires_what_was_read_for_it_and_nothing_else(closed: Database) -> None:
    assert await known(closed, NEWER, deployment("two")) == ["made.one"]
    found = await contents(closed)
    for table, name in (("flow", 12), ("range_deployment", 0), ("range_day", 0)):
        assert {row[name] for row in found[table]} == {"made.two"}, table
    assert (found["range_trade"], found["quarantine"], found["contract"]) == ([], [], [])
    assert await dirty(closed) == {("made.one", day) for day in DAYS[:3]}, "the day without flows too"


async def test_a_new_family_version_does_the_same(closed: Database) -> None:
    assert await known(closed, deployment("one"), deployment("two"), uniswap_v3=2) == ["made.one", "made.two"]
    assert await stored(closed) == []


async def test_after_reading_everything_again_the_ledger_is_as_fresh(closed: Database) -> None:
    once, shown = await closed_days(closed), await figures(closed)
    await known(closed, NEWER, deployment("two"))
    made = whole()
    await store(closed, 0, 25_919, replace(made, classified={ONE: made.classified[ONE]}))
    await close(closed)
    assert await closed_days(closed) == once
    assert await figures(closed) == shown


async def test_a_manifest_that_begins_later_leaves_no_flow_of_earlier_blocks(closed: Database) -> None:
    """Nobody reads those blocks again, so nobody would take the old flows back."""
    await known(closed, replace(NEWER, start_block=8640), deployment("two"))
    await store(closed, 8640, 25_919, reading(flows([at(1, 7)], [3])))
    await close(closed)
    assert [(row[1], row[12]) for row in await stored(closed)] == [(8, "made.two"), (8647, "made.one")]
    first = next(row for row in await closed_days(closed) if row[:2] == ("made.one", DAYS[0]))
    assert (first[2], first[4], first[5]) == (0, 0, 0)


async def test_who_reads_for_the_old_manifest_cannot_commit_any_more(closed: Database) -> None:
    stale = await lease(closed, 30_000, 30_099)
    await known(closed, NEWER, deployment("two"))
    with pytest.raises(LeaseLost):
        await commit(closed, stale, reading(flows([at(3, 4100)], [1])))


async def test_parameters_are_as_the_newer_version_reads_them(closed: Database) -> None:
    made = whole()
    await known(closed, deployment("one"), deployment("two"), uniswap_v3=2)
    await store(closed, 0, 25_919, replace(made, steps=[replace(made.steps[0], values=(7, 9))]))
    rows = await closed.fetch('SELECT "values" FROM parameter')
    assert [list(map(int, row["values"])) for row in rows] == [[7, 9]]


async def test_counting_another_basis_values_closed_days_again_without_reading(closed: Database) -> None:
    (before,) = [row for row in await figures(closed) if row[0] == DAYS[0]]
    assert before[3] == Decimal("0.000084"), "raw 1 + 2 + 4 + 77 of a dollar token with 6 decimals"
    one, two = (deployment(name, counts={Kind.FEE: Basis.PAID}) for name in ("one", "two"))
    assert await known(closed, one, two) == []
    await value_days(closed, CHAIN)
    await refresh(closed)
    (after,) = [row for row in await figures(closed) if row[0] == DAYS[0]]
    assert after[3] == 0


async def test_a_token_that_becomes_or_ceases_to_be_own_values_closed_days_again(closed: Database) -> None:
    counts = {Kind.FEE: Basis.ACCRUED, Kind.INCENTIVE: Basis.ACCRUED}
    one, two = deployment("one", counts=counts), deployment("two", counts=counts)
    await known(closed, one, two)
    await store(closed, 0, 25_919, reading(flows([at(0, 5)], [9], label=MINT), others={TWO: Classified()}))
    for own, issued in (((), 0), ((USDC,), Decimal("0.000009")), ((), 0)):
        await known(closed, one, two, own_tokens=own)
        await close(closed)
        rows = await closed.fetch("SELECT issued_usd FROM yield_daily WHERE day = $1", DAYS[0])
        assert [row["issued_usd"] for row in rows] == [issued]


async def test_a_quote_token_that_changes_its_peg_or_leaves_values_closed_days_again(closed: Database) -> None:
    for quotes, fees in (
        ([(CHAIN, USDC, "USDC", 6, Decimal("0.5"))], Decimal("0.000042")),
        ([(CHAIN, WETH, "WETH", 18, None)], None),
    ):
        await list_quotes(closed, quotes)
        await value_days(closed, CHAIN)
        await refresh(closed)
        rows = await closed.fetch("SELECT fees_usd FROM yield_daily WHERE day = $1", DAYS[0])
        assert [row["fees_usd"] for row in rows] == [fees]


async def test_workers_started_at_once_register_alike(database: Database) -> None:
    quotes = [(CHAIN, USDC, "USDC", 6, Decimal(1)), (CHAIN, WETH, "WETH", 18, None)]
    await asyncio.gather(*(known(database, deployment("one"), deployment("two"), own_tokens=[USDC]) for _ in range(4)))
    await asyncio.gather(*(list_quotes(database, quotes) for _ in range(4)))
    for table, count in (
        ("chain", 1),
        ("protocol", 1),
        ("deployment", 2),
        ("counted", 2),
        ("own_token", 1),
        ("quote_token", 2),
    ):
        rows = await database.fetch(f"SELECT count(*) AS n FROM {table}")
        assert rows[0]["n"] == count, table


async def test_a_day_that_nobody_has_read_again_has_no_row_and_no_zero(closed: Database) -> None:
    """After a new version only the last day is read: the earlier ones are unknown, so yield_daily leaves them out."""
    await known(closed, NEWER, replace(deployment("two"), digest=b"\2" * 32))
    await store(closed, 17_280, 25_919, reading(owner=ONE))
    await store(closed, 17_280, 25_919, reading(owner=TWO))
    await close(closed)
    shown = await closed.fetch("SELECT day, fees_usd, coverage FROM yield_daily ORDER BY day")
    assert [tuple(row) for row in shown] == [(DAYS[2], 0, 1)]


async def test_coverage_is_that_of_the_least_covered_deployment_even_of_one_that_read_nothing(closed: Database) -> None:
    """A deployment added later has not read the closed days: they are covered in part, and its kinds stay unknown."""
    await known(closed, deployment("one"), deployment("two"), deployment("three", counts={Kind.INCENTIVE: None}))
    await close(closed)
    shown = await closed.fetch("SELECT DISTINCT coverage, incentives_usd FROM yield_daily")
    assert [tuple(row) for row in shown] == [(0, None)]


async def test_a_mark_made_while_a_day_is_valued_stays(closed: Database) -> None:
    """Who changes a peg meanwhile waits for the valuing, and its mark is not taken for the older one."""
    await closed.fetch("INSERT INTO dirty_value VALUES ($1, $2)", CHAIN, DAYS[0])
    async with closed.pool.acquire() as valuing, valuing.transaction():
        await valuing.execute("DELETE FROM dirty_value WHERE chain_id = $1 AND day = $2", CHAIN, DAYS[0])
        marking = asyncio.create_task(list_quotes(closed, [(CHAIN, USDC, "USDC", 6, Decimal(2))]))
        await asyncio.sleep(0.2)
        assert not marking.done()
    await marking
    assert {row["day"] for row in await closed.fetch("SELECT day FROM dirty_value")} >= {DAYS[0]}


@pytest.mark.parametrize(
    "changed",
    [{"min_liquidity_usd": 1000}, {"min_pool_age_days": 2}, {"depeg_ppm": 30_000}],
    ids=lambda one: next(iter(one)),
)
async def test_other_rules_of_pricing_value_closed_days_again(closed: Database, changed: dict[str, int]) -> None:
    """Figures of two methodologies in one ledger would look alike; the same rules again change nothing."""
    await keep_rules(closed, [CHAIN], PriceSettings())
    assert await closed.fetch("SELECT FROM dirty_value") == [], "what a new chain has are the defaults"
    await keep_rules(closed, [CHAIN], PriceSettings(**changed))
    assert await closed.fetch("SELECT FROM dirty_value")
    await close(closed)
    await keep_rules(closed, [CHAIN], PriceSettings(**changed))
    assert await closed.fetch("SELECT FROM dirty_value") == []


async def test_whether_a_family_makes_flows_at_all_is_known(database: Database) -> None:
    """Price feeds make none: nobody is to wait for their figures."""
    feed = deployment("feed", family="chainlink_feed", counts={})
    await known(database, deployment("one"), feed, chainlink_feed=1)
    rows = await database.fetch("SELECT deployment, has_flows FROM deployment ORDER BY 1")
    assert [tuple(row) for row in rows] == [("made.feed", False), ("made.one", True)]


async def test_processes_that_start_at_once_make_the_same_rows(url: str) -> None:
    """On an empty ledger, each with connections of its own: names are unique, and none of them fails for it."""
    ledgers = [await Database.open(url) for _ in range(6)]
    try:
        await asyncio.gather(*(known(ledger, deployment("one"), deployment("two")) for ledger in ledgers))
        assert [tuple(row) for row in await ledgers[0].fetch("SELECT deployment FROM deployment ORDER BY 1")] == [
            (deployment("one").id,),
            (deployment("two").id,),
        ]
    finally:
        for ledger in ledgers:
            await ledger.close()
