"""Liquidity positions: opened, grown, collected from, closed; their fees are measured by balances, never by logs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tests.demochain.cast import ALL_PLANS, FORK_PLANS, Stage
from tests.demochain.deploy import FOREVER, Pool, mint_position, widest

MAX128 = 2**128 - 1
DECREASE = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"
INCREASE = "increaseLiquidity((uint256,uint256,uint256,uint256,uint256,uint256))"
COLLECT = "collect((uint256,address,uint128,uint128))"
POSITION = (
    "positions(uint256)->(uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128)"
)


@dataclass(slots=True)
class Position:
    """An NFT position and the raw fees its owner has collected so far."""

    token_id: int
    pool: str
    owner: str
    span: tuple[int, int]
    fees: list[int] = field(default_factory=lambda: [0, 0])
    closed: bool = False


@dataclass(slots=True)
class Book:
    """All positions ever opened, the ticks ever used, and every collect that was measured."""

    positions: list[Position] = field(default_factory=list)
    collects: list[dict[str, Any]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)  # pools whose ticks may have changed since they were last read

    def of(self, pool: str) -> list[Position]:
        """The positions of a pool, closed ones too."""
        return [position for position in self.positions if position.pool == pool]


def tick_at(ratio: float) -> int:
    """The tick of a price in raw token1 per token0 (whitepaper: 1.0001 ** tick)."""
    return math.floor(math.log(ratio) / math.log(1.0001))


def aligned(tick: int, spacing: int) -> int:
    """The next tick at or below that a position may use."""
    return tick // spacing * spacing


def open_position(stage: Stage, book: Book, pool_name: str, owner: str, span: tuple[int, int], usd: int) -> None:
    """Sends the mint of a position worth at most usd a side; it is numbered as the position manager will number it."""
    pool = stage.pools[pool_name]
    desired = (stage.raw(pool.token0, usd), stage.raw(pool.token1, usd))
    mint_position(stage.node, stage.venue(pool_name), pool, owner, span, desired=desired)
    same_manager = [p for p in book.positions if (p.pool in FORK_PLANS) == (pool_name in FORK_PLANS)]
    book.positions.append(Position(len(same_manager) + 1, pool_name, owner, span))
    book.touched.add(pool_name)


def spans(stage: Stage, pool: Pool) -> list[tuple[int, int]]:
    """Overlapping ranges round the present price: narrow, wide, lopsided, and one on each side out of range."""
    width = pool.spacing * max(1, 300 // pool.spacing)
    middle = aligned(tick_at(stage.ratio(pool)), pool.spacing)
    around = [(-1, 1), (-2, 1), (-1, 3), (-6, 6), (1, 4), (-4, -1), (-3, 5), (-9, 2)]
    return [(middle + low * width, middle + high * width) for low, high in around]


def open_first(stage: Stage, book: Book) -> None:
    """The liquidity every pool starts with, one owner after the other, one block a pool."""
    for name, plan in ALL_PLANS.items():
        pool = stage.pools[name]
        if plan.wide_usd:
            open_position(stage, book, name, stage.providers[0], widest(pool.spacing), plan.wide_usd)
        for number, span in enumerate(spans(stage, pool)[: 8 if plan.wide_usd else 1]):
            owner = stage.providers[1 + number % 5]
            open_position(stage, book, name, owner, span, plan.narrow_usd // (1 + number % 3))
        stage.node.mine()


def uncollected(stage: Stage, position: Position) -> tuple[int, int]:
    """What the owner could collect now, as the position manager answers it."""
    if position.closed:
        return 0, 0
    place = stage.venue(position.pool).positions
    arguments = (position.token_id, position.owner, MAX128, MAX128)
    answer = stage.node.call(place, f"{COLLECT}->(uint256,uint256)", arguments, sender=position.owner)
    return answer[0], answer[1]


def liquidity_of(stage: Stage, position: Position) -> int:
    """The liquidity the position manager holds for it."""
    answer = stage.node.call(stage.venue(position.pool).positions, POSITION, position.token_id)
    return int(answer[7])


@dataclass(slots=True)
class Leaving:
    """A collect under way in the next block: balances before, and the principal that leaves with it."""

    position: Position
    action: str
    before: tuple[int, int]
    principal: tuple[int, int]


def leave(stage: Stage, book: Book, position: Position, share: tuple[int, int], burn: bool = False) -> Leaving:
    """Sends decrease (share: numerator, denominator of its liquidity), collect and burn, first of all in a block."""
    place = stage.venue(position.pool).positions
    amount = liquidity_of(stage, position) * share[0] // share[1]
    before, principal = _balances(stage, position), (0, 0)
    if amount:
        arguments = (position.token_id, amount, 0, 0, FOREVER)
        answer = stage.node.call(place, f"{DECREASE}->(uint256,uint256)", arguments, sender=position.owner)
        principal = (answer[0], answer[1])
        stage.node.transact(position.owner, place, DECREASE, arguments)
        book.touched.add(position.pool)
    collect = (position.token_id, position.owner, MAX128, MAX128)
    stage.node.transact(position.owner, place, COLLECT, collect)
    if burn:
        stage.node.transact(position.owner, place, "burn(uint256)", position.token_id)
        position.closed = True
    return Leaving(position, "burn" if burn else "decrease" if amount else "collect", before, principal)


def settle(stage: Stage, book: Book, leaving: Leaving, block: int) -> None:
    """Measures after the block what came: fees = balance gained - principal."""
    position, after = leaving.position, _balances(stage, leaving.position)
    fees = [after[i] - leaving.before[i] - leaving.principal[i] for i in (0, 1)]
    position.fees = [position.fees[i] + fees[i] for i in (0, 1)]
    book.collects.append(
        {
            "block": block,
            "pool": position.pool,
            "token_id": position.token_id,
            "action": leaving.action,
            "principal": list(leaving.principal),
            "fees": fees,
        }
    )


def grow(stage: Stage, position: Position, usd: int) -> None:
    """Sends an increase of a position by at most usd a side."""
    pool = stage.pools[position.pool]
    desired = (stage.raw(pool.token0, usd), stage.raw(pool.token1, usd))
    arguments = (position.token_id, *desired, 0, 0, FOREVER)
    stage.node.transact(position.owner, stage.venue(position.pool).positions, INCREASE, arguments)


def _balances(stage: Stage, position: Position) -> tuple[int, int]:
    pool = stage.pools[position.pool]
    ask = "balanceOf(address)->(uint256)"
    return (
        stage.node.call(pool.token0, ask, position.owner)[0],
        stage.node.call(pool.token1, ask, position.owner)[0],
    )
