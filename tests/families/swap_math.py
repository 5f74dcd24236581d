"""Uniswap v3's arithmetic in Python integers, step by step: an oracle that is exact to the raw unit.

Sources: Uniswap/v3-core 1.0.1, contracts/UniswapV3Pool.sol, libraries/SwapMath.sol, libraries/SqrtPriceMath.sol.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.demochain.steps import EDGE, next_tick, sqrt_price_at

PPM = 10**6
LOWEST, HIGHEST = sqrt_price_at(-EDGE), sqrt_price_at(EDGE)


class Ask(NamedTuple):
    """What a swap was asked for: amount in if above zero, out if below; limit: Q64.96, 0 for none."""

    down: bool  # token0 is sold
    amount: int
    limit: int = 0


class Step(NamedTuple):
    """Where a step ended, what went in (without fee) and out, and its fee."""

    price: int
    paid: int
    got: int
    fee: int


@dataclass(slots=True)
class Outcome:
    """What a swap did. fees: of each step; cut: the protocol's part of all."""

    amounts: tuple[int, int]
    fees: list[int]
    cut: int


@dataclass(slots=True)
class PoolModel:
    """A pool's state. net, gross: liquidity by tick; growth: feeGrowthGlobal of both tokens; owed: protocolFees."""

    fee: int
    spacing: int
    price: int
    tick: int
    liquidity: int = 0
    net: Counter[int] = field(default_factory=Counter)
    gross: Counter[int] = field(default_factory=Counter)
    switch: tuple[int, int] = (0, 0)
    growth: list[int] = field(default_factory=lambda: [0, 0])
    owed: list[int] = field(default_factory=lambda: [0, 0])

    def change_position(self, low: int, high: int, liquidity: int) -> None:
        """Mint, or burn where liquidity is below zero."""
        for tick, sign in ((low, 1), (high, -1)):
            self.gross[tick] += liquidity
            self.net[tick] += sign * liquidity
        if low <= self.tick < high:
            self.liquidity += liquidity

    def pay_flash(self, paid: tuple[int, int]) -> tuple[int, int]:
        """UniswapV3Pool.flash; the protocol's cuts."""
        cuts = self._cut(0, paid[0]), self._cut(1, paid[1])
        for side in (0, 1):
            self.growth[side] += ((paid[side] - cuts[side]) << 128) // self.liquidity
        return cuts

    def swap(self, ask: Ask) -> Outcome:
        """UniswapV3Pool.swap."""
        ticks = frozenset(tick for tick, held in self.gross.items() if held)
        limit = ask.limit if ask.limit else (LOWEST + 1 if ask.down else HIGHEST - 1)
        left, other, cut, side = ask.amount, 0, 0, 0 if ask.down else 1
        fees: list[int] = []
        while left != 0 and self.price != limit:
            ahead = next_tick(self.tick, self.spacing, ticks, ask.down)
            edge = sqrt_price_at(ahead)
            step = step_of(self, max(edge, limit) if ask.down else min(edge, limit), left)
            left, other = (
                (left - step.paid - step.fee, other - step.got)
                if ask.amount > 0
                else (left + step.got, other + step.paid + step.fee)
            )
            part = self._cut(side, step.fee)
            cut += part
            self.growth[side] += ((step.fee - part) << 128) // self.liquidity if self.liquidity else 0
            self._move(step.price, ahead, edge, ask.down)
            fees.append(step.fee)
        given = ask.amount - left
        return Outcome((given, other) if ask.down == (ask.amount > 0) else (other, given), fees, cut)

    def _cut(self, side: int, fee: int) -> int:
        cut = fee // self.switch[side] if self.switch[side] else 0
        self.owed[side] += cut
        return cut

    def _move(self, price: int, ahead: int, edge: int, down: bool) -> None:
        if price == edge:
            self.liquidity += -self.net[ahead] if down else self.net[ahead]
            self.tick = ahead - 1 if down else ahead
        elif price != self.price:
            self.tick = tick_at(price)
        self.price = price


def tick_at(price: int) -> int:
    """TickMath.getTickAtSqrtRatio: the largest tick whose price is at most this one."""
    return bisect_right(range(-EDGE, EDGE + 1), price, key=sqrt_price_at) - 1 - EDGE


def step_of(pool: PoolModel, target: int, left: int) -> Step:
    """SwapMath.computeSwapStep."""
    down, exact_in = pool.price >= target, left >= 0
    whole = _paid(pool, target, down) if exact_in else _got(pool, target, down)
    after_fee = left * (PPM - pool.fee) // PPM if exact_in else -left
    price = target if after_fee >= whole else _price_after(pool, after_fee, down, exact_in)
    paid, got = _paid(pool, price, down), _got(pool, price, down)
    if not exact_in:
        got = min(got, -left)
    if exact_in and price != target:
        return Step(price, paid, got, left - paid)
    return Step(price, paid, got, _up(paid * pool.fee, PPM - pool.fee))


def _paid(pool: PoolModel, price: int, down: bool) -> int:
    """What goes in up to a price, rounded up."""
    low, high = sorted((pool.price, price))
    if down:
        return _up(_up((pool.liquidity << 96) * (high - low), high), low)
    return _up(pool.liquidity * (high - low), 2**96)


def _got(pool: PoolModel, price: int, down: bool) -> int:
    """What comes out up to a price, rounded down."""
    low, high = sorted((pool.price, price))
    return pool.liquidity * (high - low) >> 96 if down else (pool.liquidity << 96) * (high - low) // high // low


def _price_after(pool: PoolModel, amount: int, down: bool, exact_in: bool) -> int:
    """SqrtPriceMath.getNextSqrtPriceFromInput and ...FromOutput, rounded so that the pool never pays too much."""
    if down != exact_in:  # token1 in moves up, token1 out moves down
        return pool.price + ((amount << 96) // pool.liquidity if exact_in else -_up(amount << 96, pool.liquidity))
    most, product = pool.liquidity << 96, amount * pool.price
    if product >= 2**256 or (exact_in and most + product >= 2**256):
        assert exact_in, "the contract reverts here"
        return _up(most, most // pool.price + amount)
    return _up(most * pool.price, most + product if exact_in else most - product)


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
