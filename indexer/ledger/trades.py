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
    """Trades of one pool on one day (days since 1970): raw sums of both sides and the state after the last swap."""

    day: int
    pool: bytes
    token0: bytes
    token1: bytes
    swaps: int
    amount0: int
    amount1: int
    close_block: int
    close_log_index: int
    close_sqrt_price: int
    close_liquidity: int


def trade_days(batches: Sequence[Trades]) -> list[TradeDay]:
    """One TradeDay per pool and day of a deployment's trades in a range."""
    return [day for trades in batches if len(trades.where) for day in _trade_days(trades)]


def _trade_days(trades: Trades) -> list[TradeDay]:
    where = trades.where
    group = (where.time // _DAY) * len(where.emitters) + where.emitter
    numbers, last, member, count = _groups(group)
    amount0 = wide.sum_by_group(trades.amount0, member, len(numbers))
    amount1 = wide.sum_by_group(trades.amount1, member, len(numbers))
    price, liquidity = wide.to_ints(trades.sqrt_price[last]), wide.to_ints(trades.liquidity[last])
    pools = where.contract[last]
    return [
        TradeDay(
            day=number // len(where.emitters),
            pool=pools[at].tobytes(),
            token0=trades.token0[last[at]].tobytes(),
            token1=trades.token1[last[at]].tobytes(),
            swaps=count[at],
            amount0=amount0[at],
            amount1=amount1[at],
            close_block=int(where.block[last[at]]),
            close_log_index=int(where.log_index[last[at]]),
            close_sqrt_price=price[at],
            close_liquidity=liquidity[at],
        )
        for at, number in enumerate(numbers)
    ]


def _groups(group: np.ndarray) -> tuple[list[int], np.ndarray, np.ndarray, list[int]]:
    """Group numbers, the last row of each (rows are in chain order), each row's group by position, and sizes."""
    numbers, first_from_end, member, count = np.unique(
        group[::-1], return_index=True, return_inverse=True, return_counts=True
    )
    return numbers.tolist(), len(group) - 1 - first_from_end, member[::-1].astype(np.int64), count.tolist()
