"""A random life of two real pools on anvil, and what the exact oracle says of every log of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from tests.demochain.anvil import Exchange
from tests.demochain.artifacts import own
from tests.demochain.deploy import FOREVER, Pool, create_pool, mint_position, read_pool, widest
from tests.demochain.node import Node
from tests.demochain.positions import COLLECT, DECREASE, MAX128, POSITION
from tests.demochain.steps import count_steps, sqrt_price_at
from tests.demochain.trading import EXACT_OUTPUT
from tests.families.swap_math import Ask, PoolModel

BALANCE = "balanceOf(address)->(uint256)"
SLOT0 = "slot0()->(uint160,int24,uint16,uint16,uint16,uint8,bool)"
EXACT_INPUT = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
BORROW = "borrow(address,uint256,uint256,uint256)"
SWITCH = "setFeeProtocol(uint8,uint8)"
SWEEP = "collectProtocol(address,uint128,uint128)"
FEES = (500, 3000)
Places = tuple[int, int]  # block and log index


@dataclass(slots=True)
class Life:
    """What was asked for (swaps by transaction), who may collect, and the node it happened on."""

    exchange: Exchange
    rng: Random
    pools: list[Pool]
    borrower: str
    asked: dict[str, Ask] = field(default_factory=dict)
    positions: int = 1  # the exchange's own comes first

    @property
    def node(self) -> Node:
        return self.exchange.node

    @property
    def account(self) -> str:
        return self.exchange.account


def begin(exchange: Exchange, rng: Random) -> Life:
    """A second pool of another tier, twelve random positions in each, and a borrower with money for fees."""
    node, account, place = exchange.node, exchange.account, exchange.place
    tokens = (exchange.pool.token0, exchange.pool.token1)
    borrower = node.deploy(account, own("FlashBorrower"))
    create_pool(node, place, tokens, FEES[0], sqrt_price_at(777))
    for token in tokens:
        node.transact(account, token, "transfer(address,uint256)", borrower, 10**30)
    node.mine()
    life = Life(exchange, rng, [read_pool(node, place, tokens, FEES[0]), exchange.pool], borrower)
    add_position(life, life.pools[0], widest(life.pools[0].spacing), 10**23)
    for pool in life.pools:
        middle = slot0(life, pool)[1] // pool.spacing
        for _ in range(12):
            low = middle + rng.randint(-60, 50)
            high = low + rng.randint(1, 40)
            add_position(life, pool, (low * pool.spacing, high * pool.spacing), int(10 ** rng.uniform(19, 24)))
    node.mine()
    return life


def add_position(life: Life, pool: Pool, span: tuple[int, int], amount: int) -> None:
    """Sends the mint of one more position."""
    mint_position(life.node, life.exchange.place, pool, life.account, span, desired=(amount, amount))
    life.positions += 1


def slot0(life: Life, pool: Pool) -> tuple[Any, ...]:
    """The pool's slot0 now."""
    return life.node.call(pool.address, SLOT0)


def far_from_par(exchange: Exchange, rng: Random) -> Life:
    """A pool like those of coins worth a billionth: where one unit of the price is worth many raw units of token0."""
    node, place = exchange.node, exchange.place
    tokens = (exchange.pool.token0, exchange.pool.token1)
    create_pool(node, place, tokens, 10_000, sqrt_price_at(-200_000))
    node.mine()
    pool = read_pool(node, place, tokens, 10_000)
    life = Life(exchange, rng, [pool], "")
    add_position(life, pool, widest(pool.spacing), 10**31)
    node.mine()
    for _ in range(20):
        down = rng.random() < 0.7
        _swap(life, pool, Ask(down, int(10 ** (rng.uniform(20, 29) if down else rng.uniform(10, 21)))))
    node.mine()
    return life


def trade(life: Life, pool: Pool, *, alone: bool) -> None:
    """Sends a swap of any size; alone: the first of its pool in the block, so that it may stop at a price."""
    rng = life.rng
    price, tick = slot0(life, pool)[:2]
    down = (tick > 0) if rng.random() < 0.7 else (tick <= 0)
    amount, kind = max(1, int(10 ** rng.uniform(0, 25))), rng.random()
    ask = Ask(down, amount)
    if kind < 0.3:
        ask = Ask(down, -max(1, int(10 ** rng.uniform(0, 22))))
    elif alone and kind < 0.5:
        ask = Ask(down, amount, int(price * (0.97 if down else 1.03)))
    _swap(life, pool, ask)


def _swap(life: Life, pool: Pool, ask: Ask) -> None:
    signature, bound = (EXACT_INPUT, 0) if ask.amount > 0 else (EXACT_OUTPUT, 2**200)
    paid, got = (pool.token0, pool.token1) if ask.down else (pool.token1, pool.token0)
    arguments = (paid, got, pool.fee, life.account, FOREVER, abs(ask.amount), bound, ask.limit)
    life.asked[life.node.transact(life.account, life.exchange.place.router, signature, arguments)] = ask


def set_switch(life: Life, pool: Pool, values: tuple[int, int]) -> None:
    """Sends a change of the fee switch."""
    life.node.transact(life.account, pool.address, SWITCH, *values)


def borrow(life: Life, pool: Pool) -> None:
    """Sends a flash loan of one or both tokens, with a tip now and then."""
    rng = life.rng
    amounts = [rng.choice((0, int(10 ** rng.uniform(0, 20)))) for _ in (0, 1)]
    tip = rng.choice((0, 12345))
    life.node.transact(life.account, life.borrower, BORROW, pool.address, *amounts, tip)


def live(life: Life, blocks: int) -> None:
    """Blocks of one to four acts; every tenth has swaps before, between and after two changes of the switch."""
    rng = life.rng
    for number in range(blocks):
        pool = rng.choice(life.pools)
        trade(life, pool, alone=True)
        if number % 10 == 3:
            for _ in range(2):
                set_switch(life, pool, (rng.choice((0, 4, 6, 10)), rng.choice((0, 5, 7, 10))))
                trade(life, pool, alone=False)
        if number % 7 == 2:
            borrow(life, rng.choice(life.pools))
        if number % 9 == 4:
            low = slot0(life, pool)[1] // pool.spacing - rng.randint(0, 20)
            add_position(life, pool, (low * pool.spacing, (low + 21) * pool.spacing), int(10 ** rng.uniform(19, 23)))
        for both in life.pools if number % 25 == 24 else ():
            life.node.transact(life.account, both.address, SWEEP, life.account, MAX128, MAX128)
        life.node.mine()


def leave(life: Life) -> None:
    """Every position is burned and collected; what the protocol is owed stays."""
    manager = life.exchange.place.positions
    for number in range(1, life.positions + 1):
        liquidity = life.node.call(manager, POSITION, number)[7]
        life.node.transact(life.account, manager, DECREASE, (number, liquidity, 0, 0, FOREVER))
        life.node.transact(life.account, manager, COLLECT, (number, life.account, MAX128, MAX128))
        if number % 20 == 0:
            life.node.mine()
    life.node.mine()


# ---------------------------------------------------------------- what the pools' own logs say

EVENTS = {
    "Initialize": ("uint160,int24", 0),
    "Mint": ("address,address,int24,int24,uint128,uint256,uint256", 3),
    "Burn": ("address,int24,int24,uint128,uint256,uint256", 3),
    "Collect": ("address,address,int24,int24,uint128,uint128", 3),
    "Swap": ("address,address,int256,int256,uint160,uint128,int24", 2),
    "Flash": ("address,address,uint256,uint256,uint256,uint256", 2),
    "SetFeeProtocol": ("uint8,uint8,uint8,uint8", 0),
    "CollectProtocol": ("address,address,uint128,uint128", 2),
}
# Where a parameter that is not indexed stands before indexed ones: the types with the indexed ones first.
ORDER = {
    "Collect": "address,int24,int24,address,uint128,uint128",
    "Mint": "address,int24,int24,address,uint128,uint256,uint256",
}
NAMES = {"0x" + keccak(text=f"{name}({types})").hex(): name for name, (types, _) in EVENTS.items()}


def events(life: Life, pool: Pool) -> Iterator[tuple[str, Places, str, list[Any]]]:
    """Every log of a pool in chain order: name, place, transaction, values (indexed ones first)."""
    asked = {"fromBlock": "0x0", "toBlock": "latest", "address": pool.address}
    for log in life.node.rpc("eth_getLogs", asked):
        name = NAMES.get(log["topics"][0])
        if name is not None:
            types, indexed = EVENTS[name]
            parts = ORDER.get(name, types).split(",")
            octets = b"".join(bytes.fromhex(topic[2:]) for topic in log["topics"][1 : 1 + indexed])
            values = decode(parts, octets + bytes.fromhex(log["data"][2:]))
            yield name, (int(log["blockNumber"], 16), int(log["logIndex"], 16)), log["transactionHash"], list(values)


@dataclass(frozen=True, slots=True)
class Exact:
    """The fee of one log as the contract took it, to the raw unit.

    steps: how often it was rounded; slack: what one unit of the Q64.96 price is worth at the end, all of which an
    exact-input swap may lose to the fee; words: how many words of the tick bitmap the price moved on.
    """

    side: int
    fee: int
    cut: int
    steps: int = 0
    slack: int = 0
    words: int = 0


@dataclass(slots=True)
class Account:
    """A pool's life recomputed: exact fees by log, and what its logs say was collected."""

    model: PoolModel
    swaps: dict[Places, Exact] = field(default_factory=dict)
    flashes: dict[Places, list[Exact]] = field(default_factory=dict)
    swept: list[int] = field(default_factory=lambda: [0, 0])
    gained: list[int] = field(default_factory=lambda: [0, 0])  # by the providers: collected - principal
    checkpoints: int = 0  # how often a position's fees were rounded down

    def supply(self, side: int) -> int:
        """What the contract set aside for liquidity providers."""
        return sum(one.fee - one.cut for one in self._all() if one.side == side)

    def protocol(self, side: int) -> int:
        """What the contract set aside for the protocol."""
        return sum(one.cut for one in self._all() if one.side == side)

    def steps(self, side: int) -> int:
        """Swap steps that took a token."""
        return sum(one.steps for one in self.swaps.values() if one.side == side)

    def _all(self) -> list[Exact]:
        return [*self.swaps.values(), *(one for both in self.flashes.values() for one in both)]


def recompute(life: Life, pool: Pool) -> Account:
    """Replays a pool from its logs and what swaps were asked for; every swap must come out as its log says."""
    account: Account | None = None
    for name, place, transaction, values in events(life, pool):
        if name == "Initialize":
            account = Account(PoolModel(pool.fee, pool.spacing, values[0], values[1]))
            continue
        assert account is not None
        _apply(account, name, place, values, life.asked.get(transaction))
    assert account is not None
    return account


def _apply(account: Account, name: str, place: Places, values: list[Any], ask: Ask | None) -> None:
    model = account.model
    if name in ("Mint", "Burn"):
        liquidity = values[4] if name == "Mint" else -values[3]
        model.change_position(values[1], values[2], liquidity)
        account.checkpoints += 2  # the pool's position and the position manager's
        if name == "Burn":
            _gain(account, values[-2:], -1)
    elif name == "Collect":
        _gain(account, values[-2:], 1)
    elif name == "SetFeeProtocol":
        model.switch = (values[2], values[3])
    elif name == "CollectProtocol":
        for side in (0, 1):
            model.owed[side] -= values[2 + side]
            account.swept[side] += values[2 + side]
    elif name == "Flash":
        cuts = model.pay_flash((values[4], values[5]))
        account.flashes[place] = [Exact(side, values[4 + side], cuts[side]) for side in (0, 1)]
    else:
        assert ask is not None
        account.swaps[place] = _swapped(model, values, ask)


def _gain(account: Account, amounts: Sequence[int], sign: int) -> None:
    for side in (0, 1):
        account.gained[side] += sign * amounts[side]


def _swapped(model: PoolModel, values: list[Any], ask: Ask) -> Exact:
    tick, ticks = model.tick, frozenset(tick for tick, held in model.gross.items() if held)
    done = model.swap(ask)
    assert (done.amounts, model.price, model.liquidity, model.tick) == (tuple(values[2:4]), *values[4:])
    counted = count_steps(tick, model.price, ask.down, model.spacing, ticks)
    assert 0 <= counted - len(done.fees) <= 1
    words = abs(model.tick // model.spacing // 256 - tick // model.spacing // 256)
    return Exact(0 if ask.down else 1, sum(done.fees), done.cut, len(done.fees), _slack(model, ask), words)


def _slack(model: PoolModel, ask: Ask) -> int:
    if ask.amount < 0:
        return 0
    return (model.liquidity << 96) // (model.price * (model.price - 1)) if ask.down else model.liquidity >> 96
