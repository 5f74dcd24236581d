"""Which questions an archive file answers, and which of those that are wanted it leaves open."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

from indexer.decode.signature import parse_event
from indexer.model import Address, Subscription


@dataclass(frozen=True, slots=True)
class Filter:
    """What one eth_getLogs asked, but for its blocks. emitters None: any contract; topics: alternatives by position."""

    emitters: tuple[Address, ...] | None
    topics: tuple[tuple[bytes, ...] | None, ...]

    def answers(self, atom: Atom) -> bool:
        """Whether every log of the atom is in the answer."""
        if self.emitters is not None and atom.emitter not in self.emitters:
            return False
        known = {0: atom.topic0} | dict(atom.further)
        return all(values is None or known.get(place) in values for place, values in enumerate(self.topics))


class Atom(NamedTuple):
    """The smallest question: one contract (None: any), one topic0, one value of each further topic that is bound."""

    emitter: Address | None
    topic0: bytes
    further: tuple[tuple[int, bytes], ...]


def as_json(filters: Iterable[Filter]) -> list[dict[str, Any]]:
    """Filters as plain JSON, in an order of their own."""
    plain = [
        {
            "emitters": None if one.emitters is None else sorted("0x" + emitter.hex() for emitter in one.emitters),
            "topics": [
                None if values is None else sorted("0x" + value.hex() for value in values) for values in one.topics
            ],
        }
        for one in filters
    ]
    return sorted(plain, key=lambda one: json.dumps(one, sort_keys=True))


def from_json(plain: Iterable[Mapping[str, Any]]) -> tuple[Filter, ...]:
    """The inverse of as_json."""
    return tuple(
        Filter(
            None if one["emitters"] is None else _octets(one["emitters"]),
            tuple(None if values is None else _octets(values) for values in one["topics"]),
        )
        for one in plain
    )


def fingerprint(filters: Iterable[Filter]) -> bytes:
    """32 octets that tell sets of filters apart."""
    return hashlib.sha256(json.dumps(as_json(filters), sort_keys=True, separators=(",", ":")).encode()).digest()


class Wanted:
    """The atoms of some subscriptions as bits: bit n of a mask stands for atom n."""

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        self._asked = [(one, _atoms(one)) for one in subscriptions]
        self.atoms = list(dict.fromkeys(atom for _, atoms in self._asked for atom in atoms))
        self._bits = {atom: 1 << number for number, atom in enumerate(self.atoms)}
        self._answered: dict[bytes, int] = {}

    @property
    def all(self) -> int:
        """The mask of every atom."""
        return (1 << len(self.atoms)) - 1

    def answered(self, key: bytes, filters: Sequence[Filter]) -> int:
        """The atoms that these filters answer together. key: their fingerprint."""
        if key not in self._answered:
            sets = [replace(one, emitters=_quick(one.emitters)) for one in filters]
            good = [self._bits[atom] for atom in self.atoms if any(one.answers(atom) for one in sets)]
            self._answered[key] = sum(good)
        return self._answered[key]

    def lacking(self, mask: int) -> list[Subscription]:
        """Subscriptions for the atoms that are not in the mask, and for hardly more."""
        found = []
        for one, atoms in self._asked:
            left = [atom for atom in atoms if not self._bits[atom] & mask]
            if left:
                found.append(_narrowed(one, left))
        return found

    def outside(self, mask: int) -> list[Atom]:
        """The atoms that are not in the mask."""
        return [atom for atom in self.atoms if not self._bits[atom] & mask]


def _atoms(one: Subscription) -> list[Atom]:
    """None where nobody is named: such a subscription asks nothing."""
    topic0 = parse_event(one.event).topic0
    emitters: Sequence[Address | None] = [None] if one.emitters is None else one.emitters
    places = sorted(one.topics)
    bound = [tuple(zip(places, values, strict=True)) for values in product(*(one.topics[place] for place in places))]
    return [Atom(emitter, topic0, further) for emitter in emitters for further in bound]


def _narrowed(one: Subscription, left: Sequence[Atom]) -> Subscription:
    emitters = None if one.emitters is None else tuple(dict.fromkeys(_named(atom) for atom in left))
    values: dict[int, dict[bytes, None]] = {place: {} for place in sorted(one.topics)}
    for atom in left:
        for place, value in atom.further:
            values[place][value] = None
    return replace(one, emitters=emitters, topics={place: tuple(found) for place, found in values.items()})


def _named(atom: Atom) -> Address:
    assert atom.emitter is not None
    return atom.emitter


def _quick(emitters: Iterable[Address] | None) -> Any:
    """A set stands for the tuple where many atoms are looked up."""
    return None if emitters is None else frozenset(emitters)


def _octets(texts: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text[2:]) for text in texts)
