"""Text written by strangers is kept exactly or made safe to show, and nothing in it raises."""

import time
import unicodedata

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from indexer.decode.text import abi_text, clean_text, keep_text, original_octets

RAW = st.binary(max_size=200) | st.text(max_size=80).map(lambda text: text.encode())


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"USDC", "USDC"),
        ("USD₮0".encode(), "USD₮0"),
        (b"", ""),
        (b"MKR" + bytes(29), "MKR"),
        (b"A\0B", "AB"),
        (b"A\x1b[31mB\x07\x7f", "A[31mB"),
        ("A\u0085B\u009bC".encode(), "A BC"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xff\xfeok", "\ufffd\ufffdok"),
        ("US\u202eCDS\u202c\u2066\u2069".encode(), "USCDS"),
        ("U\u200bS\u200dD\u2060C\ufeff\u00ad".encode(), "USDC"),
        ("\u3164\u115f\u2800\ufe0f\U000e0041\U000e0100X\u034f".encode(), "X"),
        ("\ue000\U0010ffff\ufdd0X".encode(), "X"),
        (b"  a \r\n\t b  ", "a b"),
        ("a\u2028b\u3000c\u00a0d".encode(), "a b c d"),
        ("e\u0301".encode(), "\u00e9"),
        (b"<script>alert('x')</script>", "<script>alert('x')</script>"),
        (b'=HYPERLINK("http://x","y")', '=HYPERLINK("http://x","y")'),
        (b"'; DROP TABLE flow; --", "'; DROP TABLE flow; --"),
        ("👩\u200d🚀".encode(), "👩🚀"),
    ],
)
def test_hostile_text_is_made_safe_to_show(raw: bytes, shown: str) -> None:
    assert clean_text(raw) == shown


def test_long_text_ends_with_an_ellipsis_inside_the_limit() -> None:
    assert clean_text(b"x" * 64) == "x" * 64
    assert clean_text(b"x" * 65) == "x" * 63 + "…"
    assert clean_text(b"abc def", limit=5) == "abc…"
    assert clean_text(b"ab", limit=1) == "…"


def test_a_character_cut_by_the_window_leaves_no_replacement_mark() -> None:
    assert clean_text(("\u200b" * 5 + "a" + "€" * 100).encode(), limit=1) == "…"
    assert "\ufffd" not in clean_text(b"\0" * (64 * 8 - 1) + "€€".encode(), limit=8)


def test_a_megabyte_costs_no_more_than_a_line() -> None:
    for unit in (b"x", b"\0", "\u200b".encode(), "e\u0301\u0302\u0303".encode(), b"\xff"):
        raw = unit * (1_000_000 // len(unit))
        started = time.perf_counter()
        assert len(clean_text(raw)) <= 64
        assert time.perf_counter() - started < 0.1


@given(RAW, st.integers(1, 70))
def test_whatever_the_octets_the_line_is_clean(raw: bytes, limit: int) -> None:
    line = clean_text(raw, limit)
    assert len(line) <= limit
    assert line == line.strip()
    assert unicodedata.is_normalized("NFC", line)
    assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for character in line)
    assert line.encode().decode() == line
    assert clean_text(line.encode(), limit) == line


@given(RAW)
def test_kept_text_gives_back_its_octets(raw: bytes) -> None:
    assert original_octets(keep_text(raw)) == raw


@given(st.text(max_size=40))
def test_kept_text_is_the_text_if_it_is_one(text: str) -> None:
    assert keep_text(text.encode()) == text


@given(st.binary(max_size=200))
def test_a_string_answer_is_read(raw: bytes) -> None:
    answer = encode(["bytes"], [raw])
    assert abi_text(answer) == raw
    assert abi_text(answer[: 64 + len(raw)]) == raw


def test_a_bytes32_answer_is_read() -> None:
    """MKR 0x9f8f72aa9304c8b593d555f12ef6589cc3a579a2 answers symbol() with bytes32."""
    assert abi_text(b"MKR".ljust(32, b"\0")) == b"MKR"
    assert abi_text(bytes(32)) == b""
    assert abi_text(b"x" * 32) == b"x" * 32


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0" * 31,
        (1).to_bytes(32, "big"),
        b"A\0B".ljust(32, b"\0"),
        bytes(64),
        (33).to_bytes(32, "big") + bytes(32),
        (32).to_bytes(32, "big") + (1).to_bytes(32, "big"),
        (32).to_bytes(32, "big") + b"\xff" * 32 + b"x" * 32,
        b"\xff" * 64,
        (64).to_bytes(32, "big") + bytes(31),
    ],
)
def test_other_answers_are_no_text(answer: bytes) -> None:
    assert abi_text(answer) is None


@given(st.binary(max_size=130))
def test_no_answer_raises(answer: bytes) -> None:
    text = abi_text(answer)
    assert text is None or text in answer
