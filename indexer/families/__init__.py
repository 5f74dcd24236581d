"""The registry: one line a family."""

from __future__ import annotations

from collections.abc import Mapping

from indexer.families.chainlink_feed import ChainlinkFeed
from indexer.families.erc20_flows import Erc20Flows
from indexer.families.events import Events
from indexer.families.interface import Family
from indexer.families.masterchef import MasterChef
from indexer.families.staking_rewards import StakingRewards
from indexer.families.uniswap_v2 import UniswapV2
from indexer.families.uniswap_v3 import UniswapV3

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        UniswapV3(),
        UniswapV2(),
        MasterChef(),
        StakingRewards(),
        Erc20Flows(),
        Events(),
        ChainlinkFeed(),
    )
}

__all__ = ["FAMILIES", "Family"]
