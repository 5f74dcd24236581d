"""One request serves many: subscriptions grouped into the fewest eth_getLogs filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from indexer.decode.signature import parse_event
from indexer.errors import BadInput
from indexer.model import Address, Span, Subscription

# Transfer is most of what a chain emits: asked for from any contract it would fetch everything to keep little, but for
# transfers between two known addresses, such as mints (from zero) to a treasury.
_NEVER_UNBOUND = parse_event("Transfer(address indexed from, address indexed to, uint256 value)").topic0

_FEW = 100  # contracts


@dataclass(frozen=True, slots=True)
class Shape:
    """A filter without its block range. emitters None: any contract. topics: alternatives by position, None: any."""

    emitters: tuple[Address, ...] | None
    topics: tuple[tuple[bytes, ...] | None, ...]

    @property
    def narrow(self) -> bool:
        """Whether it names a few contracts, or what a further topic holds: then few blocks have many such logs."""
        return (self.emitters is not None and len(self.emitters) <= _FEW) or len(self.topics) > 1

    def within(self, other: Shape) -> bool:
        """Whether every log that it finds is one that the other finds."""
        pairs = [(self.emitters, other.emitters), *zip_longest(self.topics, other.topics)]
        return all(theirs is None or (ours is not None and set(ours) <= set(theirs)) for ours, theirs in pairs)

    def filter(self, span: Span) -> dict[str, object]:
        """The parameter of eth_getLogs for a span."""
        question: dict[str, object] = {"fromBlock": hex(span.first), "toBlock": hex(span.last)}
        if self.emitters is not None:
            question["address"] = [_hex(emitter) for emitter in self.emitters]
        question["topics"] = [None if values is None else [_hex(value) for value in values] for values in self.topics]
        return question

    def split(self, most: int) -> list[Shape]:
        """The same question in the fewest parts of at most `most` emitters, which are about alike."""
        if self.emitters is None or len(self.emitters) <= most:
            return [self]
        size = -(-len(self.emitters) // -(-len(self.emitters) // most))
        parts = [self.emitters[start : start + size] for start in range(0, len(self.emitters), size)]
        return [Shape(part, self.topics) for part in parts]


def shapes(subscriptions: Iterable[Subscription]) -> list[Shape]:
    """The fewest filters that answer all subscriptions without asking for much that nobody wants.

    Subscriptions merge if they are alike in what binds them: any contract or named ones, and the same constrained
    topic positions. A rare event joins a filter for any contract, Transfer never does. Who names no emitter at all
    asks nothing. Raises BadInput for Transfer from any contract, unless both ends of it are known.
    """
    wanted = [one for one in subscriptions if one.emitters != ()]
    unbound = any(one.emitters is None and not one.topics for one in wanted)
    groups: dict[tuple[bool, tuple[int, ...]], list[Subscription]] = {}
    for one in wanted:
        transfer = parse_event(one.event).topic0 == _NEVER_UNBOUND and not {1, 2} <= one.topics.keys()
        if one.emitters is None and transfer:
            raise BadInput(f"{one.event} cannot be asked of any contract: name the token in the manifest.")
        joins = unbound and one.rare and not one.topics and not transfer
        groups.setdefault((one.emitters is None or joins, tuple(sorted(one.topics))), []).append(one)
    return [_merged(loose, members) for (loose, _), members in sorted(groups.items(), key=lambda item: item[0])]


def _merged(loose: bool, members: list[Subscription]) -> Shape:
    emitters = None if loose else tuple(sorted({emitter for one in members for emitter in one.emitters or ()}))
    topic0 = tuple(sorted({parse_event(one.event).topic0 for one in members}))
    return Shape(emitters, (topic0, *_further([one.topics for one in members])))


def _further(constraints: list[Mapping[int, tuple[bytes, ...]]]) -> list[tuple[bytes, ...] | None]:
    last = max((position for topics in constraints for position in topics), default=0)
    values = [{value for topics in constraints for value in topics.get(at, ())} for at in range(1, last + 1)]
    return [tuple(sorted(found)) or None for found in values]


def _hex(octets: bytes) -> str:
    return "0x" + octets.hex()
