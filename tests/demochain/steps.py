"""How many steps a swap took, from the prices around it and the initialised ticks: the tolerance of log-derived fees.

A step ends at an initialised tick, at a word boundary of the tick bitmap, or at the final price; the pool rounds its
fee up once a step (UniswapV3Pool.swap, TickBitmap.nextInitializedTickWithinOneWord). The count is exact, except that a
swap which ends exactly on a tick's price may have taken one more step than its price shows: that one is counted.
"""

from __future__ import annotations

from functools import cache

# TickMath.getSqrtRatioAtTick: 2**128 / 1.0001**(2**bit / 2) for each bit of the tick.
FACTORS = (
    0xFFFCB933BD6FAD37AA2D162D1A594001, 0xFFF97272373D413259A46990580E213A, 0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0, 0xFFCB9843D60F6159C9DB58835C926644, 0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861, 0xFE5DEE046A99A2A811C461F1969C3053, 0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54, 0xF3392B0822B70005940C7A398E4B70F3, 0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825, 0xA9F746462D870FDF8A65DC1F90E061E5, 0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6, 0x9AA508B5B7A84E1C677DE54F3E99BC9, 0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98, 0x48A170391F7DC42444E8FA2,
)  # fmt: skip
EDGE = 887272


@cache
def sqrt_price_at(tick: int) -> int:
    """Q64.96 square root price of a tick, as TickMath.getSqrtRatioAtTick rounds it."""
    ratio = 1 << 128
    for bit, factor in enumerate(FACTORS):
        if abs(tick) >> bit & 1:
            ratio = ratio * factor >> 128
    if tick > 0:
        ratio = (2**256 - 1) // ratio
    return (ratio >> 32) + (ratio % (1 << 32) != 0)


def next_tick(tick: int, spacing: int, ticks: frozenset[int], down: bool) -> int:
    """The next initialised tick within the word, or the word's edge (TickBitmap.nextInitializedTickWithinOneWord)."""
    place = tick // spacing
    if down:
        low = place // 256 * 256
        found = next((p for p in range(place, low, -1) if p * spacing in ticks), low)
    else:
        high = (place + 1) // 256 * 256 + 255
        found = next((p for p in range(place + 1, high) if p * spacing in ticks), high)
    return max(-EDGE, min(EDGE, found * spacing))


def count_steps(tick: int, end: int, down: bool, spacing: int, ticks: frozenset[int]) -> int:
    """Steps of a swap that starts at slot0.tick and ends at a Q64.96 price, down when token0 is sold."""
    steps = 0
    while True:
        ahead = next_tick(tick, spacing, ticks, down)
        edge = sqrt_price_at(ahead)
        steps += 1
        if (end > edge) if down else (end < edge):
            return steps
        if end == edge:
            return steps + 1
        tick = ahead - 1 if down else ahead
