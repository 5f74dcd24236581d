"""An oracle of the demo's dollars: fees, prices and yield_daily's figures from raw logs, in exact fractions.

It shares no code with the indexer. The rules are those of the manifests' methodology and of the columns' comments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from tests.golden.recorded import CREATED, FLASH, SWAP, SWITCH, TRANSFER, Log, logs, signed, state

DECIMALS = {"usdc": 6, "wbtc": 8, "weth": 18, "farm": 18, "nope": 18, "evil": 18, "old": 18, "junk": 18}
FLOOR = 500_000  # dollars of depth below which a pool tells no price
CARRIED = 7  # days a price is good for
Q96 = 2**96


class Fee(NamedTuple):
    """One fee: who is entitled to it, how much of which token, and the log it came from."""

    day: int
    protocol: str
    pool: str
    token: str
    side: str
    amount: int
    block: int
    index: int
    source: str


@dataclass
class Trade:
    """A pool's day: both sides added up, and where its last swap left price and liquidity."""

    tokens: tuple[str, str]
    amounts: list[int] = field(default_factory=lambda: [0, 0])
    sqrt_price: int = 0
    liquidity: int = 0

    def depth(self, number: int) -> Fraction:
        """Virtual reserve of token 0 or 1, raw units."""
        if number:
            return Fraction(self.liquidity * self.sqrt_price, Q96)
        return Fraction(self.liquidity * Q96, self.sqrt_price)


class Price(NamedTuple):
    """Dollars per whole token; age: days since the trades that told it; pool: None for the peg."""

    usd: Fraction
    age: int
    pool: str | None


@cache
def tokens() -> dict[str, str]:
    """Names of token addresses."""
    return {address: name for name, address in state()["contracts"]["tokens"].items()}


@cache
def pools() -> dict[str, tuple[str, tuple[str, str], int]]:
    """Protocol, tokens and tier (ppm) of every pool that either factory announced."""
    owner = {state()["contracts"]["factory"]: "demo_dex", state()["contracts"]["fork_factory"]: "demo_farm"}
    found = {}
    for log in logs():
        if log.topics[0] == CREATED and log.address in owner:
            token0, token1 = ("0x" + topic[-40:] for topic in log.topics[1:3])
            found[f"0x{log.words[1]:040x}"] = (owner[log.address], (token0, token1), int(log.topics[3], 16))
    return found


@cache
def fees() -> list[Fee]:
    """Every fee: floor(paid in x tier / 10^6), or what a flash loan paid; split by the fee switch as it stood."""
    switch: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    found: list[Fee] = []
    for log in logs():
        if log.address not in pools():
            continue
        if log.topics[0] == SWITCH:
            switch[log.address] = (log.words[2], log.words[3])
        for number, amount in enumerate(_paid(log)):
            share = switch[log.address][number]
            part = amount // share if share else 0
            found += _entitled(log, number, (("supply", amount - part), ("protocol", part)))
    return found


def _paid(log: Log) -> Iterable[int]:
    if log.topics[0] == SWAP:
        tier = pools()[log.address][2]
        return [max(0, signed(word)) * tier // 10**6 for word in log.words[:2]]
    return log.words[2:4] if log.topics[0] == FLASH else ()


def _entitled(log: Log, number: int, parts: Iterable[tuple[str, int]]) -> list[Fee]:
    protocol, pair, _ = pools()[log.address]
    source = "swap" if log.topics[0] == SWAP else "flash_loan"
    return [
        Fee(log.day, protocol, log.address, pair[number], side, amount, log.block, log.index, source)
        for side, amount in parts
        if amount
    ]


@cache
def trades() -> dict[tuple[int, str], Trade]:
    """Trades by day and pool."""
    found: dict[tuple[int, str], Trade] = {}
    for log in logs():
        if log.address in pools() and log.topics[0] == SWAP:
            trade = found.setdefault((log.day, log.address), Trade(pools()[log.address][1]))
            for number in (0, 1):
                trade.amounts[number] += abs(signed(log.words[number]))
            trade.sqrt_price, trade.liquidity = log.words[2:4]
    return found


def whole(token: str, amount: int | Fraction) -> Fraction:
    """Raw units as whole tokens."""
    return Fraction(amount) / 10 ** DECIMALS[tokens()[token]]


@cache
def prices() -> dict[tuple[int, str], Price]:
    """By day and token: the peg of USDC, WETH against USDC, all others against USDC or WETH."""
    named = state()["contracts"]["tokens"]
    found: dict[tuple[int, str], Price] = {}
    for day in range(1, 15):
        found[day, named["usdc"]] = Price(Fraction(1), 0, None)
        _tell(found, day, [named["weth"]], {named["usdc"]})
        _tell(found, day, [t for t in tokens() if tokens()[t] not in ("usdc", "weth")], {named["usdc"], named["weth"]})
    return found


def _tell(found: dict[tuple[int, str], Price], day: int, wanted: list[str], quotes: set[str]) -> None:
    """The newest day within reach counts, on it the deepest pool."""
    for token in wanted:
        for seen in range(day, max(0, day - CARRIED - 1), -1):
            told = [one for one in _told(found, seen, token, quotes) if one[0] >= FLOOR]
            if told:
                _, usd, pool = min(told, key=lambda one: (-one[0], one[2]))
                found[day, token] = Price(usd, day - seen, pool)
                break


def _told(
    found: dict[tuple[int, str], Price], seen: int, token: str, quotes: set[str]
) -> Iterable[tuple[Fraction, Fraction, str]]:
    """Depth, volume-weighted price and address of every pool of a day that trades the token for a priced quote."""
    for (day, pool), trade in trades().items():
        if day != seen or token not in trade.tokens:
            continue
        number = trade.tokens.index(token)
        quote = trade.tokens[1 - number]
        if quote in quotes and (seen, quote) in found and all(trade.amounts):
            usd = found[seen, quote].usd
            paid = whole(quote, trade.amounts[1 - number]) * usd
            yield whole(quote, trade.depth(1 - number)) * usd, paid / whole(token, trade.amounts[number]), pool


@cache
def mints() -> list[Log]:
    """The FARM token's transfers from nowhere to the chef; an update in the block of another mints nothing."""
    chef, farm = state()["contracts"]["chef"], state()["contracts"]["farm_token"]
    wanted = [TRANSFER, f"0x{0:064x}", f"0x{int(chef, 16):064x}"]
    return [log for log in logs() if log.address == farm and log.topics == wanted and log.words[0]]


def figures(day: int, protocol: str) -> dict[str, Any]:
    """yield_daily's row of a day: the parts rounded, the sums made of rounded parts."""
    flows = [(fee.token, fee.side, fee.amount) for fee in fees() if (fee.day, fee.protocol) == (day, protocol)]
    supply, kept = (_usd(day, [flow for flow in flows if flow[1] == side]) for side in ("supply", "protocol"))
    emitted = [(log.address, "supply", log.words[0]) for log in mints() if (log.day, protocol) == (day, "demo_farm")]
    incentives, every = _usd(day, emitted), flows + emitted
    unpriced = sum((day, token) not in prices() for token, _, _ in every)
    share = rounded(supply) / (rounded(supply) + rounded(incentives)) if supply + incentives else None
    return {
        "fees_usd": rounded(supply) + rounded(kept),
        "supply_side_usd": rounded(supply),
        "protocol_usd": rounded(kept),
        "holders_usd": 0,
        "revenue_usd": rounded(kept),
        "incentives_usd": rounded(incentives),
        "issued_usd": rounded(incentives),
        "earnings_usd": rounded(kept) - rounded(incentives),
        "real_usd": rounded(supply) + rounded(kept),
        "synthetic_usd": rounded(incentives),
        "real_share": None if share is None else rounded(share),
        "unpriced": unpriced,
        "priced_share": rounded(Fraction(len(every) - unpriced, len(every))) if every else None,
        "coverage": 1,
    } | dict.fromkeys(("production_usd", "issuance_usd", "external_usd", "distribution_usd", "loss_usd"))


def _usd(day: int, flows: Iterable[tuple[str, str, int]]) -> Fraction:
    priced = ((token, amount) for token, _, amount in flows if (day, token) in prices())
    return sum((whole(token, amount) * prices()[day, token].usd for token, amount in priced), Fraction(0))


def rounded(value: Fraction) -> Fraction:
    """Rounded to six decimals, half away from zero as numeric does."""
    millionths = (abs(value) * 10**6 + Fraction(1, 2)).__floor__()
    return Fraction(-millionths if value < 0 else millionths, 10**6)


def exact(value: Decimal | int | None) -> Fraction | None:
    """A database value as a fraction."""
    return None if value is None else Fraction(value)
