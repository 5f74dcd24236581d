"""256-bit columns against Python's own integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from indexer.decode import wide
from indexer.model import Ints, Words

MAX = 2**256 - 1
TOP = 2**255
LIMIT = 2**32 - 1  # the largest divisor
EDGES = (0, 1, LIMIT, 2**32, 2**64 - 1, 2**64, 2**128 - 1, 2**128, TOP - 1, TOP, TOP + 1, MAX - 1, MAX)

Value = st.sampled_from(EDGES) | st.integers(0, 256).flatmap(lambda bits: st.integers(0, 2**bits - 1))
Column = st.lists(Value, max_size=6)
Signed = st.sampled_from((0, 1, -1, -LIMIT, -(2**32), -(2**64), -(2**128), TOP - 1, -TOP)) | st.integers(-TOP, TOP - 1)
Divisor = st.sampled_from((1, 2, 10, 10**6, 2**16, 2**31, LIMIT)) | st.integers(1, LIMIT)


def whole(numbers: list[int]) -> Ints:
    return np.array(numbers, np.int64)


@st.composite
def scaled(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int]:
    """Rows of value and factor with 0 <= factor <= divisor, and the divisor."""
    divisor = draw(Divisor)
    factor = st.sampled_from((0, 1, divisor - 1, divisor)) | st.integers(0, divisor)
    return draw(st.lists(st.tuples(Value, factor), max_size=6)), divisor


def bits(words: Words) -> list[str]:
    """Each row as 256 binary digits, read word by word."""
    return ["".join(f"{word:032b}" for word in row) for row in words.tolist()]


@settings(deadline=None)
@given(Column)
@example([])
def test_integers_become_words_most_significant_first_and_come_back(values: list[int]) -> None:
    words = wide.from_ints(values)
    assert words.shape == (len(values), 8)
    assert words.dtype == np.uint32
    assert bits(words) == [f"{value:0256b}" for value in values]
    assert wide.to_ints(words) == values


@settings(deadline=None)
@given(Column)
@example([])
def test_octets_are_big_endian_both_ways(values: list[int]) -> None:
    packed = b"".join(value.to_bytes(32, "big") for value in values)
    octets = np.frombuffer(packed, np.uint8).reshape(len(values), 32)
    assert wide.to_ints(wide.from_octets(octets)) == values
    back = wide.to_octets(wide.from_ints(values))
    assert back.shape == (len(values), 32)
    assert back.dtype == np.uint8
    assert back.tobytes() == packed


def test_octets_may_be_a_slice_of_a_wider_table() -> None:
    """Data of a log lies between other words: the columns are not contiguous."""
    table = np.arange(3 * 96, dtype=np.uint8).reshape(3, 96)
    assert wide.to_ints(wide.from_octets(table[:, 32:64])) == [
        int.from_bytes(bytes(row[32:64]), "big") for row in table
    ]


@settings(deadline=None)
@given(st.lists(Signed, max_size=6))
def test_negative_integers_are_twos_complement(values: list[int]) -> None:
    words = wide.from_ints(values)
    assert wide.to_ints(words) == [value if value >= 0 else value + 2**256 for value in values]
    assert wide.is_negative(words).tolist() == [value < 0 for value in values]


@settings(deadline=None)
@given(st.lists(Signed, max_size=6))
@example([-TOP])
@example([-(2**32), -(2**224), -1, 0])
def test_magnitude_is_the_absolute_value_and_leaves_its_argument_alone(values: list[int]) -> None:
    words = wide.from_ints(values)
    before = words.copy()
    assert wide.to_ints(wide.magnitude(words)) == [abs(value) for value in values]
    assert (words == before).all()


@settings(deadline=None)
@given(Column)
def test_zero_is_told_from_everything_else(values: list[int]) -> None:
    assert wide.is_zero(wide.from_ints(values)).tolist() == [value == 0 for value in values]


@pytest.mark.parametrize("at", range(8))
def test_one_bit_in_any_word_is_not_zero(at: int) -> None:
    assert wide.is_zero(wide.from_ints([1 << (32 * at), 0])).tolist() == [False, True]


@settings(deadline=None)
@given(st.lists(st.tuples(Value, Value), max_size=6))
@example([(2**128, 1), (TOP, 1), (MAX, MAX), (0, 0)])
@example([(2**32, LIMIT)])
def test_differences_borrow_across_all_words(pairs: list[tuple[int, int]]) -> None:
    ordered = [(max(pair), min(pair)) for pair in pairs]
    left, right = (wide.from_ints([pair[side] for pair in ordered]) for side in (0, 1))
    assert wide.to_ints(wide.subtract(left, right)) == [a - b for a, b in ordered]


@settings(deadline=None)
@given(scaled())
@example(([], 10**6))
@example(([(MAX, LIMIT), (MAX, LIMIT - 1), (MAX, 0)], LIMIT))
@example(([(333, 3000), (0, 3000), (1, 10**6), (MAX, 10**6), (TOP - 1, 0)], 10**6))
def test_products_are_divided_exactly(scaled: tuple[list[tuple[int, int]], int]) -> None:
    rows, divisor = scaled
    result = wide.multiply_divide(wide.from_ints([v for v, _ in rows]), whole([f for _, f in rows]), divisor)
    assert result.dtype == np.uint32
    assert wide.to_ints(result) == [value * factor // divisor for value, factor in rows]


@settings(deadline=None)
@given(st.lists(st.tuples(Value, Divisor), max_size=6))
@example([(MAX, 1), (MAX, LIMIT), (0, 1), (9, 10)])
def test_each_row_has_its_own_divisor(rows: list[tuple[int, int]]) -> None:
    result = wide.divide(wide.from_ints([v for v, _ in rows]), whole([d for _, d in rows]))
    assert result.shape == (len(rows), 8)
    assert wide.to_ints(result) == [value // divisor for value, divisor in rows]


@settings(deadline=None)
@given(st.lists(Value | st.integers(0, 77).map(lambda power: 10**power), min_size=1, max_size=6))
@example([0])
@example([0, 0])
@example([9999, 10000])
@example([10**8])
@example([MAX, 0, 10**76])
def test_decimal_digits_are_those_of_str(values: list[int]) -> None:
    digits = wide.decimal_digits(wide.from_ints(values))
    texts = ["".join(f"{digit:04d}" for digit in row).lstrip("0") or "0" for row in digits.tolist()]
    assert texts == [str(value) for value in values]
    assert digits.dtype == np.uint16
    assert digits.shape[1] == (len(str(max(values))) + 3) // 4


def test_no_rows_have_one_column_of_digits() -> None:
    assert wide.decimal_digits(wide.from_ints([])).shape == (0, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(Value, st.integers(0, 4)), max_size=12))
@example([])
@example([(MAX, 3)] * 9)
@example([(1, 4), (MAX, 0), (2, 4), (0, 2)])
def test_sums_per_group_do_not_overflow(rows: list[tuple[int, int]]) -> None:
    sums = wide.sum_by_group(wide.from_ints([v for v, _ in rows]), whole([g for _, g in rows]), 5)
    assert sums == [sum(value for value, group in rows if group == number) for number in range(5)]


def test_many_large_values_are_summed_exactly() -> None:
    words = np.broadcast_to(wide.from_ints([MAX]), (100_000, 8))
    assert wide.sum_by_group(words, np.arange(100_000) % 2, 2) == [50_000 * MAX] * 2


@pytest.mark.parametrize(
    "compute",
    [
        lambda words: wide.multiply_divide(words, whole([3000] * len(words)), 10**6),
        lambda words: wide.divide(words, whole([7] * len(words))),
        lambda words: wide.subtract(words, words),
        wide.magnitude,
    ],
)
def test_arithmetic_leaves_its_arguments_alone(compute: Any) -> None:
    words = wide.from_ints([MAX, 5, 0, TOP])
    words.setflags(write=False)
    assert compute(words).shape == (4, 8)


@given(st.lists(st.sampled_from((0, 1, -1, 2**63 - 1, -(2**63), 2**32, -(2**32))) | st.integers(-(2**63), 2**63 - 1)))
def test_integers_of_64_bits_become_words(values: list[int]) -> None:
    """Negative ones in two's complement of 256 bits."""
    words = wide.from_int64(np.array(values, np.int64))
    assert words.shape == (len(values), 8)
    assert wide.to_ints(words) == [value % 2**256 for value in values]
    assert wide.is_negative(words).tolist() == [value < 0 for value in values]
