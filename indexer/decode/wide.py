"""Exact 256-bit arithmetic on columns.

A column is `Words`: uint32 of shape (n, 8), most significant word first. Work is done on uint64, so a 32-bit word times
a factor below 2^32 plus a carry below 2^32 never overflows. Words that are zero in every row are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.model import Ints, Mask, Octets, Words

U64 = NDArray[np.uint64]
_BITS = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_CHUNK = np.uint64(10**8)  # two base-10^4 digits of a Postgres numeric
_DIGIT = np.uint64(10**4)


def from_octets(octets: Octets) -> Words:
    """(n, 32) big-endian octets as words."""
    return np.ascontiguousarray(octets).view(">u4").astype(np.uint32)


def to_octets(words: Words) -> Octets:
    """(n, 32) big-endian octets of the words."""
    return np.ascontiguousarray(words.astype(">u4")).view(np.uint8).reshape(len(words), 32)


def from_ints(values: Sequence[int]) -> Words:
    """Python integers in [-2^255, 2^256) as words, negative ones in two's complement."""
    packed = b"".join((value % 2**256).to_bytes(32, "big") for value in values)
    return from_octets(np.frombuffer(packed, np.uint8).reshape(len(values), 32))


def from_int64(values: Ints) -> Words:
    """64-bit integers as words, negative ones in two's complement."""
    words = np.zeros((len(values), 8), np.uint32)
    words[values < 0, :6] = np.uint32(0xFFFFFFFF)
    words[:, 6:] = values.astype(">i8").view(">u4").reshape(len(values), 2)
    return words


def to_ints(words: Words) -> list[int]:
    """The words as unsigned Python integers."""
    packed = to_octets(words).tobytes()
    return [int.from_bytes(packed[at : at + 32], "big") for at in range(0, len(packed), 32)]


def is_negative(words: Words) -> Mask:
    """Whether each two's complement value is below zero."""
    return words[:, 0] >= np.uint32(0x80000000)


def is_zero(words: Words) -> Mask:
    """Whether each value is zero."""
    return np.logical_not(words.any(axis=1))


def magnitude(words: Words) -> Words:
    """Absolute value of two's complement words."""
    negative = is_negative(words)
    if not negative.any():
        return words
    result = words.copy()
    flipped = ~words[negative]
    carry = np.ones(len(flipped), np.uint64)
    for column in range(7, -1, -1):
        total = flipped[:, column].astype(np.uint64) + carry
        flipped[:, column] = total & _LOW
        carry = total >> _BITS
    result[negative] = flipped
    return result


def subtract(left: Words, right: Words) -> Words:
    """The difference of left and right, where left >= right in every row."""
    result = np.zeros_like(left)
    borrow = np.zeros(len(left), np.uint64)
    for column in range(7, _top(left) - 1, -1):
        total = left[:, column].astype(np.uint64) - right[:, column].astype(np.uint64) - borrow
        result[:, column] = total & _LOW
        borrow = total >> np.uint64(63)
    return result


def multiply_divide(words: Words, factor: Ints, divisor: int) -> Words:
    """floor(words x factor / divisor); 0 <= factor <= divisor < 2^32, so that the result fits."""
    top = _top(words)
    product = [np.zeros(len(words), np.uint64)] * (9 - top)
    times = factor.astype(np.uint64)
    carry: U64 = np.zeros(len(words), np.uint64)
    for at in range(8 - top, 0, -1):
        total = words[:, top + at - 1].astype(np.uint64) * times + carry
        product[at] = total & _LOW
        carry = total >> _BITS
    product[0] = carry
    quotient, _ = _divide(product, np.uint64(divisor))
    return _place(quotient[1:], len(words))


def divide(words: Words, divisor: Ints) -> Words:
    """floor(words / divisor), row by row; 0 < divisor < 2^32."""
    columns = [words[:, at].astype(np.uint64) for at in range(_top(words), 8)]
    quotient, _ = _divide(columns, divisor.astype(np.uint64))
    return _place(quotient, len(words))


def decimal_digits(words: Words) -> NDArray[np.uint16]:
    """(n, k) base-10^4 digits, most significant first, with the k that the largest value needs (at least 1)."""
    columns = [words[:, at].astype(np.uint64) for at in range(_top(words), 8)]
    digits: list[U64] = []
    while columns:
        columns, rest = _divide(columns, _CHUNK)
        high = rest // _DIGIT
        digits += [rest - high * _DIGIT, high]
        while columns and not columns[0].any():
            columns = columns[1:]
    while len(digits) > 1 and not digits[-1].any():
        digits.pop()
    if not digits:
        return np.zeros((len(words), 1), np.uint16)
    return np.stack(digits[::-1], axis=1).astype(np.uint16)


def sum_by_group(words: Words, group: Ints, groups: int) -> list[int]:
    """Exact sums per group number 0..groups-1; a group without rows has sum 0."""
    sums = [0] * groups
    if not len(words):
        return sums
    order = np.argsort(group.astype(np.uint16) if groups <= 1 << 16 else group, kind="stable")  # 16 bits: radix sort
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    packed = _carried(np.add.reduceat(words[order].astype(np.uint64), starts, axis=0)).tobytes()
    for at, number in enumerate(group[order][starts].tolist()):
        sums[number] = int.from_bytes(packed[36 * at : 36 * at + 36], "big")
    return sums


def _carried(totals: U64) -> NDArray[np.uint32]:
    """(n, 9) big-endian words of sums of fewer than 2^32 values, from the sums of each word alone, (n, 8)."""
    result = np.zeros((len(totals), 9), ">u4")
    carry: U64 = np.zeros(len(totals), np.uint64)
    for at in range(7, -1, -1):
        total = totals[:, at] + carry
        result[:, at + 1] = total & _LOW
        carry = total >> _BITS
    result[:, 0] = carry
    return result


def _top(words: Words) -> int:
    """Index of the first column that is not all zero (7 if every value is zero)."""
    used = np.flatnonzero(words.any(axis=0)).tolist() if len(words) else []
    return int(used[0]) if len(used) else 7


def _divide(columns: list[U64], divisor: U64 | np.uint64) -> tuple[list[U64], U64]:
    """Schoolbook long division of base-2^32 columns by a divisor below 2^32: quotient columns and remainder."""
    rest: U64 = np.zeros_like(columns[0])
    quotient = []
    for column in columns:
        part = (rest << _BITS) | column
        digit = part // divisor
        rest = part - digit * divisor
        quotient.append(digit)
    return quotient, rest


def _place(columns: list[U64], rows: int) -> Words:
    result = np.zeros((rows, 8), np.uint32)
    for at, column in enumerate(reversed(columns), start=1):
        result[:, 8 - at] = column
    return result
