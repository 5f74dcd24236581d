"""How much of a pool provably stands behind its price."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from indexer.model import Ints, Where

_DAY = 86_400
_Q96 = 1 << 96
# Uniswap/v3-core, contracts/libraries/TickMath.sol: 2^128 / sqrt(1.0001)^(2^i) for each bit i of a tick.
_RATIOS = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)
_MAX_TICK = 887_272


def closing_rows(where: Where) -> Ints:
    """The last row of each contract and UTC day; rows are in chain order."""
    group = (where.time // _DAY) * max(len(where.emitters), 1) + where.emitter
    _, from_end = np.unique(group[::-1], return_index=True)
    rows: Ints = len(group) - 1 - from_end
    return rows


def in_reach(liquidity: int, sqrt_price: int, tick: int, spacing: int) -> tuple[int, int]:
    """Raw units of token0 and token1 between the price and the ends of its tick spacing, where L cannot change.

    sqrt_price: Q64.96. Uniswap/v3-core, contracts/libraries/SqrtPriceMath.sol, rounded down.
    """
    lower = tick // spacing * spacing
    below, above = sqrt_ratio(max(lower, -_MAX_TICK)), sqrt_ratio(min(lower + spacing, _MAX_TICK))
    price = min(max(sqrt_price, below), above)
    return liquidity * _Q96 * (above - price) // (above * price), liquidity * (price - below) // _Q96


@lru_cache(1 << 12)  # a pool seldom leaves its tick spacing from one range to the next
def sqrt_ratio(tick: int) -> int:
    """sqrt(1.0001^tick) as Q64.96, as TickMath.getSqrtRatioAtTick gives it. tick: at most 887,272 either way."""
    ratio = 1 << 128
    for bit, factor in enumerate(_RATIOS):
        if abs(tick) >> bit & 1:
            ratio = ratio * factor >> 128
    if tick > 0:
        ratio = ((1 << 256) - 1) // ratio
    return (ratio >> 32) + (ratio % (1 << 32) > 0)
