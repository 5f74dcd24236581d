"""The fixtures stand on real contracts that behave as published."""

from __future__ import annotations

from tests.demochain.anvil import Exchange, Staking, anvil, exchange, farm
from tests.demochain.deploy import MULTICALL3, swap_exact_input
from tests.demochain.node import Node, calldata

__all__ = ["anvil", "exchange", "farm"]

AGGREGATE3 = "aggregate3((address,bool,bytes)[])->((bool,bytes)[])"


def test_multicall_answers_at_its_address(anvil: Node) -> None:
    asked = bytes.fromhex(calldata("aggregate3((address,bool,bytes)[])", [])[2:])
    (results,) = anvil.call(MULTICALL3, AGGREGATE3, [(MULTICALL3, True, asked), (MULTICALL3, True, b"none")])
    assert [good for good, _ in results] == [True, False]


def test_a_swap_pays_the_tier_to_the_pool(exchange: Exchange) -> None:
    """10^18 paid in at 0.3 %: the pool's fee growth times liquidity is the fee."""
    node, pool = exchange.node, exchange.pool
    swap_exact_input(node, exchange.place, pool, exchange.account, True, amount=10**18)
    node.mine()
    (growth,) = node.call(pool.address, "feeGrowthGlobal0X128()->(uint256)")
    (liquidity,) = node.call(pool.address, "liquidity()->(uint128)")
    assert growth * liquidity >> 128 in (3 * 10**15 - 1, 3 * 10**15)


def test_the_chef_mints_ten_times_as_much_before_the_bonus_ends(farm: Staking) -> None:
    node, chef = farm.node, farm.farm.chef
    node.transact(farm.account, chef, "deposit(uint256,uint256)", 0, 10**18)
    deposited = node.mine()
    while (now := node.mine()) < 24:
        pass
    node.transact(farm.account, chef, "updatePool(uint256)", 0)
    assert node.mine() == now + 1
    (minted,) = node.call(farm.farm.token, "balanceOf(address)->(uint256)", chef)
    assert minted == (10 * (20 - deposited) + (now + 1 - 20)) * 10**18
