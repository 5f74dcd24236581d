"""The rules of pricing once more, in plain Python and exact fractions, as sql/README.md tells them.

Nothing here comes from the SQL: a property test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

REACH = 7  # days a price is good for
OUTSIDE = ("file", "feed")


@dataclass(frozen=True)
class Trade:
    """A pool's day in raw units. depths: None where nobody knows."""

    day: int
    pool: bytes
    tokens: tuple[bytes, bytes]
    came_in: tuple[int, int]
    went_out: tuple[int, int]
    depths: tuple[int | None, int | None]


@dataclass(frozen=True)
class Answers:
    """What one aggregator said of a token on a day."""

    day: int
    token: bytes
    contract: bytes
    count: int
    mean: Fraction
    close: Fraction
    block: int


@dataclass(frozen=True)
class Price:
    """Dollars per whole token, where they are from, and how many days old that is."""

    usd: Fraction
    source: str
    age: int


@dataclass(frozen=True)
class Rules:
    """floor: dollars; age: days a pool must have stood; depeg: millionths."""

    floor: int
    age: int
    depeg: int


@dataclass
class World:
    """All that is known. births: the day of each announced pool. whole: days of which every block is held.

    closed: days that were closed. files: dollars by (token, day).
    """

    rules: Rules
    decimals: Mapping[bytes, int]
    pegs: Mapping[bytes, Fraction | None]  # of every quote token
    trades: Sequence[Trade]
    answers: Sequence[Answers]
    files: Mapping[tuple[bytes, int], Fraction]
    births: Mapping[bytes, int]
    closed: Sequence[int]
    whole: frozenset[int]
    prices: dict[tuple[bytes, int], Price] = field(default_factory=dict)

    def value(self) -> dict[tuple[bytes, int], Price]:
        """Prices of every closed day, oldest first."""
        for day in sorted(self.closed):
            self._outside(day)
            refused = self.refused(day)
            for token, peg in self.pegs.items():
                if peg is not None and token not in refused:
                    self.prices.setdefault((token, day), Price(peg, "peg", 0))
            self._pooled(day, list(self.pegs), (*OUTSIDE, "peg"))
            others = [token for token in self.decimals if token not in self.pegs]
            self._pooled(day, others, (*OUTSIDE, "peg", "pool"))
        return self.prices

    def _outside(self, day: int) -> None:
        for token in self.decimals:
            filed = [seen for seen in range(day, day - REACH - 1, -1) if (token, seen) in self.files]
            said = [one for one in self.answers if one.token == token and 0 <= day - one.day <= REACH]
            if filed:
                self.prices[token, day] = Price(self.files[token, filed[0]], "file", day - filed[0])
            elif said:
                newest = max(one.day for one in said)
                of_day = [one for one in said if one.day == newest]
                mean = sum(one.mean * one.count for one in of_day) / sum(one.count for one in of_day)
                usd = mean if newest == day else max(of_day, key=lambda one: one.block).close
                self.prices[token, day] = Price(usd, "feed", day - newest)

    # ------------------------------------------------------------ what pools say

    def old(self, trade: Trade) -> bool:
        """Whether the pool is known to have stood long enough on the day."""
        if self.rules.age == 0:
            return True
        if trade.pool in self.births:
            return trade.day - self.births[trade.pool] >= self.rules.age
        return all(seen in self.whole for seen in range(trade.day - self.rules.age, trade.day + 1))

    def rates(self, token: bytes, days: Sequence[int]) -> Iterator[tuple[Trade, bytes, Fraction, Fraction]]:
        """Trade, quote, whole quotes per whole token and whole quotes in the pool, of each that may speak at all."""
        for trade in self.trades:
            if trade.day not in days or token not in trade.tokens or trade.day not in self.closed:
                continue
            at = trade.tokens.index(token)
            quote, depth = trade.tokens[1 - at], trade.depths[1 - at]
            moved = [trade.came_in[side] + trade.went_out[side] for side in (0, 1)]
            if quote not in self.pegs or depth is None or 0 in moved or not self.old(trade):
                continue
            unit = Fraction(10 ** self.decimals[token], 10 ** self.decimals[quote])
            yield trade, quote, Fraction(moved[1 - at], moved[at]) * unit, Fraction(depth, 10 ** self.decimals[quote])

    def _pooled(self, day: int, tokens: Sequence[bytes], sources: Sequence[str]) -> None:
        told: dict[bytes, Price] = {}
        for token in tokens:
            best: tuple[int, Fraction, bytes] | None = None
            for trade, quote, rate, depth in self.rates(token, range(day - REACH, day + 1)):
                base = self.prices.get((quote, trade.day))
                if base is None or base.source not in sources:
                    continue
                age, usd_deep = day - trade.day + base.age, depth * base.usd
                place = (trade.day, usd_deep, bytes(255 - octet for octet in trade.pool))
                if age <= REACH and usd_deep >= self.rules.floor and (best is None or place > best):
                    best, told[token] = place, Price(rate * base.usd, "pool", age)
        for token, price in told.items():
            self.prices.setdefault((token, day), price)

    # ------------------------------------------------------------ whose peg is not believed

    def refused(self, day: int) -> set[bytes]:
        """Pegged tokens that the day's trades contradict."""
        judged = {token: verdict for token in self._pegged() if (verdict := self._judged(token, day)) is not None}
        refused = {token for token, against in judged.items() if against}
        for token in self._pegged():
            if token in judged:
                continue
            votes = [
                self._against(token, pools, Fraction(0))
                for quote, pools in self._witnesses(token, day).items()
                if not self._told(quote, day) and not judged.get(quote, False)
            ]
            if votes.count(True) >= max(1, votes.count(False)):
                refused.add(token)
        return refused

    def _pegged(self) -> list[bytes]:
        return [token for token, peg in self.pegs.items() if peg is not None]

    def _told(self, token: bytes, day: int) -> Price | None:
        price = self.prices.get((token, day))
        return price if price is not None and price.source in OUTSIDE else None

    def _contradicts(self, token: bytes, usd: Fraction, slack: Fraction) -> bool:
        peg = self.pegs[token]
        assert peg is not None
        return abs(usd / peg - 1) > Fraction(self.rules.depeg, 10**6) + slack

    def _witnesses(self, token: bytes, day: int) -> dict[bytes, list[tuple[Fraction, Fraction, bytes]]]:
        """By quote the depth in dollars, what it says the token is worth, and the pool, of every pool that counts."""
        found: dict[bytes, list[tuple[Fraction, Fraction, bytes]]] = {}
        for trade, quote, rate, depth in self.rates(token, [day]):
            outside, peg = self._told(quote, day), self.pegs[quote]
            base = outside.usd if outside is not None else peg
            if base is None or (outside is not None and outside.age > 0) or depth * base < self.rules.floor:
                continue
            if outside is not None and peg is None and self._moved(quote, day) is None:
                continue
            found.setdefault(quote, []).append((depth * base, rate * base, trade.pool))
        return found

    def _against(self, token: bytes, pools: list[tuple[Fraction, Fraction, bytes]], slack: Fraction) -> bool:
        """Whether pools with three quarters of the depth contradict the peg."""
        lost = [depth for depth, usd, _ in pools if self._contradicts(token, usd, slack)]
        return bool(lost) and 4 * sum(lost) >= 3 * sum(depth for depth, _, _ in pools)

    def _moved(self, token: bytes, day: int) -> Fraction | None:
        today, before = self.prices[token, day], self.prices.get((token, day - 1))
        return None if before is None else abs(today.usd / before.usd - 1)

    def _judged(self, token: bytes, day: int) -> bool | None:
        """Whether the witnesses against the best quote from outside refute the peg; None without one."""
        told = []
        for quote, pools in self._witnesses(token, day).items():
            if self._told(quote, day):
                moved = self._moved(quote, day)
                lost = self._against(token, pools, Fraction(0) if moved is None else moved)
                speaking = [
                    (-depth, pool)
                    for depth, usd, pool in pools
                    if self._contradicts(token, usd, Fraction(0) if moved is None else moved) is lost
                ]
                told.append((self.pegs[quote] is None, *min(speaking), lost))
        return min(told)[-1] if told else None
