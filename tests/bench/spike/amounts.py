"""Exact arithmetic on columns of 256-bit integers held as (n, 8) 32-bit words, most significant first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Limbs = list[NDArray[np.uint64]]
MILLION = np.uint64(10**6)
CHUNK = np.uint64(10**8)  # two digits of base 10,000: remainder * 2^32 + word stays below 2^63
BASE = np.uint64(10**4)
SHIFT = np.uint64(32)
LOW = np.uint64(0xFFFF_FFFF)


def _limbs(words: Words) -> Limbs:
    """Columns as 64-bit arrays, most significant first, without the leading ones that are zero in every row."""
    used = np.flatnonzero(words.any(axis=0))
    first = int(used[0]) if len(used) else words.shape[1] - 1
    return [words[:, column].astype(np.uint64) for column in range(first, words.shape[1])]


def _divide(limbs: Limbs, divisor: np.uint64) -> tuple[Limbs, NDArray[np.uint64]]:
    """Quotient limbs and remainder; divisor below 2^31."""
    remainder = np.zeros_like(limbs[0])
    quotient = []
    for limb in limbs:
        dividend = (remainder << SHIFT) | limb
        part = dividend // divisor
        remainder = dividend - part * divisor
        quotient.append(part)
    return quotient, remainder


def fee_floor(amount: Words, ppm: NDArray[np.uint64]) -> Words:
    """floor(amount * ppm / 10^6) row by row; ppm at most 10^6, so the result fits where the amount did."""
    carry, product = np.zeros(len(amount), np.uint64), []
    for limb in reversed(_limbs(amount)):
        carry = limb * ppm + carry
        product.append(carry & LOW)
        carry = carry >> SHIFT
    quotient, _ = _divide([carry, *reversed(product)], MILLION)
    fee = np.zeros(amount.shape, np.uint32)
    for column, limb in zip(range(7, -1, -1), reversed(quotient), strict=False):
        fee[:, column] = limb
    return fee


def digits(words: Words) -> NDArray[np.int16]:
    """(n, d) base-10,000 digits, big-endian, most significant first; d is what the largest row needs, even, at least 2.

    Rows keep their leading zeros: numeric_recv strips them (src/backend/utils/adt/numeric.c, make_result).
    """
    limbs, columns = _limbs(words), []
    while limbs or not columns:
        limbs, chunk = _divide(limbs, CHUNK)
        high = chunk // BASE
        columns += [chunk - high * BASE, high]
        while limbs and not limbs[0].any():
            limbs = limbs[1:]
    found = np.empty((len(words), len(columns)), ">i2")
    for place, column in enumerate(reversed(columns)):
        found[:, place] = column
    return found


def negative(words: Words) -> NDArray[np.bool_]:
    """Which rows are below zero in two's complement."""
    return words[:, 0] >> np.uint32(31) == 1
