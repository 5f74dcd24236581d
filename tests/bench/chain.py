"""A chain made up from a seed: Uniswap v3 swaps, SUSHI mints, what else blocks hold, and the exact sums of it all.

Blocks count from the one that made the real factory, so that the packaged manifests fit as they are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from .blocks import Blocks, Part, Size
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
    integers,
    make_pools,
    make_tokens,
    negative,
    octets,
    padded,
    word,
)

BASE_BLOCK = 12_369_621
BASE_TIME = 1_620_156_420  # UTC seconds of that block

FOREIGN_POOLS = 5
FOREIGN, POOL_MINTS, POOL_BURNS, TRANSFERS = 10, 20, 20, 5  # one for so many swaps
SUSHI_MINTS = 4  # one for so many blocks
TOKEN_BITS = 40  # fewer, where a token has fewer than 18 decimals


@dataclass(frozen=True, slots=True)
class Truth:
    """What an indexer must find: exact sums in raw units."""

    swaps: int
    fee_flows: int  # swaps whose fee is above zero
    fees: dict[bytes, int]  # by token
    minted: int  # SUSHI to the chef


class Chain(Blocks):
    """The logs, and the truth about them."""

    def __init__(self, size: Size) -> None:
        super().__init__(size, BASE_BLOCK, BASE_TIME)
        self.tokens = make_tokens(size.pools)
        self.pools = make_pools(self.tokens, FACTORY, size.pools)
        self.foreign = make_pools(self.tokens, FOREIGN_FACTORY, FOREIGN_POOLS)
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

    def block_of_swap(self, number: int) -> int:
        """Number of the block that holds the so-manieth swap of our pools, counted from 1."""
        return BASE_BLOCK + sorted(block for block, *_ in self._bought)[number - 1]

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
