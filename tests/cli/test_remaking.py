"""reclassify, restatements and prices as they are called: what they print, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from indexer.families import uniswap_v3
from indexer.families.uniswap_v3 import UniswapV3
from tests.cli.calls import called, told
from tests.cli.conftest import execute

WETH = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0"


@pytest.fixture
def place(copied: Callable[[bool], str], tmp_path: Path) -> list[str]:
    """The options that lead to a demo of one's own, with its archive."""
    options = ["--database", copied(False), "--data-dir", str(tmp_path / "data")]
    assert called("demo", *options).exit_code == 0
    return ["--demo", *options]


def test_what_changed_is_made_again_without_a_request_and_told(
    place: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the fee, as a new version of the family has it: every figure is half of what it was, to the unit or one."""
    unchanged = called("reclassify", *place)
    assert (unchanged.exit_code, unchanged.stdout) == (0, "")
    assert "Nothing has changed: every deployment was read by the rules that are in force." in told(unchanged)
    monkeypatch.setattr(uniswap_v3, "PPM", 2 * 10**6)
    monkeypatch.setattr(UniswapV3, "version", 99)
    done = called("reclassify", *place)
    assert done.exit_code == 0, done.stderr
    assert "Made again: demo_dex.demo, demo_farm.demo.exchange; 14 days valued, 0 requests." in told(done)
    rows = json.loads(called("restatements", "demo_dex", *place, "--json").stdout)
    assert {row["deployment"] for row in rows} == {"demo_dex.demo"}
    assert {row["reason"] for row in rows} == {"family uniswap_v3 version 2 -> 99"}
    swaps = [row for row in rows if row["column"].startswith("fee.swap.supply")]
    assert len(swaps) > 50
    for row in swaps:
        old, new = Decimal(row["old"]), Decimal(row["new"])  # whole tokens
        assert abs(old - 2 * new) < Decimal("0.001")  # a raw unit for each swap of the day, rounded down
    assert called("restatements", *place).stdout.count("demo_farm.demo.exchange") > 10


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["reclassify", "demo_fex"], "demo_fex: no such protocol: did you mean demo_dex?"),
        (["prices", "WETHH"], "'WETHH' is no token on any chain of the ledger"),
        (["prices", "WETH", "--day", "2031-01-01"], "2031-01-01 is not closed on demo"),
        (["prices", "WETH", "--day", "soon"], "'soon' is no UTC day: write one as 2026-01-31."),
        (["prices", "WETH", "--chain", "base"], "chain 'base' is not in the ledger; known are demo."),
        (["prices"], "name a token, or give --load FILE"),
    ],
)
def test_what_cannot_be_done_ends_with_2(demo_ledger: str, words: list[str], sentence: str) -> None:
    done = called(*words, "--demo", "--database", demo_ledger)
    assert done.exit_code == 2
    assert sentence in " ".join(told(done).split())


def test_claims_are_told_with_their_verdicts(demo_ledger: str) -> None:
    done = called("prices", "WETH", "--day", "2026-01-05", "--json", "--demo", "--database", demo_ledger)
    assert done.exit_code == 0, done.stderr
    claims = json.loads(done.stdout)
    assert [(claims[0]["source"], claims[0]["verdict"])] == [("feed", "accepted")]
    assert {claim["source"] for claim in claims} == {"feed", "pool"}
    assert all(claim["verdict"].startswith(("not needed", "refused")) for claim in claims[1:])


def test_a_price_file_comes_before_all_others(copied: Callable[[bool], str], tmp_path: Path) -> None:
    database, file = copied(True), tmp_path / "mine.csv"
    file.write_text(f"chain,token,day,usd,source\ndemo,{WETH},2026-01-05,2345.67,my exchange\n")
    options = ["--demo", "--database", database]
    done = called("prices", "WETH", "--load", str(file), "--day", "2026-01-05", "--json", *options)
    assert done.exit_code == 0, done.stderr
    assert "mine.csv: 1 prices loaded" in done.stderr
    first, *_ = json.loads(done.stdout)
    assert (first["source"], first["usd"], first["verdict"]) == ("file", "2345.67", "accepted")
    (row,) = execute(database, "SELECT usd FROM price_daily WHERE source = 'file' AND day = '2026-01-05'")
    assert str(row["usd"]) == "2345.67"


def test_a_price_file_with_mistakes_is_refused_whole(copied: Callable[[bool], str], tmp_path: Path) -> None:
    """Every mistake with its line and what to do; nothing of the file is loaded."""
    database, file = copied(True), tmp_path / "mine.csv"
    stranger = "0x5B38Da6a701c568545dCfcB03FcB875f56beddC4"
    file.write_text(
        "chain,token,day,usd,source\n"
        f"demo,{WETH},2026-01-05,2345.67,mine\n"
        f"demo,{stranger},2026-01-05,1,mine\n"
        f"demo,{WETH},2026-01-06,1e3x,mine\n"
    )
    done = called("prices", "--load", str(file), "--demo", "--database", database)
    assert done.exit_code == 2
    shown = told(done)
    assert f"mine.csv:3: token {stranger} is neither listed nor met in what was read on demo" in shown
    assert "mine.csv:4: " in shown
    assert not execute(database, "SELECT FROM price_file")
