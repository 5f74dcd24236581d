"""Uniswap v3: the batch form books what the plain one books, switch by switch and to the raw unit."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from indexer.decode.wide import to_ints
from indexer.families.uniswap_v3 import SHARE
from indexer.model import Classified, Context
from tests.families.columns import batches, booked, expected, time_of, transaction_of
from tests.families.plain import COLLECTED, CUT_OF_SWAP, Change, Log, Pool, reserves, switch_at, uniswap_v3
from tests.families.worlds import (
    CONTRACTS,
    FAMILY,
    FOREIGN,
    POOLS,
    SENDER,
    SIGNATURES,
    SWITCHED,
    TOKENS,
    World,
    changes_of,
    worlds,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_the_batch_form_books_what_the_plain_form_books(world: World) -> None:
    """Random pools and tiers, switches as of (block, log index), dust, nonsense amounts, and foreign pools."""
    assert booked(world.classify()) == world.plain()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_what_came_in_and_went_out_of_a_known_pool_is_kept(world: World) -> None:
    found = [
        (block, index, token0.tobytes(), token1.tobytes(), *amounts)
        for one in world.classify().trades
        for block, index, token0, token1, *amounts in zip(
            one.where.block.tolist(),
            one.where.log_index.tolist(),
            one.token0,
            one.token1,
            *(to_ints(column) for column in (one.in0, one.in1, one.out0, one.out1)),
            strict=True,
        )
    ]
    wanted = [
        (
            log.block,
            log.index,
            world.pools[log.contract].token0,
            world.pools[log.contract].token1,
            *(max(0, log.number(name)) for name in ("amount0", "amount1")),
            *(max(0, -log.number(name)) for name in ("amount0", "amount1")),
        )
        for log in world.logs
        if log.event == "Swap" and log.contract in world.pools
    ]
    assert found == sorted(wanted)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_depth_is_told_in_the_last_swap_of_each_pools_day(world: World) -> None:
    """Zero elsewhere, so that a day's depth is never one of an earlier hour."""
    swaps = sorted(
        (log for log in world.logs if log.event == "Swap" and log.contract in world.pools),
        key=lambda log: (log.block, log.index),
    )
    last = {(log.contract, time_of(log.block) // 86_400): log for log in swaps}
    wanted = [reserves(log, world.pools[log.contract]) if log in last.values() else (0, 0) for log in swaps]
    found = []
    for one in world.classify().trades:
        assert one.depth0 is not None
        assert one.depth1 is not None
        found += zip(to_ints(one.depth0), to_ints(one.depth1), strict=True)
    assert found == wanted


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_steps_are_the_changes_that_the_logs_tell(world: World) -> None:
    steps = FAMILY.steps(batches(world.logs, SIGNATURES))
    assert all(step.name == SHARE for step in steps)
    told = [(step.contract, step.block, step.log_index, step.values, step.tx_hash) for step in steps]
    logs = [log for log in world.logs if log.event == "SetFeeProtocol"]
    wanted = [(*change, transaction_of(log)) for change, log in zip(changes_of(world.logs), logs, strict=True)]
    assert told == sorted(wanted, key=lambda row: (row[1], row[2]))


def swap(place: tuple[int, int], amount0: int, amount1: int, contract: bytes = POOLS[0]) -> Log:
    args = SENDER | {"amount0": amount0, "amount1": amount1, "sqrtPriceX96": 2**96, "liquidity": 1, "tick": 0}
    return Log("Swap", contract, *place, args)


def switch(place: tuple[int, int], denominators: tuple[int, int]) -> Log:
    return Log("SetFeeProtocol", POOLS[0], *place, dict(zip(SWITCHED, (0, 0, *denominators), strict=True)))


POOL = Pool(TOKENS[0], TOKENS[1], 3000)


def amounts(*logs: Log) -> list[tuple[int, int, int]]:
    """(log index, leg, amount) of each flow in POOL."""
    made = World({POOLS[0]: POOL}, list(logs), changes_of(logs)).classify()
    return [(row[1], row[5], row[8]) for row in booked(made)]


def test_switches_in_one_block_hold_for_the_swaps_after_each() -> None:
    """10^6 in pays 3000: all to providers, then a quarter to the protocol, then a tenth, then nothing."""
    logs = [
        swap((7, 0), 10**6, -1), switch((7, 1), (4, 0)), swap((7, 2), 10**6, -1), switch((7, 3), (10, 4)),
        swap((7, 4), 10**6, -1), switch((7, 5), (0, 4)), swap((7, 6), 10**6, -1), swap((7, 7), -1, 10**6),
    ]  # fmt: skip
    assert amounts(*logs) == [
        (0, 0, 3000), (2, 0, 2250), (2, 1, 750), (4, 0, 2700), (4, 1, 300), (6, 0, 3000), (7, 2, 2250), (7, 3, 750),
    ]  # fmt: skip


def test_dust_pays_nothing_and_the_protocol_nothing_below_its_denominator() -> None:
    """333 x 3000 / 10^6 is below one; 1,333 pays 3, of which a quarter is none."""
    assert amounts(switch((1, 0), (4, 4)), swap((1, 1), 333, -5), swap((1, 2), 1333, 0)) == [(2, 0, 3)]


def test_both_sides_positive_both_pay() -> None:
    assert amounts(swap((1, 0), 10**6, 2 * 10**6)) == [(0, 0, 3000), (0, 2, 6000)]


def test_amounts_at_the_ends_of_int256_neither_overflow_nor_pay_when_negative() -> None:
    assert amounts(swap((1, 0), 2**255 - 1, -(2**255))) == [(0, 0, (2**255 - 1) * 3000 // 10**6)]


def test_without_logs_there_is_nothing() -> None:
    assert FAMILY.classify(CONTRACTS, {}, Context()) == Classified([], [])


def test_a_batch_of_foreign_pools_alone_makes_nothing() -> None:
    made = World({}, [swap((1, 0), 10**6, -1, FOREIGN[0]), swap((1, 1), 10**6, -1, FOREIGN[1])], []).classify()
    assert (booked(made), list(made.trades)) == ([], [])


def test_collecting_is_paid_never_accrued() -> None:
    log = Log("CollectProtocol", POOLS[0], 1, 0, SENDER | {"amount0": 2**128 - 1, "amount1": 0})
    made = World({POOLS[0]: POOL}, [log], []).classify()
    assert booked(made) == expected([(log, uniswap_v3(log, {POOLS[0]: POOL}, []))])
    assert [(flows.label, flows.leg) for flows in made.flows] == [(COLLECTED, 1)]


def test_the_plain_form_takes_the_switch_from_the_logs_before() -> None:
    changes = [Change(POOLS[0], 5, 3, (4, 6)), Change(POOLS[0], 5, 1, (0, 9)), Change(POOLS[1], 4, 0, (7, 7))]
    asked = [switch_at(swap(place, 0, 0), changes) for place in ((5, 0), (5, 2), (5, 4), (9, 0))]
    assert asked == [(0, 0), (0, 9), (4, 6), (4, 6)]


def test_made_up_logs_carry_their_time_and_transaction() -> None:
    """What the property test compares is not the same everywhere."""
    rows = booked(World({POOLS[0]: POOL}, [swap((1, 0), 10**6, -1), swap((2, 0), 10**6, -1)], []).classify())
    assert len({row[2] for row in rows}) == 2
    assert [row[3] for row in rows] == [time_of(1), time_of(2)]
    assert CUT_OF_SWAP not in {row[4] for row in rows}
