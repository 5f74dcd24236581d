// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

/// An ERC-20 of the early kind: name and symbol are bytes32 and may be missing altogether.
contract OldToken {
    bytes32 private immutable symbol_;
    bytes32 private immutable name_;
    uint8 public constant decimals = 18;
    uint256 public immutable totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(bytes32 name__, bytes32 symbol__, uint256 supply) {
        name_ = name__;
        symbol_ = symbol__;
        totalSupply = supply;
        balanceOf[msg.sender] = supply;
        emit Transfer(address(0), msg.sender, supply);
    }

    function name() external view returns (bytes32) {
        require(name_ != 0);
        return name_;
    }

    function symbol() external view returns (bytes32) {
        require(symbol_ != 0);
        return symbol_;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        allowance[from][msg.sender] -= value;
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
        return true;
    }
}
