"""What families written in a manifest alone have in common: a rule says what a flow is, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from indexer.documents import Document, SourceText
from indexer.model import Basis, Flows, Kind, Label, Mask, Octets, Side, Source, Where, Words

MOST_RULES = 100  # of one deployment: each is compared with each


class Rule(Document):
    """One table of deployment.options: the label of what it finds. why: what proves that it is that."""

    kind: Kind
    source: Source
    side: Side
    basis: Basis
    why: SourceText

    @property
    def label(self) -> Label:
        """Of every flow that the rule finds."""
        return Label(self.kind, self.source, self.side, self.basis)


def kinds_of(rules: Iterable[Rule]) -> Mapping[Kind, tuple[Basis, ...]]:
    """The kinds that rules find, each with its bases, in the order of model.Kind and model.Basis."""
    pairs = {(rule.kind, rule.basis) for rule in rules}
    return {kind: tuple(basis for basis in Basis if (kind, basis) in pairs) for kind in Kind if kind in dict(pairs)}


def booked(label: Label, leg: int, where: Where, token: Octets, amount: Words, rows: Mask) -> list[Flows]:
    """The flows of these rows of a batch, none if there are none. token: (n, 20) of all rows, or (20,) for each."""
    if not rows.any():
        return []
    tokens = np.broadcast_to(token, (len(rows), 20))[rows]
    return [Flows(label, leg, where.take(rows), tokens, amount[rows])]


def among(column: Octets, values: Iterable[bytes]) -> Mask:
    """(n,): which rows of (n, width) octets are one of the values of that width."""
    width = column.shape[1]
    wanted = np.frombuffer(b"".join(values), f"V{width}")
    return np.isin(np.ascontiguousarray(column).view(f"V{width}")[:, 0], wanted)
