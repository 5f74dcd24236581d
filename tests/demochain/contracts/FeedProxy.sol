// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

interface IFeed {
    function decimals() external view returns (uint8);
    function latestRound() external view returns (uint80);
    function rounds(uint80 round) external view returns (int256 answer, uint256 updatedAt);
}

/// Points to one aggregator after the other, as Chainlink's AggregatorProxy does: a phase for each; no event tells it.
contract FeedProxy {
    address public immutable owner;
    uint16 public phaseId;
    mapping(uint16 => address) public phaseAggregators;

    constructor(address first) {
        owner = msg.sender;
        _point(first);
    }

    function confirmAggregator(address next) external {
        require(msg.sender == owner, "not the owner");
        _point(next);
    }

    function aggregator() public view returns (address) {
        return phaseAggregators[phaseId];
    }

    function decimals() external view returns (uint8) {
        return IFeed(aggregator()).decimals();
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        uint80 round = IFeed(aggregator()).latestRound();
        (int256 answer, uint256 updatedAt) = IFeed(aggregator()).rounds(round);
        uint80 known = (uint80(phaseId) << 64) | round;
        return (known, answer, updatedAt, updatedAt, known);
    }

    function _point(address next) private {
        phaseId += 1;
        phaseAggregators[phaseId] = next;
    }
}
