"""What the demo has not: streams, months whose flows were dropped, days that were touched since or read in part."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from rich.console import Console

from indexer.errors import ArchiveUnusable
from indexer.ledger.closing import close_days, put_day_start, refresh, value_days
from indexer.ledger.connect import Database
from indexer.model import Basis, Flows, Kind
from indexer.publish.branches import as_tree
from indexer.publish.explain import explain
from indexer.publish.explained import Explanation, SumLine
from indexer.publish.origins import Rederived
from tests.ledger.made import (
    CHAIN,
    COIN,
    CUT,
    JANUARY,
    MINT,
    ONE,
    OTHER_POOL,
    POOL,
    SWEPT,
    USDC,
    WETH,
    at,
    deployment,
    flows,
    known,
    reading,
    store,
)  # fmt: skip

BLOCKS = 8640  # a day's
DAYS = [date(2026, 1, day) for day in range(1, 6)]
PRICED = {USDC: ("1.0005", 6), WETH: ("2500.123456789", 18), COIN: ("0.37", 18)}


@pytest.fixture
async def ready(database: Database) -> Database:
    """One deployment that counts fees and incentives as they accrue; the first blocks of four days; prices from a file."""
    counts = {Kind.FEE: Basis.ACCRUED, Kind.INCENTIVE: Basis.ACCRUED}
    await known(database, deployment("one", counts=counts), own_tokens=[COIN])
    for number, day in enumerate(DAYS):
        await put_day_start(database, CHAIN, day, number * BLOCKS)
    for token, (usd, decimals) in PRICED.items():
        await database.fetch(
            "INSERT INTO token (chain_id, token, symbol, decimals, block_number) VALUES ($1, $2, $3, $4, 0)",
            CHAIN, token, f"T{token[-1]:x}", decimals,
        )  # fmt: skip
        await database.fetch(
            "INSERT INTO price_file (chain_id, day, token, file, line, usd, source)"
            " VALUES ($1, $2, $3, 'prices.csv', 7, $4, 'my desk')",
            CHAIN, DAYS[0], token, Decimal(usd),
        )  # fmt: skip
    return database


MADE = [
    flows([at(0, 5), at(0, 9, 3), at(0, 9, 4), at(1, 5)], [10**6, 5 * 10**6, 7, 10**6], token=USDC),
    flows([at(0, 5, contract=OTHER_POOL)], [10**17], token=WETH),
    flows([at(0, 5), at(0, 9, 3)], [3, 4], token=USDC, label=CUT, leg=1),
    flows([at(0, 6)], [10**9], token=USDC, label=SWEPT, leg=2),
    flows([at(0, 7)], [2 * 10**18], token=COIN, label=MINT),
]


async def close(database: Database, until: date = DAYS[4]) -> None:
    """What a run does after reading."""
    await close_days(database, CHAIN, until)
    await value_days(database, CHAIN)
    await refresh(database)


async def day(database: Database, metric: str = "fees", number: int = 0, **more: Any) -> Explanation:
    (tree,) = await explain(database, "made", DAYS[number], metric, **more)
    return tree


def sums(tree: Explanation) -> list[SumLine]:
    return [line for part in tree.parts for one in part.deployments for line in one.sums]


async def test_a_figure_is_its_flows_at_the_users_price_and_other_bases_are_not_in_it(ready: Database) -> None:
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await close(ready)
    tree = await day(ready)
    assert [(line.contract, int(line.amount), line.flows, line.side) for line in sums(tree)] == [
        (OTHER_POOL, 10**17, 1, "supply"), (POOL, 6 * 10**6 + 7, 3, "supply"), (POOL, 7, 2, "protocol"),
    ]  # fmt: skip
    supply = Fraction("250.0123456789") + Fraction(6_000_007, 10**6) * Fraction("1.0005")
    assert Fraction(str(tree.parts[0].usd)) == Fraction(round(supply * 10**6), 10**6)
    price = sums(tree)[0].price
    assert price is not None
    assert (price.source, price.usd, price.words) == (
        "file",
        Decimal("2500.123456789"),
        "your file, prices.csv:7: my desk",
    )
    (flow,) = sums(tree)[0].listed
    assert (flow.block, flow.log_index, flow.time) == (5, 0, datetime(2026, 1, 1, 0, 0, 50, tzinfo=UTC))


async def test_earnings_take_incentives_off(ready: Database) -> None:
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await close(ready)
    tree = await day(ready, "earnings")
    assert [(part.name, part.sign, str(part.usd)) for part in tree.parts] == [
        ("protocol_usd", 1, "0.000007"), ("holders_usd", 1, "0"), ("incentives_usd", -1, "0.740000"),
    ]  # fmt: skip
    assert tree.usd == Decimal("-0.739993")


async def streaming(database: Database, *streams: tuple[int, int, int, int]) -> None:
    """Streams of the pool: first second of January, last, numerator, denominator; each told by a log of its own."""
    await database.fetch("INSERT INTO stream_span VALUES ($1, $2, 0, $3)", CHAIN, ONE.deployment, 10**9)
    for number, (first, last, numerator, denominator) in enumerate(streams):
        begins, ends = (datetime.fromtimestamp(JANUARY + second, UTC) for second in (first, last))
        await database.fetch(
            "INSERT INTO stream VALUES ($1, $2, 0, $3, $4, 'incentive', 'staking_reward', 'supply', 'accrued', $5, $6, $7,"
            " $8, $9, $10, $11)",
            CHAIN, ONE.deployment, POOL, COIN, begins, ends, numerator, denominator, first // 10, bytes([number]) * 32, number,
        )  # fmt: skip


async def test_what_a_stream_accrued_is_its_seconds_times_its_rate_with_the_log_that_told_it(ready: Database) -> None:
    """Cut at midnight; pieces and flows of one figure stand side by side and add up."""
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await streaming(ready, (1000, 5000, 10**18, 3), (80_000, 90_000, 10**17, 1))
    await close(ready)
    tree = await day(ready, "incentives")
    emitted, streamed = sorted(sums(tree), key=lambda line: line.source)
    assert (emitted.pieces, int(emitted.amount)) == ((), 2 * 10**18)
    assert [(one.seconds, int(one.numerator), int(one.denominator)) for one in streamed.pieces] == [
        (4000, 10**18, 3), (6400, 10**17, 1),
    ]  # fmt: skip
    assert [int(one.amount) for one in streamed.pieces] == [4000 * 10**18 // 3, 6400 * 10**17]
    assert [(one.block, one.tx_hash, one.log_index) for one in streamed.pieces] == [
        (100, bytes(32), 0), (8000, bytes([1]) * 32, 1),
    ]  # fmt: skip
    assert (streamed.listed, streamed.flows, streamed.rest, streamed.remark) == ((), 2, None, None)
    dollars = (2 * 10**18 + 4000 * 10**18 // 3 + 6400 * 10**17) * Fraction("0.37") / 10**18
    assert Fraction(str(tree.usd)) == Fraction(round(dollars * 10**6), 10**6)
    (rest,) = (await day(ready, "incentives", number=1)).parts[0].deployments[0].sums
    assert [(one.seconds, int(one.amount)) for one in rest.pieces] == [(3600, 3600 * 10**17)]


async def test_pieces_have_the_same_limit_as_flows(ready: Database) -> None:
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await streaming(ready, (0, 10, 10**18, 1), (10, 40, 10**18, 1), (40, 60, 10**18, 1))
    await close(ready)
    streamed = next(line for line in sums(await day(ready, "incentives", limit=2)) if line.source == "staking_reward")
    assert [one.seconds for one in streamed.pieces] == [30, 20]
    assert streamed.rest is not None
    assert (streamed.rest.lines, int(streamed.rest.amount or 0)) == (1, 10 * 10**18)


async def test_a_stream_is_told_in_words(ready: Database) -> None:
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await streaming(ready, (1000, 5000, 10**18, 3))
    await close(ready)
    out = io.StringIO()
    Console(width=10_000, file=out).print(as_tree(await day(ready, "incentives")))
    assert (
        "stream 2026-01-01 00:16:40 to 2026-01-01 01:23:20, 4,000 s x 1000000000000000000 / 3 raw units a second: "
        f"1,333.333333333333333333 Ta3 = 493.333333; rate told at block 100, tx 0x{'00' * 32}, log 0"
    ) in out.getvalue()


async def dropped(database: Database) -> None:
    """What dropping a month leaves behind."""
    await database.fetch("DELETE FROM flow")
    await database.fetch("UPDATE range_day SET dropped = true")


async def test_a_dropped_month_is_made_again_by_whoever_can(ready: Database) -> None:
    """The tree is the same as before; only the deployment and day at hand are asked for."""
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await streaming(ready, (1000, 5000, 10**18, 3))
    await close(ready)
    before = [await day(ready, metric, limit=2) for metric in ("fees", "incentives", "earnings")]
    await dropped(ready)
    asked = []

    async def rederived(deployment_id: str, of: date) -> Sequence[Flows]:
        asked.append((deployment_id, of))
        return [replace(one, where=one.where.take(rows), token=one.token[rows], amount=one.amount[rows])
                for one in MADE if (rows := one.where.time < JANUARY + 86_400).any()]  # fmt: skip

    after = [await day(ready, metric, limit=2, rederived=rederived) for metric in ("fees", "incentives", "earnings")]
    assert after == before
    assert asked == [(ONE.deployment, DAYS[0])] * 3


async def damaged(deployment_id: str, of: date) -> Sequence[Flows]:
    raise ArchiveUnusable("The archive file 7/ab.parquet is damaged: fetch it again.")


@pytest.mark.parametrize(
    ("rederived", "why"),
    [
        (None, "the archive they were kept in is not at hand"),
        (damaged, "The archive file 7/ab.parquet is damaged: fetch it again"),
    ],
)
async def test_a_dropped_month_that_cannot_be_made_again_says_why_and_keeps_the_sums(
    ready: Database, rederived: Rederived | None, why: str
) -> None:
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await streaming(ready, (1000, 5000, 10**18, 3))
    await close(ready)
    before = await day(ready)
    await dropped(ready)
    after = await day(ready, rederived=rederived)
    streamed = next(one for one in sums(await day(ready, "incentives", rederived=rederived)) if one.pieces)
    assert streamed.remark is None, "a stream has no flows that could be dropped"
    assert (after.usd, after.remarks) == (before.usd, ())
    for line, was in zip(sums(after), sums(before), strict=True):
        assert (line.amount, line.usd, line.flows, line.listed) == (was.amount, was.usd, was.flows, ())
        assert line.remark == f"the flows of this month were dropped (keep_flows): {why}"


async def test_a_day_touched_since_says_so(ready: Database) -> None:
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await close(ready)
    await ready.fetch("INSERT INTO dirty_day VALUES ($1, $2, $3)", CHAIN, ONE.deployment, DAYS[0])
    assert (await day(ready)).remarks == ("the day was touched since: `indexer up` closes and values it again",)
    assert (await day(ready, number=1)).remarks == ()


async def test_flows_that_no_longer_make_the_sum_are_not_passed_over(ready: Database) -> None:
    """One was taken away behind the program's back: the tree shows what is there, and says that it is not the sum."""
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await close(ready)
    await ready.fetch("DELETE FROM flow WHERE amount = 7")
    (line,) = [one for one in sums(await day(ready)) if one.side == "supply" and one.contract == POOL]
    assert line.remark == "2 flows with 6000000 raw units are there now: `indexer up` sums them again"


async def test_a_price_changed_behind_the_view_is_said(ready: Database) -> None:
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await close(ready)
    await ready.fetch("UPDATE price_daily SET usd = usd * 2")
    (remark,) = (await day(ready, "incentives")).remarks
    assert remark == "the parts now come to 1.480000: yield_daily shows what was closed before"


async def test_a_day_read_in_part_says_how_much(ready: Database) -> None:
    await store(ready, 0, BLOCKS // 4 - 1, reading(*[one for one in MADE if one.label == MINT]))
    await close(ready)
    assert (await day(ready, "incentives")).remarks == ("25.00 % of the day's blocks were read",)


async def test_kinds_that_nobody_counts_are_unknown_and_those_without_flows_are_none(ready: Database) -> None:
    await store(ready, 0, 4 * BLOCKS - 1, reading(*MADE))
    await close(ready)
    quiet = await day(ready, "issued", number=2)
    assert [(part.usd, part.remark) for part in quiet.parts] == [
        (Decimal(0), "none on this day"),
        (None, "unknown: no deployment of it counts flows of kind issuance"),
        (None, "unknown: no deployment of it counts flows of kind production"),
    ]
    assert quiet.usd == 0


@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [("price_file", "no dollars: nothing trusted tells a price"), ("token", "no dollars: the token does not tell its decimals")],
)  # fmt: skip
async def test_why_a_sum_has_no_dollars_is_said(ready: Database, lacking: str, sentence: str) -> None:
    await ready.fetch(f"DELETE FROM {lacking}")
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await close(ready)
    tree = await day(ready)
    assert tree.usd is None
    assert {(line.usd, line.remark) for line in sums(tree)} == {(None, sentence)}
    assert (tree.parts[0].usd, tree.parts[0].remark) == (None, "4 flows without a price are in no sum of dollars")


async def test_a_protocol_on_two_chains_has_a_tree_for_each(ready: Database) -> None:
    await store(ready, 0, 2 * BLOCKS - 1, reading(*MADE))
    await close(ready)
    await ready.fetch("INSERT INTO chain (chain_id, name) VALUES (8, 'another')")
    await ready.fetch(
        "INSERT INTO protocol_day (chain_id, protocol, day, flows, unpriced, blocks_held, blocks, exactness)"
        " VALUES (8, 'made', $1, 0, 0, 1, 1, '')", DAYS[0],
    )  # fmt: skip
    await refresh(ready)
    assert [tree.chain for tree in await explain(ready, "made", DAYS[0])] == ["another", "made"]
    assert [tree.chain for tree in await explain(ready, "made", DAYS[0], chain="made")] == ["made"]
