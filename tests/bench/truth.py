"""What a mixed chain's logs come to, in plain integers; nothing of the product is used here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

DAY, WEEK = 86_400, 604_800  # seconds; a farm's reward is given over a week

Key = tuple[str | None, str, str, str, str, bytes]  # deployment, kind, source, side, basis, token


def fee_shares(fee: int, denominator: int) -> tuple[int, int]:
    """The liquidity providers' part of a fee, and the protocol's: one denominator-th, none for 0."""
    cut = fee // denominator if denominator else 0
    return fee - cut, cut


@dataclass(slots=True)
class Book:
    """Sum and number of amounts above zero."""

    sums: dict[Key, tuple[int, int]] = field(default_factory=dict)

    def add(self, key: Key, amount: int) -> None:
        """One more."""
        if amount:
            total, count = self.sums.get(key, (0, 0))
            self.sums[key] = (total + amount, count + 1)

    def add_all(self, key: Key, amounts: Iterable[int]) -> None:
        """All of these."""
        for amount in amounts:
            self.add(key, amount)

    def add_fee(self, deployment: str, source: str, token: bytes, shares: tuple[int, int]) -> None:
        """A fee as it accrues to both sides."""
        for side, amount in zip(("supply", "protocol"), shares, strict=True):
            self.add((deployment, "fee", source, side, "accrued", token), amount)


@dataclass(slots=True)
class FarmBook:
    """Rewards given to farms that always have stakes, with their times (UTC seconds)."""

    given: dict[Key, list[tuple[int, int]]] = field(default_factory=dict)

    def add(self, key: Key, time: int, reward: int) -> None:
        """One more, later than all before."""
        self.given.setdefault(key, []).append((time, reward))

    def accrued(self, end: int) -> dict[Key, int]:
        """What came of them before a moment: what is left of a week goes on with the next reward."""
        return {key: total for key, given in self.given.items() if (total := _accrued(given, end))}


def _accrued(given: list[tuple[int, int]], end: int) -> int:
    total = rate = since = finish = 0
    for time, reward in [*(one for one in given if one[0] < end), (end, 0)]:
        total += rate * max(0, min(time, finish) - since)
        rate, since, finish = (reward + max(0, finish - time) * rate) // WEEK, time, time + WEEK
    return total
