"""A chain made up from a seed: Uniswap v3 swaps, SUSHI mints, what else blocks hold, and the exact sums of it all.

Blocks count from the one that made the real factory, so that the packaged manifests fit as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from .world import (
    BURN,
    CHEF,
    DEVELOPERS,
    FACTORY,
    FOREIGN_FACTORY,
    MINT,
    NOBODY,
    POOL_CREATED,
    PPM,
    SPACINGS,
    SUSHI,
    SWAP,
    TRANSFER,
    Ints,
    Octets,
    Pool,
    Wide,
    integers,
    made_up,
    make_pools,
    make_tokens,
    negative,
    octets,
    padded,
    word,
)

BASE_BLOCK = 12_369_621
BASE_TIME = 1_620_156_420  # UTC seconds of that block
SLOT = 12  # seconds from block to block
TAIL = 64  # empty blocks after the last final one

FOREIGN_POOLS, USERS = 5, 2000
FOREIGN, POOL_MINTS, POOL_BURNS, TRANSFERS = 10, 20, 20, 5  # one for so many swaps
SUSHI_MINTS = 4  # one for so many blocks
AMOUNT_BITS = 90
TOKEN_BITS = 40  # fewer, where a token has fewer than 18 decimals
SPREAD_BITS = 30  # between the largest amounts and the smallest ordinary ones
DUST, DUST_BITS = 100, 40  # one amount in so many is smaller by so much


@dataclass(frozen=True, slots=True)
class Size:
    """What a chain is made from; the same size makes the same chain."""

    swaps: int
    blocks: int
    pools: int = 50
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Truth:
    """What an indexer must find: exact sums in raw units."""

    swaps: int
    fee_flows: int  # swaps whose fee is above zero
    fees: dict[bytes, int]  # by token
    minted: int  # SUSHI to the chef


@dataclass(slots=True)
class Part:
    """Logs of one layout. emitter (n), topics (n, k): ids; data: (n, 32 x words) octets; rows: places in the chain."""

    block: Ints  # from 0
    emitter: Ints
    topics: Ints
    data: Octets
    rows: Ints


class Chain:
    """All logs in chain order, as columns, and the truth about them.

    words: every address and topic that occurs (32 octets) with its id; emitter (n) and topics (n, 4; -1: none) are ids.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.words: dict[bytes, int] = {}
        self.tokens = make_tokens(size.pools)
        self.pools = make_pools(self.tokens, FACTORY, size.pools)
        self.foreign = make_pools(self.tokens, FOREIGN_FACTORY, FOREIGN_POOLS)
        self._dice = np.random.default_rng(size.seed)
        self._users = self._ids([padded(made_up(f"user {n}")) for n in range(USERS)])
        self._opening = max(1, min(200, size.blocks // 10))  # blocks in which pools are made, before the first swap
        self._bought: list[tuple[int, Pool, bool, int]] = []
        self._minted: list[tuple[int, int]] = []
        self.parts = [self._created(), *self._swapped(), *self._moved(), *self._transferred()]
        self._put_in_order()

    def truth(self, last: int | None = None) -> Truth:
        """The exact sums of all logs up to block number `last`, or of all."""
        end = (self.final if last is None else last) - BASE_BLOCK
        fees: Counter[bytes] = Counter()
        swaps = flows = 0
        for block, pool, zero_in, paid in self._bought:
            if block <= end:
                fee = paid * pool.tier // PPM
                fees[(pool.token0 if zero_in else pool.token1).address] += fee
                swaps, flows = swaps + 1, flows + (fee > 0)
        minted = sum(amount for block, amount in self._minted if block <= end)
        return Truth(swaps, flows, {token: fee for token, fee in fees.items() if fee}, minted)

    @property
    def final(self) -> int:
        """Number of the last final block, the last that may hold logs."""
        return BASE_BLOCK + self.size.blocks - 1

    def block_of_swap(self, number: int) -> int:
        """Number of the block that holds the so-manieth swap of our pools, counted from 1."""
        return BASE_BLOCK + sorted(block for block, *_ in self._bought)[number - 1]

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

    def _created(self) -> Part:
        """PoolCreated of both factories, over the opening blocks."""
        made = [*self.pools, *self.foreign]
        topics = [
            self._ids([POOL_CREATED]),
            self._address_ids([pool.token0.address for pool in made]),
            self._address_ids([pool.token1.address for pool in made]),
            self._ids([pool.tier.to_bytes(32, "big") for pool in made]),
        ]
        spacing = word(np.array([SPACINGS[pool.tier] for pool in made], np.int64))
        block = np.arange(len(made)) * self._opening // len(made)
        data = [spacing, octets([padded(pool.address) for pool in made])]
        return self._part(block, self._address_ids([pool.factory for pool in made]), topics, data)

    def _swapped(self) -> list[Part]:
        """Swaps of our pools, and of pools that another factory made."""
        return [self._swaps(self.pools, self.size.swaps), self._swaps(self.foreign, self.size.swaps // FOREIGN)]

    def _swaps(self, pools: list[Pool], count: int) -> Part:
        at = (self._dice.random(count) ** 2 * len(pools)).astype(np.int64)  # a few pools have most of the trade
        zero_in, block = self._dice.random(count) < 0.5, self._blocks(count)
        less = np.array([[TOKEN_BITS * (one.decimals < 18) for one in (pool.token0, pool.token1)] for pool in pools])
        paid = self._amounts(np.where(zero_in, less[at, 0], less[at, 1]))
        got = self._amounts(np.where(zero_in, less[at, 1], less[at, 0]))
        price = octets([pool.sqrt_price.to_bytes(32, "big") for pool in pools])[at]
        price[:, 26:] = self._numbers(count)[:, 26:]
        plus, minus, first = word(*paid), negative(got), zero_in[:, None]
        tick = word(self._dice.integers(-200_000, 200_000, count))
        data = [np.where(first, plus, minus), np.where(first, minus, plus), price, self._numbers(count), tick]
        if pools is self.pools:
            choice = [pools[number] for number in at.tolist()]
            self._bought = list(zip(block.tolist(), choice, zero_in.tolist(), integers(paid), strict=True))
        topics = [self._ids([SWAP]), self._some(self._users, count), self._some(self._users, count)]
        return self._part(block, self._address_ids([pool.address for pool in pools])[at], topics, data)

    def _moved(self) -> list[Part]:
        """Mint and Burn of our pools: liquidity that comes and goes without a fee."""
        pools = self._address_ids([pool.address for pool in self.pools])
        ticks = self._ids([(60 * n % (1 << 256)).to_bytes(32, "big") for n in range(-100, 100)])
        parts = []
        for event, each, words in ((MINT, POOL_MINTS, 4), (BURN, POOL_BURNS, 3)):
            count = self.size.swaps // each
            topics = [self._ids([event]), *(self._some(ids, count) for ids in (self._users, ticks, ticks))]
            data = [self._numbers(count) for _ in range(words)]
            parts.append(self._part(self._blocks(count), self._some(pools, count), topics, data))
        return parts

    def _transferred(self) -> list[Part]:
        """SUSHI minted to the chef, and transfers that a question about those must leave out."""
        sushi, chef, developers, nobody = (self._address_ids([one]) for one in (SUSHI, CHEF, DEVELOPERS, NOBODY))
        tokens = self._address_ids([SUSHI, *(token.address for token in self.tokens)])
        mints, others = max(1, self.size.blocks // SUSHI_MINTS), self.size.swaps // TRANSFERS
        minted, block = self._amounts(np.full(mints, 10)), self._blocks(mints)
        self._minted = list(zip(block.tolist(), integers(minted), strict=True))

        def transfers(block: Ints, token: Ints, sender: Ints, receiver: Ints, amount: Octets) -> Part:
            return self._part(block, token, [self._ids([TRANSFER]), sender, receiver], [amount])

        def users(count: int) -> Ints:
            return self._some(self._users, count)

        return [
            transfers(block, sushi, nobody, chef, word(*minted)),
            transfers(block, sushi, nobody, developers, self._numbers(mints)),
            transfers(self._blocks(mints), sushi, users(mints), chef, self._numbers(mints)),
            transfers(
                self._blocks(others), self._some(tokens, others), users(others), users(others), self._numbers(others)
            ),
        ]

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
