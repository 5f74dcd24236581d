"""The part of a mixed chain that pools make: Uniswap v2 and v3, their forks, and foreign ones with the same events.

Numbers in capitals are logs for 1,000 wanted, one a venue: in the proportions of Ethereum, but for the rare ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log
from typing import TypeVar

import numpy as np

from .blocks import Blocks, Part, Size
from .mixed_world import Venue, make_market, make_venues
from .truth import Book, fee_shares
from .world import (
    NOBODY,
    POOL_CREATED,
    PPM,
    SPACINGS,
    SWAP,
    TRANSFER,
    Ints,
    Octets,
    Pool,
    integers,
    keccak,
    negative,
    octets,
    padded,
    word,
)

T = TypeVar("T")

V3_SWAPS = (400, 30, 20)  # of Uniswap, Sushi and a foreign factory's pools
V2_SWAPS = (310, 60, 30)
FLASHES, COLLECTIONS, SWITCHES = 10, 5, 2
FEE_MINTS = (20, 10)
SYNCS = 100  # that no filter asks for, but for those of one pair
ANNOUNCED = 5  # one pool in so many is made in the chain's first blocks; all others have to be asked

PAIR_CREATED = keccak(b"PairCreated(address,address,address,uint256)")
SWAP_2 = keccak(b"Swap(address,uint256,uint256,uint256,uint256,address)")
SYNC = keccak(b"Sync(uint112,uint112)")
FLASH = keccak(b"Flash(address,address,uint256,uint256,uint256,uint256)")
SET_FEE = keccak(b"SetFeeProtocol(uint8,uint8,uint8,uint8)")
COLLECT = keccak(b"CollectProtocol(address,address,uint128,uint128)")


class Market(Blocks):
    """Logs of pools and pairs, booked as they must be. size.swaps: logs wanted, about; size.pools: of Uniswap v3."""

    def __init__(self, size: Size, base_block: int, base_time: int) -> None:
        super().__init__(size, base_block, base_time)
        self.tokens = make_market(size.pools)
        self.three, self.two = make_venues(self.tokens, size.pools)
        self._book = Book()
        self._traded: list[tuple[Venue, Part, list[tuple[Pool, tuple[int, int], str]]]] = []
        self._switched: list[tuple[Part, list[tuple[Pool, tuple[int, int]]]]] = []

    def _market(self) -> list[Part]:
        """All of them."""
        return [*self._made(), *self._pools(), *self._pairs()]

    def _logs(self, share: int) -> int:
        return max(1, self.size.swaps * share // 1000)

    def _amount(self, count: int, fewer: int = 10) -> tuple[Octets, list[int]]:
        """Words and the same as numbers."""
        wide = self._amounts(np.full(count, fewer))
        return word(*wide), integers(wide)

    def _user_topics(self, event: bytes, count: int, users: int) -> list[Ints]:
        return [self._ids([event]), *(self._some(self._users, count) for _ in range(users))]

    def _made(self) -> list[Part]:
        """PoolCreated and PairCreated of some of each factory's pools."""
        parts = []
        for venue in (*self.three, *self.two):
            made = venue.pools[::ANNOUNCED]
            topics = [self._address_ids([pool.token0.address for pool in made])]
            topics.append(self._address_ids([pool.token1.address for pool in made]))
            number = word(np.arange(len(made)))
            event, data = PAIR_CREATED, [octets([padded(pool.address) for pool in made]), number]
            if venue in self.three:
                topics.append(self._ids([pool.tier.to_bytes(32, "big") for pool in made]))
                event, data = POOL_CREATED, [word(np.array([SPACINGS[pool.tier] for pool in made])), data[0]]
            block = np.arange(len(made)) * self._opening // len(made)
            parts.append(self._part(block, self._address_ids([venue.factory]), [self._ids([event]), *topics], data))
        return parts

    def _choice(self, venue: Venue, count: int) -> tuple[Ints, list[Pool]]:
        """Pools by number, a few of which have most of the trade."""
        at = (self._dice.random(count) ** 3 * len(venue.pools)).astype(np.int64)
        return at, [venue.pools[number] for number in at.tolist()]

    def _of(self, venue: Venue, at: Ints) -> Ints:
        return self._address_ids([pool.address for pool in venue.pools])[at]

    def _pools(self) -> list[Part]:
        """Swaps of v3 pools; loans, protocol fees and the switch of those of Uniswap."""
        parts = [self._swaps_3(venue, self._logs(share)) for venue, share in zip(self.three, V3_SWAPS, strict=True)]
        return [*parts, self._flashes(), self._collected(), self._switches()]

    def _swaps_3(self, venue: Venue, count: int) -> Part:
        at, pools = self._choice(venue, count)
        zero_in = self._dice.random(count) < 0.5
        paid, got = (self._amounts(np.full(count, 10)) for _ in range(2))
        plus, minus, first = word(*paid), negative(got), zero_in[:, None]
        price = octets([pool.sqrt_price.to_bytes(32, "big") for pool in venue.pools])[at]
        tick = word(np.array([_tick(pool) for pool in venue.pools])[at] + self._dice.integers(-50, 50, count))
        data = [np.where(first, plus, minus), np.where(first, minus, plus), price, self._numbers(count), tick]
        part = self._part(self._blocks(count), self._of(venue, at), self._user_topics(SWAP, count, 2), data)
        fees = [amount * pool.tier // PPM for amount, pool in zip(integers(paid), pools, strict=True)]
        both = [(fee, 0) if zero else (0, fee) for fee, zero in zip(fees, zero_in.tolist(), strict=True)]
        self._traded.append((venue, part, list(zip(pools, both, ["swap"] * count, strict=True))))
        return part

    def _flashes(self) -> Part:
        venue, count = self.three[0], self._logs(FLASHES)
        at, pools = self._choice(venue, count)
        words, paid = zip(*(self._amount(count, 40) for _ in range(2)), strict=True)
        data = [self._numbers(count), self._numbers(count), *words]
        part = self._part(self._blocks(count), self._of(venue, at), self._user_topics(FLASH, count, 2), data)
        both = list(zip(*paid, strict=True))
        self._traded.append((venue, part, list(zip(pools, both, ["flash_loan"] * count, strict=True))))
        return part

    def _collected(self) -> Part:
        venue, count = self.three[0], self._logs(COLLECTIONS)
        at, pools = self._choice(venue, count)
        words, paid = zip(*(self._amount(count) for _ in range(2)), strict=True)
        for pool, *amounts in zip(pools, *paid, strict=True):
            for token, amount in zip((pool.token0, pool.token1), amounts, strict=True):
                self._book.add((venue.deployment, "fee", "swap", "protocol", "paid", token.address), amount)
        return self._part(self._blocks(count), self._of(venue, at), self._user_topics(COLLECT, count, 2), words)

    def _switches(self) -> Part:
        venue, count = self.three[0], self._logs(SWITCHES)
        at, pools = self._choice(venue, count)
        new = self._dice.choice([0, 4, 5, 10], (2, count))
        data = [word(np.zeros(count, np.int64))] * 2 + [word(one) for one in new]
        part = self._part(self._blocks(count), self._of(venue, at), [self._ids([SET_FEE])], data)
        self._switched.append((part, list(zip(pools, zip(*new.tolist(), strict=True), strict=True))))
        return part

    def _pairs(self) -> list[Part]:
        """Swaps of v2 pairs, Sync of some of them, and LP tokens minted to whom fees are paid."""
        parts = [self._swaps_2(venue, self._logs(share)) for venue, share in zip(self.two, V2_SWAPS, strict=True)]
        parts += [self._fee_mints(venue, self._logs(share)) for venue, share in zip(self.two, FEE_MINTS, strict=False)]
        every = self._address_ids([pool.address for venue in self.two for pool in venue.pools])
        count = self._logs(SYNCS)
        reserves = [self._numbers(count) for _ in range(2)]
        return [*parts, self._part(self._blocks(count), self._some(every, count), [self._ids([SYNC])], reserves)]

    def _swaps_2(self, venue: Venue, count: int) -> Part:
        at, pools = self._choice(venue, count)
        paid, got, more = (self._amounts(np.full(count, 10)) for _ in range(3))
        zero_in = self._dice.random(count) < 0.5
        back = self._dice.random(count) < 0.01  # a flash swap that pays in both tokens
        nothing, first = np.zeros((count, 32), np.uint8), zero_in[:, None]
        less = np.where(back[:, None], word(*more), nothing)
        data = [np.where(first, word(*paid), less), np.where(first, less, word(*paid))]
        data += [np.where(first, nothing, word(*got)), np.where(first, word(*got), nothing)]
        block = self._blocks(count)
        numbers = zip(
            block.tolist(), pools, zero_in.tolist(), back.tolist(), integers(paid), integers(more), strict=True
        )
        for number, pool, zero, both, main, rest in numbers if venue.deployment else ():
            amounts = (main, rest if both else 0)
            on = any(self.base_block + number >= date for date, _ in venue.fee_to)
            for token, amount in zip((pool.token0, pool.token1), amounts if zero else amounts[::-1], strict=True):
                fee = amount * 3000 // PPM
                self._book.add_fee(str(venue.deployment), "swap", token.address, fee_shares(fee, 6 if on else 0))
        return self._part(block, self._of(venue, at), self._user_topics(SWAP_2, count, 2), data)

    def _fee_mints(self, venue: Venue, count: int) -> Part:
        """At most one of a pair in a block: two in a row would be a deposit."""
        block, (at, _) = self._blocks(count), self._choice(venue, count)
        _, kept = np.unique(block * len(venue.pools) + at, return_index=True)
        block, at = block[kept], at[kept]
        words, amounts = self._amount(len(block))
        first, recipient = venue.fee_to[-1]
        for number, pool, amount in zip(block.tolist(), at.tolist(), amounts, strict=True):
            if self.base_block + number >= first:
                token = venue.pools[pool].address
                self._book.add((venue.deployment, "fee", "swap", "protocol", "paid", token), amount)
        return self._transfers(block, self._of(venue, at), self._address_ids([NOBODY]), recipient, words)

    def _transfers(self, block: Ints, token: Ints, sender: Ints, recipient: bytes | Ints, amount: Octets) -> Part:
        to = self._address_ids([recipient]) if isinstance(recipient, bytes) else recipient
        return self._part(block, token, [self._ids([TRANSFER]), sender, to], [amount])

    def _count_pools(self) -> None:
        """Fees of v3 pools in the chain's order, each split as the pool's switch stands."""
        changes = [(row, pool, new) for part, held in self._switched for row, (pool, new) in _rows(part, held)]
        steps: dict[bytes, list[tuple[int, tuple[int, int]]]] = {}
        for row, pool, new in sorted(changes, key=lambda change: change[0]):
            steps.setdefault(pool.address, []).append((row, new))
        for venue, part, held in self._traded:
            for row, (pool, fees, source) in _rows(part, held) if venue.deployment else ():
                split = [new for at, new in steps.get(pool.address, ()) if at < row][-1:] or [(0, 0)]
                for token, fee, one in zip((pool.token0, pool.token1), fees, split[0], strict=True):
                    self._book.add_fee(str(venue.deployment), source, token.address, fee_shares(fee, one))


def _rows(part: Part, held: Sequence[T]) -> list[tuple[int, T]]:
    return list(zip(part.rows.tolist(), held, strict=True))


def _tick(pool: Pool) -> int:
    """The tick of its price."""
    return floor(2 * log(pool.sqrt_price / 2**96, 1.0001))
