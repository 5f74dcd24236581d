"""The second exchange: Uniswap v2 pairs, traded without a router, with the fee switch on for some days."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.demochain.artifacts import uniswap_v2
from tests.demochain.cast import DECIMALS, Stage
from tests.demochain.node import ZERO
from tests.demochain.oracle import BALANCE

PAIRS = {"pair_usdc_weth": ("usdc", "weth", 600_000), "pair_farm_weth": ("farm", "weth", 400_000)}  # USD a side
SWITCHED_ON, SWITCHED_OFF = 5, 11  # days
SWITCH_AT = 30  # place of the switch's block in its day; liquidity comes in the block before it and after it
BOTH_SIDES = (9, 25)  # day and block in which a swap pays in both tokens
RESERVES = "getReserves()->(uint112,uint112,uint32)"


@dataclass(slots=True)
class Pairs:
    """The factory, each pair by name, and the blocks between which the switch was on."""

    factory: str
    at: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    switched: list[int] = field(default_factory=list)


def open_pairs(stage: Stage) -> Pairs:
    """Deploys the factory and the pairs, each with its first liquidity."""
    node, owner = stage.node, stage.owner
    for name in ("usdc", "farm"):
        amount = 5_000_000 * 10 ** DECIMALS[name]
        node.transact(owner, stage.tokens[name], "transfer(address,uint256)", stage.pairs_provider, amount)
    node.send(stage.pairs_provider, stage.tokens["weth"], "0x", value=10**4 * 10**18)
    pairs = Pairs(node.deploy(owner, uniswap_v2("UniswapV2Factory"), owner))
    stage.created[pairs.factory] = node.mine()
    for name, (one, other, usd) in PAIRS.items():
        tokens = sorted((stage.tokens[one], stage.tokens[other]))
        node.transact(owner, pairs.factory, "createPair(address,address)", *tokens)
        block = node.mine()
        (pair,) = node.call(pairs.factory, "getPair(address,address)->(address)", *tokens)
        pairs.at[name], pairs.tokens[name] = pair, (tokens[0], tokens[1])
        stage.created[pair] = block
        _deposit(stage, pairs, name, [stage.raw(token, usd) for token in tokens])
        node.mine()
    return pairs


def trade_pairs(stage: Stage, pairs: Pairs, day: int, index: int) -> None:
    """A block's acts: the switch alone, liquidity alone, or swaps, so that reserves can be foretold."""
    if (day, index) in ((SWITCHED_ON, SWITCH_AT), (SWITCHED_OFF, SWITCH_AT)):
        receiver = stage.treasury if day == SWITCHED_ON else ZERO
        stage.node.transact(stage.owner, pairs.factory, "setFeeTo(address)", receiver)
        return
    for name in PAIRS:
        near = day in (SWITCHED_ON, SWITCHED_OFF) and abs(index - SWITCH_AT) == 1
        if near or index % 17 == 9:
            _liquidity(stage, pairs, name, grows=near or stage.side.random() < 0.6)
        else:
            _swaps(stage, pairs, name, both=(day, index) == BOTH_SIDES)


def _liquidity(stage: Stage, pairs: Pairs, name: str, grows: bool) -> None:
    node, pair, provider = stage.node, pairs.at[name], stage.pairs_provider
    if grows:
        reserves = node.call(pair, RESERVES)[:2]
        share = stage.side.randint(1, 400)
        _deposit(stage, pairs, name, [reserve * share // 10_000 for reserve in reserves])
        return
    held = node.call(pair, BALANCE, provider)[0] * stage.side.randint(1, 5) // 40
    node.transact(provider, pair, "transfer(address,uint256)", pair, held)
    node.transact(provider, pair, "burn(address)", provider)


def _deposit(stage: Stage, pairs: Pairs, name: str, amounts: list[int]) -> None:
    node, provider = stage.node, stage.pairs_provider
    for token, amount in zip(pairs.tokens[name], amounts, strict=True):
        node.transact(provider, token, "transfer(address,uint256)", pairs.at[name], amount)
    node.transact(provider, pairs.at[name], "mint(address)", provider)


def _swaps(stage: Stage, pairs: Pairs, name: str, both: bool) -> None:
    """Up to two swaps towards the outside price; `both` adds a little of the other token to what is paid."""
    reserves = list(stage.node.call(pairs.at[name], RESERVES)[:2])
    for _ in range(1 if both else stage.side.randint(0, 2)):
        _swap(stage, pairs, name, reserves, both)


def _swap(stage: Stage, pairs: Pairs, name: str, reserves: list[int], both: bool) -> None:
    node, rng, trader, tokens = stage.node, stage.side, stage.side.choice(stage.traders), pairs.tokens[name]
    rich = [reserve / stage.raw(token, 1_000_000.0) for reserve, token in zip(reserves, tokens, strict=True)]
    paid = int(rich[0] > rich[1]) if rng.random() < 0.8 else rng.randrange(2)  # the token that the pair has less of
    amount = stage.raw(tokens[paid], PAIRS[name][2] * min(0.03, 0.003 * rng.lognormvariate(0.0, 1.0))) + 1
    got = amount * 997 * reserves[1 - paid] // (reserves[paid] * 1000 + amount * 997)
    extra = 12_345 if both else 0
    out = [0, 0]
    out[1 - paid] = got if rng.random() < 0.9 else got - got // 1000  # some take less than they might
    node.transact(trader, tokens[paid], "transfer(address,uint256)", pairs.at[name], amount)
    if extra:
        node.transact(trader, tokens[1 - paid], "transfer(address,uint256)", pairs.at[name], extra)
    node.transact(trader, pairs.at[name], "swap(uint256,uint256,address,bytes)", *out, trader, b"")
    reserves[paid] += amount
    reserves[1 - paid] += extra - out[1 - paid]


def pairs_state(stage: Stage, pairs: Pairs) -> dict[str, Any]:
    """Reserves, the last k, shares in all and of the treasury, by pair."""
    node = stage.node
    return {
        name: {
            "reserves": list(node.call(pair, RESERVES)[:2]),
            "k_last": node.call(pair, "kLast()->(uint256)")[0],
            "total_supply": node.call(pair, "totalSupply()->(uint256)")[0],
            "fee_to_shares": node.call(pair, BALANCE, stage.treasury)[0],
        }
        for name, pair in pairs.at.items()
    }
