"""Fixtures with real contracts on a local node: `from tests.demochain.anvil import anvil, exchange, farm`.

They skip, with the reason, where npm, node or the packages cannot be had. Nothing is mined but by `node.mine()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest

from tests.demochain.artifacts import NotObtainable, master_chef, own, uniswap
from tests.demochain.deploy import (
    Emission,
    Farm,
    Pool,
    Uniswap,
    approve,
    create_pool,
    deploy_farm,
    deploy_uniswap,
    mint_position,
    place_multicall,
    read_pool,
    widest,
)
from tests.demochain.node import Node, running_node

SUPPLY = 10**36


@dataclass(frozen=True, slots=True)
class Exchange:
    """A Uniswap v3 with one pool of two 18-decimal tokens at price 1, and an account that owns and may spend all."""

    node: Node
    place: Uniswap
    pool: Pool
    account: str


@dataclass(frozen=True, slots=True)
class Staking:
    """A MasterChef with one pool for `staked`, which `account` owns and has allowed the chef to take."""

    node: Node
    farm: Farm
    staked: str
    account: str


@pytest.fixture
def anvil() -> Iterator[Node]:
    """A fresh node with Multicall3 at its address; its process ends with the test."""
    with ExitStack() as running:
        try:
            for made in (partial(uniswap, "UniswapV3Factory"), partial(uniswap, "SwapRouter"), master_chef):
                made()
            node = running.enter_context(running_node(tracing=True))
        except NotObtainable as reason:
            pytest.skip(str(reason))
        place_multicall(node)
        yield node


@pytest.fixture
def exchange(anvil: Node) -> Exchange:
    """Uniswap v3 with a 0.3 % pool and full-range liquidity of 10^24 raw units a side."""
    account = anvil.accounts()[0]
    first, second = (anvil.deploy(account, own("Token"), name, name, 18, SUPPLY) for name in ("A", "B"))
    place = deploy_uniswap(anvil, account, anvil.deploy(account, own("Weth")))
    anvil.mine()
    create_pool(anvil, place, (first, second), 3000, 2**96)
    approve(anvil, account, [first, second], [place.router, place.positions])
    anvil.mine()
    pool = read_pool(anvil, place, (first, second), 3000)
    mint_position(anvil, place, pool, account, widest(pool.spacing), desired=(10**24, 10**24))
    anvil.mine()
    return Exchange(anvil, place, pool, account)


@pytest.fixture
def farm(anvil: Node) -> Staking:
    """A MasterChef that mints 10^18 a block from the start, tenfold before block 20."""
    owner, dev, account = anvil.accounts()[:3]
    reward = anvil.deploy(owner, own("Token"), "Reward", "RWD", 18, 0)
    staked = anvil.deploy(account, own("Token"), "Stake", "STK", 18, SUPPLY)
    place = deploy_farm(anvil, owner, dev, reward, Emission(per_block=10**18, start_block=0, bonus_end=20))
    anvil.transact(owner, place.chef, "add(uint256,address,bool)", 100, staked, False)
    approve(anvil, account, [staked], [place.chef])
    anvil.mine()
    return Staking(anvil, place, staked, account)
