"""eth_getLogs answers, read by template: logs that are printed alike are read together, column by column.

A node prints every log in the same way, so that two logs of one length mostly differ in hexadecimal digits alone. The
first log of a length tells where its values are; for the others it is enough that everything between the values is the
same. Whatever does not fit is left to the reader of any JSON.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np

from indexer.model import Ints, Mask, Octets

MOST = 64  # templates of an answer: more, and each is for too few logs to pay
_FEWEST = 8  # logs for each of them
_NUMBER, _HASH, _ADDRESS = 15, 64, 40  # digits, for a number at most
_OPEN, _COMMA = ord("{"), ord(",")

_VALUE = re.compile(rb'"(?:(\w+)"\s*:\s*")?0x([0-9a-fA-F]*)"')
_WIDTHS = {b"address": _ADDRESS, b"transactionHash": _HASH, b"blockHash": _HASH}
_NUMBERS = (b"blockNumber", b"logIndex", b"blockTimestamp")
_DIGITS = np.full(256, 255, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_DIGITS[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)

_Slot: TypeAlias = tuple[int, int]  # first and last digit of a value in its log's text


class _Log(msgspec.Struct, rename="camel"):
    """What a log's text must hold."""

    address: str
    topics: list[str]
    data: str
    block_number: str
    transaction_hash: str
    log_index: str
    block_hash: str
    block_timestamp: str | None = None
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Columns:
    """Logs of one template. rows: places in the answer; time: None where they tell none; block_hash: as printed."""

    rows: Ints
    block: Ints
    index: Ints
    time: Ints | None
    address: Octets
    topics: Octets
    data: Octets
    tx_hash: Octets
    block_hash: Octets

    def take(self, rows: Ints) -> Columns:
        """Some of the logs."""
        time = None if self.time is None else self.time[rows]
        plain = (self.address, self.topics, self.data, self.tx_hash, self.block_hash)
        address, topics, data, tx_hash, block_hash = (column[rows] for column in plain)
        return Columns(
            self.rows[rows], self.block[rows], self.index[rows], time, address, topics, data, tx_hash, block_hash
        )


def read(body: bytes) -> list[Columns] | None:
    """All logs of an answer; None, or a ValueError, where it is not as nodes print it, right or wrong."""
    octets = np.frombuffer(body, np.uint8)
    starts = np.flatnonzero(octets == _OPEN)
    end = body.rfind(b"]")
    if len(starts) < _FEWEST or body[: starts[0]].strip() != b"[" or body[end + 1 :].strip():
        return None
    ends = np.append(starts[1:] - 1, end)
    lengths = ends - starts
    kinds = np.unique(lengths)
    if len(kinds) > min(MOST, len(starts) // _FEWEST) or (octets[ends[:-1]] != _COMMA).any():
        return None
    found: list[Columns] = []
    for length in kinds.tolist():
        for columns in _of_length(octets, starts, np.flatnonzero(lengths == length), length):
            if columns is None or len(found) == MOST:
                return None
            found.append(columns)
    return found


def _of_length(octets: Octets, starts: Ints, rows: Ints, length: int) -> Iterator[Columns | None]:
    """Logs printed at one length, template by template."""
    windows = np.ndarray((len(octets) - length + 1,), f"V{length}", octets, strides=(1,))
    texts = windows[starts[rows]].view(np.uint8).reshape(len(rows), length)
    while len(rows):
        template = _Template.of(texts[0].tobytes())
        if template is None:
            yield None
            return
        odd = template.odd(texts)
        if odd is None:
            yield template.columns(texts, rows)
            return
        yield template.columns(texts[~odd], rows[~odd])
        texts, rows = texts[odd], rows[odd]


@dataclass(frozen=True, slots=True)
class _Template:
    """Where the values of a log's text are, and what lies between them."""

    text: Octets
    between: Octets
    values: dict[bytes, _Slot]
    topics: list[_Slot]
    others: list[_Slot]

    @classmethod
    def of(cls, text: bytes) -> _Template | None:
        """The template of a log that is printed like this; None for one that only a reader of any JSON understands."""
        log = msgspec.json.decode(text, type=_Log)
        found = [(match[1], match.span(2)) for match in _VALUE.finditer(text)]
        values = {name: slot for name, slot in found if name is not None}
        topics = [slot for name, slot in found if name is None]
        between = np.full(len(text), 255, np.uint8)
        for _, (first, last) in found:
            between[first:last] = 0
        printed = {name: text[slice(*values.get(name, (0, 0)))].decode() for name in (*_WIDTHS, *_NUMBERS, b"data")}
        meant = (log.address, log.transaction_hash, log.block_hash, log.block_number, log.log_index)
        sound = (
            [f"0x{value}" for value in printed.values()][:5] == list(meant)
            and [f"0x{text[first:last].decode()}" for first, last in topics] == log.topics
            and log.data == f"0x{printed[b'data']}"
            and log.block_timestamp in (None, f"0x{printed[b'blockTimestamp']}")
            and not log.removed
            and len(values) + len(topics) == len(found)
            and all(values[name][1] - values[name][0] == width for name, width in _WIDTHS.items())
            and all(
                0 < last - first <= _NUMBER for name in _NUMBERS if name in values for first, last in [values[name]]
            )
            and all(last - first == _HASH for first, last in topics)
            and len(printed[b"data"]) % 2 == 0
        )
        others = [slot for name, slot in values.items() if name not in printed]
        return cls(np.frombuffer(text, np.uint8), between, values, topics, others) if sound else None

    def odd(self, texts: Octets) -> Mask | None:
        """Which texts are of another template; None if none is."""
        differ = texts ^ self.text
        differ &= self.between
        odd: Mask = np.any(differ, axis=1)
        return odd if odd.any() else None

    def columns(self, texts: Octets, rows: Ints) -> Columns:
        """The values of texts of this template. Raises ValueError where one is not hexadecimal."""
        for first, last in self.others:
            _number(texts[:, first:last])
        time = self.values.get(b"blockTimestamp")
        topics = [_octets(texts[:, first:last]) for first, last in self.topics]
        return Columns(
            rows,
            self._number(texts, b"blockNumber"),
            self._number(texts, b"logIndex"),
            None if time is None else self._number(texts, b"blockTimestamp"),
            self._octets(texts, b"address"),
            np.stack(topics, axis=1) if topics else np.zeros((len(rows), 0, 32), np.uint8),
            self._octets(texts, b"data"),
            self._octets(texts, b"transactionHash"),
            self._printed(texts, b"blockHash"),
        )

    def _printed(self, texts: Octets, name: bytes) -> Octets:
        first, last = self.values[name]
        return texts[:, first:last]

    def _number(self, texts: Octets, name: bytes) -> Ints:
        return _number(self._printed(texts, name))

    def _octets(self, texts: Octets, name: bytes) -> Octets:
        return _octets(self._printed(texts, name))


def _number(printed: Octets) -> Ints:
    """Numbers of up to fifteen digits; further digits are checked and lost."""
    digits = _DIGITS[printed]
    if (digits == 255).any():
        raise ValueError("a number is not hexadecimal")
    powers = 16 ** np.arange(min(printed.shape[1], _NUMBER), dtype=np.int64)[::-1]
    result: Ints = digits[:, -_NUMBER:].astype(np.int64) @ powers
    return result


def _octets(printed: Octets) -> Octets:
    """(n, k) octets of (n, 2 k) digits. Raises ValueError."""
    packed = np.frombuffer(binascii.unhexlify(printed.tobytes()), np.uint8)
    return packed.reshape(len(printed), printed.shape[1] // 2)
