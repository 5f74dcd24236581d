"""Swap columns to fee-flow columns, their digest, and their COPY fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .amounts import Words, fee_floor, negative
from .answers import POOLS, Pool
from .stream import Piece, each, numeric, rows, same

CHAIN_ID = 1
LEG = 0
TEXTS = ("uniswap", "uniswap_v3_ethereum", "fee", "swap", "supply", "accrued")  # protocol ... basis, in table order
SUFFIX = "".join(f"{text}\0" for text in TEXTS).encode()
POSTGRES_EPOCH = 946_684_800  # 2000-01-01 in UTC seconds


@dataclass(frozen=True, slots=True)
class Members:
    """The pools whose logs we read, by number: address (k, 20), tokens (k, 2, 20), fee in millionths (k,)."""

    numbers: dict[str, int]
    address: NDArray[np.uint8]
    token: NDArray[np.uint8]
    fee_ppm: NDArray[np.uint64]


def members(pools: Sequence[Pool]) -> Members:
    """Tables of the pools; numbers finds one by its address as nodes print it."""
    tokens = b"".join(pool.token0 + pool.token1 for pool in pools)
    return Members(
        {f"0x{pool.address.hex()}": number for number, pool in enumerate(pools)},
        np.frombuffer(b"".join(pool.address for pool in pools), np.uint8).reshape(-1, 20),
        np.frombuffer(tokens, np.uint8).reshape(-1, 2, 20),
        np.array([pool.fee_ppm for pool in pools], np.uint64),
    )


OURS = members(POOLS)


@dataclass(frozen=True, slots=True)
class Swaps:
    """Decoded Swap logs, column by column; pool is the number of a member, data holds the five words (n, 5, 8)."""

    members: Members
    block: NDArray[np.int64]
    time: NDArray[np.int64]
    log_index: NDArray[np.int64]
    tx_hash: NDArray[np.uint8]
    pool: NDArray[np.int64]
    data: NDArray[np.uint32]

    @property
    def contract(self) -> NDArray[np.uint8]:
        """(n, 20): the pool's address in each row."""
        return self.members.address[self.pool]


@dataclass(frozen=True, slots=True)
class Fees:
    """One fee flow a swap: what the pool's suppliers earned, in raw units of the token paid in."""

    swaps: Swaps
    token: NDArray[np.uint8]
    amount: Words

    def __len__(self) -> int:
        return len(self.amount)


def fees(swaps: Swaps) -> Fees:
    """floor(amountIn * fee / 10^6) of each swap."""
    second = negative(swaps.data[:, 0])
    amount_in = np.where(second[:, None], swaps.data[:, 1], swaps.data[:, 0])
    token = swaps.members.token[swaps.pool, second.astype(np.int64)]
    return Fees(swaps, token, fee_floor(amount_in, swaps.members.fee_ppm[swaps.pool]))


def natural(chain_id: int, block: int, time: int, tx_hash: bytes, log_index: int, *rest: Any) -> bytes:
    """The octets of one row that its digest is taken over; rest: leg, contract, token, amount, then the texts."""
    leg, contract, token, amount, *texts = rest
    numbers = chain_id.to_bytes(8, "big") + block.to_bytes(8, "big") + time.to_bytes(8, "big") + tx_hash
    place = log_index.to_bytes(4, "big") + leg.to_bytes(2, "big") + contract + token + amount.to_bytes(32, "big")
    return numbers + place + "".join(f"{text}\0" for text in texts).encode()


def digest(flows: Fees) -> int:
    """Sum mod 2^256 of sha256 over the natural octets of each row."""
    if not len(flows):
        return 0
    swaps, numbers = flows.swaps, (CHAIN_ID.to_bytes(8, "big"), LEG.to_bytes(2, "big"))
    place: list[Piece] = [swaps.log_index.astype(">i4"), numbers[1], swaps.contract, flows.token]
    times = [swaps.block.astype(">i8"), swaps.time.astype(">i8"), swaps.tx_hash]
    octets = rows([numbers[0], *times, *place, flows.amount.astype(">u4"), SUFFIX], len(flows))
    texts = np.frombuffer(octets, f"V{len(octets) // len(flows)}").tolist()
    return sum_of(b"".join([sha256(text).digest() for text in texts]))


def sum_of(digests: bytes) -> int:
    """Sum mod 2^256 of 32-octet big-endian integers laid end to end (fewer than 2^32 of them)."""
    words = np.frombuffer(digests, ">u4").reshape(-1, 8).sum(axis=0, dtype=np.uint64).tolist()
    return sum(word << (32 * place) for place, word in enumerate(reversed(words))) % (1 << 256)


def key_fields(flows: Fees) -> list[list[Piece]]:
    """COPY fields chain_id, block_number, block_time, tx_hash, log_index, leg, contract."""
    swaps = flows.swaps
    time = (swaps.time - POSTGRES_EPOCH) * 1_000_000
    place = [each(swaps.log_index.astype(">i4")), same(LEG.to_bytes(2, "big")), each(swaps.contract)]
    block = [same(CHAIN_ID.to_bytes(8, "big")), each(swaps.block.astype(">i8")), each(time.astype(">i8"))]
    return [*block, each(swaps.tx_hash), *place]


def fields(flows: Fees, labels: Sequence[bytes] = tuple(text.encode() for text in TEXTS)) -> list[list[Piece]]:
    """COPY fields of the flow table in column order; labels are the columns between contract and token."""
    return [*key_fields(flows), *map(same, labels), each(flows.token), numeric(flows.amount)]
