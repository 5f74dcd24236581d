"""The registry: one line a family."""

from __future__ import annotations

from collections.abc import Mapping

from indexer.families.interface import Family
from indexer.families.masterchef import MasterChef
from indexer.families.uniswap_v3 import UniswapV3

FAMILIES: Mapping[str, Family] = {family.name: family for family in (UniswapV3(), MasterChef())}

__all__ = ["FAMILIES", "Family"]
