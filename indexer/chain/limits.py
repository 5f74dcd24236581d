"""What an endpoint will answer at most in one eth_getLogs, as learnt from its refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

from indexer.chain.refusals import RangeTooWide, TooRich
from indexer.errors import TooMuch

USUAL_ADDRESSES = 1000  # geth's default of --rpc.logquerylimit, whose refusal does not say it


@dataclass(slots=True)
class Limits:
    """Blocks and addresses of a question, logs of an answer; None is unknown.

    free_blocks: up to so many, max_logs does not hold; 0: the endpoint says so and does not keep to it.
    refused_blocks: fewest that were refused as too wide a range without a number.
    """

    max_blocks: int | None = None
    max_logs: int | None = None
    max_addresses: int | None = None
    free_blocks: int | None = None
    refused_blocks: int | None = None

    @property
    def blocks(self) -> int | None:
        """Blocks of a question that are answered, as far as is known."""
        return self.refused_blocks // 2 if self.max_blocks is None and self.refused_blocks else self.max_blocks

    def learn(self, refusal: TooMuch, asked_blocks: int, asked_addresses: int) -> None:
        """Take over the limits a refusal names, and the size of a question that was refused without a number."""
        if refusal.max_logs is not None:
            self.max_logs = max(1, refusal.max_logs)
        if isinstance(refusal, TooRich) and self.free_blocks != 0:
            self.free_blocks = refusal.free_blocks if asked_blocks > refusal.free_blocks else 0
        if refusal.max_blocks is not None:
            self.max_blocks = _below(refusal.max_blocks, asked_blocks)
        elif isinstance(refusal, RangeTooWide):
            self.refused_blocks = max(2, _lower(asked_blocks, self.refused_blocks))
        if refusal.max_addresses is not None:
            self.max_addresses = _below(refusal.max_addresses, asked_addresses)
        elif refusal.too_many_addresses:
            less = USUAL_ADDRESSES if USUAL_ADDRESSES < asked_addresses <= 4 * USUAL_ADDRESSES else asked_addresses // 2
            self.max_addresses = _lower(less, self.max_addresses)

    def as_dict(self) -> dict[str, int | None]:
        """Plain numbers, to be kept beside the endpoint's fingerprint (never its URL)."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, object]) -> Limits:
        """The inverse of as_dict; whatever is no whole number above zero counts as unknown."""
        known = {field.name: kept.get(field.name) for field in fields(cls)}
        return cls(**{name: value if type(value) is int and value > 0 else None for name, value in known.items()})


def _below(named: int, asked: int) -> int:
    """The named limit, or one less than asked where the refused question kept to it."""
    return max(1, min(named, asked - 1))


def _lower(guess: int, known: int | None) -> int:
    return max(1, guess if known is None else min(guess, known))


def tightest(limits: Iterable[Limits]) -> Limits:
    """What all of the endpoints would answer."""
    every = list(limits)
    least: dict[str, int | None] = {}
    for field in fields(Limits):
        known = [value for value in (getattr(one, field.name) for one in every) if value is not None]
        least[field.name] = min(known, default=None)
    if any(one.max_logs is not None and one.free_blocks is None for one in every):
        least["free_blocks"] = None
    return Limits(**least)
