"""The recorded demo tells the story it is meant to tell, and its logs meet what its contracts said of themselves."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from indexer.demo.recording import CHAIN_FILE, Filter, load
from tests.demochain.schedule import DAY, DAYS, FALLOW_DAY, QUIET_DAY

STATE_FILE = CHAIN_FILE.with_name("state.json.gz")
STATE: dict[str, Any] = json.loads(gzip.decompress(STATE_FILE.read_bytes()))
CHAIN = load()
LOGS: list[dict[str, Any]] = msgspec.json.decode(CHAIN.logs(Filter(0, CHAIN.head)))
POOLS: dict[str, Any] = STATE["pools"]
NAMES = {address: name for name, address in STATE["contracts"]["pools"].items()}

SWAP = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
FLASH = "0xbdbdb71d7860376ba52b25a5028beea23581364a40522f6bcfb86bb1f2dca633"
SWITCH = "0x973d8d92bb299f4af6ce49b52a8adb85ae46b9f214c4c4fc06ac77401237b133"
CREATED = "0x783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
HARVEST = "0x71bab65ced2e5750775a0613be067df48ef06cf92a496ebf7663ae0660924954"

Fees = Counter[tuple[str, int, str]]  # raw units by pool, token number, side


def day_of(log: dict[str, Any]) -> int:
    return int((int(log["blockTimestamp"], 16) - STATE["days"][0]["start"]) // DAY + 1)


def words(log: dict[str, Any]) -> list[int]:
    octets = bytes.fromhex(log["data"][2:])
    return [int.from_bytes(octets[at : at + 32], "big") for at in range(0, len(octets), 32)]


def signed(word: int) -> int:
    return word - 2**256 if word >= 2**255 else word


def fees_by_day() -> Iterator[tuple[dict[str, Any], Fees]]:
    """Each day with the fees that logs tell up to its end: floor(paid in x tier / 10^6), split by the switch then."""
    fees: Fees = Counter()
    switch = dict.fromkeys(POOLS, (0, 0))
    logs = iter([log for log in LOGS if log["address"] in NAMES])
    log = next(logs)
    for day in STATE["days"]:
        while int(log["blockNumber"], 16) <= day["last_block"]:
            name, told = NAMES[log["address"]], words(log)
            if log["topics"][0] == SWITCH:
                switch[name] = (told[2], told[3])
            for side, amount in paid_fees(POOLS[name]["fee"], log["topics"][0], told):
                part = amount // switch[name][side] if switch[name][side] else 0
                fees[name, side, "protocol"] += part
                fees[name, side, "supply"] += amount - part
            log = next(logs, {"blockNumber": hex(2**60)})
        yield day, fees


def paid_fees(tier: int, topic: str, told: list[int]) -> list[tuple[int, int]]:
    if topic == SWAP:
        return [(side, signed(told[side]) * tier // 10**6) for side in (0, 1) if signed(told[side]) > 0]
    return [(0, told[2]), (1, told[3])] if topic == FLASH else []


def test_fees_told_by_logs_meet_the_contracts_within_one_unit_a_step() -> None:
    """Supply: what positions collected and are owed. Protocol: what was swept and what the pool still keeps."""
    steps: Counter[str] = Counter()
    for day, fees in fees_by_day():
        for name, state in day["pools"].items():
            steps[name] += state["steps"]
            swept = [s for s in STATE["sweeps"] if s["pool"] == name and s["block"] <= day["last_block"]]
            for side in (0, 1):
                supply = state["fees_collected"][side] + state["fees_owed"][side]
                protocol = state["protocol_fees"][side] + sum(sweep["amounts"][side] for sweep in swept)
                assert abs(supply - fees[name, side, "supply"]) <= steps[name] + POSITION_ROUNDING
                assert 0 <= protocol - fees[name, side, "protocol"] <= steps[name]


# Each poke of a position rounds what it is owed down, to at most one unit less.
POSITION_ROUNDING = len(STATE["collects"]) + len(STATE["positions"])


def test_mints_to_the_chef_are_the_supply_less_what_the_developers_got() -> None:
    chef, farm = STATE["contracts"]["chef"], STATE["contracts"]["farm_token"]
    mints: Counter[int] = Counter()
    for log in LOGS:
        if log["address"] == farm and log["topics"] == [TRANSFER, "0x" + "00" * 32, "0x" + chef[2:].rjust(64, "0")]:
            mints[int(log["blockNumber"], 16)] += words(log)[0]
    rows = STATE["farm_blocks"]
    told = {now[0]: (now[1] - before[1]) - (now[3] - before[3]) for before, now in pairwise(rows)}
    assert mints == Counter({block: minted for block, minted in told.items() if minted})
    assert len(mints) > 100


def test_fourteen_whole_days_begin_at_midnight_and_a_fifteenth_has_begun() -> None:
    assert [day["day"] for day in STATE["days"]] == list(range(1, DAYS + 1))
    first = datetime.fromtimestamp(int(CHAIN.header(0, "timestamp"), 16), UTC)
    assert first == datetime(2026, 1, 1, tzinfo=UTC)
    for day in STATE["days"]:
        times = [int(CHAIN.header(block, "timestamp"), 16) for block in (day["first_block"], day["last_block"])]
        assert day["start"] <= times[0] < times[1] < day["start"] + DAY
    assert int(CHAIN.header(CHAIN.head, "timestamp"), 16) >= STATE["days"][0]["start"] + DAYS * DAY
    assert CHAIN.head < 1500


def test_swaps_happen_in_every_pool_but_on_the_quiet_day_in_none() -> None:
    swaps = Counter((day_of(log), NAMES[log["address"]]) for log in LOGS if log["topics"][0] == SWAP)
    for day in STATE["days"]:
        assert {name: state["swaps"] for name, state in day["pools"].items()} == {
            name: swaps[day["day"], name] for name in POOLS
        }
    assert sum(swaps.values()) > 6000
    assert {day for day, _ in swaps} == set(range(1, DAYS + 1)) - {QUIET_DAY}
    assert {name for _, name in swaps} == set(POOLS)


def test_swaps_cross_ticks() -> None:
    further: Counter[str] = Counter()
    for day in STATE["days"]:
        for name, state in day["pools"].items():
            further[name] += state["steps"] - state["swaps"]
    assert all(further[name] > 10 for name in POOLS)


def test_the_fallow_day_mints_nothing_though_the_token_moves() -> None:
    chef, farm = STATE["contracts"]["chef"], STATE["contracts"]["farm_token"]
    assert not [log for log in LOGS if log["address"] == chef and day_of(log) == FALLOW_DAY]
    assert [log for log in LOGS if log["address"] == farm and day_of(log) == FALLOW_DAY]
    before, fallow = (STATE["days"][day - 1]["farm"]["total_supply"] for day in (FALLOW_DAY - 1, FALLOW_DAY))
    assert before == fallow


@pytest.mark.parametrize("change", STATE["switches"], ids=lambda change: f"{change['pool']}-day{change['day']}")
def test_the_fee_switch_has_swaps_of_its_pool_on_both_sides_in_its_block(change: dict[str, Any]) -> None:
    block, pool = hex(change["block"]), STATE["contracts"]["pools"][change["pool"]]
    at = [log for log in LOGS if (log["blockNumber"], log["address"]) == (block, pool)]
    topics = [log["topics"][0] for log in at]
    switched = next(n for n, log in enumerate(at) if topics[n] == SWITCH and words(log)[2:] == change["values"])
    assert SWAP in topics[:switched]
    assert SWAP in topics[switched:]


def test_the_switch_goes_on_changes_and_goes_off() -> None:
    values: dict[str, list[list[int]]] = {}
    for change in STATE["switches"]:
        values.setdefault(change["pool"], []).append(change["values"])
    assert values["usdc_weth_3000"] == [[4, 4], [6, 10]]
    assert values["usdc_weth_500"] == [[10, 10], [0, 0]]
    assert values["wbtc_weth_3000"] == [[0, 7], [0, 0]]


def test_a_flash_loan_is_paid_while_the_switch_is_on() -> None:
    paid = {NAMES[log["address"]]: words(log) for log in LOGS if log["topics"][0] == FLASH}
    assert paid["usdc_weth_3000"][2] == 3_000_000 * 3000 // 10**6 + 12345
    assert set(paid) == {"farm_weth_3000", "usdc_weth_3000", "usdc_weth_500"}


def test_the_fork_announces_its_pool_from_another_factory() -> None:
    makers = {"0x" + log["data"][-40:]: log["address"] for log in LOGS if log["topics"][0] == CREATED}
    for name, pool in STATE["contracts"]["pools"].items():
        assert makers[pool] == STATE["contracts"]["fork_factory" if name.startswith("fork") else "factory"]


def test_positions_are_collected_from_and_burned() -> None:
    actions = Counter(collect["action"] for collect in STATE["collects"])
    assert actions["collect"] > 20 < actions["decrease"]
    assert actions["burn"] == sum(position["closed"] for position in STATE["positions"]) > 20
    assert all(amount >= 0 for collect in STATE["collects"] for amount in collect["fees"])


def test_harvests_are_paid_by_the_harvester() -> None:
    emitters = {log["address"] for log in LOGS if log["topics"][0] == HARVEST}
    assert emitters == {STATE["contracts"]["harvester"]}


def test_transfers_have_three_topics_and_four() -> None:
    """ERC-20 transfers and the position manager's ERC-721 ones share topic0."""
    assert {len(log["topics"]) for log in LOGS if log["topics"][0] == TRANSFER} == {3, 4}


def test_the_recording_is_small() -> None:
    assert sum(Path(file).stat().st_size for file in (CHAIN_FILE, STATE_FILE)) < 2_000_000
