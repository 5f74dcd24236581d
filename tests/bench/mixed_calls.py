"""What contracts of the mixed chain answer to eth_call."""

from __future__ import annotations

from collections.abc import Mapping

from eth_abi.abi import encode

from .calls import AGGREGATE3, MULTICALL3, Contracts, Reverted
from .chain import Chain
from .mixed_chain import MixedChain
from .mixed_world import Venue, farms, feeds
from .world import SPACINGS, Pool, Token, keccak, padded

SILENT = 10  # one foreign contract in so many answers nothing
DECIMALS = 8  # of a feed's answers


class MixedContracts(Contracts):
    """Tokens, pools, pairs, feeds and Multicall3, by address and calldata."""

    def __init__(self, chain: MixedChain) -> None:
        self._answers: dict[bytes, Mapping[bytes, bytes]] = {token.address: _token(token) for token in chain.tokens}
        self._answers |= {farm.token: _token(Token(farm.token, "REWARD", 18, 1)) for farm in farms()}
        for venues, asked in ((chain.three, _pool), (chain.two, _pair)):
            for venue in venues:
                self._answers |= {pool.address: asked(pool) for pool in _answering(venue)}
        for proxy, (_, aggregator) in feeds().items():
            self._answers[proxy] = _proxy(aggregator)
            self._answers[aggregator] = {_call("decimals()"): _number(DECIMALS)}

    def call(self, to: bytes, data: bytes) -> bytes:
        """The output; empty where there is no contract. Raises Reverted."""
        if (to, data[:4]) == (MULTICALL3, AGGREGATE3):
            return self._aggregate3(data[4:])
        known = self._answers.get(to)
        if known is not None and data not in known:
            raise Reverted
        return b"" if known is None else known[data]


def contracts_of(chain: Chain | MixedChain) -> Contracts:
    """The contracts of either chain."""
    return Contracts(chain) if isinstance(chain, Chain) else MixedContracts(chain)


def _call(signature: str, *numbers: int) -> bytes:
    return keccak(signature.encode())[:4] + b"".join(map(_number, numbers))


def _number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _answering(venue: Venue) -> list[Pool]:
    quiet = SILENT if venue.deployment is None else 0
    return [pool for at, pool in enumerate(venue.pools) if not quiet or at % quiet]


def _token(token: Token) -> dict[bytes, bytes]:
    return {_call("symbol()"): encode(["string"], [token.symbol]), _call("decimals()"): _number(token.decimals)}


def _both(pool: Pool) -> dict[bytes, bytes]:
    held = {"factory()": pool.factory, "token0()": pool.token0.address, "token1()": pool.token1.address}
    return {_call(name): padded(value) for name, value in held.items()}


def _pool(pool: Pool) -> dict[bytes, bytes]:
    numbers = {"fee()": pool.tier, "tickSpacing()": SPACINGS[pool.tier]}
    return _both(pool) | {_call(name): _number(value) for name, value in numbers.items()}


def _pair(pair: Pool) -> dict[bytes, bytes]:
    return _both(pair) | _token(Token(pair.address, "LP", 18, 1))


def _proxy(aggregator: bytes) -> dict[bytes, bytes]:
    return {_call("phaseId()"): _number(1), _call("phaseAggregators(uint16)", 1): padded(aggregator)}
