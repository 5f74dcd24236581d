"""Trades summed per pool and day: what range_trade holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexer.decode import wide
from indexer.model import Trades

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class TradeDay:
    """Trades of one pool on one day (days since 1970): raw sums of what came in and went out, and the depth after them.

    depth0, depth1: raw units, None where the family cannot know.
    """

    day: int
    pool: bytes
    token0: bytes
    token1: bytes
    swaps: int
    in0: int
    in1: int
    out0: int
    out1: int
    close_block: int
    close_log_index: int
    depth0: int | None
    depth1: int | None


def trade_days(batches: Sequence[Trades]) -> list[TradeDay]:
    """One TradeDay per pool and day of a deployment's trades in a range."""
    return [day for trades in batches if len(trades.where) for day in _trade_days(trades)]


def _trade_days(trades: Trades) -> list[TradeDay]:
    where = trades.where
    group = (where.time // _DAY) * len(where.emitters) + where.emitter
    numbers, last, member, count = _groups(group)
    amounts = (trades.in0, trades.in1, trades.out0, trades.out1)
    in0, in1, out0, out1 = (wide.sum_by_group(amount, member, len(numbers)) for amount in amounts)
    depth0, depth1 = (
        [None] * len(last) if depth is None else wide.to_ints(depth[last]) for depth in (trades.depth0, trades.depth1)
    )
    pools = where.contract[last]
    return [
        TradeDay(
            number // len(where.emitters),
            pools[at].tobytes(),
            trades.token0[last[at]].tobytes(),
            trades.token1[last[at]].tobytes(),
            count[at],
            in0[at],
            in1[at],
            out0[at],
            out1[at],
            int(where.block[last[at]]),
            int(where.log_index[last[at]]),
            depth0[at],
            depth1[at],
        )
        for at, number in enumerate(numbers)
    ]


def _groups(group: np.ndarray) -> tuple[list[int], np.ndarray, np.ndarray, list[int]]:
    """Group numbers, the last row of each (rows are in chain order), each row's group by position, and sizes."""
    numbers, first_from_end, member, count = np.unique(
        group[::-1], return_index=True, return_inverse=True, return_counts=True
    )
    return numbers.tolist(), len(group) - 1 - first_from_end, member[::-1].astype(np.int64), count.tolist()
