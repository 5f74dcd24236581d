// SPDX-License-Identifier: MIT
pragma solidity ^0.5.16;

import "./StakingRewards.sol";

/// Synthetix's StakingRewards (MIT), but its duration may change while a period runs: what is left of the reward is then
/// spread over the new duration at once. That is the rule of Sky's port, which no package ships.
contract EarlyDuration is StakingRewards {
    constructor(address owner, address distributor, address reward, address staked)
        public
        StakingRewards(owner, distributor, reward, staked)
    {}

    function setRewardsDuration(uint256 duration) external onlyOwner updateReward(address(0)) {
        uint256 running = block.timestamp < periodFinish ? periodFinish - block.timestamp : 0;
        if (running > 0) {
            rewardRate = running.mul(rewardRate).div(duration);
            periodFinish = block.timestamp.add(duration);
        }
        rewardsDuration = duration;
        emit RewardsDurationUpdated(duration);
    }
}
