"""The benchmark of reclassifying: a tiny round is right, and nothing is asked."""

from __future__ import annotations

from indexer.ledger.embedded import EmbeddedPostgres

from . import again


def test_a_tiny_round_is_right(server: EmbeddedPostgres) -> None:
    """Read without and with an archive, then made again from there: every sum is that of the chain."""
    report = again.main(["--swaps=1500", "--blocks=60", "--pools=8", "--runs=1"], server)
    rows = {row.split("|")[1].strip(): row.split("|")[2:5] for row in report.splitlines() if row.startswith("|")}
    requests = [int(cell.strip().replace(",", "")) for cell in rows["requests"]]
    assert (requests[0] > 0, requests[1] > 0, requests[2]) == (True, True, 0)
    assert "octets a log" in report
    assert "times as many swaps/s as up, and" in report
