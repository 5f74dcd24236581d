"""`indexer status`: what it says is what the ledger holds; a check that fails is shown with its rows and by the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from indexer.ledger.sql import texts
from tests.cli.calls import called, told
from tests.cli.conftest import execute
from tests.simulation.node import DemoChain


def status(url: str, *more: str) -> Result:
    return called("status", "--database", url, *more)


def report(url: str, *more: str) -> dict[str, Any]:
    return json.loads(status(url, "--json", *more).stdout)


def test_a_finished_run_is_covered_whole(demo_ledger: str) -> None:
    result = status(demo_ledger)
    assert (result.exit_code, result.stderr) == (0, "")
    count = len(texts("checks"))
    assert result.stdout.rstrip().endswith(f"{count} of {count} checks hold.")
    said = report(demo_ledger)
    assert {row["coverage"] for row in said["deployments"]} == {"1.000000"}
    assert [one["outcome"] for one in said["checks"]] == ["holds"] * count
    (chain,) = said["chains"]
    assert (chain["chain"], chain["lag_blocks"], said["leases"]) == ("demo", 0, [])


def test_its_figures_are_the_ledgers_own(demo_ledger: str) -> None:
    """Each against a plain count over the tables."""
    said = report(demo_ledger, "--patience", "0")
    (chain,), (disk,) = said["chains"], said["disk"]
    (row,) = execute(
        demo_ledger,
        "SELECT sum(logs_received) AS received, sum(logs_used) AS used, sum(requests) AS requests FROM range",
    )
    assert (chain["logs_received"], chain["logs_used"], chain["requests"]) == (
        int(row["received"]), int(row["used"]), int(row["requests"]),
    )  # fmt: skip
    flows = {
        one["deployment"]: one["flows"]
        for one in execute(demo_ledger, "SELECT deployment, count(*) AS flows FROM flow GROUP BY 1")
    }
    assert {one["deployment"]: one["flows"] for one in said["deployments"] if one["flows"]} == flows
    unpriced = execute(demo_ledger, "SELECT protocol, sum(unpriced)::bigint AS n FROM yield_daily GROUP BY 1")
    assert {one["protocol"]: one["unpriced"] for one in said["protocols"]} == {
        one["protocol"]: one["n"] for one in unpriced
    }
    (room,) = execute(
        demo_ledger,
        "SELECT sum(pg_total_relation_size(inhrelid))::bigint AS octets FROM pg_inherits WHERE inhparent = 'flow'::regclass",
    )
    assert (disk["flow_octets"], disk["projected_octets"]) == (room["octets"], disk["database_octets"])
    assert said["checks"] == []


def test_what_the_run_asked_is_what_the_node_was_asked(
    config: Path, node: DemoChain, copied: Callable[[bool], str]
) -> None:
    """Requests of ranges are counted with all that reading them took, and octets with them."""
    url = copied(False)
    assert called("up", "--once", "--config", str(config), "--database", url).exit_code == 0
    (chain,) = report(url, "--patience", "0")["chains"]
    asked = sum(method == "eth_getLogs" for method, _ in node.asked)
    assert 0 < chain["requests"] <= len(node.asked)
    assert asked / 3 < chain["requests"] < asked * 3
    assert chain["octets"] > 100 * chain["logs_received"]
    assert execute(url, "SELECT FROM range WHERE requests IS NULL OR octets IS NULL") == []


def test_half_a_run_is_told_with_what_is_missing(config: Path, node: DemoChain, copied: Callable[[bool], str]) -> None:
    """Coverage counts against what the last run wanted; disk is projected to it, lag is counted to the final head."""
    url = copied(False)
    assert called("up", "--once", "--config", str(config), "--database", url, "--to", "600").exit_code == 0
    execute(url, "UPDATE goal SET last_block = 1200 RETURNING 1")
    said = report(url, "--patience", "0")
    dex = next(one for one in said["deployments"] if one["deployment"] == "demo_dex.demo")
    assert (dex["held_from"], dex["held_to"], dex["blocks_wanted"]) == (2, 600, 1199)
    assert dex["coverage"] == f"{599 / 1199:.6f}"
    assert said["chains"][0]["lag_blocks"] == node.head - 600
    disk = said["disk"][0]
    grown = disk["projected_octets"] - disk["database_octets"]
    assert 0.9 * disk["flow_octets"] < grown < 1.1 * disk["flow_octets"]
    assert " 50 % " in status(url, "--patience", "0").stdout


def test_ranges_being_read_are_told_with_their_holder(copied: Callable[[bool], str]) -> None:
    url = copied(True)
    execute(
        url,
        "INSERT INTO lease (chain_id, first_block, last_block, deployments, holder, expires_at) VALUES "
        "(31337, 1, 9, '{demo_dex.demo}', 'machine:42', now() + interval '1 hour') RETURNING fence",
    )
    result = status(url)
    assert result.exit_code == 0
    assert "demo 1 to 9  machine:42" in result.stdout


def test_contracts_that_were_turned_away_are_counted(copied: Callable[[bool], str]) -> None:
    """They emit such logs, were asked and are not the deployment's own."""
    url = copied(True)
    before = {one["deployment"]: one["turned_away"] for one in report(url, "--patience", "0")["deployments"]}
    execute(
        url,
        "INSERT INTO contract (chain_id, deployment, contract, block_number) VALUES "
        "(31337, 'demo_dex.demo', sha256('a'), 9), (31337, 'demo_dex.demo', sha256('b'), 9) RETURNING 1",
    )
    after = {one["deployment"]: one["turned_away"] for one in report(url, "--patience", "0")["deployments"]}
    assert after == before | {"demo_dex.demo": before["demo_dex.demo"] + 2}


def test_a_check_that_fails_is_shown_with_its_first_rows(copied: Callable[[bool], str]) -> None:
    """Exit code 1, the sentence that does not hold, and what breaks it."""
    url = copied(True)
    execute(url, "UPDATE flow_daily SET amount = amount + 1 WHERE deployment = 'demo_dex.demo' RETURNING 1")
    result = status(url)
    assert result.exit_code == 1
    assert "Check flow_daily fails: " in result.stdout
    assert "amount_closed" in result.stdout
    assert " and more" in result.stdout
    failing = {one["check"]: one for one in report(url)["checks"] if one["outcome"] != "holds"}
    assert failing.keys() == {"flow_daily", "part_prices"}, "dollars are no longer what the sums are worth, either"
    broken = failing["flow_daily"]
    assert (broken["check"], broken["outcome"], len(broken["rows"]), broken["more"]) == ("flow_daily", "fails", 5, True)
    assert {row["deployment"] for row in broken["rows"]} == {"demo_dex.demo"}


def test_checks_may_be_left_out(copied: Callable[[bool], str]) -> None:
    url = copied(True)
    execute(url, "UPDATE flow_daily SET amount = amount + 1 RETURNING 1")
    assert status(url, "--patience", "0").exit_code == 0


def test_a_check_that_takes_too_long_is_unknown_and_not_a_failure(
    demo_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = ("slow.sql", "-- Sleep must end.\nSELECT pg_sleep(30)")
    monkeypatch.setattr("indexer.ledger.checking.texts", lambda folder: [slow])
    result = status(demo_ledger, "--patience", "1")
    assert result.exit_code == 0
    assert "Not finished in time, so not known: slow. Give them more with --patience." in result.stdout
    assert "0 of 1 checks hold." in result.stdout


def test_without_a_ledger_there_is_nothing_to_tell(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    place = tmp_path / "data"
    result = called("status", "--data-dir", str(place), folder=tmp_path)
    assert (result.exit_code, told(result)) == (
        4,
        f"indexer: There is no ledger yet in the embedded Postgres in {place}, database indexer: indexer up makes it.",
    )
    assert not place.exists()


def test_a_ledger_of_an_older_version_is_left_alone(copied: Callable[[bool], str]) -> None:
    url = copied(False)
    execute(url, "DELETE FROM migration WHERE migration = '0010_status.sql' RETURNING 1")
    result = status(url)
    assert (result.exit_code, told(result)) == (
        4,
        (
            "indexer: The ledger in the database given is 1 migration behind this version: the next indexer up brings it up "
            "to date."
        ),
    )


@pytest.mark.parametrize("width", [80, 132])
def test_tables_do_not_wrap(width: int, demo_ledger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.cli.telling.width", lambda: width)
    assert max(map(len, status(demo_ledger).stdout.splitlines())) <= width
