// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

interface IPool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function flash(address recipient, uint256 amount0, uint256 amount1, bytes calldata data) external;
}

interface IToken {
    function transfer(address to, uint256 value) external returns (bool);
}

/// Borrows from a pool and pays back in the callback, with a tip on top of the fee when asked.
contract FlashBorrower {
    function borrow(address pool, uint256 amount0, uint256 amount1, uint256 tip) external {
        IPool(pool).flash(address(this), amount0, amount1, abi.encode(amount0, amount1, tip));
    }

    function uniswapV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external {
        (uint256 amount0, uint256 amount1, uint256 tip) = abi.decode(data, (uint256, uint256, uint256));
        IPool pool = IPool(msg.sender);
        if (amount0 > 0) IToken(pool.token0()).transfer(msg.sender, amount0 + fee0 + tip);
        if (amount1 > 0) IToken(pool.token1()).transfer(msg.sender, amount1 + fee1 + tip);
    }
}
