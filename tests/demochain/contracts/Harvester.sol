// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

interface IReward {
    function transfer(address to, uint256 value) external returns (bool);
}

/// Pays rewards from a reserve and says so with the Harvest event of the second chef generation.
contract Harvester {
    IReward public immutable reward;
    address public immutable owner;

    event Harvest(address indexed user, uint256 indexed pid, uint256 amount);

    constructor(address reward_) {
        reward = IReward(reward_);
        owner = msg.sender;
    }

    function pay(address user, uint256 pid, uint256 amount) external {
        require(msg.sender == owner, "not the owner");
        reward.transfer(user, amount);
        emit Harvest(user, pid, amount);
    }
}
