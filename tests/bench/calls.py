"""What contracts of the made-up chain answer to eth_call."""

from __future__ import annotations

from collections.abc import Callable

from eth_abi.abi import decode, encode

from .chain import Chain
from .world import SPACINGS, SUSHI_TOKEN, Pool, Token, keccak

MULTICALL3 = bytes.fromhex("ca11bde05977b3631167028862be2a173976ca11")


class Reverted(Exception):
    """The contract refuses the call."""


def _selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


TOKEN: dict[bytes, Callable[[Token], bytes]] = {
    _selector("symbol()"): lambda token: encode(["string"], [token.symbol]),
    _selector("decimals()"): lambda token: encode(["uint8"], [token.decimals]),
}
POOL: dict[bytes, Callable[[Pool], bytes]] = {
    _selector("factory()"): lambda pool: encode(["address"], [pool.factory]),
    _selector("token0()"): lambda pool: encode(["address"], [pool.token0.address]),
    _selector("token1()"): lambda pool: encode(["address"], [pool.token1.address]),
    _selector("fee()"): lambda pool: encode(["uint24"], [pool.tier]),
    _selector("tickSpacing()"): lambda pool: encode(["int24"], [SPACINGS[pool.tier]]),
    _selector("slot0()"): lambda pool: encode(["uint256"] * 7, [pool.sqrt_price, 0, 0, 1, 1, 0, 1]),
}
AGGREGATE3 = _selector("aggregate3((address,bool,bytes)[])")


class Contracts:
    """Tokens, pools of both factories and Multicall3, by address."""

    def __init__(self, chain: Chain) -> None:
        self._tokens = {token.address: token for token in (*chain.tokens, SUSHI_TOKEN)}
        self._pools = {pool.address: pool for pool in (*chain.pools, *chain.foreign)}

    def call(self, to: bytes, data: bytes) -> bytes:
        """The output; empty where there is no contract. Raises Reverted."""
        selector = data[:4]
        try:
            if to in self._tokens:
                return TOKEN[selector](self._tokens[to])
            if to in self._pools:
                return POOL[selector](self._pools[to])
        except KeyError:
            raise Reverted from None
        return self._aggregate3(data[4:]) if (to, selector) == (MULTICALL3, AGGREGATE3) else b""

    def _aggregate3(self, data: bytes) -> bytes:
        (calls,) = decode(["(address,bool,bytes)[]"], data)
        told = [self._one(bytes.fromhex(to[2:]), bool(may_fail), question) for to, may_fail, question in calls]
        return encode(["(bool,bytes)[]"], [told])

    def _one(self, to: bytes, may_fail: bool, data: bytes) -> tuple[bool, bytes]:
        try:
            return True, self.call(to, data)
        except Reverted:
            if not may_fail:
                raise
            return False, b""
