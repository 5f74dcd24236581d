"""Uniswap v2: the batch form books what the plain one books, interval by interval and to the raw unit."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from indexer.decode.wide import to_ints
from indexer.families.uniswap_v2 import UniswapV2
from indexer.model import Classified, Context
from tests.families.columns import booked
from tests.families.pair_worlds import (
    FOR_EVER,
    FOREIGN,
    JAR,
    MAKER,
    PAIRS,
    TOKENS,
    TRADER,
    Interval,
    Pair,
    PairWorld,
    Terms,
    mint,
    pair_worlds,
    swap,
    sync,
    traded_plainly,
)
from tests.families.plain import COLLECTED, CUT_OF_SWAP, FEE_IN_SWAP, Log

PAIR = Pair(TOKENS[0], TOKENS[1])
ON = Terms(intervals=(Interval(100, FOR_EVER, JAR),))
DAY_BLOCKS = 7200  # of 12 seconds


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(pair_worlds())
def test_the_batch_form_books_what_the_plain_form_books(world: PairWorld) -> None:
    """Random pairs, terms and intervals, dust, nonsense amounts, mints in a row, and foreign pairs."""
    assert booked(world.classify()) == world.plain()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(pair_worlds())
def test_every_swap_of_a_known_pair_is_kept_once_with_what_it_gave_for_what_it_took(world: PairWorld) -> None:
    found = {
        (contract.tobytes(), block, index): (token0.tobytes(), token1.tobytes(), *amounts)
        for one in world.classify().trades
        for contract, block, index, token0, token1, *amounts in zip(
            one.where.contract,
            one.where.block.tolist(),
            one.where.log_index.tolist(),
            one.token0,
            one.token1,
            *(to_ints(column) for column in (one.in0, one.in1, one.out0, one.out1)),
            strict=True,
        )
    }
    assert found == {
        (log.contract, log.block, log.index): (*world.pairs[log.contract], *traded_plainly(log))
        for log in world.swaps()
    }
    assert sum(len(one.where) for one in world.classify().trades) == len(found)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(pair_worlds())
def test_depth_is_told_of_price_pairs_alone_in_each_days_last_swap(world: PairWorld) -> None:
    """Reserves as last told before it; unknown, not zero, for a pair whose Sync is not read."""
    found = {}
    for one in world.classify().trades:
        contracts = {contract.tobytes() for contract in one.where.contract}
        if one.depth0 is None or one.depth1 is None:
            assert (one.depth0, one.depth1) == (None, None)
            assert contracts.isdisjoint(world.priced)
            continue
        assert contracts <= set(world.priced)
        places = zip(one.where.contract, one.where.block.tolist(), one.where.log_index.tolist(), strict=True)
        for place, depth in zip(places, zip(to_ints(one.depth0), to_ints(one.depth1), strict=True), strict=True):
            found[place[0].tobytes(), place[1], place[2]] = depth
    told = world.depths()
    assert {place: depth for place, depth in found.items() if place in told} == told
    assert not any(any(depth) for place, depth in found.items() if place not in told)


def classified(*logs: Log, terms: Terms = ON, priced: tuple[bytes, ...] = ()) -> Classified:
    return PairWorld({PAIRS[0]: PAIR, PAIRS[1]: PAIR}, list(logs), terms, priced).classify()


def legs(*logs: Log, terms: Terms = ON) -> list[tuple[int, int, int, int]]:
    """(block, log index, leg, amount) of each flow."""
    return [(row[0], row[1], row[5], row[8]) for row in booked(classified(*logs, terms=terms))]


def test_three_tenths_of_a_percent_of_what_comes_in_and_a_sixth_of_it_for_the_protocol() -> None:
    """10^6 in pays 3,000: all to providers at block 99, 2,500 and 500 from block 100 on."""
    assert legs(swap((99, 0), (10**6, 0, 0, 5)), swap((100, 0), (0, 10**6, 5, 0))) == [
        (99, 0, 0, 3000), (100, 0, 2, 2500), (100, 0, 3, 500),
    ]  # fmt: skip


def test_both_ends_of_an_interval_are_included() -> None:
    terms = Terms(intervals=(Interval(100, 102, JAR), Interval(103, 103, MAKER), Interval(105, FOR_EVER, JAR)))
    logs = [swap((block, 0), (10**6, 0, 0, 5)) for block in range(99, 107)]
    cut = {block for block, _, leg, _ in legs(*logs, terms=terms) if leg == 1}
    assert cut == {100, 101, 102, 103, 105, 106}
    logs = [mint((block, 0), 7, to) for block in range(99, 107) for to in (JAR,)]
    assert [row[0] for row in legs(*logs, terms=terms)] == [100, 101, 102, 105, 106]
    logs = [mint((block, 0), 7, MAKER) for block in range(99, 107)]
    assert [row[0] for row in legs(*logs, terms=terms)] == [103]


def test_tokens_that_both_come_in_both_pay() -> None:
    assert legs(swap((1, 0), (10**6, 2 * 10**6, 0, 9))) == [(1, 0, 0, 3000), (1, 0, 2, 6000)]


def test_a_flash_swap_pays_its_fee_on_all_it_brings_back_and_trades_nothing() -> None:
    """1,000,000 borrowed and 1,003,010 of the same token brought back: the contract charges 0.3 % of the latter."""
    made = classified(swap((1, 0), (1_003_010, 0, 10**6, 0)))
    assert [(row[4], row[8]) for row in booked(made)] == [(FEE_IN_SWAP, 3009)]
    (trades,) = made.trades
    assert [to_ints(side) for side in (trades.in0, trades.in1, trades.out0, trades.out1)] == [[0], [0], [0], [0]]


@pytest.mark.parametrize(
    ("amounts", "net"),
    [
        ((1000, 0, 0, 500), (1000, 0, 0, 500)),
        ((0, 1000, 500, 0), (0, 1000, 500, 0)),
        ((1000, 5, 0, 500), (1000, 0, 0, 495)),
        ((1000, 700, 200, 0), (0, 0, 0, 0)),
        ((1000, 0, 200, 500), (800, 0, 0, 500)),
        ((200, 1000, 500, 0), (0, 1000, 300, 0)),
        ((2**256 - 1, 0, 2**256 - 2, 1), (1, 0, 0, 1)),
        ((0, 0, 0, 0), (0, 0, 0, 0)),
    ],
)
def test_trades_are_netted_token_by_token(amounts: tuple[int, ...], net: tuple[int, ...]) -> None:
    (trades,) = classified(swap((1, 0), amounts)).trades
    sides = (trades.in0, trades.in1, trades.out0, trades.out1)
    assert tuple(to_ints(side)[0] for side in sides) == net == traded_plainly(swap((1, 0), amounts))


def test_dust_pays_nothing_and_the_protocol_nothing_below_its_share() -> None:
    """333 x 3,000 / 10^6 is below one; 1,999 pays 5, a sixth of which is none."""
    assert legs(swap((100, 0), (333, 0, 0, 1)), swap((100, 1), (1999, 0, 0, 1))) == [(100, 1, 0, 5)]


def test_a_fork_charges_and_shares_as_its_options_say() -> None:
    """PancakeSwap v2: 0.25 %, of which 8/25 are the protocol's."""
    terms = Terms(2500, (8, 25), (Interval(0, FOR_EVER, JAR),))
    assert legs(swap((1, 0), (10**6, 0, 0, 5)), terms=terms) == [(1, 0, 0, 1700), (1, 0, 1, 800)]


def test_lp_tokens_minted_to_the_recipient_are_paid_in_lp_tokens() -> None:
    (row,) = booked(classified(mint((100, 3), 2**256 - 1)))
    assert row[4:] == (COLLECTED, 4, PAIRS[0], PAIRS[0], 2**256 - 1)


@pytest.mark.parametrize(
    "log",
    [
        mint((99, 0), 5),
        mint((100, 0), 5, TRADER),
        mint((100, 0), 5, MAKER),
        mint((100, 0), 0),
        mint((100, 0), 5, contract=FOREIGN[0]),
        Log("Transfer", PAIRS[0], 100, 0, {"from": TRADER, "to": JAR, "value": 5}),
        Log("Transfer", PAIRS[0], 100, 0, {"from": JAR, "to": bytes(20), "value": 5}),
    ],
    ids=["before", "to a provider", "to another", "nothing", "of another token", "a gift", "redeemed"],
)
def test_what_is_no_fee_of_ours_is_not_paid(log: Log) -> None:
    assert legs(log) == []


def test_what_the_recipient_deposits_itself_is_no_fee() -> None:
    """`mint(to = feeTo)` mints the fee first and the deposit directly after it."""
    assert legs(mint((100, 0), 5), mint((100, 1), 1000)) == [(100, 0, 4, 5)]
    assert legs(mint((100, 0), 5), mint((100, 1), 7, contract=PAIRS[1])) == [(100, 0, 4, 5), (100, 1, 4, 7)]
    assert legs(mint((100, 0), 5), mint((100, 2), 7)) == [(100, 0, 4, 5), (100, 2, 4, 7)]
    assert legs(mint((100, 0), 5), mint((101, 1), 7)) == [(100, 0, 4, 5), (101, 1, 4, 7)]


def test_a_transfer_of_nothing_before_it_hides_no_fee() -> None:
    """Anyone may call transferFrom(0, feeTo, 0), whose log looks like a mint of nothing."""
    assert legs(mint((100, 0), 0), mint((100, 1), 5)) == [(100, 1, 4, 5)]


def test_the_switch_off_for_ever_shares_nothing_and_is_the_default() -> None:
    made = booked(classified(swap((10**9, 0), (10**6, 0, 0, 5)), mint((10**9, 1), 7), terms=Terms()))
    assert [(row[4], row[8]) for row in made] == [(FEE_IN_SWAP, 3000)]


def test_amounts_up_to_the_largest_do_not_overflow() -> None:
    fee = (2**256 - 1) * 3000 // 10**6
    assert legs(swap((100, 0), (2**256 - 1, 0, 0, 1))) == [(100, 0, 0, fee - fee // 6), (100, 0, 1, fee // 6)]


def test_depth_is_what_the_last_sync_before_the_days_last_swap_told() -> None:
    """A later Sync of the day, by a deposit, is not what stood behind the last trade."""
    logs = [
        sync((1, 0), (10, 20)), swap((1, 1), (1000, 0, 0, 9)), sync((2, 0), (30, 40)), swap((2, 1), (1000, 0, 0, 9)),
        sync((3, 0), (50, 60)), sync((4, 0), (7, 8), PAIRS[1]),
        sync((DAY_BLOCKS, 0), (70, 80)), swap((DAY_BLOCKS, 1), (1000, 0, 0, 9)),
    ]  # fmt: skip
    (trades,) = classified(*logs, priced=(PAIRS[0],)).trades
    assert trades.depth0 is not None
    assert trades.depth1 is not None
    assert (to_ints(trades.depth0), to_ints(trades.depth1)) == ([0, 30, 70], [0, 40, 80])


def test_the_depth_of_other_pairs_is_unknown() -> None:
    logs = [swap((1, 0), (1000, 0, 0, 9)), sync((2, 0), (1, 2), PAIRS[1]), swap((2, 1), (1000, 0, 0, 9), PAIRS[1])]
    known, unknown = classified(*logs, priced=(PAIRS[1],)).trades
    assert known.depth0 is not None
    assert known.where.contract[0].tobytes() == PAIRS[1]
    assert (unknown.depth0, unknown.depth1) == (None, None)
    assert unknown.where.contract[0].tobytes() == PAIRS[0]


def test_a_price_pair_that_told_no_reserves_has_no_depth_that_is_proven() -> None:
    (trades,) = classified(swap((1, 0), (1000, 0, 0, 9)), priced=(PAIRS[0],)).trades
    assert trades.depth0 is not None
    assert to_ints(trades.depth0) == [0]


def test_without_logs_there_is_nothing() -> None:
    contracts = {"factory": (bytes(20),), "pairs": (), "price_pairs": ()}
    assert UniswapV2().classify(contracts, {}, Context()) == Classified([], [])


def test_foreign_pairs_alone_make_nothing() -> None:
    made = classified(swap((1, 0), (10**6, 0, 0, 1), FOREIGN[0]), swap((1, 1), (10**6, 0, 0, 1), FOREIGN[1]))
    assert (booked(made), list(made.trades)) == ([], [])


def test_the_cut_is_labelled_as_the_protocols() -> None:
    rows = booked(classified(swap((100, 0), (10**6, 0, 0, 5))))
    assert [row[4] for row in rows] == [FEE_IN_SWAP, CUT_OF_SWAP]
