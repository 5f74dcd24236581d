"""Logs of one event become typed columns; rows that are not what the event says become faults."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from eth_abi.abi import encode

from indexer.decode import Fault, Raw, decode, parse_event
from indexer.model import Where, Words

SWAP = parse_event(
    "Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, "
    "uint160 sqrtPriceX96, uint128 liquidity, int24 tick)"
)
# Log 0xcc of transaction 0x2c21608a118100f3de0b629d24d711554f54865c0a9115e2f4d8153281fd9179 in Ethereum block
# 0x120f6cb: the pool USDC/WETH 0.3 %, 0x8ad599c3a0ff1de082011efddc58f1908eb6e6d8.
ROUTER = bytes.fromhex("3fc91a3afd70395cd496c647d5a6cc9d4b2b7fad")
SWAP_TOPICS = [ROUTER.rjust(32, b"\0")] * 2
SWAP_DATA = bytes.fromhex(
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffef1e0ae6d"
    "0000000000000000000000000000000000000000000000001bc16d674ec80000"
    "00000000000000000000000000000000000051f027c714a099e32125105a3969"
    "000000000000000000000000000000000000000000000000518cc74e6aa9ab7a"
    "0000000000000000000000000000000000000000000000000000000000030978"
)
ONE = (1).to_bytes(32, "big")
MINUS_ONE = b"\xff" * 32


def raw_of(logs: Sequence[tuple[Sequence[bytes], bytes]], indexed: int = 0) -> Raw:
    """Raw of (indexed topics, data) pairs; row i is log i of block i."""
    rows = np.arange(len(logs), dtype=np.int64)
    topics = np.frombuffer(b"".join(word for words, _ in logs for word in words), np.uint8)
    where = Where(rows, rows, rows, np.zeros((len(logs), 32), np.uint8), rows * 0, np.zeros((1, 20), np.uint8))
    offsets = np.cumsum([0, *(len(data) for _, data in logs)], dtype=np.int64)
    return Raw(where, topics.reshape(len(logs), indexed, 32), b"".join(data for _, data in logs), offsets)


def number(words: Words) -> int:
    """The signed value of a row of Words."""
    return int.from_bytes(words.astype(">u4").tobytes(), "big", signed=True)


def only_fault(signature: str, word: bytes) -> list[Fault]:
    """The faults of this word between two sound ones, which must survive whatever the word is."""
    event = parse_event(signature)
    words = [bytes(32), word, bytes(32)]
    if event.indexed:
        batch, faults = decode(event, raw_of([([each], b"") for each in words], 1))
    else:
        batch, faults = decode(event, raw_of([([], each) for each in words]))
    assert batch.where.block.tolist() == ([0, 2] if faults else [0, 1, 2])
    assert all(len(column) == len(batch) for column in batch.args.values())
    return faults


def test_a_swap_of_ethereum_is_read() -> None:
    batch, faults = decode(SWAP, raw_of([(SWAP_TOPICS, SWAP_DATA)] * 2, 2))
    assert faults == []
    assert list(batch.args) == ["sender", "recipient", "amount0", "amount1", "sqrtPriceX96", "liquidity", "tick"]
    assert bytes(batch.args["sender"][0]) == bytes(batch.args["recipient"][1]) == ROUTER
    assert [number(batch.args[name][1]) for name in ("amount0", "amount1", "sqrtPriceX96", "liquidity")] == [
        -4531900819,
        2 * 10**18,
        0x51F027C714A099E32125105A3969,
        0x518CC74E6AA9AB7A,
    ]
    assert batch.args["tick"].tolist() == [199032, 199032]


def test_columns_have_the_promised_types() -> None:
    event = parse_event(
        "E(uint56 a, int64 b, uint64 c, int72 d, address e, bytes4 f, bool g, bytes h, uint8[2] i, string indexed j)"
    )
    data = encode(
        [param.type for param in event.plain],
        [1, -1, 2, -2, "0x" + "11" * 20, b"abcd", True, b"xyz", [3, 4]],
    )
    args = decode(event, raw_of([([MINUS_ONE], data)] * 3, 1))[0].args
    assert {name: (column.dtype.type, column.shape[1:]) for name, column in args.items()} == {
        "a": (np.int64, ()),
        "b": (np.int64, ()),
        "c": (np.uint32, (8,)),
        "d": (np.uint32, (8,)),
        "e": (np.uint8, (20,)),
        "f": (np.uint8, (4,)),
        "g": (np.bool_, ()),
        "h": (np.object_, ()),
        "i": (np.object_, ()),
        "j": (np.uint8, (32,)),
    }
    assert all(len(column) == 3 for column in args.values())
    assert args["i"][0] == (3, 4)


@pytest.mark.parametrize("text", ["E(uint256 a, address b)", "E(string a, bool b, bytes7 c, uint8[3] d)", "E()"])
def test_no_logs_give_empty_columns_of_the_same_types(text: str) -> None:
    event = parse_event(text)
    batch, faults = decode(event, raw_of([]))
    assert faults == []
    values = {"uint256": 1, "address": "0x" + "11" * 20, "string": "x", "bool": True, "bytes7": b"7" * 7}
    data = encode([p.type for p in event.plain], [values.get(p.type, [1, 2, 3]) for p in event.plain])
    full, _ = decode(event, raw_of([([], data)]))
    assert {n: (c.dtype, c.shape[1:]) for n, c in batch.args.items()} == {
        n: (c.dtype, c.shape[1:]) for n, c in full.args.items()
    }
    assert (len(batch), len(full)) == (0, 1)


@pytest.mark.parametrize("value", [0, 1, 2**53 - 1, 2**53 + 1, 2**63 - 1, 2**63 + 1, 2**255, 2**256 - 1])
def test_unsigned_extremes_are_exact(value: int) -> None:
    batch, _ = decode(parse_event("E(uint256 a)"), raw_of([([], value.to_bytes(32, "big"))]))
    assert number(batch.args["a"][0]) % 2**256 == value


@pytest.mark.parametrize("value", [0, -1, 1 - 2**53, -(2**53) - 1, 2**63, -(2**63) - 1, 2**255 - 1, -(2**255)])
def test_signed_extremes_are_exact(value: int) -> None:
    batch, _ = decode(parse_event("E(int256 a)"), raw_of([([], value.to_bytes(32, "big", signed=True))]))
    assert number(batch.args["a"][0]) == value


@pytest.mark.parametrize("mark", ["", "indexed"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", range(8, 257, 8))
def test_integers_are_bounded_by_their_width(bits: int, signed: bool, mark: str) -> None:
    """Both bounds are values, their neighbours outside are faults, and so is any single dirty bit above."""
    signature = f"E({'int' if signed else 'uint'}{bits} {mark} a)"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    for value in (low, high, 0, 1):
        assert only_fault(signature, value.to_bytes(32, "big", signed=signed)) == []
    outside = [] if bits == 256 else [low - 1, high + 1]
    dirty = [(value % 2**256) ^ (1 << bit) for bit in range(bits, 256) for value in (low, high, 1)]
    for value in [value % 2**256 for value in outside] + dirty[:: 5 if bits < 200 else 1]:
        [fault] = only_fault(signature, value.to_bytes(32, "big"))
        assert fault.row == 1
        assert fault.reason.startswith("a is no ")


@pytest.mark.parametrize("mark", ["", "indexed"])
@pytest.mark.parametrize(
    ("kind", "clean"),
    [("address", range(12, 32)), ("bool", range(31, 32)), *((f"bytes{n}", range(n)) for n in (1, 4, 20, 31, 32))],
)
def test_octets_beside_a_value_must_be_zero(kind: str, clean: range, mark: str) -> None:
    for place in range(32):
        word = bytes(1 if octet == place else 0 for octet in range(32))
        assert (only_fault(f"E({kind} {mark} a)", word) == []) == (place in clean)


@pytest.mark.parametrize(
    "kind", ["uint8", "uint160", "int24", "int64", "int200", "bool", "address", "bytes3", "bytes32"]
)
def test_words_inside_arrays_and_tuples_are_checked_alike(kind: str) -> None:
    """The column reader and the reader by rows hold the same words for dirty."""
    single_bits = [1 << bit for bit in range(256)]
    for value in [
        0,
        2,
        3,
        *single_bits,
        *(2**256 - bit for bit in single_bits),
        *(2**256 - 1 - bit for bit in single_bits),
    ]:
        word = value.to_bytes(32, "big")
        dirty = len(only_fault(f"E({kind} a)", word))
        assert len(only_fault(f"E({kind}[1] a)", word)) == dirty
        assert len(only_fault(f"E(({kind}) a)", word)) == dirty


def test_a_bool_is_zero_or_one() -> None:
    assert only_fault("E(bool a)", ONE) == []
    for octet in (2, 3, 128, 255):
        assert len(only_fault("E(bool a)", octet.to_bytes(32, "big"))) == 1


def test_indexed_hashes_may_be_any_octets() -> None:
    event = parse_event("E(string indexed a, uint8[2] indexed b, (bool,address) indexed c)")
    batch, faults = decode(event, raw_of([([MINUS_ONE, ONE, MINUS_ONE], b"")], 3))
    assert faults == []
    assert [bytes(batch.args[name][0]) for name in "abc"] == [MINUS_ONE, ONE, MINUS_ONE]


def test_each_faulty_row_is_named_once_and_the_others_survive_in_order() -> None:
    bad_topic = ([SWAP_TOPICS[0], MINUS_ONE], SWAP_DATA)
    good = (SWAP_TOPICS, SWAP_DATA)
    bad_tick = (SWAP_TOPICS, SWAP_DATA[:-32] + (2**23).to_bytes(32, "big"))
    bad_twice = (bad_topic[0], bad_tick[1])
    short, long, none = ((SWAP_TOPICS, data) for data in (SWAP_DATA[:-1], SWAP_DATA + b"\0", b""))
    logs = [bad_topic, good, bad_tick, good, short, long, good, none, bad_twice, good]
    batch, faults = decode(SWAP, raw_of(logs, 2))
    assert batch.where.block.tolist() == [1, 3, 6, 9]
    assert batch.args["tick"].tolist() == [199032] * 4
    assert faults == [
        Fault(0, "recipient is no address: the octets beside the value are dirty"),
        Fault(2, "tick is no int24: the octets beside the value are dirty"),
        Fault(4, "has 159 octets of data, Swap needs exactly 160"),
        Fault(5, "has 161 octets of data, Swap needs exactly 160"),
        Fault(7, "has 0 octets of data, Swap needs exactly 160"),
        Fault(8, "recipient is no address: the octets beside the value are dirty"),
    ]


def test_lengths_that_only_add_up_are_faults() -> None:
    """One octet moved from a row to the next leaves the sum right and both rows wrong."""
    batch, faults = decode(SWAP, raw_of([(SWAP_TOPICS, SWAP_DATA[:-1]), (SWAP_TOPICS, b"x" + SWAP_DATA)], 2))
    assert len(batch) == 0
    assert [fault.row for fault in faults] == [0, 1]


@pytest.mark.parametrize("topics", [0, 1, 3])
def test_another_number_of_topics_is_a_fault_of_every_row(topics: int) -> None:
    """ERC-721 and ERC-20 share Transfer's topic0 and differ in topics only."""
    batch, faults = decode(SWAP, raw_of([([ONE] * topics, SWAP_DATA)] * 2, topics))
    assert faults == [Fault(row, f"has {1 + topics} topics, Swap needs 3") for row in range(2)]
    assert len(batch) == 0
    assert batch.args["sender"].shape == (0, 20)


def test_topics_may_be_a_view_of_a_wider_array() -> None:
    raw = raw_of([(SWAP_TOPICS, SWAP_DATA)] * 3, 2)
    wide = np.full((3, 4, 40), 255, np.uint8)
    wide[:, 1:3, 4:36] = raw.topics
    batch, faults = decode(SWAP, Raw(raw.where, wide[:, 1:3, 4:36], raw.blob, raw.offsets))
    assert faults == []
    assert bytes(batch.args["recipient"][2]) == ROUTER


def test_shapes_that_do_not_match_are_the_callers_mistake() -> None:
    raw = raw_of([(SWAP_TOPICS, SWAP_DATA)] * 2, 2)
    for offsets in ([0, 160], [0, 160, 321], [1, 160, 320], [0, 330, 320]):
        with pytest.raises(ValueError, match=r"^Offsets "):
            Raw(raw.where, raw.topics, raw.blob, np.array(offsets, np.int64))
    for topics in (raw.topics[:1], raw.topics[:, 0], raw.topics[:, :, :20]):
        with pytest.raises(ValueError, match=r"^Topics of 2 logs"):
            Raw(raw.where, topics, raw.blob, raw.offsets)


def test_columns_do_not_hold_on_to_the_raw_logs() -> None:
    """A column that is a view would keep all data of a range in memory."""
    event = parse_event("E(string indexed a, bytes32 b, bytes8 c, address d, uint256 e)")
    raw = raw_of([([ONE], ONE + bytes(96))] * 2, 1)
    batch, faults = decode(event, raw)
    assert faults == []
    buffer = np.frombuffer(raw.blob, np.uint8)
    for column in batch.args.values():
        assert not np.may_share_memory(column, raw.topics)
        assert not np.may_share_memory(column, buffer)


@pytest.mark.parametrize("spoiled", [False, True])
def test_a_swap_costs_less_than_a_microsecond(spoiled: bool) -> None:
    """A loop over rows in Python costs several; reading columns costs about a tenth, with bad rows too."""
    logs = [(SWAP_TOPICS, SWAP_DATA)] * 50_000
    if spoiled:
        logs[25_000] = (SWAP_TOPICS, SWAP_DATA[:-1])
    raw = raw_of(logs, 2)
    assert len(decode(SWAP, raw)[0]) == 50_000 - spoiled
    assert min(_seconds(raw) for _ in range(5)) / 50_000 < 1e-6


def _seconds(raw: Raw) -> float:
    started = time.perf_counter()
    decode(SWAP, raw)
    return time.perf_counter() - started
