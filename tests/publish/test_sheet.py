"""Tables that fit, figures that do not flatter, and JSON that cuts nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.publish.cost import cost_line, cost_sheet
from indexer.publish.figures import counted, duration, moment, octets, rough, share
from indexer.publish.findings import findings_text
from indexer.publish.sheet import Column, Sheet, as_json, as_text

ROWS = [{"name": "a" * 60, "size": 12}, {"name": "b", "size": None}]
COLUMNS = (Column("name", lambda row: row["name"]), Column("size", lambda row: counted(row["size"]), right=True))
COST = {
    "chain": "ethereum", "first": 100, "last": 5_099, "blocks": 5_000, "logs": 12_345, "requests": 77, "octets": 9_876_543,
    "seconds": 125, "credits": 4_620, "unit": "compute units", "sampled": 5,
}  # fmt: skip


def test_texts_give_way_to_the_width_and_figures_do_not() -> None:
    assert as_text([Sheet("x", ROWS, COLUMNS)], 20).splitlines() == [
        "name            size",
        "--------------  ----",
        "aaaaaaaaaaa...    12",
        "b                  -",
    ]
    assert "a" * 60 in as_text([Sheet("x", ROWS, COLUMNS)], None)


def test_sheets_without_rows_or_columns_are_for_programs_only() -> None:
    sheets = [Sheet("none", [], COLUMNS), Sheet("silent", ROWS), Sheet("x", ROWS[1:], COLUMNS, "a note")]
    assert as_text(sheets, 80).splitlines() == ["name  size", "----  ----", "b        -", "a note"]
    assert set(json.loads(as_json(sheets))) == {"none", "silent", "x"}


def test_json_cuts_and_rounds_nothing() -> None:
    row = {
        "name": "a" * 500,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "usd": Decimal(10) ** 30,
        "raw": b"\x01",
        "no": None,
    }
    assert json.loads(as_json([Sheet("x", [row], COLUMNS)])) == {
        "x": [{"name": "a" * 500, "at": "2026-01-01 00:00:00+0000", "usd": "1" + "0" * 30, "raw": "0x01", "no": None}]
    }


@given(st.lists(st.tuples(st.text("ab ", max_size=90), st.integers(0, 10**15)), min_size=1), st.integers(40, 200))
def test_no_line_is_ever_longer_than_the_terminal(values: list[tuple[str, int]], width: int) -> None:
    rows = [{"name": name, "size": size} for name, size in values]
    assert max(map(len, as_text([Sheet("x", rows, COLUMNS)], width).splitlines())) <= width


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"), (59, "59 s"), (60, "1 min"), (3_599, "59 min"), (7_199, "119 min"), (7_200, "2.0 h"),
        (86_400, "24.0 h"), (172_800, "2.0 days"), (8_640_000, "100 days"), (None, "-"),
    ],
)  # fmt: skip
def test_lengths_of_time(seconds: int | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (123_456, "123 kB"),
        (5 * 10**15, "5.0 PB"),
        (10**19, "10000 PB"),
        (None, "-"),
    ],
)
def test_sizes(value: int | None, said: str) -> None:
    assert octets(value) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 10, "0 %"), (10, 10, "100 %"), (999_999, 1_000_000, "99.9 %"), (1, 1_000_000, "0.1 %"), (1, 2, "50 %"),
        (1, 0, "-"), (None, 10, "-"), (Decimal("0.995"), 1, "99.5 %"),
    ],
)  # fmt: skip
def test_shares_never_claim_all_or_nothing_that_is_not(part: int | None, whole: int, said: str) -> None:
    assert share(part, whole) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (9_999, "9,999"), (10_000, "10 k"), (9_999_999, "9,999 k"), (10_000_000, "10 M"), (None, "-")],
)
def test_guesses_are_rounded(value: int | None, said: str) -> None:
    assert rough(value) == said


def test_moments() -> None:
    assert moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04"
    assert moment(None) == "-"


def test_the_line_before_a_run() -> None:
    assert cost_line(COST) == (
        "ethereum: blocks 100 to 5,099, about 12,345 logs: 77 requests (4,620 compute units), 9.9 MB, 2 min"
    )
    assert "77 requests, 9.9 MB" in cost_line(COST | {"credits": None})


def test_the_table_of_costs_fits_at_its_largest() -> None:
    """Every block of a busy chain: 400 million, at 10 a question."""
    large = {
        "chain": "a_chain_of_a_long_name", "first": 0, "last": 400_000_000, "logs": 9_000_000_000, "requests": 40_000_000,
        "credits": 2_400_000_000, "octets": 7 * 10**12, "seconds": 90_000_000,
    }  # fmt: skip
    text = as_text([cost_sheet([large | {"unit": "compute units"}])], 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.endswith("about, from a small sample; credits are compute units")


def test_findings_fold_under_themselves() -> None:
    rows = [
        {"subject": "manifests", "about": "", "state": "ok", "says": "fine"},
        {
            "subject": "demo http://x",
            "about": "chain id",
            "state": "wrong",
            "says": "one two three four five six seven",
        },
        {"subject": "demo http://x", "about": "old logs", "state": "ok", "says": "first\nsecond"},
    ]
    assert findings_text(rows, 45).splitlines() == [
        "manifests      ok     fine",
        "demo http://x",
        "  chain id     WRONG  one two three four five",
        "                      six seven",
        "  old logs     ok     first",
        "                      second",
    ]
