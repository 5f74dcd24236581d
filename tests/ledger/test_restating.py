"""What closed days said before their deployment was read again stays beside what they say now."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from indexer.ledger.archive import read_spans, to_read_again
from indexer.ledger.closing import close_days, put_day_start, value_days
from indexer.ledger.connect import Database
from indexer.ledger.ranges import held_hull
from indexer.ledger.registry import list_quotes, retire
from indexer.model import Basis, Flows, Kind, Span
from indexer.publish.restatements import restatements
from tests.ledger.made import (
    CHAIN,
    CUT,
    MINT,
    ONE,
    SWEPT,
    TWO,
    USDC,
    WETH,
    at,
    deployment,
    flows,
    known,
    reading,
    store,
)  # fmt: skip

DAYS = [date(2026, 1, day) for day in range(1, 6)]
COUNTS: dict[Kind, Basis | None] = {Kind.FEE: Basis.ACCRUED}
NEWER = {"digest": b"\1" * 32}
FIRST = [flows([at(0, 5), at(0, 6)], [100, 11]), flows([at(1, 5)], [7], label=CUT)]


async def begin(database: Database, made: list[Flows], *, counts: dict[Kind, Basis | None] | None = None) -> None:
    """made.one with its blocks of three days read, and closed."""
    await known(database, deployment("one", counts=COUNTS if counts is None else counts))
    await list_quotes(database, [(CHAIN, USDC, "USDC", 6, Decimal(1))])
    for token, symbol in ((USDC, "USDC"), (WETH, "WETH")):
        await database.fetch("INSERT INTO token VALUES ($1, $2, $3, 6, NULL, 0)", CHAIN, token, symbol)
    for number, day in enumerate(DAYS[:4]):
        await put_day_start(database, CHAIN, day, number * 8640)
    await store(database, 0, 25_919, reading(*made))
    await close(database)


async def close(database: Database) -> None:
    await close_days(database, CHAIN, DAYS[3])
    await value_days(database, CHAIN)


async def again(database: Database, made: list[Flows], **changes: Any) -> None:
    """The manifest changes, and all blocks are read by the new one."""
    await known(database, deployment("one", **({"counts": COUNTS} | NEWER | changes)))
    await store(database, 0, 25_919, reading(*made))
    await close(database)


async def told(database: Database) -> list[tuple[Any, ...]]:
    rows = await database.fetch(
        "SELECT day, column_name, symbol, old, new FROM restatements ORDER BY restated_at, day, column_name, symbol"
    )
    return [tuple(row) for row in rows]


async def test_what_differs_is_told_with_old_and_new(database: Database) -> None:
    """Per day and label; what is the same is kept and not shown."""
    await begin(database, FIRST)
    await again(database, [flows([at(0, 5), at(0, 6)], [50, 11]), flows([at(1, 5)], [7], label=CUT)])
    assert await told(database) == [(DAYS[0], "fee.swap.supply.accrued", "USDC", 111, 61)]
    rows = await database.fetch("SELECT day, old, new FROM restatement ORDER BY day")
    assert [tuple(row) for row in rows] == [(DAYS[0], 111, 61), (DAYS[1], 7, 7)]


async def test_in_dollars_of_the_day(database: Database) -> None:
    """The command's rows: tokens and dollars, the reason, and of one protocol if wanted."""
    await begin(database, FIRST)
    await again(database, [flows([at(0, 5)], [2_000_000])])
    shown = await restatements(database, "made")
    assert shown.names[:7] == ("day", "chain", "deployment", "column", "symbol", "old", "new")
    first = dict(zip(shown.names, shown.values[0], strict=True))
    assert (first["day"], first["chain"], first["deployment"]) == (DAYS[0], "made", "made.one")
    assert (first["old"], first["new"]) == (Decimal("0.000111"), 2)
    assert (first["old_usd"], first["new_usd"]) == (Decimal("0.000111"), 2)
    assert first["reason"] == "manifest changed"
    assert (await restatements(database)).values == shown.values
    assert (await restatements(database, "another")).values == []


async def test_until_a_day_is_closed_again_its_new_figure_is_not_known(database: Database) -> None:
    """The old one stays; nothing is shown as a difference."""
    await begin(database, FIRST)
    await known(database, deployment("one", counts=COUNTS, **NEWER))
    assert await told(database) == []
    rows = await database.fetch("SELECT old, new FROM restatement ORDER BY day")
    assert [tuple(row) for row in rows] == [(111, None), (7, None)]


async def test_a_day_that_was_read_again_in_part_waits_for_the_rest(database: Database) -> None:
    """Half of its blocks would look like half of its fees."""
    await begin(database, FIRST)
    await known(database, deployment("one", counts=COUNTS, **NEWER))
    await store(database, 0, 4_000, reading(flows([at(0, 5)], [60])))
    await close(database)
    assert await told(database) == []
    await store(database, 4_001, 25_919, reading(flows([at(0, 4_500)], [5]), FIRST[1]))
    await close(database)
    assert await told(database) == [(DAYS[0], "fee.swap.supply.accrued", "USDC", 111, 65)]


async def test_a_manifest_that_begins_later_restates_what_it_leaves_out(database: Database) -> None:
    """The new figure covers all that the deployment now has."""
    await begin(database, FIRST)
    await known(database, deployment("one", counts=COUNTS, start_block=8640, **NEWER))
    await store(database, 8640, 25_919, reading(FIRST[1]))
    await close(database)
    assert await told(database) == [(DAYS[0], "fee.swap.supply.accrued", "USDC", 111, 0)]


async def test_a_label_that_appears_was_zero_if_its_kind_and_basis_were_known(database: Database) -> None:
    """Fees on the counted basis, and kinds known to have none; all else was unknown, not zero."""
    await begin(database, FIRST, counts={Kind.FEE: Basis.ACCRUED, Kind.INCENTIVE: None})
    made = [
        *FIRST,
        flows([at(0, 9)], [3], WETH, MINT),
        flows([at(0, 8)], [4], WETH, CUT),
        flows([at(0, 7)], [5], WETH, SWEPT),
    ]
    await again(database, made, counts={Kind.FEE: Basis.ACCRUED, Kind.INCENTIVE: Basis.ACCRUED})
    assert await told(database) == [
        (DAYS[0], "fee.swap.protocol.accrued", "WETH", 0, 4),
        (DAYS[0], "fee.swap.protocol.paid", "WETH", None, 5),
        (DAYS[0], "incentive.liquidity_mining.supply.accrued", "WETH", 0, 3),
    ]


async def test_a_basis_that_some_day_had_was_known_on_all(database: Database) -> None:
    """The old version saw what was paid, on another day."""
    await begin(database, [*FIRST, flows([at(2, 7)], [1], label=SWEPT)])
    await again(database, [*FIRST, flows([at(2, 7)], [1], label=SWEPT), flows([at(0, 7)], [5], label=SWEPT)])
    assert await told(database) == [(DAYS[0], "fee.swap.protocol.paid", "USDC", 0, 5)]


@pytest.mark.parametrize(("counts", "new"), [({Kind.FEE: Basis.ACCRUED}, 0), ({}, None)], ids=["known", "unknown"])
async def test_a_label_that_vanishes_is_zero_while_its_kind_is_known(
    database: Database, counts: dict[Kind, Basis | None], new: int | None
) -> None:
    await begin(database, FIRST)
    await again(database, [FIRST[0]], counts=counts)
    assert (DAYS[1], "fee.swap.protocol.accrued", "USDC", 7, new) in await told(database)


async def test_reasons_name_what_changed(database: Database) -> None:
    """A version, a manifest, both, or the wish of somebody."""
    await begin(database, FIRST)
    reasons = []
    for number, (changes, versions) in enumerate(
        [(NEWER, {}), (NEWER, {"uniswap_v3": 2}), ({"digest": b"\2" * 32}, {"uniswap_v3": 7})]
    ):
        await known(database, deployment("one", counts=COUNTS, **changes), **versions)
        await store(database, 0, 25_919, reading(flows([at(0, 5)], [1000 + number])))
        await close(database)
        reasons.append((await restatements(database)).values[0][9])
    await retire(database, CHAIN, ["made.one"], "read again on request")
    await store(database, 0, 25_919, reading(flows([at(0, 5)], [1])))
    await close(database)
    reasons.append((await restatements(database)).values[0][9])
    assert reasons == [
        "manifest changed",
        "family uniswap_v3 version 1 -> 2",
        "family uniswap_v3 version 2 -> 7; manifest changed",
        "read again on request",
    ]
    history = [row for row in await told(database) if row[0] == DAYS[0]]
    assert [(row[3], row[4]) for row in history] == [(111, 1000), (1000, 1001), (1001, 1002), (1002, 1)]


async def test_two_changes_before_a_day_is_closed_are_one_restatement(database: Database) -> None:
    """What was shown last is the old figure, and both reasons stand."""
    await begin(database, FIRST)
    await known(database, deployment("one", counts=COUNTS, **NEWER))
    await store(database, 0, 25_919, reading(flows([at(0, 5)], [555])))
    await again(database, [flows([at(0, 5)], [61])], digest=b"\2" * 32)
    assert [row for row in await told(database) if row[0] == DAYS[0]] == [
        (DAYS[0], "fee.swap.supply.accrued", "USDC", 111, 61)
    ]
    rows = await database.fetch("SELECT DISTINCT reason FROM restated_day")
    assert [row["reason"] for row in rows] == ["manifest changed"]
    await known(database, deployment("one", counts=COUNTS, digest=b"\2" * 32), uniswap_v3=2)
    await known(database, deployment("one", counts=COUNTS, digest=b"\3" * 32), uniswap_v3=2)
    rows = await database.fetch("SELECT DISTINCT reason FROM restated_day WHERE closed_at IS NULL")
    assert [row["reason"] for row in rows] == ["family uniswap_v3 version 1 -> 2; manifest changed"]


async def test_other_deployments_and_plain_closing_restate_nothing(database: Database) -> None:
    """Blocks that come late make a day dirty; that is no change of rules."""
    await begin(database, FIRST)
    await known(database, deployment("one", counts=COUNTS), deployment("two", counts=COUNTS))
    await store(database, 0, 25_919, reading(flows([at(0, 20)], [9]), owner=TWO))
    await close(database)
    await known(database, deployment("one", counts=COUNTS, **NEWER), deployment("two", counts=COUNTS))
    await store(database, 0, 25_919, reading(*FIRST))
    await close(database)
    assert await told(database) == []
    rows = await database.fetch("SELECT DISTINCT deployment FROM restated_day")
    assert [row["deployment"] for row in rows] == ["made.one"]


async def test_what_was_held_is_remembered_until_it_is_read_again(database: Database) -> None:
    """Also over two changes; a run without a start goes back that far."""
    await known(database, deployment("one"))
    await store(database, 100, 199, reading(owner=ONE, traded=()))
    await store(database, 200, 299, reading())
    await store(database, 500, 599, reading())
    await known(database, deployment("one", **NEWER))
    assert await to_read_again(database, CHAIN, ["made.one"]) == {"made.one": [Span(100, 299), Span(500, 599)]}
    assert await read_spans(database, CHAIN, ["made.one"]) == {"made.one": []}
    assert await held_hull(database, CHAIN, ["made.one"]) == Span(100, 599)
    await store(database, 300, 309, reading())
    await known(database, deployment("one", digest=b"\2" * 32))
    assert await to_read_again(database, CHAIN, ["made.one", "made.two"]) == {
        "made.one": [Span(100, 309), Span(500, 599)],
        "made.two": [],
    }


async def test_a_deployment_that_is_forgotten_takes_its_restatements_along(database: Database) -> None:
    await begin(database, FIRST)
    await again(database, [flows([at(0, 5)], [61])])
    await database.fetch("SELECT forget_deployment('made.one')")
    for table in ("restatement", "restated_day", "retired_span"):
        assert await database.fetch(f"SELECT FROM {table}") == []
