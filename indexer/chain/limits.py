"""What an endpoint will answer at most in one eth_getLogs, as learnt from its refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

from indexer.chain.refusals import RangeTooWide
from indexer.errors import TooMuch


@dataclass(slots=True)
class Limits:
    """Blocks and addresses of a question, logs of an answer; None is unknown."""

    max_blocks: int | None = None
    max_logs: int | None = None
    max_addresses: int | None = None

    def learn(self, refusal: TooMuch, asked_blocks: int, asked_addresses: int) -> None:
        """Take over the limits a refusal names; an unnamed one is below half of what was asked."""
        if refusal.max_logs is not None:
            self.max_logs = max(1, refusal.max_logs)
        if refusal.max_blocks is not None:
            self.max_blocks = _below(refusal.max_blocks, asked_blocks)
        elif isinstance(refusal, RangeTooWide):
            self.max_blocks = _lower(asked_blocks // 2, self.max_blocks)
        if refusal.max_addresses is not None:
            self.max_addresses = _below(refusal.max_addresses, asked_addresses)
        elif refusal.too_many_addresses:
            self.max_addresses = _lower(asked_addresses // 2, self.max_addresses)

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
    return Limits(**least)
