"""The farmers: they stake in the MasterChef's two pools, harvest, and leave; the owner shifts the weights."""

from __future__ import annotations

from tests.demochain.cast import DECIMALS, Stage

STAKES = ("dlp", "usdc")  # staked token by pid


def open_farm(stage: Stage) -> None:
    """Both pools, and an update of the second while nobody has staked in it."""
    chef, owner = stage.farm.chef, stage.owner
    for weight, name in zip((700, 300), STAKES, strict=True):
        stage.node.transact(owner, chef, "add(uint256,address,bool)", weight, stage.tokens[name], False)
    stage.node.mine()


def staked(stage: Stage, pid: int, user: str) -> int:
    """Raw units of the staked token that a user has in a pool."""
    return int(stage.node.call(stage.farm.chef, "userInfo(uint256,address)->(uint256)", pid, user)[0])


def deposit(stage: Stage, pid: int, user: str, whole: int) -> None:
    """Sends a deposit of whole units; zero harvests."""
    amount = whole * 10 ** DECIMALS[STAKES[pid]]
    stage.node.transact(user, stage.farm.chef, "deposit(uint256,uint256)", pid, amount)


def withdraw(stage: Stage, pid: int, user: str, share: tuple[int, int]) -> None:
    """Sends a withdrawal of a share (numerator, denominator) of what the user has staked."""
    amount = staked(stage, pid, user) * share[0] // share[1]
    stage.node.transact(user, stage.farm.chef, "withdraw(uint256,uint256)", pid, amount)


def farm_a_little(stage: Stage, day: int) -> None:
    """At most one random act of a farmer; the second pool has nobody before day 2."""
    rng = stage.rng
    user, pid = rng.choice(stage.farmers), 0 if day < 2 else rng.randrange(2)
    kind = rng.random()
    if kind < 0.10:
        deposit(stage, pid, user, rng.randint(1, 5000) * (1 if pid == 0 else 20))
    elif kind < 0.20:
        deposit(stage, pid, user, 0)
    elif kind < 0.24 and staked(stage, pid, user):
        withdraw(stage, pid, user, (rng.randint(1, 3), 4))
    elif kind < 0.27:
        stage.node.transact(user, stage.farm.chef, "updatePool(uint256)", rng.randrange(2))
    elif kind < 0.28:
        stage.node.transact(user, stage.farm.chef, "massUpdatePools()")
    elif kind < 0.31 and day >= 2:
        amount = rng.randint(1, 40) * 10**18 + rng.randrange(10**18)
        stage.node.transact(stage.owner, stage.harvester, "pay(address,uint256,uint256)", user, 0, amount)


def shift_weights(stage: Stage, pid: int, weight: int, update: bool) -> None:
    """Sends a change of a pool's weight; without update it works back to each pool's last reward block."""
    stage.node.transact(stage.owner, stage.farm.chef, "set(uint256,uint256,bool)", pid, weight, update)


def flee(stage: Stage, user: str) -> None:
    """Sends an emergency withdrawal from the second pool: the reward is left behind."""
    stage.node.transact(user, stage.farm.chef, "emergencyWithdraw(uint256)", 1)


def chatter(stage: Stage) -> None:
    """An ordinary transfer of the reward token between two users: not an emission."""
    rng = stage.rng
    giver, taker = rng.sample(stage.traders + stage.farmers, 2)
    amount = rng.randint(1, 500) * 10**18 + rng.randrange(10**18)
    stage.node.transact(giver, stage.tokens["farm"], "transfer(address,uint256)", taker, amount)
