"""A figure walked down to its logs adds up again: for every protocol, day and figure of the demo, and at any limit."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from rich.console import Console

from indexer.errors import BadInput
from indexer.ledger.connect import Database
from indexer.publish.branches import as_json, as_tree
from indexer.publish.explain import explain, parse_day
from indexer.publish.explained import DeploymentLine, Explanation, FlowLine, PieceLine, SumLine
from tests.golden.demo import ask
from tests.golden.figures import rounded

Row = dict[str, Any]
ALL = 10**9
FLOWS = """
    SELECT f.protocol, (f.block_time AT TIME ZONE 'UTC')::date AS day, f.kind, f.source, f.side, o.token IS NOT NULL AS own,
        f.block_number, f.log_index, f.leg, f.tx_hash, f.contract, f.token, f.amount
    FROM flow AS f
    JOIN counted USING (deployment, kind, basis)
    LEFT JOIN own_token AS o USING (chain_id, protocol, token)
"""
PIECES = """
    SELECT s.protocol, s.day, s.kind, s.source, s.side, o.token IS NOT NULL AS own, s.block_number, s.log_index,
        s.tx_hash, s.contract, s.token, s.amount, s.begins
    FROM stream_piece AS s
    JOIN counted USING (deployment, kind, basis)
    LEFT JOIN own_token AS o USING (chain_id, protocol, token)
"""


def kind(name: str, sign: int = 1, **more: object) -> tuple[int, Callable[[Row], bool]]:
    """Which flows a part is made of, as sql/README.md has it, and whether they are added or taken off."""
    return sign, lambda row: row["kind"] == name and all(row[key] == value for key, value in more.items())


FEES = [kind("fee", side=side) for side in ("supply", "protocol", "holders")]
FORMULAS: dict[str, list[tuple[int, Callable[[Row], bool]]]] = {
    "fees_usd": FEES,
    "supply_side_usd": FEES[:1],
    "protocol_usd": FEES[1:2],
    "holders_usd": FEES[2:],
    "revenue_usd": FEES[1:],
    "incentives_usd": [kind("incentive")],
    "production_usd": [kind("production")],
    "issuance_usd": [kind("issuance")],
    "external_usd": [kind("external")],
    "distribution_usd": [kind("distribution")],
    "loss_usd": [kind("loss")],
    "issued_usd": [kind("incentive", own=True), kind("issuance"), kind("production", source="block_subsidy")],
    "earnings_usd": [*FEES[1:], kind("incentive", -1)],
    "real_usd": FEES,
    "synthetic_usd": [kind("incentive"), kind("issuance")],
}


@cache
def asked(url: str, statement: str) -> list[Row]:
    return ask(url, statement)


def sums(part_or_tree: Any) -> Iterator[SumLine]:
    """All sums below a part or a tree."""
    for part in getattr(part_or_tree, "parts", (part_or_tree,)):
        for deployment in part.deployments:
            yield from deployment.sums


def leaves(line: SumLine) -> tuple[FlowLine | PieceLine, ...]:
    return (*line.listed, *line.pieces)


def worth(line: SumLine) -> Fraction:
    """Dollars of a sum, from the raw amounts of its leaves and the price that stands beside it."""
    if line.price is None:
        return Fraction(0)
    return sum((Fraction(leaf.amount) for leaf in leaves(line)), Fraction(0)) * Fraction(line.price.unit_usd)


def place(leaf: FlowLine | PieceLine, token: bytes) -> tuple[Any, ...]:
    at = leaf.leg if isinstance(leaf, FlowLine) else leaf.begins
    return (leaf.block, leaf.log_index, at, leaf.tx_hash, leaf.contract, token, leaf.amount)


@pytest.mark.parametrize("metric", FORMULAS)
async def test_every_tree_of_the_demo_adds_up_to_the_view_and_holds_every_log(
    demo: Database, demo_url: str, metric: str
) -> None:
    """Raw amounts of the leaves times the price beside them, rounded a part, come to what yield_daily shows."""
    shown = await asyncio.to_thread(asked, demo_url, "SELECT * FROM yield_daily ORDER BY day, protocol")
    moved = await asyncio.to_thread(asked, demo_url, FLOWS) + await asyncio.to_thread(asked, demo_url, PIECES)
    assert len({row["protocol"] for row in shown}) * 14 == len(shown) >= 42
    for row in shown:
        (tree,) = await explain(demo, row["protocol"], row["day"], metric, limit=ALL)
        there = f"{row['protocol']} {row['day']}"
        parts = [sum(map(worth, sums(part)), Fraction(0)) for part in tree.parts]
        total = sum((sign * rounded(usd) for (sign, _), usd in zip(FORMULAS[metric], parts, strict=True)), Fraction(0))
        assert tree.usd == row[metric], there
        assert total == (0 if row[metric] is None else Fraction(row[metric])), there
        assert tree.remarks == (), there
        assert [Fraction(part.usd or 0) for part in tree.parts] == [rounded(usd) for usd in parts], there
        assert len(parts) > 1 or tree.parts[0].usd == row[metric], "unknown where the view has NULL, 0 where it has 0"
        for (sign, meant), part in zip(FORMULAS[metric], tree.parts, strict=True):
            expected = [
                (one["block_number"], one["log_index"], one["leg"] if "leg" in one else one["begins"], one["tx_hash"],
                 one["contract"], one["token"], one["amount"])
                for one in moved
                if (one["protocol"], one["day"]) == (row["protocol"], row["day"]) and meant(one)
            ]  # fmt: skip
            found = [place(leaf, line.token) for line in sums(part) for leaf in leaves(line)]
            assert part.sign == sign
            assert sorted(found, key=str) == sorted(expected, key=str), there


async def test_the_walk_is_over_every_dollar_figure_of_the_view(demo_url: str) -> None:
    """But for capital, which nothing tells yet."""
    columns = await asyncio.to_thread(
        asked, demo_url, "SELECT attname FROM pg_attribute WHERE attrelid = 'yield_daily'::regclass AND attnum > 0"
    )
    assert {row["attname"] for row in columns if row["attname"].endswith("_usd")} == {*FORMULAS, "capital_usd"}


async def test_capital_is_said_to_be_unknown(demo: Database) -> None:
    (tree,) = await explain(demo, "demo_dex", date(2026, 1, 5), "capital")
    assert (tree.usd, tree.parts) == (None, ())
    assert tree.remarks == ("nothing that the ledger reads tells this figure yet",)


@pytest.mark.parametrize("limit", [0, 1, 3, 40])
async def test_what_a_limit_leaves_out_stands_in_the_rest_of_its_level(demo: Database, limit: int) -> None:
    for protocol in ("demo_dex", "demo_farm"):
        (tree,) = await explain(demo, protocol, date(2026, 1, 5), "earnings", limit=limit)
        (whole,) = await explain(demo, protocol, date(2026, 1, 5), "earnings", limit=ALL)
        assert [part.usd for part in tree.parts] == [part.usd for part in whole.parts]
        for part, full in zip(tree.parts, whole.parts, strict=True):
            for line, all_of_it in zip(part.deployments, full.deployments, strict=True):
                check_level(line, all_of_it, limit)


def check_level(line: DeploymentLine, whole: DeploymentLine, limit: int) -> None:
    assert (line.usd, line.flows, line.unpriced) == (whole.usd, whole.flows, whole.unpriced)
    assert len(line.sums) == min(limit, len(whole.sums))
    left = Fraction(0) if line.rest is None or line.rest.usd is None else Fraction(line.rest.usd)
    assert sum((Fraction(one.usd) for one in line.sums if one.usd is not None), left) == Fraction(line.usd or 0)
    assert (line.rest.lines if line.rest else 0) == len(whole.sums) - len(line.sums)
    for one in line.sums:
        rest = one.rest.amount if one.rest and one.rest.amount is not None else 0
        assert len(leaves(one)) <= limit
        assert sum((leaf.amount for leaf in leaves(one)), rest) == one.amount
        assert len(leaves(one)) + (one.rest.lines if one.rest else 0) == one.flows
        amounts = [leaf.amount for leaf in one.listed]
        assert amounts == sorted(amounts, reverse=True)


async def test_a_price_in_the_tree_is_the_days_and_its_evidence_too(demo: Database, demo_url: str) -> None:
    rows = await asyncio.to_thread(
        asked, demo_url, "SELECT day, token, usd, source, age_days, evidence FROM price_daily"
    )
    told = {(row["day"], row["token"]): row for row in rows}
    sources = set()
    for day in range(1, 15):
        for protocol in ("demo_dex", "demo_farm", "demo_pairs"):
            (tree,) = await explain(demo, protocol, date(2026, 1, day), "earnings", limit=ALL)
            for line in sums(tree):
                if line.price is None:
                    continue
                sources.add(line.price.source)
                if line.price.source == "trade":
                    assert line.price.evidence == line.contract
                    continue
                row = told[tree.day, line.token]
                assert (line.price.usd, line.price.source) == (row["usd"], row["source"])
                assert (line.price.age_days, line.price.evidence) == (row["age_days"], row["evidence"])
    assert {"peg", "feed", "trade"} <= sources


async def test_flows_without_a_price_are_in_the_tree_and_in_no_sum(demo: Database, demo_url: str) -> None:
    (row,) = await asyncio.to_thread(
        asked, demo_url, "SELECT day, unpriced FROM yield_daily WHERE unpriced > 0 AND protocol = 'demo_dex' LIMIT 1"
    )
    (tree,) = await explain(demo, "demo_dex", row["day"], "fees", limit=ALL)
    unpriced = [line for line in sums(tree) if line.usd is None]
    assert sum(line.flows for line in unpriced) == tree.unpriced == row["unpriced"]
    assert all(line.price is None and line.remark and line.remark.startswith("no dollars: ") for line in unpriced)
    assert all(leaf.usd is None for line in unpriced for leaf in leaves(line))
    assert f"{row['unpriced']:,} flows without a price" in text(tree)


def text(tree: Explanation, **more: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=10_000, highlight=False, **more).print(as_tree(tree))
    return out.getvalue()


async def test_the_text_has_whole_hashes_no_colours_and_one_line_a_flow(demo: Database) -> None:
    (tree,) = await explain(demo, "demo_farm", date(2026, 1, 5), "earnings", limit=2)
    lines = text(tree).splitlines()
    assert lines[0] == f"demo_farm on demo, 2026-01-05: earnings_usd = {tree.usd:,.6f}"
    assert lines[1] == "revenue_usd - incentives_usd."
    assert not [line for line in lines if "\x1b" in line or line != line.rstrip()]
    logs = [
        line for line in lines if re.search(r"block \d+, [-\d]+ [:\d]+, tx 0x[0-9a-f]{64}, log \d+, leg \d+: ", line)
    ]
    assert len(logs) == sum(len(line.listed) for line in sums(tree)) > 4
    assert [line[:6] for line in lines if "usd = " in line][1:] == ["├── + ", "├── + ", "└── - "]


async def test_a_symbol_cannot_write_markup_into_the_tree(demo: Database) -> None:
    (tree,) = await explain(demo, "demo_dex", date(2026, 1, 5), "fees", limit=1)
    line = next(sums(tree))
    object.__setattr__(line, "symbol", "[red]x[/red][link=http://evil]")
    assert "[red]x[/red][link=http://evil]" in text(tree, force_terminal=True)


async def test_the_json_has_every_number_as_text_and_no_float(demo: Database) -> None:
    trees = await explain(demo, "demo_farm", date(2026, 1, 5), "incentives", limit=3)
    (told,) = json.loads(as_json(trees), parse_float=lambda number: pytest.fail(f"a float: {number}"))
    assert told["usd"] == f"{trees[0].usd:f}"
    (line,) = told["parts"][0]["deployments"][0]["sums"]
    assert re.fullmatch(r"\d+", line["amount"])
    assert re.fullmatch(r"0x[0-9a-f]{64}", line["listed"][0]["tx_hash"])
    assert Fraction(line["usd"]) == Fraction(line["amount"]) * Fraction(line["price"]["unit_usd"])
    listed = [Fraction(one["usd"]) for one in [*line["listed"], line["rest"]]]
    assert sum(listed) == Fraction(line["usd"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("demo_dx", "2026-01-05"), "demo_dx: no day of such a protocol is closed: did you mean demo_dex?"),
        (("qqqq", "2026-01-05"), "qqqq: no day of such a protocol is closed: there are demo_"),
        (("demo_dex", "2026-01-15"), "2026-01-15 of demo_dex is not closed: on demo days from 2026-01-01 to 2026-01-14 are, the nearest is 2026-01-14"),
        (("demo_dex", "2019-05-05"), "2019-05-05 of demo_dex is not closed: on demo days from 2026-01-01 to 2026-01-14 are, the nearest is 2026-01-01"),
        (("demo_dex", "2026-01-05", "feees"), "--metric feees: yield_daily has no such figure in dollars: did you mean fees?"),
        (("demo_dex", "2026-01-05", "zzz_usd"), "--metric zzz_usd: yield_daily has no such figure in dollars: there are fees, "),
    ],
)  # fmt: skip
async def test_what_cannot_be_explained_is_a_sentence_with_a_remedy(
    demo: Database, arguments: tuple[str, ...], sentence: str
) -> None:
    protocol, day, *metric = arguments
    with pytest.raises(BadInput) as refused:
        await explain(demo, protocol, parse_day(day), *metric)
    assert sentence in str(refused.value)


async def test_a_chain_it_is_not_on_is_a_sentence(demo: Database) -> None:
    with pytest.raises(BadInput, match="--chain base: demo_dex has closed days on demo only"):
        await explain(demo, "demo_dex", date(2026, 1, 5), chain="base")


async def test_a_ledger_without_closed_days_says_so(database: Database) -> None:
    with pytest.raises(BadInput, match="No day is closed yet: run `indexer up` until the first one is"):
        await explain(database, "demo_dex", date(2026, 1, 5))


@pytest.mark.parametrize("written", ["yesterday", "2026-02-30", "20260105", "2026-1-5x", "", "2026-01-05T00:00Z"])
def test_a_day_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(BadInput, match="is no UTC day: write one as 2026-01-31"):
        parse_day(written)
