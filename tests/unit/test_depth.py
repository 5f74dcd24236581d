"""What provably stands behind a pool's price: against square roots of a hundred digits, and what must hold of any pool."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.families.depth import closing_rows, in_reach, sqrt_ratio
from indexer.model import Where

DIGITS = 120
EDGE = 887_272
DAY = 86_400


def exact(tick: int) -> Decimal:
    """sqrt(1.0001^tick) x 2^96, to a hundred digits."""
    with localcontext() as context:
        context.prec = DIGITS
        return (Decimal("1.0001") ** tick).sqrt() * 2**96


def rounding(root: Decimal) -> Decimal:
    """By how many units of 2^-96 the contract may miss a root: 20 factors of 128 bits, inverted above one."""
    return 2 + 32 * root * root / 2**32


# Known ends: TickMath.MIN_SQRT_RATIO and MAX_SQRT_RATIO of Uniswap/v3-core, contracts/libraries/TickMath.sol.
@pytest.mark.parametrize(
    ("tick", "ratio"),
    [(0, 2**96), (-EDGE, 4295128739), (EDGE, 1461446703485210103287273052203988822378723970342)],
)
def test_the_known_ratios(tick: int, ratio: int) -> None:
    assert sqrt_ratio(tick) == ratio


@given(st.integers(-EDGE, EDGE))
def test_a_ratio_is_the_square_root_of_its_price(tick: int) -> None:
    with localcontext() as context:
        context.prec = DIGITS
        wanted = exact(tick)
        assert abs(sqrt_ratio(tick) - wanted) <= rounding(wanted / 2**96)


@given(st.integers(-EDGE, EDGE - 1))
def test_a_higher_tick_is_a_higher_price(tick: int) -> None:
    assert sqrt_ratio(tick) < sqrt_ratio(tick + 1)


Pool = st.tuples(
    st.integers(0, 2**128 - 1),
    st.integers(-EDGE, EDGE - 1),
    st.integers(1, 16_383),
    st.integers(0, 10**6),
)


@given(Pool)
def test_reach_is_what_the_liquidity_holds_within_its_tick_spacing(pool: tuple[int, int, int, int]) -> None:
    """L (1/s - 1/b) of token0 and L (s - a) of token1 between the root price s and the ends a and b."""
    liquidity, tick, spacing, part = pool
    with localcontext() as context:
        context.prec = DIGITS
        price = sqrt_ratio(tick) + (sqrt_ratio(tick + 1) - sqrt_ratio(tick)) * part // (10**6 + 1)
        start = tick - tick % spacing
        low, high = (exact(max(start, -EDGE)) / 2**96, exact(min(start + spacing, EDGE)) / 2**96)
        root = Decimal(price) / 2**96
        wanted = liquidity * (1 / root - 1 / high), liquidity * (root - low)
        # The far end's rounding, and a raw unit of the token.
        slack0 = 1 + liquidity * rounding(high) / (high * root * 2**96)
        slack1 = 1 + liquidity * rounding(low) / 2**96
    amount0, amount1 = in_reach(liquidity, price, tick, spacing)
    assert abs(amount0 - wanted[0]) <= slack0
    assert abs(amount1 - wanted[1]) <= slack1


@given(Pool, st.integers(0, 2**160 - 1))
def test_reach_is_never_below_zero_nor_more_than_the_whole_spacing_holds(
    pool: tuple[int, int, int, int], price: int
) -> None:
    """Also where a log's price does not fit its tick, as only a pool that is not one of ours could say."""
    liquidity, tick, spacing, _ = pool
    start = tick - tick % spacing
    low, high = sqrt_ratio(max(start, -EDGE)), sqrt_ratio(min(start + spacing, EDGE))
    amount0, amount1 = in_reach(liquidity, price, tick, spacing)
    assert 0 <= amount0 <= liquidity * 2**96 * (high - low) // (high * low)
    assert 0 <= amount1 <= liquidity * (high - low) // 2**96


@given(Pool, st.integers(2, 20))
def test_a_wider_spacing_reaches_further(pool: tuple[int, int, int, int], times: int) -> None:
    """Ends of a multiple of the spacing are ends of the spacing, too."""
    liquidity, tick, spacing, _ = pool
    price = sqrt_ratio(tick)
    near, far = in_reach(liquidity, price, tick, spacing), in_reach(liquidity, price, tick, spacing * times)
    assert near[0] <= far[0]
    assert near[1] <= far[1]


@given(Pool)
def test_twice_the_liquidity_reaches_twice_as_much(pool: tuple[int, int, int, int]) -> None:
    liquidity, tick, spacing, _ = pool
    price = sqrt_ratio(tick)
    once, twice = in_reach(liquidity, price, tick, spacing), in_reach(2 * liquidity, price, tick, spacing)
    assert all(0 <= twice[side] - 2 * once[side] <= 1 for side in (0, 1))


def test_a_pool_at_par_by_hand() -> None:
    """10^18 of liquidity at price 1, spacing 60: sqrt(1.0001^60) = 1.003004354... upwards, nothing below.

    token0: 10^18 x (1 - 1/1.0030043540627419256...) = 2,995,354,955,910,780.9; token1: none at the lower end.
    """
    amount0, amount1 = in_reach(10**18, 2**96, 0, 60)
    assert (amount0, amount1) == (2_995_354_955_910_780, 0)
    assert in_reach(10**18, 2**96, -1, 60) == (0, amount0), "the same way down, seen from the tick below"


# ---------------------------------------------------------------- the last row of each contract and day


def placed(rows: list[tuple[int, int]], emitters: int) -> Where:
    """Rows of (seconds, emitter) in the order given."""
    count = len(rows)
    numbers = np.arange(count, dtype=np.int64)
    times, who = (np.array([row[at] for row in rows], np.int64) for at in (0, 1))
    return Where(numbers, times, numbers, np.zeros((count, 32), np.uint8), who, np.zeros((emitters, 20), np.uint8))


Rows = st.lists(st.tuples(st.integers(0, 3 * DAY), st.integers(0, 3)), max_size=30)


@given(Rows)
def test_closing_rows_are_the_last_of_each_contract_and_day(rows: list[tuple[int, int]]) -> None:
    ordered = sorted(rows, key=lambda row: row[0])
    last = {(time // DAY, who): number for number, (time, who) in enumerate(ordered)}
    assert sorted(closing_rows(placed(ordered, 4)).tolist()) == sorted(last.values())


def test_midnight_begins_a_day() -> None:
    rows = [(DAY - 1, 0), (DAY, 0), (DAY, 1), (2 * DAY - 1, 0)]
    assert sorted(closing_rows(placed(rows, 2)).tolist()) == [0, 2, 3]


def test_without_rows_there_are_none() -> None:
    assert closing_rows(placed([], 0)).tolist() == []
