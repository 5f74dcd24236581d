"""explain, export and sql as they are called: what they print, where, and their exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.calls import called, told
from tests.cli.conftest import execute

DAY = "2026-01-05"


def test_explain_prints_the_tree_on_standard_output(demo_ledger: str) -> None:
    done = called("explain", "demo_dex", DAY, "--limit", "2", "--database", demo_ledger)
    assert (done.exit_code, done.stderr) == (0, "")
    (shown,) = execute(demo_ledger, f"SELECT fees_usd FROM yield_daily WHERE day = '{DAY}' AND protocol = 'demo_dex'")
    assert done.stdout.startswith(f"demo_dex on demo, {DAY}: fees_usd = {shown['fees_usd']:,.6f}\n")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) > 150, "no line is broken"


def test_explain_in_json_is_one_array_and_nothing_else(demo_ledger: str) -> None:
    done = called(
        "explain", "demo_farm", DAY, "--metric", "incentives", "--chain", "demo", "--json", "--database", demo_ledger
    )
    assert (done.exit_code, done.stderr) == (0, "")
    (tree,) = json.loads(done.stdout)
    assert (tree["protocol"], tree["chain"], tree["day"], tree["metric"]) == (
        "demo_farm",
        "demo",
        DAY,
        "incentives_usd",
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["demo_fex", DAY], "demo_fex: no day of such a protocol is closed: did you mean demo_dex?"),
        (["demo_dex", "2031-01-01"], "2031-01-01 of demo_dex is not closed: on demo days from 2026-01-01 to 2026-01-14 are, the nearest is 2026-01-14. A day is closed by `indexer up` once it is over and final."),
        (["demo_dex", "someday"], "'someday' is no UTC day: write one as 2026-01-31."),
        (["demo_dex", DAY, "--metric", "apr"], "--metric apr: yield_daily has no such figure in dollars"),
        (["demo_dex", DAY, "--chain", "base"], "--chain base: demo_dex has closed days on demo only."),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_ends_with_2(demo_ledger: str, words: list[str], sentence: str) -> None:
    done = called("explain", *words, "--database", demo_ledger)
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in told(done)


@pytest.mark.parametrize("verb", [["explain", "demo_dex", DAY], ["export", "yield_daily", "--to", "days.csv"]])
def test_without_a_ledger_none_is_made(verb: list[str], tmp_path: Path) -> None:
    done = called(*verb, "--data-dir", str(tmp_path / "data"), folder=tmp_path)
    assert done.exit_code == 4
    assert "There is no ledger yet in the embedded Postgres" in told(done)
    assert list(tmp_path.iterdir()) == []


def test_export_says_what_it_wrote(demo_ledger: str, tmp_path: Path) -> None:
    file = tmp_path / "days.parquet"
    done = called("export", "yield_daily", "--to", str(file), "--database", demo_ledger)
    rows = pq.read_table(file).num_rows
    assert (done.exit_code, rows) == (0, execute(demo_ledger, "SELECT count(*) FROM yield_daily")[0][0])
    assert done.stdout == f"{rows} rows are in {file} ({file.stat().st_size:,} octets).\n"


def test_export_in_json_tells_rows_file_and_octets(demo_ledger: str, tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    done = called("export", "SELECT 1 AS one", "--to", str(file), "--json", "--database", demo_ledger)
    assert json.loads(done.stdout) == {"file": str(file), "rows": 1, "octets": 6}
    assert list(csv.reader(io.StringIO(file.read_text()))) == [["one"], ["1"]]


def test_export_keeps_a_file_that_is_there_unless_forced(demo_ledger: str, tmp_path: Path) -> None:
    """Told before the database is reached, so that nobody waits for it."""
    file = tmp_path / "days.csv"
    file.write_text("mine")
    done = called("export", "chain", "--to", str(file), "--database", "postgresql://nobody@127.0.0.1:1/x")
    assert done.exit_code == 2
    assert "the file is there already: choose another name, or add --force to replace it" in told(done)
    assert file.read_text() == "mine"
    assert called("export", "chain", "--to", str(file), "--force", "--database", demo_ledger).exit_code == 0
    assert file.read_text().startswith("chain_id,name")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("yield_dialy", "yield_dialy is no table or view of the ledger: did you mean yield_daily?"),
        ("SELECT no_such", 'Postgres refuses the statement: column "no_such" does not exist'),
        ("DROP TABLE flow", "'DROP TABLE flow' cannot be exported"),
    ],
)
def test_what_cannot_be_exported_ends_with_2(demo_ledger: str, tmp_path: Path, asked: str, sentence: str) -> None:
    done = called("export", asked, "--to", str(tmp_path / "rows.csv"), "--database", demo_ledger)
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in told(done)
    assert list(tmp_path.iterdir()) == []


def test_sql_runs_a_statement_that_writes(copied: Callable[[bool], str]) -> None:
    """A lens of one's own is an INSERT, so writing is allowed: the right to do it is the database user's."""
    url = copied(False)
    done = called("sql", "INSERT INTO lens (lens, kind, bucket) VALUES ('mine', 'fee', 'real')", "--database", url)
    assert (done.exit_code, done.stdout) == (0, "(0 rows)\n")
    assert execute(url, "SELECT count(*) FROM lens WHERE lens = 'mine'")[0][0] == 1


def test_sql_without_a_statement_opens_psql_on_the_database(demo_ledger: str, tmp_path: Path) -> None:
    """The URL is in the environment, not among the words; psql's exit code is the command's."""
    seen, program = tmp_path / "seen", tmp_path / "psql"
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"open({str(seen)!r}, 'w').write(repr((sys.argv[1:], os.environ['PGDATABASE'], os.environ['PGTZ'])))\n"
        "sys.exit(3)\n"
    )
    program.chmod(0o755)
    done = called("sql", "--database", demo_ledger, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.exit_code == 3
    assert seen.read_text() == "([], 'golden_demo', 'UTC')"


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_sql_without_a_statement_has_no_format(option: str) -> None:
    done = called("sql", option)
    assert done.exit_code == 2
    assert "--json and --csv are for a statement: write one" in told(done)


def test_the_shell_completes_what_can_be_explained(tmp_path: Path) -> None:
    """Figures by the names that --metric takes; protocols and chains as elsewhere."""

    def completed(line: str) -> list[str]:
        place = str(len(line.split(" ")) - 1)
        told_to_bash = called(folder=tmp_path, _INDEXER_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=place)
        return told_to_bash.stdout.split()

    assert completed("indexer explain uniswap_v3 2026-01-05 --metric ear") == ["earnings"]
    assert completed("indexer explain uniswap_v3 2026-01-05 --metric fees") == ["fees"]
    assert completed("indexer explain sushi") == ["sushiswap"]
    assert completed("indexer explain sushiswap 2026-01-05 --chain ether") == ["ethereum"]
