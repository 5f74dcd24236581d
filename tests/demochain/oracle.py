"""What the contracts themselves say, read by eth_call: the figures that numbers derived from logs must meet."""

from __future__ import annotations

from typing import Any

from tests.demochain.cast import Stage
from tests.demochain.farming import STAKES
from tests.demochain.positions import Book, uncollected

BALANCE = "balanceOf(address)->(uint256)"
POOL_INFO = "poolInfo(uint256)->(address,uint256,uint256,uint256)"
SLOT0 = "slot0()->(uint160,int24,uint16,uint16,uint16,uint8,bool)"


def pool_state(stage: Stage, book: Book, name: str) -> dict[str, Any]:
    """A pool's accumulators, price, balances, and the raw fees of all its positions, collected and still owed."""
    node, pool = stage.node, stage.pools[name]
    slot0 = node.call(pool.address, SLOT0)
    owed = [uncollected(stage, position) for position in book.of(name)]
    collected = [position.fees for position in book.of(name)]
    return {
        "fee_growth_global": [
            node.call(pool.address, "feeGrowthGlobal0X128()->(uint256)")[0],
            node.call(pool.address, "feeGrowthGlobal1X128()->(uint256)")[0],
        ],
        "protocol_fees": list(node.call(pool.address, "protocolFees()->(uint128,uint128)")),
        "liquidity": node.call(pool.address, "liquidity()->(uint128)")[0],
        "sqrt_price": slot0[0],
        "tick": slot0[1],
        "fee_protocol": [slot0[5] % 16, slot0[5] >> 4],
        "balances": [node.call(token, BALANCE, pool.address)[0] for token in (pool.token0, pool.token1)],
        "fees_collected": [sum(pair[side] for pair in collected) for side in (0, 1)],
        "fees_owed": [sum(pair[side] for pair in owed) for side in (0, 1)],
    }


def farm_totals(stage: Stage) -> list[int]:
    """The reward token's supply, and what the chef and the dev account hold of it."""
    node, farm = stage.node, stage.farm
    return [
        node.call(farm.token, "totalSupply()->(uint256)")[0],
        node.call(farm.token, BALANCE, farm.chef)[0],
        node.call(farm.token, BALANCE, farm.dev)[0],
    ]


def farm_state(stage: Stage) -> dict[str, Any]:
    """The chef's pools and what each farmer has staked and is owed."""
    node, chef = stage.node, stage.farm.chef
    supply, of_chef, of_dev = farm_totals(stage)
    names = ("lp_token", "alloc_point", "last_reward_block", "acc_sushi_per_share")
    users = []
    for pid in range(len(STAKES)):
        for user in stage.farmers:
            amount, debt = node.call(chef, "userInfo(uint256,address)->(uint256,uint256)", pid, user)
            (pending,) = node.call(chef, "pendingSushi(uint256,address)->(uint256)", pid, user)
            row = {"pid": pid, "user": user, "amount": amount, "reward_debt": debt, "pending": pending}
            users.append(row)
    return {
        "total_supply": supply,
        "chef_balance": of_chef,
        "dev_balance": of_dev,
        "total_alloc_point": node.call(chef, "totalAllocPoint()->(uint256)")[0],
        "pools": [
            dict(zip(names, node.call(chef, POOL_INFO, pid), strict=True))
            | {"staked": node.call(stage.tokens[STAKES[pid]], BALANCE, chef)[0]}
            for pid in range(len(STAKES))
        ],
        "users": users,
    }


def initialised_ticks(stage: Stage, book: Book, name: str) -> frozenset[int]:
    """The ticks of a pool that carry liquidity now, asked for every tick that ever was a position's edge."""
    used = {tick for position in book.of(name) for tick in position.span}
    address = stage.pools[name].address
    return frozenset(tick for tick in used if stage.node.call(address, "ticks(int24)->(uint128)", tick)[0])
