"""The fourteen days: when blocks come, and what happens on which day besides the daily bustle."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.demochain.node import GENESIS

DAY = 86_400
DAYS = 14
QUIET_DAY = 7  # no swaps
FALLOW_DAY = 8  # nothing at the farm


@dataclass(frozen=True, slots=True)
class Switch:
    """setFeeProtocol on a day: mid is in the middle of a block of swaps, first and last are the day's edge blocks."""

    day: int
    pool: str
    values: tuple[int, int]
    at: str = "mid"


SWITCHES = (
    Switch(3, "usdc_weth_500", (10, 10), "first"),
    Switch(4, "fork_usdc_weth_3000", (4, 4), "first"),
    Switch(5, "usdc_weth_3000", (4, 4)),
    Switch(6, "wbtc_weth_3000", (0, 7)),
    Switch(9, "usdc_weth_3000", (6, 10)),
    Switch(12, "wbtc_weth_3000", (0, 0)),
    Switch(12, "usdc_weth_500", (0, 0), "last"),
    Switch(13, "farm_weth_3000", (4, 4)),
    Switch(13, "farm_weth_3000", (0, 0)),
)

# day -> (pool, numerator, denominator of what protocolFees holds)
SWEEPS = {
    8: (("usdc_weth_3000", 1, 1),),
    10: (("usdc_weth_500", 1, 2), ("wbtc_weth_3000", 1, 1)),
    14: (("usdc_weth_3000", 1, 1), ("usdc_weth_500", 1, 1), ("farm_weth_3000", 1, 3)),
}

# day -> (pool, raw amount0, raw amount1, tip)
FLASHES = {
    2: ("farm_weth_3000", 5, 0, 0),
    6: ("usdc_weth_3000", 3, 4, 12345),
    10: ("usdc_weth_500", 0, 9, 0),
}

# day -> (pool, sells token0, share of the depth)
HUGE = {
    2: ("usdc_weth_500", True, 0.8),
    3: ("usdc_weth_500", False, 0.9),
    6: ("usdc_weth_3000", False, 1.2),
    9: ("farm_weth_3000", True, 0.6),
    10: ("wbtc_weth_3000", True, 1.5),
    11: ("usdc_weth_500", True, 1.1),
    13: ("nope_junk_3000", False, 2.0),
}

WEIGHTS = {6: (1, 500, True), 10: (0, 400, False), 12: (1, 0, True)}  # day -> (pid, weight, with update)


def timestamps(rng: Random, day: int) -> list[int]:
    """Block times of a day (1 to 14), rising: odd days begin at midnight sharp, even days end in their last second."""
    start = GENESIS + (day - 1) * DAY
    first = 3600 if day == 1 else 0
    chosen = set(rng.sample(range(first + 1, DAY - 1), rng.randint(72, 96)))
    if day % 2 == 1 and day > 1:
        chosen.add(0)
    if day % 2 == 0:
        chosen.add(DAY - 1)
    return [start + offset for offset in sorted(chosen)]
