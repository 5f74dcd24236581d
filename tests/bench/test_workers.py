"""The benchmark of several processes: tiny runs are right, and the tables say what they should."""

from __future__ import annotations

import pytest

from indexer.ledger.embedded import EmbeddedPostgres

from . import workers


def test_a_tiny_round_of_every_kind(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CLAIMS", 2)
    size = ["--swaps=200", "--blocks=40", "--pools=4"]
    report = workers.main([*size, "--latency-ms", "1", "--ways", "1", "4", "--claims", "30"], server)
    rows = [[cell.strip() for cell in line.split("|")] for line in report.splitlines() if line.startswith("| ")]
    assert [row[2] for row in rows[1:3]] == ["--workers 2", "4 x up"]
    assert rows[1][4] == "1.00", "the first way is the measure"
    assert [row[1] for row in rows[4:]][:3] == ["1", "8", "16"]
    assert len(rows) == 3 + 2 * 4
