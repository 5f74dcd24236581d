// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

interface IPair {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

interface IPaid {
    function transfer(address to, uint256 value) external returns (bool);
}

/// Takes from a Uniswap v2 pair first and pays in the callback, in the same token, the other one or both.
contract PairBorrower {
    function borrow(address pair, uint256 amount0, uint256 amount1, uint256 back0, uint256 back1) external {
        IPair(pair).swap(amount0, amount1, address(this), abi.encode(back0, back1));
    }

    function uniswapV2Call(address, uint256, uint256, bytes calldata data) external {
        (uint256 back0, uint256 back1) = abi.decode(data, (uint256, uint256));
        IPair pair = IPair(msg.sender);
        if (back0 > 0) IPaid(pair.token0()).transfer(msg.sender, back0);
        if (back1 > 0) IPaid(pair.token1()).transfer(msg.sender, back1);
    }
}
