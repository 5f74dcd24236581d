"""Logs made up layout by layout, then put in order as blocks hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from .world import Ints, Octets, Wide, made_up, padded, word

SLOT = 12  # seconds from block to block
TAIL = 64  # empty blocks after the last final one

USERS = 2000
AMOUNT_BITS = 90
SPREAD_BITS = 30  # between the largest amounts and the smallest ordinary ones
DUST, DUST_BITS = 100, 40  # one amount in so many is smaller by so much


@dataclass(frozen=True, slots=True)
class Size:
    """What a chain is made from; the same size makes the same chain."""

    swaps: int
    blocks: int
    pools: int = 50
    seed: int = 1


@dataclass(slots=True)
class Part:
    """Logs of one layout. emitter (n), topics (n, k): ids; data: (n, 32 x words) octets; rows: places in the chain."""

    block: Ints  # from 0
    emitter: Ints
    topics: Ints
    data: Octets
    rows: Ints


class Blocks:
    """All logs in chain order, as columns. base_block, base_time: number and UTC seconds of the first block.

    words: every address and topic that occurs (32 octets) with its id; emitter (n) and topics (n, 4; -1: none) are ids.
    """

    def __init__(self, size: Size, base_block: int, base_time: int) -> None:
        self.size, self.base_block, self.base_time = size, base_block, base_time
        self.words: dict[bytes, int] = {}
        self.parts: list[Part] = []
        self._dice = np.random.default_rng(size.seed)
        self._users = self._ids([padded(made_up(f"user {n}")) for n in range(USERS)])
        self._opening = max(1, min(200, size.blocks // 10))  # first blocks, in which pools are made

    @property
    def final(self) -> int:
        """Number of the last final block, the last that may hold logs."""
        return self.base_block + self.size.blocks - 1

    def block_hash(self, number: int) -> bytes:
        """32 octets."""
        return sha256(f"{self.size.seed}/{number}".encode()).digest()

    def _ids(self, words: Sequence[bytes]) -> Ints:
        return np.array([self.words.setdefault(one, len(self.words)) for one in words], np.int64)

    def _address_ids(self, addresses: Sequence[bytes]) -> Ints:
        return self._ids([padded(address) for address in addresses])

    def _part(self, block: Ints, emitter: Ints, topics: Sequence[Ints], data: Sequence[Octets]) -> Part:
        columns = np.stack([np.broadcast_to(topic, len(block)) for topic in topics], axis=1)
        emitters = np.broadcast_to(emitter, len(block))
        return Part(block, emitters, columns, np.concatenate(data, axis=1), np.zeros(0, np.int64))

    def _blocks(self, count: int) -> Ints:
        return self._dice.integers(self._opening, self.size.blocks, count)

    def _some(self, ids: Ints, count: int) -> Ints:
        return ids[self._dice.integers(0, len(ids), count)]

    def _numbers(self, count: int) -> Octets:
        return word(self._dice.integers(0, 1 << 64, count, np.uint64))

    def _amounts(self, smaller: Ints) -> Wide:
        """Amounts from 1 to 2^90, of all magnitudes alike; smaller: by how many bits to keep each below that."""
        count = len(smaller)
        low = self._dice.integers(0, 1 << 64, count, np.uint64)
        high = self._dice.integers(0, 1 << (AMOUNT_BITS - 64), count, np.uint64)
        dust = DUST_BITS * (self._dice.integers(0, DUST, count) == 0)
        by = (smaller + dust + self._dice.integers(0, SPREAD_BITS, count)).astype(np.uint64)
        wide, near, far = np.uint64(64), np.minimum(by, 63), np.maximum(by, 64)
        joined = np.where(near > 0, high << (wide - np.maximum(near, 1)), 0) | low >> near
        low = np.where(by < wide, joined, high >> (far - wide))
        high = np.where(by < wide, high >> near, 0)
        return np.maximum(low, high == 0), high.astype(np.int64)

    def _put_in_order(self) -> None:
        """Blocks ascend; within a block chance decides. Three logs make a transaction."""
        block = np.concatenate([part.block for part in self.parts])
        order = np.lexsort((self._dice.random(len(block)), block))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        self.block = block[order]
        self.starts = np.searchsorted(self.block, np.arange(self.size.blocks + 1))  # and one past the last log
        self.log_index = np.arange(len(block)) - self.starts[self.block]
        self.tx_index = self.log_index // 3
        self.tx = np.cumsum(self.log_index % 3 == 0) - 1
        self.tx_hashes = np.frombuffer(self._dice.bytes(32 * int(self.tx[-1] + 1)), np.uint8).reshape(-1, 32)
        self.emitter = np.concatenate([part.emitter for part in self.parts])[order]
        self.topics = np.full((len(block), 4), -1, np.int64)
        first = 0
        for part in self.parts:
            part.rows = place[first : first + len(part.block)]
            self.topics[part.rows, : part.topics.shape[1]] = part.topics
            first += len(part.block)
