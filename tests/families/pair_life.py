"""A random life of real Uniswap v2 pairs on anvil, and what an exact oracle says of every log of it.

The oracle reads raw logs and repeats UniswapV2Pair.sol in Python integers; it knows when the switch was turned because
this module turned it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isqrt
from random import Random
from typing import Any

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from tests.demochain.artifacts import own, uniswap_v2
from tests.demochain.node import ZERO, Node

SUPPLY = 10**36
RESERVES = "getReserves()->(uint112,uint112,uint32)"
SWAP = "swap(uint256,uint256,address,bytes)"
BORROW = "borrow(address,uint256,uint256,uint256,uint256)"
Places = tuple[int, int]  # block and log index


@dataclass(slots=True)
class Exchange:
    """Two pairs of one factory and one of another. switched: block and recipient of each setFeeTo, ZERO for off."""

    node: Node
    account: str
    factory: str
    pairs: list[str]
    foreign: str
    tokens: dict[str, tuple[str, str]]
    borrower: str
    rng: Random
    switched: list[tuple[int, str]] = field(default_factory=list)

    @property
    def jars(self) -> list[str]:
        """Two accounts that fees are paid to in turn."""
        return self.node.accounts()[1:3]

    def send(self, to: str, signature: str, *args: Any) -> None:
        self.node.transact(self.account, to, signature, *args)

    def pay(self, pair: str, amounts: tuple[int, int]) -> None:
        """Sends tokens to a pair."""
        for token, amount in zip(self.tokens[pair], amounts, strict=True):
            if amount:
                self.send(token, "transfer(address,uint256)", pair, amount)

    def reserves(self, pair: str) -> list[int]:
        return list(self.node.call(pair, RESERVES)[:2])


def open_exchange(node: Node, rng: Random) -> Exchange:
    """Everything deployed, liquidity of about 10^24 raw units a side in each pair, the switch off."""
    account = node.accounts()[0]
    tokens = sorted(node.deploy(account, own("Token"), name, name, 18, SUPPLY) for name in "ABC")
    factories = [node.deploy(account, uniswap_v2("UniswapV2Factory"), account) for _ in range(2)]
    borrower = node.deploy(account, own("PairBorrower"))
    for token in tokens:
        node.transact(account, token, "transfer(address,uint256)", borrower, SUPPLY // 4)
    node.mine()
    made = {}
    for factory, one, other in ((factories[0], 0, 1), (factories[0], 1, 2), (factories[1], 0, 1)):
        node.transact(account, factory, "createPair(address,address)", tokens[one], tokens[other])
        node.mine()
        (pair,) = node.call(factory, "getPair(address,address)->(address)", tokens[one], tokens[other])
        made[pair] = (tokens[one], tokens[other])
    *pairs, foreign = made
    exchange = Exchange(node, account, factories[0], pairs, foreign, made, borrower, rng)
    for pair in made:
        deposit(exchange, pair, (10**24, 3 * 10**24))
        node.mine()
    return exchange


# ---------------------------------------------------------------- acts


def deposit(exchange: Exchange, pair: str, amounts: tuple[int, int], to: str | None = None) -> None:
    """Adds liquidity in somebody's name."""
    exchange.pay(pair, amounts)
    exchange.send(pair, "mint(address)", exchange.account if to is None else to)


def withdraw(exchange: Exchange, pair: str) -> None:
    """A twentieth of what the account holds."""
    (held,) = exchange.node.call(pair, "balanceOf(address)->(uint256)", exchange.account)
    exchange.send(pair, "transfer(address,uint256)", pair, held // 20)
    exchange.send(pair, "burn(address)", exchange.account)


def trade(exchange: Exchange, pair: str, size: int, side: int, *, modest: int = 0, beside: int = 0) -> None:
    """Pays `size` of a token for all it may take of the other, or for so much less; beside: of the other paid too."""
    reserves = exchange.reserves(pair)
    got = size * 997 * reserves[1 - side] // (reserves[side] * 1000 + size * 997) - modest
    paid, out = [beside, beside], [0, 0]
    paid[side], out[1 - side] = size, got
    exchange.pay(pair, (paid[0], paid[1]))
    exchange.send(pair, SWAP, *out, exchange.account, b"")


def lend(exchange: Exchange, pair: str, size: int, side: int) -> None:
    """A flash loan, brought back in the same token with the least that the contract takes."""
    taken, back = [0, 0], [0, 0]
    taken[side], back[side] = size, -(-size * 1000 // 997)
    exchange.send(exchange.borrower, BORROW, pair, *taken, *back)


def act(exchange: Exchange, pair: str) -> None:
    """One thing that anybody may do."""
    rng = exchange.rng
    size, side, kind = int(10 ** rng.uniform(3, 22.5)) + 1000, rng.randrange(2), rng.random()
    if kind < 0.35:
        trade(exchange, pair, size, side)
    elif kind < 0.42:
        trade(exchange, pair, size, side, modest=1)
    elif kind < 0.49:
        trade(exchange, pair, size, side, beside=rng.randint(1, 10**6))
    elif kind < 0.56:
        lend(exchange, pair, size, side)
    elif kind < 0.72:
        reserves = exchange.reserves(pair)
        deposit(exchange, pair, (reserves[0] // 100, reserves[1] // 100))
    elif kind < 0.9:
        withdraw(exchange, pair)
    else:
        exchange.pay(pair, (size, 0))
        exchange.send(pair, "sync()")


def switch(exchange: Exchange, recipient: str) -> None:
    """A block that turns the switch first and goes on with a swap."""
    exchange.send(exchange.factory, "setFeeTo(address)", recipient)
    trade(exchange, exchange.pairs[0], 10**20, 0)
    exchange.switched.append((exchange.node.mine(), recipient))


def deposit_for(exchange: Exchange, recipient: str) -> None:
    """Liquidity in the recipient's own name while a fee is due: both are minted by one call."""
    pair = exchange.pairs[1]
    reserves = exchange.reserves(pair)
    deposit(exchange, pair, (reserves[0] // 50, reserves[1] // 50))
    exchange.node.mine()
    trade(exchange, pair, 10**21, 1)
    exchange.node.mine()
    reserves = exchange.reserves(pair)
    deposit(exchange, pair, (reserves[0] // 50, reserves[1] // 50), recipient)
    exchange.node.mine()


def live(exchange: Exchange, blocks: int) -> None:
    """Acts in all pairs, with the switch off, on, on for somebody else, off and on again."""
    turns = [exchange.jars[0], exchange.jars[1], ZERO, exchange.jars[0]]
    for number in range(blocks):
        if number % (blocks // 5) == 0 and number:
            recipient = turns.pop(0) if turns else ZERO
            switch(exchange, recipient)
            if recipient != ZERO:
                deposit_for(exchange, recipient)
        act(exchange, exchange.rng.choice([*exchange.pairs, exchange.foreign]))
        exchange.node.mine()


# ---------------------------------------------------------------- what the pairs' own logs say

EVENTS = {
    "Transfer": ("address,address,uint256", (1, 1, 0)),
    "Sync": ("uint112,uint112", (0, 0)),
    "Mint": ("address,uint256,uint256", (1, 0, 0)),
    "Burn": ("address,uint256,uint256,address", (1, 0, 0, 1)),
    "Swap": ("address,uint256,uint256,uint256,uint256,address", (1, 0, 0, 0, 0, 1)),
}
NAMES = {"0x" + keccak(text=f"{name}({types})").hex(): name for name, (types, _) in EVENTS.items()}


def transactions(exchange: Exchange, pair: str) -> Iterator[list[tuple[str, Places, list[Any]]]]:
    """The pair's logs in chain order, those of one transaction together: name, place, values."""
    asked = {"fromBlock": "0x0", "toBlock": "latest", "address": pair}
    last, found = "", []
    for log in exchange.node.rpc("eth_getLogs", asked):
        name = NAMES.get(log["topics"][0])
        if name is None:
            continue
        if log["transactionHash"] != last and found:
            yield found
            found = []
        last = log["transactionHash"]
        found.append((name, (int(log["blockNumber"], 16), int(log["logIndex"], 16)), _values(name, log)))
    if found:
        yield found


def _values(name: str, log: dict[str, Any]) -> list[Any]:
    types, indexed = EVENTS[name]
    topics, data = iter(log["topics"][1:]), bytes.fromhex(log["data"][2:])
    plain = iter(decode([one for one, yes in zip(types.split(","), indexed, strict=True) if not yes], data))
    return ["0x" + next(topics)[-40:] if yes else next(plain) for yes in indexed]


@dataclass(slots=True)
class Account:
    """A pair's life recomputed: fees and cuts of each swap by token, LP tokens minted to a recipient by place."""

    reserves: list[int] = field(default_factory=lambda: [0, 0])
    supply: int = 0
    k_last: int = 0
    fees: dict[Places, tuple[int, int]] = field(default_factory=dict)
    cuts: dict[Places, tuple[int, int]] = field(default_factory=dict)
    minted: dict[Places, int] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)  # LP tokens by holder
    deposited: Counter[str] = field(default_factory=Counter)  # of these, what was minted for liquidity
    loans: int = 0
    last_swap: Places = (0, 0)
    depth: tuple[int, int] = (0, 0)  # after the last swap


def recompute(exchange: Exchange, pair: str) -> Account:
    """Replays a pair; every fee that the contract minted must come out to the raw unit."""
    account = Account()
    for logs in transactions(exchange, pair):
        names = [name for name, _, _ in logs]
        recipient = recipient_at(exchange, logs[0][1][0])
        if "Mint" in names or "Burn" in names:
            _change_liquidity(account, logs, recipient)
        for name, place, values in logs:
            if name == "Swap":
                _swap(account, place, values, recipient)
        synced = [values for name, _, values in logs if name == "Sync"]
        for name, _, values in logs:
            if name == "Transfer":
                _move(account, *values)
        if synced:
            account.reserves = synced[-1]
        if "Swap" in names:
            account.depth = (synced[-1][0], synced[-1][1])
        if "Mint" in names or "Burn" in names:
            account.k_last = account.reserves[0] * account.reserves[1] if recipient != ZERO else 0
    return account


def recipient_at(exchange: Exchange, block: int) -> str:
    """Whom fees are minted to after the switch of that block, if it has one; the switch comes first in its block."""
    return next((who for at, who in reversed(exchange.switched) if at <= block), ZERO)


def _change_liquidity(account: Account, logs: list[tuple[str, Places, list[Any]]], recipient: str) -> None:
    """UniswapV2Pair._mintFee, then the depositor's tokens or the burn."""
    due = 0
    if recipient != ZERO and account.k_last:
        root, root_last = isqrt(account.reserves[0] * account.reserves[1]), isqrt(account.k_last)
        if root > root_last:
            due = account.supply * (root - root_last) // (5 * root + root_last)
    mints = [(place, values) for name, place, values in logs if name == "Transfer" and values[0] == ZERO]
    if due:
        place, values = mints.pop(0)
        assert values == [ZERO, recipient, due]
        account.minted[place] = due
    for _, values in mints:
        account.deposited[values[1]] += values[2]


def _swap(account: Account, place: Places, values: list[Any], recipient: str) -> None:
    """UniswapV2Pair.swap: three in a thousand of each token that came in; k of what is left has not fallen."""
    came, went = values[1:3], values[3:5]
    after = [have + more - less for have, more, less in zip(account.reserves, came, went, strict=True)]
    kept = [have * 1000 - 3 * more for have, more in zip(after, came, strict=True)]
    assert kept[0] * kept[1] >= account.reserves[0] * account.reserves[1] * 1000**2
    fees = (came[0] * 3 // 1000, came[1] * 3 // 1000)
    account.fees[place] = fees
    account.cuts[place] = (fees[0] // 6, fees[1] // 6) if recipient != ZERO else (0, 0)
    account.loans += any(more and less for more, less in zip(came, went, strict=True))
    account.last_swap = place


def _move(account: Account, sender: str, to: str, value: int) -> None:
    account.supply += value * ((sender == ZERO) - (to == ZERO and sender != ZERO))
    account.held[to] += value
    if sender != ZERO:
        account.held[sender] -= value
