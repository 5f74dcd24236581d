"""What the made-up chain is made of: addresses, tokens, pools, topics, and numbers as words of 32 octets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations, count, islice, product

import numpy as np
from Crypto.Hash import keccak as _keccak
from numpy.typing import NDArray

Octets = NDArray[np.uint8]
Ints = NDArray[np.int64]
Wide = tuple[NDArray[np.uint64], Ints]  # lower 64 bits, and the bits above

PPM = 10**6
SPACINGS = {3000: 60, 500: 10, 10_000: 200, 100: 1}  # tick spacing by tier in ppm


def keccak(octets: bytes) -> bytes:
    """Keccak-256."""
    return _keccak.new(digest_bits=256, data=octets).digest()


def made_up(name: str) -> bytes:
    """An address (20 octets) that nobody else has."""
    return sha256(name.encode()).digest()[:20]


FACTORY = bytes.fromhex("1f98431c8ad98523631ae4a59f267346ea31f984")
SUSHI = bytes.fromhex("6b3595068778dd592e39a122f4f5a5cf09c90fe2")
CHEF = bytes.fromhex("c2edad668740f1aa35e4d8f227fb8e17dca888cd")
# Hash of the pools' creation code: Uniswap/v3-periphery, contracts/libraries/PoolAddress.sol, POOL_INIT_CODE_HASH.
POOL_CODE = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")
FOREIGN_FACTORY, DEVELOPERS = made_up("foreign factory"), made_up("developers")
NOBODY = bytes(20)

POOL_CREATED = keccak(b"PoolCreated(address,address,uint24,int24,address)")
SWAP = keccak(b"Swap(address,address,int256,int256,uint160,uint128,int24)")
MINT = keccak(b"Mint(address,address,int24,int24,uint128,uint256,uint256)")
BURN = keccak(b"Burn(address,int24,int24,uint128,uint256,uint256)")
TRANSFER = keccak(b"Transfer(address,address,uint256)")


@dataclass(frozen=True, slots=True)
class Token:
    """address: 20 octets; usd: what one whole token is worth here."""

    address: bytes
    symbol: str
    decimals: int
    usd: int


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of a factory; token0 is the one with the lower address."""

    address: bytes
    factory: bytes
    token0: Token
    token1: Token
    tier: int

    @property
    def sqrt_price(self) -> int:
        """Q64.96 square root of token1 per token0 in raw units."""
        price = self.token0.usd / self.token1.usd * 10.0 ** (self.token1.decimals - self.token0.decimals)
        return int(price**0.5 * 2**96)


SUSHI_TOKEN = Token(SUSHI, "SUSHI", 18, 10)
KNOWN = (
    Token(bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"), "WETH", 18, 3000),
    Token(bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"), "USDC", 6, 1),
    Token(bytes.fromhex("dac17f958d2ee523a2206206994597c13d831ec7"), "USDT", 6, 1),
    Token(bytes.fromhex("6b175474e89094c44da98b954eedeac495271d0f"), "DAI", 18, 1),
    Token(bytes.fromhex("2260fac5e5542a773aa44fbcfedf7c193bc2c599"), "WBTC", 8, 50_000),
)


def make_tokens(pools: int) -> list[Token]:
    """The known tokens, and as many more as make a dozen and that number of pools."""
    enough = next(n for n in count(12) if n * (n - 1) // 2 * len(SPACINGS) >= pools)
    return [*KNOWN, *(Token(made_up(f"token {n}"), f"T{n}", 18, 1 + n) for n in range(len(KNOWN), enough))]


def make_pools(tokens: Sequence[Token], factory: bytes, number: int) -> list[Pool]:
    """The first so many pools of a factory, tier by tier."""
    pairs = product(SPACINGS, combinations(sorted(tokens, key=lambda token: token.address), 2))
    return [Pool(pool_address(factory, *pair, tier), factory, *pair, tier) for tier, pair in islice(pairs, number)]


def pool_address(factory: bytes, token0: Token, token1: Token, tier: int) -> bytes:
    """Where that factory puts that pool (CREATE2, EIP-1014)."""
    salt = keccak(padded(token0.address) + padded(token1.address) + tier.to_bytes(32, "big"))
    return keccak(b"\xff" + factory + salt + POOL_CODE)[12:]


def padded(address: bytes) -> bytes:
    """An address as a word of 32 octets."""
    return bytes(12) + address


def octets(words: Sequence[bytes]) -> Octets:
    """Words of one length as rows."""
    return np.frombuffer(b"".join(words), np.uint8).reshape(len(words), -1)


def word(low: NDArray[np.uint64] | Ints, high: Ints | None = None) -> Octets:
    """Numbers as big-endian words of 32 octets; without `high`, int64 is extended by its sign."""
    upper = (low >> 63 if low.dtype == np.int64 else np.zeros(len(low), np.int64)) if high is None else high
    sign = upper >> 63
    return np.stack([sign, sign, upper, low.astype(np.int64)], axis=1).astype(">i8").view(np.uint8)


def negative(wide: Wide) -> Octets:
    """Minus those numbers, in two's complement."""
    low, high = wide
    return word(~low + np.uint64(1), ~high + (low == 0))


def integers(wide: Wide) -> list[int]:
    """Those numbers as Python's."""
    return [upper << 64 | lower for lower, upper in zip(*(column.tolist() for column in wide), strict=True)]
