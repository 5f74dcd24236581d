"""sql/README.md: its map is complete, its statements run on the demo, and its ten queries answer what they say."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import asyncpg
import pytest

from tests.docs.blocks import ROOT, Block, blocks
from tests.golden.demo import ask
from tests.golden.figures import exact, fees, figures, rounded, tokens, worth
from tests.golden.recorded import state

README = ROOT / "sql" / "README.md"
STATEMENTS = blocks(README, "sql")
QUERIES = [block for block in STATEMENTS if re.match(r"\d+\. ", block.heading)]
IDENTITIES = "What yield_daily says"
PROTOCOLS = ("demo_dex", "demo_farm", "demo_pairs")
WEEKS = (range(1, 5), range(5, 12), range(12, 15))  # days of January 2026, which begins on a Thursday
RELATIONS = """
    SELECT relname AS name, obj_description(oid) AS comment FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
"""
Rows = list[dict[str, Any]]


def run(url: str, *statements: str) -> Rows:
    """Rows of the last statement, after the others, in a transaction that is taken back."""

    async def work() -> Rows:
        connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
        transaction = connection.transaction()
        await transaction.start()
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return [dict(row) for row in await connection.fetch(statements[-1])]
        finally:
            await transaction.rollback()
            await connection.close()

    return asyncio.run(work())


def titled(block: Block) -> str:
    return f"{block.heading[:40]}, line {README.read_text()[: README.read_text().index(block.text)].count(chr(10)) + 1}"


@pytest.mark.parametrize("block", STATEMENTS, ids=titled)
def test_every_statement_runs(demo_url: str, block: Block) -> None:
    """Queries answer with rows; the identities hold, so that what breaks them has none."""
    rows = run(demo_url, block.text)
    assert bool(rows) == (block.heading != IDENTITIES and block.text.startswith("SELECT"))


def test_the_map_has_every_table_and_view_with_its_comment(demo_url: str) -> None:
    section = README.read_text().split("## Map")[1].split("## Names and types")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| [a-z ]+ \| (.*) \|$", section, re.MULTILINE))
    there = {row["name"]: row["comment"] for row in ask(demo_url, RELATIONS)}
    assert {name: text for name, text in there.items() if listed.get(name) != text} == {}, "sql/README.md lacks these"
    assert set(listed) - set(there) == set(), "sql/README.md has what the schema has not"


def test_the_formulas_name_every_dollar_column(demo_url: str) -> None:
    columns = ask(
        demo_url,
        "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'yield_daily'::regclass AND attnum > 0",
    )
    section = README.read_text().split("## What yield_daily says")[1].split("## Ten queries")[0]
    told = set(re.findall(r"`(\w+)`", section))
    assert {row["name"] for row in columns} - told <= {"day", "chain", "protocol", "exactness", "methodology"}


def test_there_are_ten_queries() -> None:
    assert sorted({int(block.heading.split(".")[0]) for block in QUERIES}) == list(range(1, 11))


def first(number: int, at: int = 0) -> str:
    return [block.text for block in QUERIES if block.heading.startswith(f"{number}. ")][at]


def total(protocol: str, name: str) -> Fraction:
    """A column of yield_daily over all days, from the oracle."""
    return sum((Fraction(figures(day, protocol)[name]) for day in range(1, 15)), Fraction(0))


def fees_by_month(rows: Rows) -> None:
    assert {row["protocol"]: exact(row["fees_usd"]) for row in rows} == {
        protocol: total(protocol, "fees_usd") for protocol in PROTOCOLS
    }


def real_share_by_week(rows: Rows) -> None:
    assert len(rows) == 3 * len(PROTOCOLS)
    assert {row["real_share"] for row in rows if row["protocol"] != "demo_farm"} == {1}
    for row, days in zip((row for row in rows if row["protocol"] == "demo_farm"), WEEKS, strict=True):
        real, printed = (
            sum((Fraction(figures(day, "demo_farm")[name]) for day in days), Fraction(0))
            for name in ("supply_side_usd", "synthetic_usd")
        )
        assert abs(Fraction(row["real_share"]) - real / (real + printed)) <= Fraction(1, 10**4)


def top_pools(rows: Rows) -> None:
    sums: defaultdict[str, Fraction] = defaultdict(Fraction)
    for fee in fees():
        sums[fee.pool] += worth(fee) or 0
    priced = sorted((pool for pool in sums if sums[pool]), key=lambda pool: -sums[pool])
    assert [row["pool"] for row in rows if row["fees_usd"]] == priced
    for row in rows:
        assert row["fees_usd"] is None or abs(Fraction(row["fees_usd"]) - sums[row["pool"]]) <= Fraction(1, 200)
    (nameless,) = (row for row in rows if row["fees_usd"] is None)
    assert nameless["pool"] == state()["contracts"]["pools"]["nope_junk_3000"]


def most_printed(rows: Rows) -> None:
    assert [(row["protocol"], exact(row["issued_usd"])) for row in rows] == [
        ("demo_farm", total("demo_farm", "issued_usd"))
    ]


def unpriced_tokens(rows: Rows) -> None:
    expected = Counter(fee.token for fee in fees() if worth(fee) is None)
    assert {row["token"]: row["flows"] for row in rows} == expected
    assert {tokens()[row["token"]] for row in rows} >= {"nope", "junk"}


def one_day_by_pool(rows: Rows) -> None:
    fees_usd = rounded(sum((Fraction(row["usd"]) for row in rows if row["usd"] is not None), Fraction(0)))
    assert abs(fees_usd - figures(5, "demo_dex")["fees_usd"]) < Fraction(len(rows), 10**6)


def kept_by_the_protocol(rows: Rows) -> None:
    """Off, then a quarter of both tokens, then a sixth of one and a tenth of the other."""
    assert [row["one_in_n"] for row in rows] == [None, [4, 4], [6, 10]]
    assert [row["since_block"] for row in rows[1:]] == [
        change["block"] for change in state()["switches"] if change["pool"] == "usdc_weth_3000"
    ]
    off, quarter, mixed = (row["kept"] for row in rows)
    assert (off, quarter) == (0, Decimal("0.2500"))
    assert Decimal("0.1") < mixed < Decimal("0.1667")


def price_evidence(rows: Rows) -> None:
    by_source = {source: [row for row in rows if row["source"] == source] for source in ("pool", "feed", "peg")}
    assert {row["age_days"] for row in by_source["pool"]} > {0, 1}
    assert all(row["swaps"] > 0 and row["depth_usd"] >= 10_000 for row in by_source["pool"])
    assert [row["symbol"] for row in by_source["feed"]] == ["WETH", "WETH"]
    assert all(row["answers"] > 0 and row["swaps"] is None for row in by_source["feed"])
    assert {(row["symbol"], row["evidence"]) for row in by_source["peg"]} == {("USDC", None)}


def no_gaps(rows: Rows) -> None:
    named = {row["deployment"].split(".")[0] for row in rows}
    assert named == {*PROTOCOLS, "demo_feed"}
    assert all(row["gaps"] == row["blocks_missing"] == row["days_in_part"] == 0 for row in rows)


def both_lenses(rows: Rows) -> None:
    assert [(row["protocol"], row["lens"]) for row in rows] == [
        (protocol, lens) for protocol in PROTOCOLS for lens in ("strict", "production")[::-1]
    ]
    for row in rows:
        assert abs(Fraction(row["real_usd"]) - total(row["protocol"], "real_usd")) < Fraction(1, 10**4)


ANSWERS: dict[int, Callable[[Rows], None]] = {
    1: fees_by_month,
    2: real_share_by_week,
    3: top_pools,
    4: most_printed,
    5: unpriced_tokens,
    6: one_day_by_pool,
    7: kept_by_the_protocol,
    8: price_evidence,
    9: no_gaps,
    10: both_lenses,
}


@pytest.mark.parametrize("number", ANSWERS)
def test_a_query_answers_what_its_heading_says(demo_url: str, number: int) -> None:
    ANSWERS[number](run(demo_url, first(number)))


def test_the_walk_ends_at_the_largest_transactions_of_the_pool(demo_url: str) -> None:
    rows = run(demo_url, first(6, 1))
    dollars = [row["usd"] for row in rows]
    assert dollars == sorted(dollars, reverse=True)
    booked = {(fee.block, fee.index, fee.amount) for fee in fees() if fee.day == 5}
    assert {(row["block_number"], row["log_index"], int(row["amount"])) for row in rows} <= booked
    assert len(rows) == 20


def test_an_own_lens_leaves_out_what_it_does_not_name(demo_url: str) -> None:
    """Inserted and taken back: with it, the fees of flash loans are in neither sum."""

    asked = "SELECT lens, sum(real_usd) AS usd FROM yield_lens_daily WHERE protocol = 'demo_dex' GROUP BY lens"
    real = {row["lens"]: Fraction(row["usd"]) for row in run(demo_url, first(10, 1), asked)}
    flash = [fee for fee in fees() if fee.source == "flash_loan" and fee.protocol == "demo_dex"]
    dollars = sum((worth(fee) or Fraction(0) for fee in flash), Fraction(0))
    assert dollars > 1
    assert abs(real["strict"] - real["no_flash"] - dollars) < Fraction(1, 10**6)
