"""The indexed demo chain against what its contracts said of themselves, raw unit by raw unit."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from tests.golden.demo import ask, day_number
from tests.golden.recorded import (
    BURN,
    CREATED,
    FLASH,
    HARVEST,
    MINT,
    SWAP,
    SWEEP,
    SWITCH,
    TRANSFER,
    Log,
    logs,
    state,
)

STATE = state()
POOLS: dict[str, Any] = STATE["pools"]
ADDRESSES: dict[str, str] = STATE["contracts"]["pools"]
NAMES = {address: name for name, address in ADDRESSES.items()}
BY_PLACE = {(log.block, log.index): log for log in logs()}
FORK = "fork_usdc_weth_3000"
PAIR_SWAP = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
REWARD_ADDED = "0xde88a922e0d3b88b24e9623efeb464919c6bf9f66857a65e2bfcf2ce87a9433d"
REWARD_PAID = "0xe2403640ba68fed3a2f88b7557551d1993f84b99bb10ff833f0cf8db0c5e0486"
FLOWS = """
    SELECT block_number, block_time, log_index, '0x' || encode(tx_hash, 'hex') AS transaction,
        '0x' || encode(contract, 'hex') AS contract, '0x' || encode(token, 'hex') AS token,
        kind::text, source::text, side::text, basis::text, protocol, deployment, amount
    FROM flow ORDER BY block_number, log_index, leg
"""
Flow = dict[str, Any]
Sums = Counter[tuple[int, str, int]]  # raw units by day, pool and token number


@pytest.fixture(scope="module")
def every(demo_url: str) -> list[Flow]:
    """Every flow of the ledger."""
    return ask(demo_url, FLOWS)


@pytest.fixture(scope="module")
def flows(every: list[Flow]) -> list[Flow]:
    """Those of the pools and the chef; the pairs and the staking have tests of their own."""
    others = ("demo_pairs.demo", "demo_farm.demo.staking")
    return [flow for flow in every if flow["deployment"] not in others]


def fees(flows: list[Flow], side: str) -> Sums:
    sums: Sums = Counter()
    for flow in flows:
        if (flow["kind"], flow["side"], flow["basis"]) == ("fee", side, "accrued"):
            name = NAMES[flow["contract"]]
            number = [POOLS[name]["token0"], POOLS[name]["token1"]].index(flow["token"])
            sums[day_number(flow["block_time"]), name, number] += int(flow["amount"])
    return sums


def growth(total: Any) -> Sums:
    """By how much a total of the state, total(day, name, number), grew on each day."""
    grown: Sums = Counter()
    for name in POOLS:
        for number in (0, 1):
            totals = [0, *(total(day, name, number) for day in STATE["days"])]
            grown.update({(at, name, number): now - was for at, (was, now) in enumerate(pairwise(totals), 1)})
    return grown


def pokes(day: int, name: str) -> int:
    """How often a position of the pool was settled on a day: each time, what it is owed is rounded down twice."""
    found = [log for log in logs() if log.day == day and log.address == ADDRESSES[name]]
    return sum(log.topics[0] in (MINT, BURN) for log in found)


def test_lps_are_booked_what_their_positions_collected_and_are_owed(flows: list[Flow]) -> None:
    """Per pool, token and day: at most one raw unit a swap step below, and what the positions' own rounding lost above.

    A pool and the position manager each round down when a position is settled, and the state's view settles all.
    """

    def settled(day: dict[str, Any], name: str, number: int) -> int:
        return int(day["pools"][name]["fees_collected"][number] + day["pools"][name]["fees_owed"][number])

    told, booked = growth(settled), fees(flows, "supply")
    for (day, name, number), amount in told.items():
        steps = STATE["days"][day - 1]["pools"][name]["steps"]
        lost = 2 * (pokes(day, name) + 2 * sum(position["pool"] == name for position in STATE["positions"]))
        assert -lost <= amount - booked[day, name, number] <= steps + lost, (day, name, number)
    assert sum(map(bool, booked.values())) > 150


def still_days() -> list[tuple[int, str]]:
    """Days and pools whose swaps all met the same liquidity and crossed nothing."""
    found = []
    for day in STATE["days"]:
        for name, pool in day["pools"].items():
            swaps = [log for log in logs() if (log.day, log.address) == (day["day"], ADDRESSES[name])]
            met = {log.words[3] for log in swaps if log.topics[0] == SWAP}
            if met == {pool["liquidity"]} and pool["steps"] == pool["swaps"]:
                found.append((day["day"], name))
    return found


def test_where_liquidity_stood_still_fees_are_fee_growth_times_liquidity(flows: list[Flow]) -> None:
    """No position's rounding stands between: within one raw unit a swap step, and never above the contract."""

    def grown(day: dict[str, Any], name: str, number: int) -> int:
        return int(day["pools"][name]["fee_growth_global"][number])

    told, booked = growth(grown), fees(flows, "supply")
    for day, name in still_days():
        pool = STATE["days"][day - 1]["pools"][name]
        for number in (0, 1):
            amount = Fraction(told[day, name, number] * pool["liquidity"], 2**128)
            assert -1 < amount - booked[day, name, number] <= pool["steps"]
    assert still_days()


def test_the_protocol_is_booked_what_its_pools_keep_for_it_and_gave_it(flows: list[Flow]) -> None:
    """Per pool, token and day: protocolFees and what was swept, within one raw unit a swap step."""

    def kept(day: dict[str, Any], name: str, number: int) -> int:
        swept = [s for s in STATE["sweeps"] if s["pool"] == name and s["block"] <= day["last_block"]]
        return int(day["pools"][name]["protocol_fees"][number] + sum(s["amounts"][number] for s in swept))

    booked = fees(flows, "protocol")
    for (day, name, number), amount in growth(kept).items():
        assert abs(amount - booked[day, name, number]) <= STATE["days"][day - 1]["pools"][name]["steps"]
    assert {name for _, name, _ in booked} == {switch["pool"] for switch in STATE["switches"]}


def test_sweeps_are_booked_as_paid_to_the_last_unit(flows: list[Flow]) -> None:
    paid = {
        (flow["block_number"], NAMES[flow["contract"]], flow["token"], int(flow["amount"]))
        for flow in flows
        if (flow["kind"], flow["basis"], flow["side"]) == ("fee", "paid", "protocol")
    }
    assert paid == {
        (sweep["block"], sweep["pool"], POOLS[sweep["pool"]][f"token{number}"], sweep["amounts"][number])
        for sweep in STATE["sweeps"]
        for number in (0, 1)
        if sweep["amounts"][number]
    }


def test_flash_loans_pay_the_tier_rounded_up_and_the_tip(flows: list[Flow]) -> None:
    """UniswapV3Pool.flash: mulDivRoundingUp(amount, fee, 1e6) of what was borrowed; the borrower adds its tip."""
    booked: Counter[tuple[int, str, str]] = Counter()
    for flow in flows:
        if flow["source"] == "flash_loan":
            booked[flow["block_number"], NAMES[flow["contract"]], flow["token"]] += int(flow["amount"])
    assert booked == {
        (loan["block"], loan["pool"], POOLS[loan["pool"]][f"token{number}"]): -(-amount * fee // 10**6) + loan["tip"]
        for loan in STATE["flashes"]
        for fee in [POOLS[loan["pool"]]["fee"]]
        for number, amount in enumerate(loan["amounts"])
        if amount
    }


def test_the_fee_switch_splits_a_flash_loan_too(flows: list[Flow]) -> None:
    """On day 6 the switch of the pool stood at 1/4 for both tokens."""
    parts = {
        (flow["token"], flow["side"]): int(flow["amount"])
        for flow in flows
        if flow["source"] == "flash_loan" and day_number(flow["block_time"]) == 6
    }
    for token in {token for token, _ in parts}:
        assert parts[token, "protocol"] == (parts[token, "protocol"] + parts[token, "supply"]) // 4


def mints_told() -> Counter[int]:
    """By block, what FARM's supply grew by and the developers did not get."""
    told: Counter[int] = Counter()
    for was, now in pairwise(STATE["farm_blocks"]):
        told[now[0]] = (now[1] - was[1]) - (now[3] - was[3])
    return +told


def test_emissions_are_what_the_supply_grew_by_less_what_the_developers_got(flows: list[Flow]) -> None:
    """Exactly, block by block and therefore day by day; from balances, not from logs."""
    booked: Counter[int] = Counter()
    for flow in flows:
        if (flow["kind"], flow["basis"]) == ("incentive", "accrued"):
            assert flow["token"] == STATE["contracts"]["farm_token"]
            booked[flow["block_number"]] += int(flow["amount"])
    assert booked == mints_told()
    assert len(booked) > 100


def test_what_the_chef_still_owes_and_holds_never_exceeds_what_was_booked_for_farmers(flows: list[Flow]) -> None:
    """The chef's balance is what was minted for farmers and not yet paid to them."""
    minted = 0
    booked = [flow for flow in flows if (flow["kind"], flow["basis"]) == ("incentive", "accrued")]
    for day in STATE["days"]:
        upto = sum(int(flow["amount"]) for flow in booked if flow["block_number"] <= day["last_block"])
        assert minted <= upto
        assert 0 <= day["farm"]["chef_balance"] <= upto
        minted = upto


def test_harvests_are_booked_as_paid_and_match_the_tokens_that_moved(flows: list[Flow]) -> None:
    """Each Harvest of the harvester, and beside it a transfer of as much FARM out of its reserve."""
    harvester, farm = STATE["contracts"]["harvester"], STATE["contracts"]["farm_token"]
    booked = Counter(
        (flow["transaction"], int(flow["amount"]))
        for flow in flows
        if (flow["kind"], flow["basis"]) == ("incentive", "paid")
    )
    source = f"0x{int(harvester, 16):064x}"
    moved = [log for log in logs() if log.address == farm and log.topics[:2] == [TRANSFER, source]]
    assert booked == Counter((log.transaction, log.words[0]) for log in moved)
    assert sum(booked.values()) > 20


def test_the_forks_pool_is_the_farms_and_no_other_is(flows: list[Flow]) -> None:
    owners = {(NAMES[flow["contract"]], flow["protocol"]) for flow in flows if flow["contract"] in NAMES}
    assert owners == {(name, "demo_farm" if name == FORK else "demo_dex") for name in POOLS}


def test_every_flow_is_in_the_log_it_names(every: list[Flow]) -> None:
    for flow in every:
        log = BY_PLACE[flow["block_number"], flow["log_index"]]
        assert (log.transaction, log.address, log.day) == (
            flow["transaction"],
            flow["contract"],
            day_number(flow["block_time"]),
        )


def wanted(log: Log) -> bool:
    """Whether a log is a fee or an emission, told by who emitted it and its topics."""
    contracts = STATE["contracts"]
    if log.address in NAMES:
        return log.topics[0] in (SWAP, FLASH, SWEEP)
    to_chef = [TRANSFER, f"0x{0:064x}", f"0x{int(contracts['chef'], 16):064x}"]
    is_mint = log.address == contracts["farm_token"] and log.topics == to_chef
    if log.address in contracts["pairs"].values():
        paid = [TRANSFER, f"0x{0:064x}", f"0x{int(contracts['treasury'], 16):064x}"]
        return log.topics[0] == PAIR_SWAP or log.topics == paid
    if log.address == contracts["staking"]:
        return log.topics[0] in (REWARD_ADDED, REWARD_PAID)
    return is_mint or (log.address == contracts["harvester"] and log.topics[0] == HARVEST)


def pays_nothing(log: Log) -> bool:
    """Whether a wanted log moves less than one raw unit of what counts."""
    if log.topics[0] == TRANSFER:
        return log.words[0] == 0
    if log.topics[0] == PAIR_SWAP:
        return all(word * 3000 < 10**6 for word in log.words[:2])
    tier = POOLS[NAMES[log.address]]["fee"]
    return log.topics[0] == SWAP and all(word * tier < 10**6 for word in log.words[:2] if word < 2**255)


def test_nothing_of_the_noise_is_booked_and_no_fee_is_left_out(every: list[Flow]) -> None:
    """Not booked: transfers, approvals, deposits, positions' events, the developers' mints, switches, creations.

    A swap whose fee rounds to nothing has no flow, nor has a second mint in a block, of nothing.
    """
    booked = {(flow["block_number"], flow["log_index"]) for flow in every}
    known = {place for place, log in BY_PLACE.items() if wanted(log)}
    assert booked <= known
    assert all(pays_nothing(BY_PLACE[place]) for place in known - booked)
    noise = {log.topics[0] for place, log in BY_PLACE.items() if place not in known}
    assert noise >= {TRANSFER, MINT, BURN, SWITCH, CREATED}


def test_the_fifteenth_day_is_read_and_not_closed(demo_url: str) -> None:
    (held,) = ask(demo_url, "SELECT min(last_block) AS last FROM coverage")
    assert held["last"] > STATE["days"][-1]["last_block"]
    (closed,) = ask(demo_url, "SELECT count(DISTINCT day) AS days, max(day)::text AS last FROM yield_daily")
    assert closed == {"days": 14, "last": "2026-01-14"}
