"""The benchmark of refreshing: a tiny ledger is made, closed, restated and shown."""

from __future__ import annotations

from indexer.ledger.embedded import EmbeddedPostgres

from . import refresh


def test_a_tiny_ledger_is_closed_and_shown(server: EmbeddedPostgres) -> None:
    """Every day is closed and valued for every protocol, which the benchmark checks itself; one column a number of flows."""
    options = ["--days=50", "--detailed=50", "--protocols=4", "--big=5", "--ranges=120"]
    report = refresh.main([*options, "--flows=1500,1750", "--rounds=1"], server)
    rows = [row for row in report.splitlines() if row.startswith("| ")]
    assert rows[0] == "| seconds | 1,500 flows | 1,750 flows |"
    assert {"close a new day", "REFRESH CONCURRENTLY", "coverage"} <= {
        row.split(" | ")[0].removeprefix("| ") for row in rows
    }
