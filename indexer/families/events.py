"""A plain event flow, written in a manifest alone: which event, which parameter is the amount, of what token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.decode import wide
from indexer.decode.dynamic import Word
from indexer.decode.signature import parse_event, parse_type
from indexer.documents import Document
from indexer.families.event_rules import NATIVE, EventRule, EventRules
from indexer.families.interface import Arity, Batches, Contracts, NamedEmitters
from indexer.families.rules import among, booked, kinds_of
from indexer.model import Basis, Batch, Classified, Context, Flows, Kind, Mask, Octets, Subscription, Words

# How logs name the chain's own coin: by zero, or as https://eips.ethereum.org/EIPS/eip-7528 has it.
STAND_INS = (NATIVE, bytes.fromhex("ee" * 20))


class Events(NamedEmitters):
    """An amount that an event of a named contract tells; the leg is the rule's number."""

    name = "events"
    version = 1
    contracts: Mapping[str, Arity] = {"emitters": Arity.MANY}
    options: type[Document] | None = EventRules

    def __init__(self, rules: tuple[EventRule, ...] = ()) -> None:
        self._rules = rules
        self.kinds: Mapping[Kind, tuple[Basis, ...]] = kinds_of(rules)

    def configured(self, options: Document | None) -> Events:
        """With a deployment's rules."""
        return Events(options.event) if isinstance(options, EventRules) else self

    def subscriptions(self, contracts: Contracts) -> tuple[Subscription, ...]:
        """The emitters' events, once a rule, bound to the values it names."""
        return tuple(Subscription(rule.event, contracts["emitters"], _topics(rule)) for rule in self._rules)

    def classify(self, contracts: Contracts, batches: Batches, context: Context) -> Classified:
        """What every rule finds; amounts of zero and of the other sign are left out."""
        flows: list[Flows] = []
        for leg, rule in enumerate(self._rules):
            if (batch := batches.get(rule.event)) is not None:
                amount, rows = _amounts(rule, batch)
                rows &= _meant(rule, batch)
                flows += booked(rule.label, leg, batch.where, _token(rule, batch), amount, rows)
        return Classified(flows)


def _topics(rule: EventRule) -> dict[int, tuple[bytes, ...]]:
    places = {param.name: at for at, param in enumerate(parse_event(rule.event).indexed, 1)}
    return {places[name]: values for name, values in rule.where.items()}


def _amounts(rule: EventRule, batch: Batch) -> tuple[Words, Mask]:
    """The sizes of the amounts, and which are of the rule's sign and not zero."""
    column = batch.args[rule.amount]
    words = wide.from_int64(column) if column.ndim == 1 else column
    if _word(rule, rule.amount).base == "uint":
        return words, ~wide.is_zero(words)
    wanted = wide.is_negative(words) == (rule.sign == "negative")
    return wide.magnitude(words), wanted & ~wide.is_zero(words)


def _meant(rule: EventRule, batch: Batch) -> Mask:
    """Which rows have the values that the rule names: logs of other rules are in the batch too."""
    rows = np.ones(len(batch), bool)
    for name, values in rule.where.items():
        rows &= among(_topic(batch.args[name], _word(rule, name)), values)
    return rows


def _topic(column: NDArray[Any], word: Word) -> Octets:
    """(n, 32): the values as they stood in their topics."""
    match word.base:
        case "address" | "bytes":
            octets = np.zeros((len(column), 32), np.uint8)
            start = 12 if word.base == "address" else 0
            octets[:, start : start + word.size] = column
            return octets
        case _:
            words = wide.from_int64(column.astype(np.int64)) if column.ndim == 1 else column
            return wide.to_octets(words)


def _token(rule: EventRule, batch: Batch) -> Octets:
    """(20,) of all rows or (n, 20) of each."""
    if isinstance(rule.token, bytes):
        return np.frombuffer(rule.token, np.uint8)
    held: Octets = batch.args[rule.token]
    return np.where(among(held, STAND_INS)[:, None], np.uint8(0), held)


def _word(rule: EventRule, name: str) -> Word:
    (word,) = (parse_type(param.type) for param in parse_event(rule.event).params if param.name == name)
    assert isinstance(word, Word)
    return word
