"""What a chain with every family of the packaged catalogue is made of: its deployments, and contracts for them.

Only addresses and dates are taken from the packaged files, so that a benchmark follows the catalogue; no rule is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from .measure import ROOT
from .world import FOREIGN_FACTORY, KNOWN, SPACINGS, SUSHI_TOKEN, Pool, Token, keccak, made_up, pool_address

CHAIN = "ethereum"
UNI = bytes.fromhex("1f9840a85d5af5bf1d1762f925bdaddc4201f984")
WETH = KNOWN[0]
# Hash of the pairs' creation code: Uniswap/sdks, sdks/v2-sdk/src/constants.ts; forks say theirs in their manifest.
PAIR_CODE = "0x96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"
PAIRS_PER_POOL = 3  # Uniswap v2 pairs that trade for each Uniswap v3 pool that does


@dataclass(frozen=True, slots=True)
class Venue:
    """Pools or pairs of one factory. deployment: the one they belong to, None where nobody asks for them.

    fee_to: first block, recipient of each date at which the fee of its pairs is switched on.
    """

    deployment: str | None
    factory: bytes
    pools: Sequence[Pool]
    fee_to: Sequence[tuple[int, bytes]] = ()


@dataclass(frozen=True, slots=True)
class Farm:
    """A StakingRewards contract. label: kind, source, side of its reward."""

    deployment: str
    address: bytes
    token: bytes
    label: tuple[str, str, str]


@cache
def deployments() -> Mapping[str, Mapping[str, Any]]:
    """The packaged deployments on Ethereum by id, as their files write them."""
    found = {}
    for protocol in _files():
        for one in protocol["deployment"]:
            if one["chain"] == CHAIN:
                found[".".join([protocol["protocol"]["id"], CHAIN, *filter(None, [one.get("name")])])] = one
    return found


def priced_tokens() -> set[bytes]:
    """Tokens whose feeds are read along: listed ones, and those of the protocols themselves."""
    listed = tomllib.loads((ROOT / "indexer" / "prices" / "tokens.toml").read_text())["token"]
    own = [token for protocol in _files() for token in protocol["protocol"].get("own_tokens", ())]
    return {address(one["address"]) for one in (*listed, *own) if one["chain"] == CHAIN}


def feeds() -> dict[bytes, tuple[bytes, bytes]]:
    """By proxy the token that its feed prices, and the aggregator that it points to here."""
    found = {}
    for one in deployments().values():
        if one["family"] == "chainlink_feed":
            proxy = address(one["contracts"]["proxy"])
            found[proxy] = (address(one["options"]["token"]), made_up(f"aggregator of {proxy.hex()}"))
    return found


def farms() -> list[Farm]:
    """Every packaged farm."""
    sources = {"incentive": "staking_reward", "external": "partner_grant", "distribution": "payout"}
    found = []
    for name, one in deployments().items():
        if one["family"] == "staking_rewards":
            kind = one["options"]["kind"]
            side = one["options"].get("side", "holders" if kind == "distribution" else "supply")
            held = (address(one["contracts"][role]) for role in ("pool", "token"))
            found.append(Farm(name, *held, (kind, sources[kind], side)))
    return found


def make_market(pools: int) -> list[Token]:
    """The known tokens and as many others as there are to be pairs."""
    more = (Token(made_up(f"token {n}"), f"T{n}", 18, 1 + n % 100) for n in range(pools * PAIRS_PER_POOL))
    return [*KNOWN, SUSHI_TOKEN, Token(UNI, "UNI", 18, 8), *more]


def make_venues(tokens: Sequence[Token], pools: int) -> tuple[list[Venue], list[Venue]]:
    """Venues of v3 pools and of v2 pairs, the foreign ones last: as many pools of Uniswap v3, the others to scale."""
    count = {"uniswap_v3.ethereum": pools, "sushiswap.ethereum.v3": pools // 10}
    three = [_pools_of(name, tokens, max(2, wanted)) for name, wanted in count.items()]
    three.append(Venue(None, FOREIGN_FACTORY, _pools(tokens, FOREIGN_FACTORY, max(2, pools // 10))))
    count = {"uniswap_v2.ethereum": pools * PAIRS_PER_POOL, "sushiswap.ethereum.v2": pools // 2}
    two = [_pairs_of(name, tokens, max(2, wanted)) for name, wanted in count.items()]
    foreign = made_up("foreign factory of pairs")
    two.append(Venue(None, foreign, _pairs(tokens, foreign, PAIR_CODE, max(2, pools // 4))))
    return three, two


def address(text: str) -> bytes:
    """20 octets of an address as files write it."""
    return bytes.fromhex(text[2:])


def _files() -> list[dict[str, Any]]:
    return [tomllib.loads(file.read_text()) for file in sorted((ROOT / "indexer" / "protocols").glob("*.toml"))]


def _pools_of(name: str, tokens: Sequence[Token], count: int) -> Venue:
    factory = address(deployments()[name]["contracts"]["factory"])
    return Venue(name, factory, _pools(tokens, factory, count))


def _pairs_of(name: str, tokens: Sequence[Token], count: int) -> Venue:
    one = deployments()[name]
    factory, options = address(one["contracts"]["factory"]), one["options"]
    code = options.get("init_code_hash", PAIR_CODE)
    dates = [(when["first_block"], address(when["recipient"])) for when in options["fee_to"]]
    return Venue(name, factory, _pairs(tokens, factory, code, count), dates)


def _pools(tokens: Sequence[Token], factory: bytes, count: int) -> list[Pool]:
    made = ((pair, tier) for pair in _couples(tokens) for tier in SPACINGS)
    return [Pool(pool_address(factory, *pair, tier), factory, *pair, tier) for pair, tier in islice(made, count)]


def _pairs(tokens: Sequence[Token], factory: bytes, code: str, count: int) -> list[Pool]:
    return [_pair(factory, bytes.fromhex(code[2:]), *pair) for pair in islice(_couples(tokens), count)]


def _pair(factory: bytes, code: bytes, token0: Token, token1: Token) -> Pool:
    """Where that factory puts that pair (CREATE2, EIP-1014); its fee is 0.3 %."""
    salt = keccak(token0.address + token1.address)
    return Pool(keccak(b"\xff" + factory + salt + code)[12:], factory, token0, token1, 3000)


def _couples(tokens: Sequence[Token]) -> Iterable[tuple[Token, Token]]:
    """Each token with WETH, the lower address first."""
    for token in tokens:
        if token is not WETH:
            yield (token, WETH) if token.address < WETH.address else (WETH, token)
