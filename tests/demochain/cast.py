"""Who and what is on the demo chain: accounts, tokens, pools, the farm, and how they come to be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from tests.demochain.artifacts import own
from tests.demochain.deploy import (
    Emission,
    Farm,
    Pool,
    Uniswap,
    approve,
    create_pool,
    deploy_farm,
    deploy_uniswap,
    place_multicall,
    read_pool,
)
from tests.demochain.node import Node

SEED = 20260101
HOSTILE = "<script>alert(1)</script>'; DROP TABLE flow;--\u202e\x00"
RICH = 10**9  # whole units of every token for everyone who trades

DECIMALS = {"usdc": 6, "wbtc": 8, "weth": 18, "farm": 18, "nope": 18, "evil": 18, "old": 18, "junk": 18, "dlp": 18}
EMISSION = Emission(per_block=3 * 10**18, start_block=40, bonus_end=190)


@dataclass(frozen=True, slots=True)
class Plan:
    """A pool to be: its two tokens by name, tier, and USD of full-range and of concentrated liquidity a side."""

    tokens: tuple[str, str]
    fee: int
    wide_usd: int
    narrow_usd: int
    weight: int  # share of the trades


PLANS = {
    "usdc_weth_500": Plan(("usdc", "weth"), 500, 1_500_000, 500_000, 34),
    "usdc_weth_3000": Plan(("usdc", "weth"), 3000, 800_000, 300_000, 20),
    "wbtc_weth_3000": Plan(("wbtc", "weth"), 3000, 900_000, 300_000, 14),
    "farm_weth_3000": Plan(("farm", "weth"), 3000, 500_000, 150_000, 12),
    "nope_junk_3000": Plan(("nope", "junk"), 3000, 400_000, 100_000, 5),
    "evil_usdc_10000": Plan(("evil", "usdc"), 10000, 0, 40, 3),
    "old_weth_10000": Plan(("old", "weth"), 10000, 300_000, 50_000, 5),
}
FORK_PLANS = {"fork_usdc_weth_3000": Plan(("usdc", "weth"), 3000, 600_000, 200_000, 7)}
ALL_PLANS = PLANS | FORK_PLANS


@dataclass(slots=True)
class Stage:
    """The chain in the making, with everything that has a name on it."""

    node: Node
    rng: Random
    side: Random  # of the pairs and the staking, so that the rest of the story does not hang on them
    accounts: list[str]
    tokens: dict[str, str] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    usd: dict[str, float] = field(default_factory=dict)  # what the traders believe a whole unit is worth
    created: dict[str, int] = field(default_factory=dict)  # block of each contract's creation
    dex: Uniswap = field(init=False)
    fork: Uniswap = field(init=False)
    farm: Farm = field(init=False)
    borrower: str = ""
    harvester: str = ""

    @property
    def owner(self) -> str:
        return self.accounts[0]

    @property
    def treasury(self) -> str:
        return self.accounts[2]

    @property
    def providers(self) -> list[str]:
        return self.accounts[3:9]

    @property
    def traders(self) -> list[str]:
        return self.accounts[9:29]

    @property
    def farmers(self) -> list[str]:
        return self.accounts[29:37]

    @property
    def pairs_provider(self) -> str:
        """Nobody else, since what positions collect is read from balances."""
        return self.accounts[37]

    def venue(self, pool: str) -> Uniswap:
        """The exchange a pool belongs to."""
        return self.fork if pool in FORK_PLANS else self.dex

    def name_of(self, token: str) -> str:
        """The name of a token's address."""
        return next(name for name, address in self.tokens.items() if address == token)

    def raw(self, token: str, usd: float) -> int:
        """Raw units of a token (by address) that are worth so many dollars."""
        name = self.name_of(token)
        return int(usd / self.usd[name] * 10 ** DECIMALS[name])

    def ratio(self, pool: Pool) -> float:
        """Raw token1 per raw token0 at the dollar values believed in."""
        name0, name1 = self.name_of(pool.token0), self.name_of(pool.token1)
        return self.usd[name0] / self.usd[name1] * 10.0 ** (DECIMALS[name1] - DECIMALS[name0])


def set_stage(node: Node) -> Stage:
    """Deploys everything, creates the pools, and hands out tokens and allowances."""
    stage = Stage(node, Random(SEED), Random(SEED + 1), node.accounts())
    stage.usd = {"usdc": 1.0, "weth": 2790.0, "wbtc": 95_000.0, "farm": 6.2, "nope": 1.0, "junk": 1.0}
    stage.usd |= {"evil": 0.5, "old": 1500.0, "dlp": 100.0}
    place_multicall(node)
    _tokens(stage)
    _contracts(stage)
    _pools(stage)
    _hand_out(stage)
    return stage


def _tokens(stage: Stage) -> None:
    """In this order, so that WETH's address lies between the others': it is token0 in some pools, token1 in others."""
    node, owner, token, old = stage.node, stage.owner, own("Token"), own("OldToken")
    titles = {
        "usdc": ("Demo Dollar", "USDC"),
        "wbtc": ("Demo Bitcoin", "WBTC"),
        "farm": ("Demo Farm", "FARM"),
        "nope": ("Nobody Prices Me", "NOPE"),
        "evil": (HOSTILE, HOSTILE),
        "dlp": ("Demo LP share", "DLP"),
    }
    for name, decimals in DECIMALS.items():
        supply = (10**8 if name == "farm" else 100 * RICH) * 10**decimals
        if name == "weth":
            stage.tokens[name] = node.deploy(owner, own("Weth"))
        elif name == "old":
            stage.tokens[name] = node.deploy(owner, old, b"Older than its standard", b"OLD", supply)
        elif name == "junk":
            stage.tokens[name] = node.deploy(owner, old, b"", b"", supply)
        else:
            stage.tokens[name] = node.deploy(owner, token, *titles[name], decimals, supply)
    _note(stage, stage.node.mine(), list(stage.tokens.values()))


def _note(stage: Stage, block: int, addresses: list[str]) -> None:
    stage.created |= dict.fromkeys(addresses, block)


def _contracts(stage: Stage) -> None:
    node, owner, tokens = stage.node, stage.owner, stage.tokens
    stage.dex = deploy_uniswap(node, owner, tokens["weth"])
    stage.fork = deploy_uniswap(node, owner, tokens["weth"])
    dex = [place for u in (stage.dex, stage.fork) for place in (u.factory, u.router, u.positions)]
    _note(stage, stage.node.mine(), dex)
    for account in stage.providers + stage.traders + stage.farmers:
        node.transact(owner, tokens["farm"], "transfer(address,uint256)", account, 2_000_000 * 10**18)
    stage.harvester = node.deploy(owner, own("Harvester"), tokens["farm"])
    node.transact(owner, tokens["farm"], "transfer(address,uint256)", stage.harvester, 50_000 * 10**18)
    stage.farm = deploy_farm(node, owner, stage.accounts[1], tokens["farm"], EMISSION)
    stage.borrower = node.deploy(owner, own("FlashBorrower"))
    _note(stage, stage.node.mine(), [stage.harvester, stage.farm.chef, stage.borrower])


def _pools(stage: Stage) -> None:
    for name, plan in ALL_PLANS.items():
        tokens = (stage.tokens[plan.tokens[0]], stage.tokens[plan.tokens[1]])
        draft = Pool("", min(tokens), max(tokens), plan.fee, 0)
        sqrt_price = int(math.sqrt(stage.ratio(draft)) * 2**96)
        create_pool(stage.node, stage.venue(name), tokens, plan.fee, sqrt_price)
        block = stage.node.mine()
        stage.pools[name] = read_pool(stage.node, stage.venue(name), tokens, plan.fee)
        _note(stage, block, [stage.pools[name].address])


def _hand_out(stage: Stage) -> None:
    """Tokens for all who trade, and allowances for the periphery, eight accounts a block."""
    node, owner = stage.node, stage.owner
    actors = stage.providers + stage.traders + stage.farmers
    spenders = [place for u in (stage.dex, stage.fork) for place in (u.router, u.positions)]
    for number, account in enumerate(actors):
        for name in ("usdc", "wbtc", "nope", "evil", "old", "junk", "dlp"):
            amount = RICH * 10 ** DECIMALS[name]
            node.transact(owner, stage.tokens[name], "transfer(address,uint256)", account, amount)
        node.send(account, stage.tokens["weth"], "0x", value=10**6 * 10**18)
        if account in stage.farmers:
            approve(node, account, [stage.tokens["dlp"], stage.tokens["usdc"]], [stage.farm.chef])
        else:
            approve(node, account, [stage.tokens[name] for name in DECIMALS if name != "dlp"], spenders)
        if number % 8 == 7:
            stage.node.mine()
    for name in ("usdc", "weth"):
        token = stage.tokens[name]
        node.transact(actors[0], token, "transfer(address,uint256)", stage.borrower, 10**4 * 10 ** DECIMALS[name])
    node.transact(actors[0], stage.tokens["farm"], "transfer(address,uint256)", stage.borrower, 10**4 * 10**18)
    stage.node.mine()
