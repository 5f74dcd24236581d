"""The main job on a recorded mainnet day: Uniswap v3's USDC/WETH 0.3 % pool on 2024-01-05, as a user would run it."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from indexer.ledger.embedded import EmbeddedPostgres
from tests.golden.demo import ask
from tests.golden.figures import rounded
from tests.golden.programs import indexer, served, statistics

POOL = "0x8ad599c3a0ff1de082011efddc58f1908eb6e6d8"
USDC, WETH = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
TIER = 3000  # ppm
SWAP = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
TOLD = {USDC: 27_490_384_906, WETH: 12_589_016_458_826_562_603}  # raw units, as the recording's provenance states


class Swap(NamedTuple):
    """A recorded swap: where it stands and what moved, raw units, positive into the pool."""

    block: int
    index: int
    transaction: str
    amount0: int
    amount1: int


class Run(NamedTuple):
    """A finished run: its database, what the node counted, what was printed."""

    url: str
    requests: Counter[str]
    printed: str


@pytest.fixture(scope="module")
def swaps(shared: Path) -> list[Swap]:
    """Every swap of the recording, read in plain Python."""
    with gzip.open(recording(shared), "rt") as lines:
        logs = [json.loads(line) for line in lines]
    return [swap_of(log) for log in logs if log["topics"][0] == SWAP]


def swap_of(log: dict[str, Any]) -> Swap:
    amounts = [int.from_bytes(bytes.fromhex(log["data"][at : at + 64]), "big", signed=True) for at in (2, 66)]
    return Swap(int(log["blockNumber"], 16), int(log["logIndex"], 16), log["transactionHash"], amounts[0], amounts[1])


def recording(shared: Path) -> Path:
    return shared / "data" / "demeter-fetch" / "eth-univ3-USDC-WETH-3000-2024-01-05.jsonl.gz"


def run(shared: Path, url: str, folder: Path, start: str, *limits: str) -> Run:
    """Indexes the recording from a moment on, into this database, through a node with these limits."""
    replay = shared / "replay"
    extra = ("--extra", str(replay / "extra-poolcreated.jsonl"))
    with served(replay / "recording.py", *limits, *extra, str(recording(shared))) as node:
        wanted = ("--rpc", f"ethereum={node}", "--protocol", "uniswap_v3", "--from", start, "--once")
        done = indexer("up", *wanted, "--database", url, folder=folder)
        assert done.returncode == 0, done.stderr
        return Run(url, Counter(statistics(node)), done.stderr)


@pytest.fixture(scope="module")
def whole_day(shared: Path, server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run from the date on."""
    return run(shared, server.url("golden_recording"), tmp_path_factory.mktemp("whole"), "2024-01-05")


def fees_of(swaps: list[Swap]) -> dict[tuple[int, int, str, str], int]:
    """floor(amount in x tier / 10^6) by block, log index, transaction and token."""
    return {
        (swap.block, swap.index, swap.transaction, token): amount * TIER // 10**6
        for swap in swaps
        for token, amount in ((USDC, swap.amount0), (WETH, swap.amount1))
        if amount * TIER >= 10**6
    }


def booked(url: str) -> dict[tuple[int, int, str, str], int]:
    found = ask(
        url,
        "SELECT block_number, log_index, '0x' || encode(tx_hash, 'hex') AS transaction,"
        " '0x' || encode(token, 'hex') AS token, amount, '0x' || encode(contract, 'hex') AS contract,"
        " kind::text, source::text, side::text, basis::text FROM flow",
    )
    labels = {(row["contract"], row["kind"], row["source"], row["side"], row["basis"]) for row in found}
    assert labels == {(POOL, "fee", "swap", "supply", "accrued")}
    flows = {
        (row["block_number"], row["log_index"], row["transaction"], row["token"]): int(row["amount"]) for row in found
    }
    assert len(flows) == len(found)
    return flows


def per_token(flows: dict[tuple[int, int, str, str], int]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for (_, _, _, token), amount in flows.items():
        sums[token] += amount
    return sums


def test_every_fee_is_booked_once_at_its_log_to_the_last_unit(whole_day: Run, swaps: list[Swap]) -> None:
    """Traced by transaction and log index, and in sum what the recording's provenance states."""
    assert booked(whole_day.url) == fees_of(swaps)
    assert per_token(booked(whole_day.url)) == Counter(TOLD)


def coverage(url: str) -> dict[str, Decimal]:
    return {row["day"]: row["coverage"] for row in ask(url, "SELECT day::text, coverage FROM yield_daily")}


def test_a_day_asked_for_by_its_date_is_closed_whole(whole_day: Run) -> None:
    assert coverage(whole_day.url) == {"2024-01-05": 1}


def test_dollars_are_those_of_the_other_side_of_the_same_swaps(whole_day: Run, swaps: list[Swap]) -> None:
    """Nothing tells the pool's age on the first day read, so it prices no WETH; a fee is worth what it bought of USDC."""
    bought = [(swap.amount1, -swap.amount0) for swap in swaps if swap.amount1 > 0]
    price = Fraction(sum(usdc for _, usdc in bought), 10**6) / Fraction(sum(weth for weth, _ in bought), 10**18)
    dollars = Fraction(TOLD[USDC], 10**6) + Fraction(TOLD[WETH], 10**18) * price
    (row,) = ask(whole_day.url, "SELECT fees_usd, supply_side_usd, protocol_usd, incentives_usd FROM yield_daily")
    assert Fraction(row["fees_usd"]) == Fraction(row["supply_side_usd"]) == rounded(dollars)
    assert 54_000 < row["fees_usd"] < 57_000
    assert row["protocol_usd"] == row["incentives_usd"] == 0
    weth = bytes.fromhex(WETH[2:])
    assert not ask(whole_day.url, "SELECT 1 FROM price_daily WHERE token = $1", weth)
    (told,) = ask(whole_day.url, "SELECT DISTINCT price_source FROM flow_usd WHERE token = $1 AND counted", weth)
    assert told == {"price_source": "trade"}


def test_the_printed_table_has_the_figure(whole_day: Run) -> None:
    """Dollars of closed days, rounded for people."""
    (line,) = [line for line in whole_day.printed.splitlines() if "uniswap_v3" in line]
    assert "55,696" in line
    assert re.search(r"100\.0 ?%", line)


def first_block_at(shared: Path, moment: int) -> int:
    """The first block at or after UTC seconds before the first swap: the node spreads time evenly over blocks."""
    born = json.loads((shared / "replay" / "extra-poolcreated.jsonl").read_text())
    with gzip.open(recording(shared), "rt") as lines:
        first = json.loads(next(lines))
    (old, since), (new, until) = ((int(x["blockNumber"], 16), int(x["blockTimestamp"], 16)) for x in (born, first))
    return next(n for n in range(old, new) if since + (until - since) * (n - old) // (new - old) >= moment)


def test_from_a_block_before_midnight_the_day_before_is_covered_in_part(
    shared: Path, url: str, tmp_path: Path, swaps: list[Swap]
) -> None:
    """The recorded day is whole; of the day before, the blocks from the start to midnight out of all of its blocks."""
    done = run(shared, url, tmp_path, "18937000")
    assert booked(done.url) == fees_of(swaps)
    first, midnight = (first_block_at(shared, moment) for moment in (1_704_326_400, 1_704_412_800))
    part = Fraction(midnight - 18_937_000, midnight - first)
    assert coverage(done.url) == {"2024-01-05": 1, "2024-01-04": rounded(part)}


def test_from_a_block_within_the_day_what_was_not_read_is_not_claimed(
    shared: Path, url: str, tmp_path: Path, swaps: list[Swap]
) -> None:
    done = run(shared, url, tmp_path, "18940000")
    assert booked(done.url) == fees_of([swap for swap in swaps if swap.block >= 18_940_000])
    assert 0 < coverage(done.url)["2024-01-05"] < Decimal("0.7")


# Requests for a day of 7,174 blocks. The fee switch's history since the factory's birth, 6.6 million blocks, takes few
# questions without a limit; once a limit makes it dearer than 200 requests, the switch is asked of the state instead.
LOGS, HEADERS, CALLS = 20, 30, 20


def test_a_day_costs_few_requests(whole_day: Run) -> None:
    assert_few(whole_day.requests, LOGS)


@pytest.mark.parametrize(("limit", "logs"), [(("--max-range", "2000"), LOGS), (("--max-results", "50"), LOGS + 10)])
def test_an_endpoints_limit_costs_few_requests_and_no_log(
    shared: Path, url: str, tmp_path: Path, swaps: list[Swap], limit: tuple[str, str], logs: int
) -> None:
    done = run(shared, url, tmp_path, "2024-01-05", *limit)
    assert booked(done.url) == fees_of(swaps)
    assert coverage(done.url) == {"2024-01-05": 1}
    assert_few(done.requests, logs)


def assert_few(requests: Counter[str], logs: int) -> None:
    """Headers tell where two days begin; calls what the pool, its tokens and its switch are."""
    assert requests["eth_getLogs"] <= logs
    assert requests["eth_getBlockByNumber"] <= HEADERS
    assert requests["eth_call"] <= CALLS
    assert set(requests) <= {"eth_getLogs", "eth_getBlockByNumber", "eth_call", "eth_chainId"}
