"""The main job on a made-up mainnet of 5,000 swaps, through nodes with the habits of real providers.

The node and the exact sums of its chain come from the recordings beside the checkout (replaynode.py, truth.py).
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.golden.demo import ask
from tests.golden.programs import indexer, served, statistics

NEEDED = ("uvloop", "httptools", "orjson", "numpy", "Crypto")
CHAIN = ("--blocks", "500", "--logs-per-block", "10")
ENDING = ("--tail", "400", "--finality", "64")  # empty blocks up to the next day, so that the first one closes
BORN = "12369621"  # the chain's first block
SMALL = ("--max-range", "37", "--max-results", "90")  # ten logs a block: both limits are met

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED),
    reason=f"the fake node needs {', '.join(NEEDED)}",
)


@pytest.fixture(scope="module")
def truth(shared: Path) -> dict[str, Any]:
    """The exact sums of the chain."""
    command = [sys.executable, str(shared / "replay" / "truth.py"), *CHAIN, "--json"]
    told: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return told


HABITS = {
    "none": (),
    "alchemy's words": ("--error-style", "alchemy", *SMALL),
    "infura's words": ("--error-style", "infura", *SMALL),
    "logs without times": ("--no-log-timestamp",),
    "faults": ("--fail-rate", "0.05", "--fail-hang-s", "2", "--max-addresses", "3", *SMALL),
}


@pytest.mark.parametrize("habit", HABITS)
def test_fees_are_exact_whatever_the_node_is_like(
    shared: Path, url: str, tmp_path: Path, truth: dict[str, Any], habit: str
) -> None:
    """Equal per token to the last raw unit, one flow a swap, the day closed whole; what the node does was met."""
    with served(shared / "replay" / "replaynode.py", *CHAIN, *ENDING, *HABITS[habit]) as node:
        wanted = ("--rpc", f"ethereum={node}", "--protocol", "uniswap_v3", "--from", BORN, "--once")
        done = indexer("up", *wanted, "--database", url, folder=tmp_path)
        counted = statistics(node)
    assert done.returncode == 0, done.stderr
    assert booked(url) == {token: int(amount) for token, amount in truth["fees_by_token"].items() if int(amount)}
    (row,) = ask(url, "SELECT coverage, fees_usd > 0 AS paid FROM yield_daily")
    assert row == {"coverage": 1, "paid": True}
    assert bool(counted["errors"]) == ("--max-range" in HABITS[habit])
    assert bool(counted["faults"]) == (habit == "faults")


def booked(url: str) -> dict[str, int]:
    """Sums per token of all flows, which are fees of swaps, at most one a log."""
    found = ask(
        url,
        "SELECT '0x' || encode(token, 'hex') AS token, sum(amount) AS amount, count(*) AS flows,"
        " count(DISTINCT (block_number, log_index)) AS logs, array_agg(DISTINCT source::text) AS sources"
        " FROM flow GROUP BY token",
    )
    assert all(row["flows"] == row["logs"] and row["sources"] == ["swap"] for row in found)
    return {row["token"]: int(row["amount"]) for row in found}
