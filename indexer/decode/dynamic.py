"""How values of ABI types lie in data, and the reading of those that fill more than one word, log by log.

Work and memory are bounded by the length of the data: no word is trusted before it is compared with what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from indexer.decode.text import keep_text

_READS = 2  # times each word may be read on average: encoders may share a tail, bombs share it without end


@dataclass(frozen=True, slots=True)
class Word:
    """A value in one 32-octet word. size: bits of uint and int, octets of the others."""

    base: Literal["uint", "int", "address", "bool", "bytes"]
    size: int


@dataclass(frozen=True, slots=True)
class Run:
    """bytes, or string where text is set."""

    text: bool


@dataclass(frozen=True, slots=True)
class Array:
    """item[length], or item[] where length is None."""

    item: AbiType
    length: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """A tuple of at least one component."""

    items: tuple[AbiType, ...]


AbiType = Word | Run | Array | Record


def is_dynamic(abi: AbiType) -> bool:
    """Whether the value lies behind an offset."""
    match abi:
        case Word():
            return False
        case Run():
            return True
        case Array(item, length):
            return length is None or is_dynamic(item)
        case Record(items):
            return any(is_dynamic(item) for item in items)


def body_octets(abi: AbiType) -> int:
    """Octets of the value in place, offsets of dynamic items included but not what they point to."""
    match abi:
        case Array(item, int(length)):
            return length * head_octets(item)
        case Record(items):
            return sum(head_octets(item) for item in items)
        case _:
            return 32


def head_octets(abi: AbiType) -> int:
    """Octets the value takes in the head of what contains it."""
    return 32 if is_dynamic(abi) else body_octets(abi)


class MalformedError(Exception):
    """The data is no encoding of the type; the message says why. Never leaves the package."""


class Row:
    """The data of one log and how many of its words may still be read."""

    __slots__ = ("_left", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = _READS * (len(data) // 32)

    def take(self, at: int, size: int) -> bytes:
        """The octets at [at, at + size); raises MalformedError beyond the end or the budget."""
        if at + size > len(self.data):
            raise MalformedError("runs beyond the end of the data")
        self._left -= (size + 31) // 32
        if self._left < 0:
            raise MalformedError("reads the same data again and again")
        return self.data[at : at + size]

    def number(self, at: int) -> int:
        """The word at this place as an unsigned integer."""
        return int.from_bytes(self.take(at, 32), "big")


Reader = Callable[[Row, int], Any]


def reader_of(abi: AbiType) -> Reader:
    """A function (row, place) -> value: int, bool, bytes (address, bytesN, bytes), str (by keep_text) or tuple.

    The function raises MalformedError and nothing else, whatever the data.
    """
    match abi:
        case Word():
            return _word_reader(abi)
        case Run(text):
            return _read_text if text else _read_run
        case Array(_, None):
            return _list_reader(abi)
        case Array(item, int(length)):
            return _items_reader(item, length)
        case Record(items):
            return _record_reader(items)
    raise TypeError(f"{abi!r} is no ABI type.")


def placed_reader(abi: AbiType, head: int) -> Reader:
    """Like reader_of, for a value in a head of that many octets at place 0: dynamic ones are behind their offset."""
    read = reader_of(abi)
    if not is_dynamic(abi):
        return read
    return lambda row, at: read(row, _target(row, at, 0, head))


def _word_reader(word: Word) -> Reader:
    match word.base:
        case "uint" | "int":
            return _integer_reader(word.base == "int", word.size)
        case "bool":
            return _read_bool
        case "address":
            return _padded_reader(12, 32)
        case "bytes":
            return _padded_reader(0, word.size)


def _integer_reader(signed: bool, bits: int) -> Reader:
    low, high = (-1 << bits - 1, 1 << bits - 1) if signed else (0, 1 << bits)

    def read(row: Row, at: int) -> int:
        value = int.from_bytes(row.take(at, 32), "big", signed=signed)
        if not low <= value < high:
            raise MalformedError(f"holds a number that does not fit {'int' if signed else 'uint'}{bits}")
        return value

    return read


def _read_bool(row: Row, at: int) -> bool:
    value = row.number(at)
    if value > 1:
        raise MalformedError("holds a bool that is neither 0 nor 1")
    return value == 1


def _padded_reader(start: int, stop: int) -> Reader:
    def read(row: Row, at: int) -> bytes:
        octets = row.take(at, 32)
        if any(octets[:start]) or any(octets[stop:]):
            raise MalformedError(f"has dirty octets beside the {stop - start} of a value")
        return octets[start:stop]

    return read


def _read_run(row: Row, at: int) -> bytes:
    length = row.number(at)
    octets = row.take(at + 32, (length + 31) // 32 * 32)
    if any(octets[length:]):
        raise MalformedError("has dirty padding")
    return octets[:length]


def _read_text(row: Row, at: int) -> str:
    return keep_text(_read_run(row, at))


def _target(row: Row, at: int, frame: int, head: int) -> int:
    """Where the offset at this place leads; offsets count from the frame and must lead behind its head."""
    offset = row.number(at)
    if not head <= offset < len(row.data) - frame:
        raise MalformedError("has an offset that leads outside its part of the data")
    return frame + offset


def _record_reader(items: tuple[AbiType, ...]) -> Reader:
    head = body_octets(Record(items))
    parts: list[tuple[int, bool, Reader]] = []
    place = 0
    for item in items:
        parts.append((place, is_dynamic(item), reader_of(item)))
        place += head_octets(item)

    def read(row: Row, at: int) -> tuple[Any, ...]:
        return tuple(part(row, _target(row, at + place, at, head) if far else at + place) for place, far, part in parts)

    return read


def _items_reader(item: AbiType, length: int) -> Reader:
    read_all = _run_of(item)
    return lambda row, at: read_all(row, at, length)


def _list_reader(abi: Array) -> Reader:
    read_all = _run_of(abi.item)
    return lambda row, at: read_all(row, at + 32, row.number(at))


def _run_of(item: AbiType) -> Callable[[Row, int, int], tuple[Any, ...]]:
    """A function (row, place, count) -> that many items; refuses a count whose heads the data cannot hold."""
    step, far, part = head_octets(item), is_dynamic(item), reader_of(item)

    def read(row: Row, at: int, count: int) -> tuple[Any, ...]:
        head = step * count
        if head > len(row.data) - at:
            raise MalformedError("claims more items than the data can hold")
        places = range(at, at + head, step)
        return tuple(part(row, _target(row, place, at, head) if far else place) for place in places)

    return read
