"""Answer -> columns by slicing octets: the first log's layout is checked on every octet of all others.

Members may come in any order, but in the same one in all logs, and only quantities may differ in width. Anything
else gives None: the caller then parses JSON as JSON.
"""

from __future__ import annotations

import re
from binascii import unhexlify

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .columns import DECODER, Log, words
from .flows import OURS, Swaps

Octets = NDArray[np.uint8]
Places = NDArray[np.int64]
VALUE = re.compile(rb'(?<="0x)([0-9a-fA-F]*)(?=")')
MEMBER = re.compile(rb'"(\w+)":\[?"0x$')
OPENING = b'"result":['
QUANTITIES = ("blockNumber", "transactionIndex", "logIndex", "blockTimestamp")
WIDEST = 15  # hexadecimal digits that stay below 2^63
NO_DIGIT = 255
NIBBLE = np.full(256, NO_DIGIT, np.uint8)
NIBBLE[np.frombuffer(b"0123456789abcdefABCDEF", np.uint8)] = [*range(16), *range(10, 16)]
PREFIXES = np.ascontiguousarray(OURS.address[:, :8]).view(">u8")[:, 0].astype(np.uint64)
BY_PREFIX = np.argsort(PREFIXES)


class _LayoutError(Exception):
    """The answer is not laid out as its first log is."""


def _expect(answer: Octets, at: Places, literal: bytes) -> Places:
    if int(at.max()) + len(literal) > len(answer):
        raise _LayoutError
    if (sliding_window_view(answer, len(literal))[at] != np.frombuffer(literal, np.uint8)).any():
        raise _LayoutError
    return at + len(literal)


def _fixed(answer: Octets, at: Places, width: int) -> tuple[Octets, Places]:
    if int(at.max()) + width > len(answer):
        raise _LayoutError
    found = unhexlify(sliding_window_view(answer, width)[at].tobytes())
    return np.frombuffer(found, np.uint8).reshape(len(at), -1), at + width


def _quantity(answer: Octets, at: Places) -> tuple[Places, Places]:
    if int(at.max()) + WIDEST + 1 > len(answer):
        raise _LayoutError
    window = sliding_window_view(answer, WIDEST + 1)[at]
    width = (window == ord('"')).argmax(axis=1)
    nibbles, value = NIBBLE[window], np.zeros(len(at), np.int64)
    for place in range(int(width.max())):
        inside = place < width
        if (nibbles[:, place][inside] == NO_DIGIT).any():
            raise _LayoutError
        value = np.where(inside, value * 16 + nibbles[:, place], value)
    if not width.all():
        raise _LayoutError
    return value, at + width


def _members(first: bytes) -> list[tuple[str, bytes, int]]:
    """(member, the octets before its value, digits of its value) of each value; the last one has no member."""
    pieces, member, found = VALUE.split(first), "", []
    for literal, value in zip(pieces[::2], [*pieces[1::2], b""], strict=True):
        named = MEMBER.search(literal)
        member = named[1].decode() if named else f"{member}'"
        found.append((member, literal, len(value)))
    return found


def _read(body: bytes) -> dict[str, NDArray[np.int64] | Octets]:
    answer = np.frombuffer(body, np.uint8)
    opening = body.index(OPENING) + len(OPENING)
    closing = body.rindex(b"}]") + 1
    DECODER.decode(body[:opening] + body[closing:])
    at = starts = np.flatnonzero(answer[opening:closing] == ord("{")) + opening
    first = body[opening : body.index(b"}", opening) + 1]
    if not len(starts) or starts[0] != opening or msgspec.json.decode(first, type=Log).removed:
        raise _LayoutError
    found: dict[str, NDArray[np.int64] | Octets] = {}
    *members, (_, ending, _) = _members(first)
    for member, literal, width in members:
        at = _expect(answer, at, literal)
        found[member], at = _quantity(answer, at) if member in QUANTITIES else _fixed(answer, at, width)
    at = _expect(answer, at, ending)
    if at[-1] != closing or (at[:-1] + 1 != starts[1:]).any() or (answer[at[:-1]] != ord(",")).any():
        raise _LayoutError
    return found


def _pools(addresses: Octets) -> Places:
    prefixes = np.ascontiguousarray(addresses[:, :8]).view(">u8")[:, 0].astype(np.uint64)
    place = np.searchsorted(PREFIXES, prefixes, sorter=BY_PREFIX)
    pool = BY_PREFIX[np.minimum(place, len(BY_PREFIX) - 1)]
    if (OURS.address[pool] != addresses).any():
        raise KeyError("a log's address is no pool of ours")
    return pool


def swaps(body: bytes) -> Swaps | None:
    """Columns of an answer's logs, or None where its logs are not all laid out alike."""
    try:
        found = _read(body)
        block, time, log_index = (found[name] for name in ("blockNumber", "blockTimestamp", "logIndex"))
        data = words(found["data"])
    except (_LayoutError, KeyError, ValueError):
        return None
    return Swaps(OURS, block, time, log_index, found["transactionHash"], _pools(found["address"]), data)
