"""Data that lies about its size costs no more than its length: time and memory stay small, and nothing raises."""

import time
import tracemalloc

import numpy as np
import pytest

from indexer.decode import Event, Fault, Raw, decode, parse_event
from indexer.decode.dynamic import is_dynamic
from indexer.decode.signature import parse_type
from indexer.model import Batch, Where

MEGABYTE = 1 << 20


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def raw_of(data: bytes) -> Raw:
    """One log without indexed parameters."""
    zero = np.zeros(1, np.int64)
    where = Where(zero, zero, zero, np.zeros((1, 32), np.uint8), zero, np.zeros((1, 20), np.uint8))
    return Raw(where, np.zeros((1, 0, 32), np.uint8), data, np.array([0, len(data)], np.int64))


def offset_bomb(levels: int, width: int) -> bytes:
    """Nested lists where every offset of a level leads to the same list of the next: width^levels items."""
    lists = b""
    for level in range(levels):
        offsets = word(width * 32) * width if level < levels - 1 else word(7) * width
        lists += word(width) + offsets
    return word(32) + lists


BOMBS = {
    "nested offsets": ("E(uint256[][][][][][] a)", offset_bomb(6, 1000)),
    "nested offsets to text": (
        "E(string[] a)",
        word(32) + word(16384) + word(16384 * 32) * 16384 + word(MEGABYTE // 2) + b"x" * (MEGABYTE // 2),
    ),
    "offsets to themselves": ("E(bytes[][][][] a)", word(32) + (word(30000) + word(0) * 30000)),
    "tuples around one list": (
        "E((uint256[],uint256[])[] a)",
        word(32) + word(8000) + word(8000 * 32) * 8000 + word(64) * 2 + word(8000) + word(1) * 8000,
    ),
    "a length of 2^256 - 1": ("E(uint256[] a)", word(32) + word(2**256 - 1) + bytes(MEGABYTE)),
    "a length of 2^64": ("E(bytes a)", word(32) + word(2**64) + bytes(MEGABYTE)),
    "a length of all that follows, as tuples": ("E((bool,bool)[] a)", word(32) + word(MEGABYTE) + bytes(MEGABYTE)),
    "an array the type makes huge": ("E(string[500000] a)", word(32) + bytes(MEGABYTE)),
    "a static array the type makes huge": ("E(uint8[500000] a)", bytes(MEGABYTE)),
}


@pytest.mark.parametrize(("signature", "data"), BOMBS.values(), ids=BOMBS)
def test_bombs_are_faults_and_stay_small(signature: str, data: bytes) -> None:
    raw = raw_of(data)
    batch, faults, peak, seconds = _measured(parse_event(signature), raw)
    assert (len(batch), len(faults)) == (0, 1)
    assert peak < 64 * MEGABYTE
    assert seconds < 5


@pytest.mark.parametrize("item", ["uint256[1][1][1]", "((bool,int8))", "string", "bytes[]", "uint8"])
def test_a_megabyte_of_the_smallest_items_stays_small(item: str) -> None:
    """The most objects that sound data can ask for."""
    event = parse_event(f"E({item}[] a)")
    far = is_dynamic(parse_type(item))
    count = MEGABYTE // (64 if far else 32)
    step = 32 * count
    heads = b"".join(word(step + 32 * at) for at in range(count)) if far else b""
    size = 2 if item.startswith("((") else 1
    raw = raw_of(word(32) + word(count // size) + heads + bytes(32 * count))
    batch, faults, peak, _ = _measured(event, raw)
    assert faults == []
    assert len(batch.args["a"][0]) == count // size
    assert peak < 64 * MEGABYTE


def _measured(event: Event, raw: Raw) -> tuple[Batch, list[Fault], int, float]:
    started = time.perf_counter()
    tracemalloc.start()
    try:
        batch, faults = decode(event, raw)
        return batch, faults, tracemalloc.get_traced_memory()[1], time.perf_counter() - started
    finally:
        tracemalloc.stop()
