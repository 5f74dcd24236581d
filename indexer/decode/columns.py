"""All logs of one event, decoded column by column.

Whatever fits one word is read for all rows at once; the rest goes through `dynamic` row by row. Decoding is strict: a
row with a wrong length, dirty high bits or a bad offset becomes a Fault, never a value and never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.decode.dynamic import MalformedError, Reader, Row, Word, head_octets, is_dynamic, placed_reader
from indexer.decode.signature import Event, Param, parse_type
from indexer.model import Batch, Ints, Mask, Octets, Where, Words

_Column = NDArray[Any]
_NARROW = 63  # bits: an unsigned integer of so many fits int64, and a signed one of one more


class Fault(NamedTuple):
    """Why a row of a Raw could not be decoded."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Logs that share topic0 and the number of topics. topics: (n, k, 32), topic0 left out.

    Row i's data is blob[offsets[i]:offsets[i + 1]]; offsets run from 0 to the blob's end. Raises ValueError if the
    shapes do not match: that is a mistake of the caller, not of the chain.
    """

    where: Where
    topics: Octets
    blob: bytes
    offsets: Ints

    def __post_init__(self) -> None:
        rows = len(self.where)
        if self.topics.ndim != 3 or len(self.topics) != rows or self.topics.shape[2] != 32:
            raise ValueError(f"Topics of {rows} logs must have the shape ({rows}, k, 32), not {self.topics.shape}.")
        if self.offsets.shape != (rows + 1,) or self.offsets[0] != 0 or self.offsets[-1] != len(self.blob):
            raise ValueError(f"Offsets of {rows} logs must be {rows + 1} numbers from 0 to {len(self.blob)}.")
        if (self.offsets[1:] < self.offsets[:-1]).any():
            raise ValueError("Offsets must not fall: each log's data follows that of the log before.")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where an event's parameters are. A topic without Word is the hash of the value."""

    head: int
    exact: bool
    topics: tuple[tuple[Param, Word | None], ...]
    words: tuple[tuple[Param, Word, int], ...]
    objects: tuple[tuple[Param, Reader, int], ...]


@cache
def _layout(event: Event) -> _Layout:
    topics = [(param, parse_type(param.type)) for param in event.indexed]
    plain = [(param, parse_type(param.type)) for param in event.plain]
    places = [0]
    for _, abi in plain:
        places.append(places[-1] + head_octets(abi))
    placed = list(zip(plain, places[:-1], strict=True))
    return _Layout(
        head=places[-1],
        exact=not any(is_dynamic(abi) for _, abi in plain),
        topics=tuple((param, abi if isinstance(abi, Word) else None) for param, abi in topics),
        words=tuple((param, abi, at) for (param, abi), at in placed if isinstance(abi, Word)),
        objects=tuple(
            (param, placed_reader(abi, places[-1]), at) for (param, abi), at in placed if not isinstance(abi, Word)
        ),
    )


def decode(event: Event, raw: Raw) -> tuple[Batch, list[Fault]]:
    """The rows that are sound, in their order and with the column types of Batch, and one Fault for each other row.

    An indexed array, tuple, string or bytes is its hash, (n, 32); else those are tuples, str (by text.keep_text) and
    bytes, with int, bool and bytes (address, bytesN) inside.
    """
    layout = _layout(event)
    faults: dict[int, str] = {}
    rows = _sound_lengths(event, layout, raw, faults)
    columns = _topic_columns(layout, raw, rows, faults)
    columns |= _word_columns(layout, _heads(layout, raw, rows), rows, faults)
    columns |= _object_columns(layout, raw, rows, faults)
    where = raw.where if len(rows) == len(raw.where) else raw.where.take(rows)
    batch = Batch(where, {param.name: columns[param.name] for param in event.params})
    if len(rows) + len(faults) > len(raw.where):
        batch = batch.take(~np.isin(rows, list(faults)))
    return batch, [Fault(row, faults[row]) for row in sorted(faults)]


def _sound_lengths(event: Event, layout: _Layout, raw: Raw, faults: dict[int, str]) -> Ints:
    """The rows that have as many topics and octets as the event needs."""
    topics = 1 + raw.topics.shape[1]
    if topics != event.topic_count:
        reason = f"has {topics} topics, {event.name} needs {event.topic_count}"
        faults.update(dict.fromkeys(range(len(raw.where)), reason))
        return np.zeros(0, np.int64)
    lengths = np.diff(raw.offsets)
    sound = lengths == layout.head if layout.exact else lengths >= layout.head
    wanted = "exactly" if layout.exact else "at least"
    for row in np.flatnonzero(~sound).tolist():
        faults[row] = f"has {lengths[row]} octets of data, {event.name} needs {wanted} {layout.head}"
    return np.flatnonzero(sound).astype(np.int64, copy=False)


def _heads(layout: _Layout, raw: Raw, rows: Ints) -> Octets:
    """(len(rows), head): the static part of each row's data."""
    blob = raw.blob
    if len(rows) and len(blob) != layout.head * len(rows):
        starts = raw.offsets[rows]
        stops = starts + layout.head
        apart = starts[1:] != stops[:-1]  # heads without a gap between them are copied in one piece
        spans = zip(starts[np.append(True, apart)].tolist(), stops[np.append(apart, True)].tolist(), strict=True)
        blob = b"".join(blob[start:stop] for start, stop in spans)
    return np.frombuffer(blob, np.uint8, layout.head * len(rows)).reshape(len(rows), layout.head)


def _topic_columns(layout: _Layout, raw: Raw, rows: Ints, faults: dict[int, str]) -> dict[str, _Column]:
    columns: dict[str, _Column] = {}
    for position, (param, word) in enumerate(layout.topics):
        octets = raw.topics[rows, position] if len(rows) else np.zeros((0, 32), np.uint8)
        columns[param.name] = octets if word is None else _checked(param, word, octets, rows, faults)
    return columns


def _word_columns(layout: _Layout, heads: Octets, rows: Ints, faults: dict[int, str]) -> dict[str, _Column]:
    return {param.name: _checked(param, word, heads[:, at : at + 32], rows, faults) for param, word, at in layout.words}


def _checked(param: Param, word: Word, octets: Octets, rows: Ints, faults: dict[int, str]) -> _Column:
    """The column of these words, (m, 32); a fault for each row whose word is no value of the type."""
    column, wrong = _column(word, octets)
    for row in rows[wrong].tolist() if wrong is not None and wrong.any() else ():
        faults.setdefault(row, f"{param.name} is no {param.type}: the octets beside the value are dirty")
    return column


def _column(word: Word, octets: Octets) -> tuple[_Column, Mask | None]:
    """The values of (m, 32) octets and where they are no values; None says that every word is one."""
    match word.base:
        case "uint" | "int":
            signed = word.base == "int"
            return (_narrow if word.size <= _NARROW + signed else _wide)(octets, word.size, signed)
        case "address":
            return octets[:, 12:].copy(), _any_set(octets[:, :12].view(np.uint32))
        case "bytes":
            return octets[:, : word.size].copy(), _any_set(octets[:, word.size :])
        case "bool":
            value, wrong = _narrow(octets, 1, signed=False)
            return value == 1, wrong


def _any_set(parts: NDArray[Any]) -> Mask | None:
    """(m,): whether any of the (m, k) parts is not zero; None if k is 0."""
    found: Mask | None = None
    for part in parts.T:
        found = part != 0 if found is None else found | (part != 0)
    return found


def _narrow(octets: Octets, bits: int, signed: bool) -> tuple[Ints, Mask]:
    value = octets[:, 24:].view(">i8")[:, 0].astype(np.int64)
    return value, _unlike(value >> (bits - signed), octets[:, :24].view(np.int64), signed)


def _wide(octets: Octets, bits: int, signed: bool) -> tuple[Words, Mask | None]:
    words = octets.view(">u4").astype(np.uint32)
    if bits == 256:
        return words, None
    top, unused = divmod(256 - bits, 32)  # the word with the value's highest bit, and how many bits it has to spare
    parts = words.view(np.int32) if signed else words
    return words, _unlike(parts[:, top] >> (32 - unused - signed), parts[:, :top], signed)


def _unlike(sign: NDArray[Any], above: NDArray[Any], signed: bool) -> Mask:
    """Where the bits above a value differ from what they must repeat.

    sign: (m,), the value shifted down by its width, so 0, or -1 for a negative number, or out of range.
    above: (m, k), the parts above; of zeros or ones alone, so the order of their octets does not matter.
    """
    wrong: Mask = (sign != 0) & (sign != -1) if signed else sign != 0
    for part in above.T:
        wrong |= part != sign
    return wrong


def _object_columns(layout: _Layout, raw: Raw, rows: Ints, faults: dict[int, str]) -> dict[str, _Column]:
    columns: dict[str, _Column] = {param.name: np.empty(len(rows), object) for param, _, _ in layout.objects}
    if not layout.objects:
        return columns
    spans = zip(raw.offsets[rows].tolist(), raw.offsets[rows + 1].tolist(), strict=True)
    for position, (row, (start, stop)) in enumerate(zip(rows.tolist(), spans, strict=True)):
        data = Row(raw.blob[start:stop])
        for param, read, at in layout.objects if row not in faults else ():
            try:
                columns[param.name][position] = read(data, at)
            except MalformedError as error:
                faults[row] = f"{param.name} {error}"
                break
    return columns
