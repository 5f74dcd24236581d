"""An oracle of the demo's dollars: fees, prices and yield_daily's figures from raw logs, in exact fractions.

It shares no code with the indexer. The rules are those of the manifests' methodology and of the columns' comments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from tests.golden.recorded import (
    CREATED,
    DAY,
    FLASH,
    GENESIS,
    SWAP,
    SWITCH,
    TRANSFER,
    Log,
    block_times,
    logs,
    signed,
    state,
)

DECIMALS = {"usdc": 6, "wbtc": 8, "weth": 18, "farm": 18, "nope": 18, "evil": 18, "old": 18, "junk": 18}
FLOOR = 10_000  # dollars of quote tokens in reach below which a pool tells no price
CARRIED = 7  # days a price is good for
Q96 = 2**96
PAIR_SWAP = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
SYNC = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
REWARD_ADDED = "0xde88a922e0d3b88b24e9623efeb464919c6bf9f66857a65e2bfcf2ce87a9433d"
STAKED = "0x9e71bc8eea02a63969f509818f2dafb9254532904319f9dbda79b67bd34a5f3d"
WITHDRAWN = "0x7084f5476618d8e60b11ef0d7d3f06914655adb8793e28ff7f018d4c76d505d5"
DURATION = "0xfb46ca5a5e06d4540d6387b930a7c978bce0db5f449ec6b3f5d07c6e1d44f2d3"
QUOTES = ("usdc", "weth")


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
    """A pool's day: what came in and what went out, and what provably was there after its last swap (None: unknown)."""

    tokens: tuple[str, str]
    came: list[int] = field(default_factory=lambda: [0, 0])
    went: list[int] = field(default_factory=lambda: [0, 0])
    depth: list[Fraction] | None = None

    def both(self, number: int) -> int:
        """Raw units of token 0 or 1 that moved."""
        return self.came[number] + self.went[number]


class Price(NamedTuple):
    """Dollars per whole token; age: days since the trades that told it; pool: None for peg and feed."""

    usd: Fraction
    age: int
    pool: str | None


@cache
def tokens() -> dict[str, str]:
    """Names of token addresses."""
    return {address: name for name, address in state()["contracts"]["tokens"].items()}


@cache
def pools() -> dict[str, tuple[str, tuple[str, str], int]]:
    """Protocol, tokens and tier (ppm) of every pool that a factory announced, and of the pairs."""
    owner = {state()["contracts"]["factory"]: "demo_dex", state()["contracts"]["fork_factory"]: "demo_farm"}
    found = {}
    for log in logs():
        if log.topics[0] == CREATED and log.address in owner:
            token0, token1 = ("0x" + topic[-40:] for topic in log.topics[1:3])
            found[f"0x{log.words[1]:040x}"] = (owner[log.address], (token0, token1), int(log.topics[3], 16))
    named = state()["contracts"]["tokens"]
    for pair, (one, other) in {"pair_usdc_weth": ("usdc", "weth"), "pair_farm_weth": ("farm", "weth")}.items():
        first, second = sorted((named[one], named[other]))
        found[state()["contracts"]["pairs"][pair]] = ("demo_pairs", (first, second), 3000)
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
            if log.topics[0] == PAIR_SWAP and state()["fee_to"][0] <= log.block < state()["fee_to"][1]:
                share = 6
            part = amount // share if share else 0
            found += _entitled(log, number, (("supply", amount - part), ("protocol", part)))
    return found


def _paid(log: Log) -> Iterable[int]:
    tier = pools()[log.address][2]
    if log.topics[0] == SWAP:
        return [max(0, signed(word)) * tier // 10**6 for word in log.words[:2]]
    if log.topics[0] == PAIR_SWAP:
        return [word * tier // 10**6 for word in log.words[:2]]
    return log.words[2:4] if log.topics[0] == FLASH else ()


def _entitled(log: Log, number: int, parts: Iterable[tuple[str, int]]) -> list[Fee]:
    protocol, pair, _ = pools()[log.address]
    source = "flash_loan" if log.topics[0] == FLASH else "swap"
    return [
        Fee(log.day, protocol, log.address, pair[number], side, amount, log.block, log.index, source)
        for side, amount in parts
        if amount
    ]


@cache
def trades() -> dict[tuple[int, str], Trade]:
    """Trades by day and pool. A pair's swap that pays in both tokens is netted; only one pair's reserves are read."""
    found: dict[tuple[int, str], Trade] = {}
    reserves: list[int] = []
    read = state()["contracts"]["pairs"]["pair_farm_weth"]
    for log in logs():
        if log.address == read and log.topics[0] == SYNC:
            reserves = log.words[:2]
        if log.address not in pools() or log.topics[0] not in (SWAP, PAIR_SWAP):
            continue
        trade = found.setdefault((log.day, log.address), Trade(pools()[log.address][1]))
        if log.topics[0] == SWAP:
            moved = [signed(word) for word in log.words[:2]]
            trade.depth = _in_reach(log)
        else:
            moved = [log.words[number] - log.words[2 + number] for number in (0, 1)]
            trade.depth = [Fraction(reserve) for reserve in reserves] if log.address == read else None
        for number in (0, 1):
            trade.came[number] += max(0, moved[number])
            trade.went[number] += max(0, -moved[number])
    return found


def _in_reach(log: Log) -> list[Fraction]:
    """What liquidity holds between the price and the ends of its tick spacing, by the whitepaper's formulas.

    Uniswap v3 Core, 6.2.1: virtual reserves L / sqrt(P) and L x sqrt(P), less those at the range's ends.
    """
    name = next(name for name, address in state()["contracts"]["pools"].items() if address == log.address)
    spacing = state()["pools"][name]["tick_spacing"]
    price, liquidity = Fraction(log.words[2], Q96), log.words[3]
    lower = signed(log.words[4]) // spacing * spacing
    with localcontext(prec=60):
        low, high = (Fraction(Decimal("1.0001") ** (Decimal(tick) / 2)) for tick in (lower, lower + spacing))
    price = min(max(price, low), high)
    return [liquidity / price - liquidity / high, liquidity * price - liquidity * low]


def whole(token: str, amount: int | Fraction) -> Fraction:
    """Raw units as whole tokens."""
    return Fraction(amount) / 10 ** DECIMALS[tokens()[token]]


@cache
def prices() -> dict[tuple[int, str], Price]:
    """By day and token: the peg of USDC, WETH as its feed says, all others by pools against USDC or WETH."""
    named = state()["contracts"]["tokens"]
    shown = feed()
    found: dict[tuple[int, str], Price] = {}
    for day in range(1, 15):
        found[day, named["usdc"]] = Price(Fraction(1), 0, None)
        found[day, named["weth"]] = Price(sum(shown[day], Fraction(0)) / len(shown[day]), 0, None)
        _tell(found, day, [token for token in tokens() if tokens()[token] not in QUOTES])
    return found


def feed() -> dict[int, list[Fraction]]:
    """Dollars that the feed's proxy itself showed after each block, by day."""
    last = {day["day"]: day["last_block"] for day in state()["days"]}
    found: dict[int, list[Fraction]] = defaultdict(list)
    for block, _, _, answer in state()["feed"]["shown"]:
        found[min((day for day, end in last.items() if block <= end), default=15)].append(Fraction(answer, 10**8))
    return found


def _tell(found: dict[tuple[int, str], Price], day: int, wanted: list[str]) -> None:
    """The newest day within reach counts, on it the deepest pool."""
    for token in wanted:
        for seen in range(day, max(0, day - CARRIED - 1), -1):
            told = [one for one in _told(found, seen, token) if one[0] >= FLOOR]
            if told:
                _, usd, pool = min(told, key=lambda one: (-one[0], one[2]))
                found[day, token] = Price(usd, day - seen, pool)
                break


def _told(found: dict[tuple[int, str], Price], seen: int, token: str) -> Iterable[tuple[Fraction, Fraction, str]]:
    """Depth, volume-weighted price and address of every pool of a day that trades the token for a quote token."""
    for (day, pool), trade in trades().items():
        if day != seen or token not in trade.tokens or trade.depth is None:
            continue
        number = trade.tokens.index(token)
        quote = trade.tokens[1 - number]
        if tokens()[quote] in QUOTES and trade.both(0) and trade.both(1):
            usd = found[seen, quote].usd
            paid = whole(quote, trade.both(1 - number)) * usd
            yield whole(quote, trade.depth[1 - number]) * usd, paid / whole(token, trade.both(number)), pool


def worth(fee: Fee) -> Fraction | None:
    """Dollars of a fee: a swap's is worth what quote tokens went out for what came in, unless it is one itself."""
    if fee.source == "swap" and tokens()[fee.token] not in QUOTES:
        trade = trades()[fee.day, fee.pool]
        number = trade.tokens.index(fee.token)
        quote = trade.tokens[1 - number]
        if tokens()[quote] in QUOTES and trade.came[number] and trade.went[1 - number]:
            paid = whole(quote, trade.went[1 - number]) * prices()[fee.day, quote].usd
            return paid * fee.amount / trade.came[number]
    price = prices().get((fee.day, fee.token))
    return None if price is None else whole(fee.token, fee.amount) * price.usd


class Accrued(NamedTuple):
    """What the staking farm's stakers earned on a day, raw FARM, and of how many runs of one rate it is made."""

    amount: int
    runs: int


@cache
def staked() -> dict[int, Accrued]:
    """StakingRewards' own rule, event by event: rate x seconds while a period runs and somebody stakes."""
    rate = finish = supply = now = programme = 0
    duration = 7 * DAY
    per_day: dict[int, int] = defaultdict(int)
    runs: dict[int, set[tuple[int, int]]] = defaultdict(set)
    gap = 0
    events = [log for log in logs() if log.address == state()["contracts"]["staking"]]
    for time, log in [*((block_times()[log.block], log) for log in events), (GENESIS + 14 * DAY, None)]:
        for begin in range(now, min(time, finish)) if supply and rate else ():
            day = (begin - GENESIS) // DAY + 1
            per_day[day] += rate
            runs[day].add((programme, gap))
        now = time
        if log is None:
            break
        if log.topics[0] == REWARD_ADDED:
            left = rate * (finish - time) if time < finish else 0
            rate, finish, programme = (log.words[0] + left) // duration, time + duration, programme + 1
        elif log.topics[0] == DURATION:
            duration = log.words[0]
        elif log.topics[0] in (STAKED, WITHDRAWN):
            gap += not supply
            supply += log.words[0] if log.topics[0] == STAKED else -log.words[0]
    return {day: Accrued(amount, len(runs[day])) for day, amount in per_day.items()}


@cache
def mints() -> list[Log]:
    """The FARM token's transfers from nowhere to the chef; an update in the block of another mints nothing."""
    chef, farm = state()["contracts"]["chef"], state()["contracts"]["farm_token"]
    wanted = [TRANSFER, f"0x{0:064x}", f"0x{int(chef, 16):064x}"]
    return [log for log in logs() if log.address == farm and log.topics == wanted and log.words[0]]


def figures(day: int, protocol: str) -> dict[str, Any]:
    """yield_daily's row of a day: the parts rounded, the sums made of rounded parts."""
    own = [fee for fee in fees() if (fee.day, fee.protocol) == (day, protocol)]
    dollars = [worth(fee) for fee in own]
    supply, kept = (
        sum((usd for fee, usd in zip(own, dollars, strict=True) if fee.side == side and usd is not None), Fraction(0))
        for side in ("supply", "protocol")
    )
    emitted = [log.words[0] for log in mints() if (log.day, protocol) == (day, "demo_farm")]
    stream = staked().get(day, Accrued(0, 0)) if protocol == "demo_farm" else Accrued(0, 0)
    farm = prices().get((day, state()["contracts"]["farm_token"]))
    printed, flows = sum(emitted) + stream.amount, len(own) + len(emitted) + stream.runs
    unpriced = sum(usd is None for usd in dollars) + (flows - len(own) if farm is None else 0)
    incentives = Fraction(0) if farm is None else whole(state()["contracts"]["farm_token"], printed) * farm.usd
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
        "priced_share": rounded(Fraction(flows - unpriced, flows)) if flows else None,
        "coverage": 1,
    } | dict.fromkeys(("production_usd", "issuance_usd", "external_usd", "distribution_usd", "loss_usd"))


def rounded(value: Fraction) -> Fraction:
    """Rounded to six decimals, half away from zero as numeric does."""
    millionths = (abs(value) * 10**6 + Fraction(1, 2)).__floor__()
    return Fraction(-millionths if value < 0 else millionths, 10**6)


def exact(value: Decimal | int | None) -> Fraction | None:
    """A database value as a fraction."""
    return None if value is None else Fraction(value)
