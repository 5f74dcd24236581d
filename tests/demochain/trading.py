"""The traders: random swaps that pull every pool towards a wandering outside price."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tests.demochain.cast import ALL_PLANS, Stage
from tests.demochain.deploy import FOREVER, swap_exact_input

Q96 = 2**96
EXACT_OUTPUT = "exactOutputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
EXACT_INPUT = "exactInput((bytes,address,uint256,uint256,uint256))"
DRIFT = {"weth": (2780.0, 0.0035), "wbtc": (95_000.0, 0.0020), "farm": (4.2, 0.0060), "old": (1500.0, 0.0050)}
TINY = {"evil_usdc_10000"}


@dataclass(slots=True)
class Prices:
    """Q64.96 square root prices of all pools as of the last block."""

    sqrt: dict[str, int] = field(default_factory=dict)

    def read(self, stage: Stage) -> None:
        """Asks every pool."""
        for name, pool in stage.pools.items():
            self.sqrt[name] = stage.node.call(pool.address, "slot0()->(uint160)")[0]


def wander(stage: Stage) -> None:
    """Moves the outside prices by one block: a random step and a slow pull to where they belong."""
    for name, (home, volatility) in DRIFT.items():
        now = stage.usd[name]
        step = stage.rng.gauss(0.0, volatility) + 0.004 * math.log(home / now)
        stage.usd[name] = now * math.exp(step)
    stage.usd["nope"] *= math.exp(stage.rng.gauss(0.0, 0.008) - 0.01 * math.log(stage.usd["nope"]))


def excess(stage: Stage, prices: Prices, name: str) -> float:
    """By how much the pool overvalues token0 against the outside price, as a logarithm."""
    return math.log((prices.sqrt[name] / Q96) ** 2 / stage.ratio(stage.pools[name]))


def direction(stage: Stage, prices: Prices, name: str) -> bool:
    """True to sell token0: more likely the more the pool overvalues it."""
    return stage.rng.random() < min(0.95, max(0.05, 0.5 + 12 * excess(stage, prices, name)))


def swap(stage: Stage, prices: Prices, name: str) -> None:
    """One swap of a random kind and size in a pool."""
    plan, rng, trader = ALL_PLANS[name], stage.rng, stage.rng.choice(stage.traders)
    if name in TINY:
        _tiny_swap(stage, prices, name)
        return
    zero_for_one = direction(stage, prices, name)
    depth, kind = plan.wide_usd, rng.random()
    usd = depth * min(0.04, 0.002 * rng.lognormvariate(0.0, 1.2))
    if kind < 0.012:
        usd = depth * rng.uniform(0.03, 0.1)
    if 0.02 < kind < 0.12:
        _exact_output(stage, name, trader, zero_for_one, usd)
    elif 0.12 < kind < 0.14:
        _two_pools(stage, trader, usd)
    else:
        _sell(stage, name, trader, zero_for_one, usd=usd, limit=0)


def limited_swap(stage: Stage, prices: Prices, name: str) -> None:
    """A large swap that stops after moving the price by 0.4 %; the first of its pool in a block, or it may revert."""
    zero_for_one = direction(stage, prices, name)
    limit = int(prices.sqrt[name] * (0.998 if zero_for_one else 1.002))
    _sell(stage, name, stage.rng.choice(stage.traders), zero_for_one, usd=100_000, limit=limit)


def arbitrage(stage: Stage, prices: Prices, name: str) -> None:
    """Sells into a pool that strayed more than 1.5 % until it is back, if it did; first of its pool in a block."""
    stray = excess(stage, prices, name)
    if abs(stray) > 0.015 and name not in TINY:
        limit = int(math.sqrt(stage.ratio(stage.pools[name])) * Q96)
        usd = 5.0 * ALL_PLANS[name].wide_usd
        _sell(stage, name, stage.rng.choice(stage.traders), stray > 0, usd=usd, limit=limit)


def huge_swap(stage: Stage, name: str, zero_for_one: bool, share: float) -> None:
    """A swap of a share of the pool's depth: far enough to leave a word of the tick bitmap."""
    _sell(stage, name, stage.traders[0], zero_for_one, usd=ALL_PLANS[name].wide_usd * share, limit=0)


def failing_swap(stage: Stage, name: str) -> None:
    """A swap that asks for more than it can get and reverts."""
    pool, trader = stage.pools[name], stage.rng.choice(stage.traders)
    signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
    arguments = (pool.token0, pool.token1, pool.fee, trader, FOREVER, 1000, 2**120, 0)
    stage.node.transact(trader, stage.venue(name).router, signature, arguments, fails=True)


def _sell(stage: Stage, name: str, trader: str, zero_for_one: bool, *, usd: float, limit: int) -> None:
    pool = stage.pools[name]
    paid = pool.token0 if zero_for_one else pool.token1
    amount = max(1, stage.raw(paid, usd))
    swap_exact_input(stage.node, stage.venue(name), pool, trader, zero_for_one, amount=amount, limit=limit)


def _exact_output(stage: Stage, name: str, trader: str, zero_for_one: bool, usd: float) -> None:
    pool = stage.pools[name]
    paid, got = (pool.token0, pool.token1) if zero_for_one else (pool.token1, pool.token0)
    arguments = (paid, got, pool.fee, trader, FOREVER, max(1, stage.raw(got, usd)), 2**200, 0)
    stage.node.transact(trader, stage.venue(name).router, EXACT_OUTPUT, arguments)


def _two_pools(stage: Stage, trader: str, usd: float) -> None:
    """FARM to WETH to USDC or back: one transaction, two pools."""
    hops = [("farm", 3000), ("weth", 500), ("usdc", 0)]
    if stage.rng.random() < 0.5:
        hops = [("usdc", 500), ("weth", 3000), ("farm", 0)]
    tokens = [stage.tokens[name] for name, _ in hops]
    path = b"".join(bytes.fromhex(t[2:]) + fee.to_bytes(3, "big") for t, (_, fee) in zip(tokens, hops, strict=True))
    arguments = (path[:-3], trader, FOREVER, stage.raw(tokens[0], min(usd, 5000.0)), 0)
    stage.node.transact(trader, stage.dex.router, EXACT_INPUT, arguments)


def _tiny_swap(stage: Stage, prices: Prices, name: str) -> None:
    """A few dollars in the pool with hardly any liquidity, stopped 60 % off the outside price, often out of range."""
    pool, rng = stage.pools[name], stage.rng
    home = math.sqrt(stage.ratio(pool)) * Q96
    zero_for_one = prices.sqrt[name] > home if rng.random() < 0.7 else prices.sqrt[name] <= home
    edge = int(home * (0.6 if zero_for_one else 1.6))
    if (prices.sqrt[name] <= edge) if zero_for_one else (prices.sqrt[name] >= edge):
        zero_for_one = not zero_for_one
        edge = int(home * (0.6 if zero_for_one else 1.6))
    _sell(stage, name, rng.choice(stage.traders), zero_for_one, usd=rng.uniform(0.01, 60.0), limit=edge)
