"""MasterChef (v1 mints its own reward token) with the Harvest event of v2 and MiniChef as the paid twin.

Rules: sushiswap/masterchef, contracts/MasterChef.sol updatePool: `sushi.mint(address(this), sushiReward)` is what
farmers have earned since the last update, so Transfer(0x0 -> chef) of the reward token is the accrued incentive.
The further mint to the developers' address is not given to users and is left out. MasterChefV2.sol is fed by v1
through a dummy pool: its Harvest is booked as paid only, so nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from indexer.decode import wide
from indexer.families.interface import Arity, Batches, Contracts, NamedEmitters
from indexer.model import (
    Address,
    Basis,
    Batch,
    Classified,
    Context,
    Flows,
    Kind,
    Label,
    Side,
    Source,
    Subscription,
)

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
HARVEST = "Harvest(address indexed user, uint256 indexed pid, uint256 amount)"
ZERO_ADDRESS = bytes(32)


class MasterChef(NamedEmitters):
    """Own-token mints to the chef as accrued, harvests as paid; one leg."""

    name = "masterchef"
    version = 1
    contracts: Mapping[str, Arity] = {"chef": Arity.ONE, "token": Arity.ONE, "harvesters": Arity.ANY}
    kinds: Mapping[Kind, tuple[Basis, ...]] = {Kind.INCENTIVE: (Basis.ACCRUED, Basis.PAID)}

    def subscriptions(self, contracts: Contracts) -> tuple[Subscription, ...]:
        """Mints of the token to the chef, and the harvesters' Harvest."""
        mints = Subscription(TRANSFER, contracts["token"], {1: (ZERO_ADDRESS,), 2: (bytes(12) + contracts["chef"][0],)})
        harvesters = contracts.get("harvesters", ())
        return (mints, Subscription(HARVEST, harvesters)) if harvesters else (mints,)

    def classify(self, contracts: Contracts, batches: Batches, context: Context) -> Classified:
        """Incentives in the reward token: minted (accrued) and harvested (paid)."""
        token = contracts["token"][0]
        rules = ((TRANSFER, "value", Basis.ACCRUED), (HARVEST, "amount", Basis.PAID))
        flows = [
            flow
            for event, amount, basis in rules
            if (batch := batches.get(event)) is not None
            for flow in _incentives(batch, amount, basis, token)
        ]
        return Classified(flows)


def _incentives(batch: Batch, amount: str, basis: Basis, token: Address) -> list[Flows]:
    rows = ~wide.is_zero(batch.args[amount])
    if not rows.any():
        return []
    label = Label(Kind.INCENTIVE, Source.LIQUIDITY_MINING, Side.SUPPLY, basis)
    tokens = np.broadcast_to(np.frombuffer(token, np.uint8), (int(rows.sum()), 20))
    return [Flows(label, 0, batch.where.take(rows), tokens, batch.args[amount][rows])]
