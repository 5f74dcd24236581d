"""From a span's logs to a Reading: decoded once, told apart by emitter and topics, classified per deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from indexer.chain.fetch import Logs
from indexer.chain.logs import take
from indexer.decode.columns import Fault, Raw, decode
from indexer.decode.signature import Event, parse_event
from indexer.errors import BadInput
from indexer.manifest import Deployment
from indexer.model import Address, Batch, Ints, Mask, Quarantined, Subscription, Where
from indexer.work.group import subscriptions


class DoubleClaimError(BadInput):
    """Two deployments recognise the same log: one flow would be booked twice."""


@dataclass(frozen=True, slots=True)
class Matched:
    """A deployment's decoded logs by event signature, and the rows that could not be decoded."""

    batches: Mapping[str, Batch]
    faults: Sequence[tuple[Raw, Event, Fault]]

    def emitters(self) -> set[Address]:
        """Every contract that emitted one of the logs, those that could not be decoded included."""
        unsound = {_emitter(raw, fault) for raw, _, fault in self.faults}
        return unsound.union(*(present(batch.where) for batch in self.batches.values()))

    def quarantined(self, members: Set[Address] | None) -> list[Quarantined]:
        """The undecodable logs of members (None: of any emitter)."""
        return [
            _quarantined(raw, event, fault)
            for raw, event, fault in self.faults
            if members is None or _emitter(raw, fault) in members
        ]


@dataclass(slots=True)
class Matcher:
    """Decodes each event of a span once, however many deployments want it."""

    logs: Logs
    _decoded: dict[str, tuple[Batch, list[Fault]]] = field(default_factory=dict)

    def match(self, deployment: Deployment) -> Matched:
        """The deployment's logs."""
        batches: dict[str, Batch] = {}
        faults: list[tuple[Raw, Event, Fault]] = []
        wanted: dict[str, list[Subscription]] = {}
        for one in subscriptions(deployment):
            wanted.setdefault(one.event, []).append(one)
        for text, asked in wanted.items():
            event = parse_event(text)
            raw = self.logs.groups.get((event.topic0, event.topic_count))
            if raw is None:
                continue
            rows: Mask = np.any([_rows(one, raw) for one in asked], axis=0)
            if rows.all():
                batch, found = self._whole(text, event, raw)
            else:
                raw = take(raw, np.flatnonzero(rows))
                batch, found = decode(event, raw)
            faults += [(raw, event, fault) for fault in found]
            if len(batch):
                batches[text] = batch
        return Matched(batches, faults)

    def _whole(self, text: str, event: Event, raw: Raw) -> tuple[Batch, list[Fault]]:
        if text not in self._decoded:
            self._decoded[text] = decode(event, raw)
        return self._decoded[text]


def present(where: Where) -> set[Address]:
    """The contracts that emitted at least one of the rows."""
    used = np.bincount(where.emitter, minlength=len(where.emitters)) > 0
    return set(np.ascontiguousarray(where.emitters[used]).view("V20")[:, 0].tolist())


def refuse_doubles(claims: Mapping[str, Sequence[Ints]]) -> None:
    """Raises DoubleClaimError if two deployments book the same log. claims: places (block << 24 + index) of flows."""
    taken: dict[str, Ints] = {}
    for name, places in claims.items():
        mine = np.unique(np.concatenate(places)) if places else np.zeros(0, np.int64)
        for other, theirs in taken.items():
            both = np.intersect1d(mine, theirs)
            if len(both):
                block, index = int(both[0]) >> 24, int(both[0]) & 0xFFFFFF
                raise DoubleClaimError(
                    f"Block {block}, log {index}: {other} and {name} both claim it. Give their manifests contracts "
                    "that do not overlap."
                )
        taken[name] = mine


def _rows(one: Subscription, raw: Raw) -> Mask:
    """Rows whose emitter and topics the subscription allows; a merged question brings others too."""
    rows = np.ones(len(raw.where), bool)
    if one.emitters is not None:
        named = set(one.emitters)
        allowed = np.array([emitter.tobytes() in named for emitter in raw.where.emitters], bool)
        rows &= allowed[raw.where.emitter]
    for position, values in one.topics.items():
        topic = raw.topics[:, position - 1]
        rows &= np.any([(topic == np.frombuffer(value, np.uint8)).all(axis=1) for value in values], axis=0)
    return rows


def _emitter(raw: Raw, fault: Fault) -> Address:
    emitter: Address = raw.where.emitters[raw.where.emitter[fault.row]].tobytes()
    return emitter


def _quarantined(raw: Raw, event: Event, fault: Fault) -> Quarantined:
    row, where = fault.row, raw.where
    return Quarantined(
        int(where.block[row]),
        int(where.log_index[row]),
        where.tx_hash[row].tobytes(),
        _emitter(raw, fault),
        event.topic0,
        fault.reason,
        raw.blob[int(raw.offsets[row]) : int(raw.offsets[row + 1])],
    )
