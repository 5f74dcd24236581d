"""Trades summed per pool and day: what range_trade holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from indexer.decode import wide
from indexer.model import Octets, Trades

_DAY = 86_400


class TradeDay(NamedTuple):
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


def trade_columns(trades: Mapping[str, Sequence[TradeDay]]) -> list[list[object]]:
    """The parameters of put_range_trades: deployments, which are the keys, then each field of TradeDay."""
    rows = [one for days in trades.values() for one in days]
    deployments: list[object] = [name for name, days in trades.items() for _ in days]
    columns = list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in TradeDay._fields]
    for name in ("in0", "in1", "out0", "out1", "depth0", "depth1"):
        at = TradeDay._fields.index(name)
        columns[at] = [None if amount is None else str(amount) for amount in columns[at]]
    return [deployments, *columns]


def _trade_days(trades: Trades) -> list[TradeDay]:
    where = trades.where
    group = (where.time // _DAY) * len(where.emitters) + where.emitter
    numbers, last, member, count = _groups(group)
    amounts = (trades.in0, trades.in1, trades.out0, trades.out1)
    in0, in1, out0, out1 = (wide.sum_by_group(amount, member, len(numbers)) for amount in amounts)
    depth0, depth1 = (
        [None] * len(last) if depth is None else wide.to_ints(depth[last]) for depth in (trades.depth0, trades.depth1)
    )
    days = [number // len(where.emitters) for number in numbers]
    addresses = (_octets(column[last]) for column in (where.contract, trades.token0, trades.token1))
    places = (column[last].tolist() for column in (where.block, where.log_index))
    columns = (days, *addresses, count, in0, in1, out0, out1, *places, depth0, depth1)
    return list(map(TradeDay._make, zip(*columns, strict=True)))


def _octets(addresses: Octets) -> list[bytes]:
    return [address.tobytes() for address in addresses]


def _groups(group: np.ndarray) -> tuple[list[int], np.ndarray, np.ndarray, list[int]]:
    """Group numbers, the last row of each (rows are in chain order), each row's group by position, and sizes."""
    numbers, first_from_end, member, count = np.unique(
        group[::-1], return_index=True, return_inverse=True, return_counts=True
    )
    return numbers.tolist(), len(group) - 1 - first_from_end, member[::-1].astype(np.int64), count.tolist()
