// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

/// Dollars per coin, as a phase aggregator of Chainlink tells them: the event and views that readers use.
contract Feed {
    struct Round {
        int256 answer;
        uint256 updatedAt;
    }

    address public immutable owner;
    uint8 public constant decimals = 8;
    uint80 public latestRound;
    mapping(uint80 => Round) public rounds;

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    constructor() {
        owner = msg.sender;
    }

    function tell(int256 answer) external {
        require(msg.sender == owner, "not the owner");
        latestRound += 1;
        rounds[latestRound] = Round(answer, block.timestamp);
        emit AnswerUpdated(answer, latestRound, block.timestamp);
    }
}
