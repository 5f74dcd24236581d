"""StakingRewards with the FARM token: periods, a top-up, times without stakers, and who is owed what."""

from __future__ import annotations

from typing import Any

from tests.demochain.artifacts import staking_rewards
from tests.demochain.cast import Stage
from tests.demochain.oracle import BALANCE

DURATION = 3 * 86_400
SHORTER = 129_600
# (day, block of the day) -> raw FARM told by notifyRewardAmount; the second comes while the first still runs.
REWARDS = {
    (2, 10): 300 * 10**18,
    (4, 40): 200 * 10**18 + 987_654_321,
    (9, 10): 123 * 10**18 + 678,
    (13, 8): 70 * 10**18,
}
JOINS = {(2, 20): (0, 1, 2), (5, 45): (1, 3), (9, 30): (0, 4)}  # farmers who stake
LEAVES = {(5, 20): (0, 1, 2), (10, 12): (4,)}  # farmers who take all: after the first nobody is left


def open_staking(stage: Stage) -> str:
    """Deploys the contract; its rewards come from the owner's reserve. Its address."""
    node, owner, token = stage.node, stage.owner, stage.tokens["farm"]
    staking = node.deploy(owner, staking_rewards(), owner, owner, token, stage.tokens["dlp"])
    stage.created[staking] = node.mine()
    node.transact(owner, staking, "setRewardsDuration(uint256)", DURATION)
    for user in stage.farmers:
        node.transact(user, stage.tokens["dlp"], "approve(address,uint256)", staking, 2**256 - 1)
    node.mine()
    return staking


def stake_a_little(stage: Stage, staking: str, day: int, index: int) -> None:
    """What the story has for this block, and now and then a claim."""
    node, owner, at = stage.node, stage.owner, (day, index)
    if at in REWARDS:
        node.transact(owner, stage.tokens["farm"], "transfer(address,uint256)", staking, REWARDS[at])
        node.transact(owner, staking, "notifyRewardAmount(uint256)", REWARDS[at])
    if at == (13, 5):
        node.transact(owner, staking, "setRewardsDuration(uint256)", SHORTER)
    for number in JOINS.get(at, ()):
        amount = (number + 1) * 1000 * 10**18 + number * 7
        node.transact(stage.farmers[number], staking, "stake(uint256)", amount)
    for number in LEAVES.get(at, ()):
        node.transact(stage.farmers[number], staking, "exit()")
    if index % 23 == 22 and day not in (8,):
        node.transact(stage.side.choice(stage.farmers), staking, "getReward()")


def staking_state(stage: Stage, staking: str) -> dict[str, Any]:
    """The contract's own figures, and what each farmer has earned and not yet taken."""
    node = stage.node
    views = ("rewardRate", "periodFinish", "lastUpdateTime", "rewardPerTokenStored", "rewardsDuration", "totalSupply")
    own = {name: node.call(staking, f"{name}()->(uint256)")[0] for name in views}
    return own | {
        "earned": [node.call(staking, "earned(address)->(uint256)", user)[0] for user in stage.farmers],
        "balance": node.call(stage.tokens["farm"], BALANCE, staking)[0],
    }
