"""One log at a time on frozen objects: the plain form that all others must equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from .answers import POOLS
from .columns import Log
from .flows import CHAIN_ID, LEG, TEXTS, natural

POOL_BY_ADDRESS = {pool.address: pool for pool in POOLS}


@dataclass(frozen=True, slots=True)
class Swap:
    """A decoded Swap log."""

    block: int
    time: int
    tx_hash: bytes
    log_index: int
    contract: bytes
    amount0: int
    amount1: int
    sqrt_price: int
    liquidity: int
    tick: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A fee flow of a swap."""

    swap: Swap
    token: bytes
    amount: int


def decode(log: Log) -> Swap:
    """The plain decoding of one log."""
    data = bytes.fromhex(log.data[2:])
    amount0, amount1, tick = (int.from_bytes(data[at : at + 32], "big", signed=True) for at in (0, 32, 128))
    return Swap(
        int(log.block_number, 16),
        int(log.block_timestamp, 16),
        bytes.fromhex(log.transaction_hash[2:]),
        int(log.log_index, 16),
        bytes.fromhex(log.address[2:]),
        amount0,
        amount1,
        int.from_bytes(data[64:96], "big"),
        int.from_bytes(data[96:128], "big"),
        tick,
    )


def fee(swap: Swap) -> Flow:
    """The plain fee of one swap."""
    pool = POOL_BY_ADDRESS[swap.contract]
    token, paid = (pool.token1, swap.amount1) if swap.amount0 < 0 else (pool.token0, swap.amount0)
    return Flow(swap, token, paid * pool.fee_ppm // 10**6)


def digest(flows: Iterable[Flow]) -> int:
    """Sum mod 2^256 of each row's sha256."""
    total = 0
    for flow in flows:
        swap = flow.swap
        place = CHAIN_ID, swap.block, swap.time, swap.tx_hash, swap.log_index, LEG, swap.contract
        total += int.from_bytes(sha256(natural(*place, flow.token, flow.amount, *TEXTS)).digest(), "big")
    return total % (1 << 256)


def records(flows: Sequence[Flow]) -> list[tuple[Any, ...]]:
    """Rows as asyncpg's copy_records_to_table takes them."""
    return [
        (
            CHAIN_ID,
            flow.swap.block,
            datetime.fromtimestamp(flow.swap.time, UTC),
            flow.swap.tx_hash,
            flow.swap.log_index,
            LEG,
            flow.swap.contract,
            *TEXTS,
            flow.token,
            Decimal(flow.amount),
        )
        for flow in flows
    ]
