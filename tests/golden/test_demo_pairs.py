"""The demo's pairs (Uniswap v2) against what the contracts said: fees by the invariant, shares minted to the treasury."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import cache
from math import isqrt
from typing import Any

import pytest

from tests.golden.demo import ask, day_number
from tests.golden.recorded import TRANSFER, logs, state

STATE = state()
PAIRS: dict[str, str] = STATE["contracts"]["pairs"]
NAMES = {address: name for name, address in PAIRS.items()}
TREASURY = f"0x{int(STATE['contracts']['treasury'], 16):064x}"
NOBODY = f"0x{0:064x}"
SWAP = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
MINT = "0x4c209b5fc8ad50758f13e2e1088ba56a560dff690a1c6fef26394f4c03821c4f"
BURN = "0xdccd412f0b1252819cb1fd330b93224ca42612892bb3f4f789976e6d81936496"
SYNC = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
FIRST, AFTER = STATE["fee_to"]  # blocks in which the switch was turned on and off


@pytest.fixture(scope="module")
def flows(demo_url: str) -> list[dict[str, Any]]:
    return ask(
        demo_url,
        "SELECT block_number, block_time, log_index, side::text, basis::text, kind::text, source::text, amount,"
        " '0x' || encode(contract, 'hex') AS pair, '0x' || encode(token, 'hex') AS token"
        " FROM flow WHERE protocol = 'demo_pairs'",
    )


@cache
def fees_told() -> dict[tuple[int, int, str, int], int]:
    """By block, log, pair and token number: 0.3 % of what came in, rounded down."""
    return {
        (log.block, log.index, log.address, number): log.words[number] * 3000 // 10**6
        for log in logs()
        if log.address in NAMES and log.topics[0] == SWAP
        for number in (0, 1)
        if log.words[number] * 3000 // 10**6
    }


@cache
def tokens(pair: str) -> list[str]:
    """Token addresses of a pair, in the order of their addresses."""
    one, other = {"pair_usdc_weth": ("usdc", "weth"), "pair_farm_weth": ("farm", "weth")}[NAMES[pair]]
    named = STATE["contracts"]["tokens"]
    return sorted((named[one], named[other]))


def test_every_swap_pays_three_per_mille_and_the_sixth_is_the_protocols_while_the_switch_is_on(
    flows: list[dict[str, Any]],
) -> None:
    booked: Counter[tuple[int, int, str, int, str]] = Counter()
    for flow in flows:
        if flow["basis"] == "accrued":
            number = tokens(flow["pair"]).index(flow["token"])
            booked[flow["block_number"], flow["log_index"], flow["pair"], number, flow["side"]] += int(flow["amount"])
    expected: Counter[tuple[int, int, str, int, str]] = Counter()
    for (block, index, pair, number), fee in fees_told().items():
        cut = fee // 6 if FIRST <= block < AFTER else 0
        expected[block, index, pair, number, "protocol"] += cut
        expected[block, index, pair, number, "supply"] += fee - cut
    assert booked == +expected
    assert {side for *_, side in booked} == {"supply", "protocol"}
    assert len(booked) > 500


def test_fees_are_what_the_invariant_grew_by() -> None:
    """Without donations sqrt(k) grows by the fees alone: what is told as fee makes each swap's k whole again.

    UniswapV2Pair.swap: (1000 x balance - 3 x in) of both tokens multiplied must not be below k x 10^6.
    """
    reserves: dict[str, list[int]] = {}
    before: dict[str, list[int]] = {}
    close = 0
    for log in logs():
        if log.address not in NAMES:
            continue
        if log.topics[0] == SYNC:
            before[log.address] = reserves.get(log.address, [0, 0])
            reserves[log.address] = log.words[:2]
        elif log.topics[0] == SWAP:
            was, now = before[log.address], reserves[log.address]
            fees = [amount * 3000 // 10**6 for amount in log.words[:2]]
            without = (now[0] - fees[0]) * (now[1] - fees[1])
            assert without >= was[0] * was[1] - now[0] - now[1]  # a unit of rounding in each
            close += without <= was[0] * was[1] + 2 * (now[0] + now[1])
    assert close > 300  # most traders took all they could: for them the fee is exact to the unit


def test_shares_minted_to_the_treasury_are_booked_as_paid_and_are_what_it_holds(flows: list[dict[str, Any]]) -> None:
    paid: Counter[tuple[int, str]] = Counter()
    for flow in flows:
        if flow["basis"] == "paid":
            assert (flow["kind"], flow["side"], flow["token"]) == ("fee", "protocol", flow["pair"])
            paid[day_number(flow["block_time"]), NAMES[flow["pair"]]] += int(flow["amount"])
    for day in STATE["days"]:
        for name, pair in day["pairs"].items():
            upto = sum(amount for (number, of), amount in paid.items() if of == name and number <= day["day"])
            assert upto == pair["fee_to_shares"], (day["day"], name)
    assert len({name for _, name in paid}) == 2


def test_what_was_minted_to_the_treasury_is_the_sixth_of_the_growth() -> None:
    """UniswapV2Pair._mintFee by its own formula, from the contract's k and supply at each change of liquidity."""
    supply: Counter[str] = Counter()
    reserves: dict[str, list[int]] = {}
    k_last: dict[str, int] = dict.fromkeys(NAMES, 0)
    found = 0
    for log in logs():
        if log.address not in NAMES:
            continue
        if log.topics[0] == TRANSFER and NOBODY in log.topics[1:]:
            minted = log.topics[1] == NOBODY
            if minted and log.topics[2] == TREASURY:
                root, last = isqrt(reserves[log.address][0] * reserves[log.address][1]), isqrt(k_last[log.address])
                assert log.words[0] == supply[log.address] * (root - last) // (root * 5 + last)
                found += 1
            supply[log.address] += log.words[0] if minted else -log.words[0]
            if minted and log.topics[2] == NOBODY:  # the shares that are locked for ever count in the supply
                continue
        elif log.topics[0] == SYNC:
            reserves[log.address] = log.words[:2]
        elif log.topics[0] in (MINT, BURN):
            on = FIRST <= log.block < AFTER
            k_last[log.address] = reserves[log.address][0] * reserves[log.address][1] if on else 0
    assert found > 10
    for name, pair in STATE["days"][-1]["pairs"].items():
        assert (supply[PAIRS[name]], reserves[PAIRS[name]]) == (pair["total_supply"], pair["reserves"])


def test_what_is_allotted_and_what_is_paid_agree_in_value(flows: list[dict[str, Any]]) -> None:
    """Over the switch's days the protocol's sixths are worth what its shares are, but for the traders' gifts."""
    for name, pair in STATE["days"][10]["pairs"].items():
        shares = Fraction(pair["fee_to_shares"], pair["total_supply"])
        reserves = dict(zip(tokens(PAIRS[name]), pair["reserves"], strict=True))
        allotted: Counter[str] = Counter()
        for flow in flows:
            if (flow["pair"], flow["side"], flow["basis"]) == (PAIRS[name], "protocol", "accrued"):
                allotted[flow["token"]] += int(flow["amount"])
        worth = sum(
            Fraction(allotted[token], reserve) for token, reserve in reserves.items()
        )  # in reserves, both sides
        assert Fraction(8, 10) < worth / (2 * shares) < Fraction(12, 10), (name, float(worth / (2 * shares)))


def test_a_pairs_price_and_depth_are_its_own_where_its_reserves_are_read(demo_url: str) -> None:
    """Only the pair whose Sync is asked for knows its depth; it is the contract's reserves of that day's last swap."""
    found = ask(
        demo_url,
        "SELECT day - date '2025-12-31' AS day, '0x' || encode(pool, 'hex') AS pair, depth0, depth1"
        " FROM trade_daily WHERE deployment LIKE 'demo_pairs.%'",
    )
    assert all(row["depth0"] is None for row in found if NAMES[row["pair"]] == "pair_usdc_weth")
    depths = {row["day"]: [row["depth0"], row["depth1"]] for row in found if NAMES[row["pair"]] == "pair_farm_weth"}
    assert depths.keys() == set(range(1, 15)) - {7}
    last: dict[int, list[int]] = {}
    held: list[int] = []
    for log in logs():
        if log.address == PAIRS["pair_farm_weth"]:
            held = log.words[:2] if log.topics[0] == SYNC else held
            if log.topics[0] == SWAP:
                last[log.day] = held
    assert depths == last
