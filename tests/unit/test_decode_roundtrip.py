"""Decoding agrees with eth_abi, the independent reference, on random events, random values and spoiled data."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from eth_abi.codec import ABICodec
from eth_abi.decoding import StringDecoder
from eth_abi.registry import BaseEquals, registry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.decode import Event, Raw, decode, parse_event
from indexer.decode.dynamic import AbiType, Array, Record, Run, Word, is_dynamic
from indexer.decode.signature import canonical_type, parse_type
from indexer.model import Where

LOSSLESS = registry.copy()  # type: ignore[no-untyped-call]
LOSSLESS.unregister_decoder("string")
LOSSLESS.register_decoder(
    BaseEquals("string"),  # type: ignore[no-untyped-call]
    StringDecoder(handle_string_errors="surrogateescape"),  # type: ignore[no-untyped-call]
    label="string",
)
ABI = ABICodec(LOSSLESS)
Draw = Callable[[st.SearchStrategy[Any]], Any]
EXTREMES = [0, 1, 2**53 - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64, 2**255, 2**256 - 1]
EXTREMES += [-value for value in EXTREMES] + [2**255 - 1]

WORDS = (
    st.builds(Word, st.sampled_from(["uint", "int"]), st.sampled_from(range(8, 257, 8)))
    | st.builds(Word, st.just("bytes"), st.integers(1, 32))
    | st.sampled_from([Word("address", 20), Word("bool", 1), Word("uint", 256), Word("int", 256)])
)
TYPES: st.SearchStrategy[AbiType] = st.recursive(
    WORDS | WORDS | st.builds(Run, st.booleans()),
    lambda items: (
        st.builds(Array, items, st.none() | st.integers(1, 3))
        | st.builds(Record, st.lists(items, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


def value_of(abi: AbiType) -> st.SearchStrategy[Any]:
    """Values of a type as eth_abi encodes them, addresses as 20 octets."""
    match abi:
        case Word(("uint" | "int") as base, size):
            low, high = (-(2 ** (size - 1)), 2 ** (size - 1) - 1) if base == "int" else (0, 2**size - 1)
            return st.sampled_from([low, high, *(v for v in EXTREMES if low <= v <= high)]) | st.integers(low, high)
        case Word("bool"):
            return st.booleans()
        case Word(_, size):
            return st.binary(min_size=size, max_size=size)
        case Run(text):
            return st.text(max_size=40) if text else st.binary(max_size=70)
        case Array(item, length):
            least, most = (0, 4) if length is None else (length, length)
            return st.lists(value_of(item), min_size=least, max_size=most).map(tuple)
        case Record(items):
            return st.tuples(*map(value_of, items))


def reference(abi: AbiType, value: Any) -> Any:
    """A value as eth_abi decodes it, with addresses as 20 octets."""
    match abi:
        case Word("address"):
            return bytes.fromhex(value[2:])
        case Array(item, _):
            return tuple(reference(item, each) for each in value)
        case Record(items):
            return tuple(reference(item, each) for item, each in zip(items, value, strict=True))
    return value


def cell(abi: AbiType, entry: Any) -> Any:
    """One entry of a decoded column as a Python value."""
    match abi:
        case Word(("uint" | "int") as base, size) if size > (64 if base == "int" else 63):
            assert entry.shape == (8,)
            return int.from_bytes(entry.astype(">u4").tobytes(), "big", signed=base == "int")
        case Word("uint" | "int"):
            return int(entry)
        case Word("bool"):
            return bool(entry)
        case Word(_, size):
            assert entry.shape == (size,)
            return entry.tobytes()
    return entry


def raw_of(event: Event, logs: Sequence[tuple[Sequence[bytes], bytes]]) -> Raw:
    """Raw of (indexed topics, data) pairs; row i is log i of block i."""
    rows = np.arange(len(logs), dtype=np.int64)
    topics = np.frombuffer(b"".join(word for words, _ in logs for word in words), np.uint8)
    where = Where(rows, rows, rows, np.zeros((len(logs), 32), np.uint8), rows * 0, np.zeros((1, 20), np.uint8))
    offsets = np.cumsum([0, *(len(data) for _, data in logs)], dtype=np.int64)
    return Raw(where, topics.reshape(len(logs), len(event.indexed), 32), b"".join(data for _, data in logs), offsets)


WORD = st.one_of(
    st.integers(0, 12).map(lambda words: words * 32),
    st.integers(0, 300),
    st.sampled_from([2**31, 2**63, 2**64 - 32, 2**255, 2**256 - 32, 2**256 - 1]),
).map(lambda value: value.to_bytes(32, "big"))
SOUP = st.binary(max_size=300) | st.lists(WORD, max_size=16).map(b"".join)
TOPICS = st.binary(min_size=96, max_size=96) | st.tuples(WORD, WORD, WORD).map(b"".join)


def event_of(types: Sequence[AbiType], marks: Sequence[bool]) -> Event:
    pairs = zip(types, marks, strict=True)
    return parse_event(f"E({', '.join(canonical_type(abi) + ' indexed' * mark for abi, mark in pairs)})")


@st.composite
def events(draw: st.DrawFn) -> Event:
    types = draw(st.lists(TYPES, max_size=6))
    marked = draw(st.sets(st.integers(0, 5), max_size=3))
    return event_of(types, [position in marked for position in range(len(types))])


def topic_of(abi: AbiType, value: Any) -> bytes:
    """A word travels as itself; for the others any 32 octets do, as a hash would."""
    return ABI.encode([canonical_type(abi)], [value]) if isinstance(abi, Word) else bytes(range(32))


def reference_rows(event: Event, logs: Sequence[tuple[Sequence[bytes], bytes]]) -> list[dict[str, Any] | None]:
    """What eth_abi reads from each log; None where it refuses."""
    return [_reference_row(event, topics, data) for topics, data in logs]


def _reference_row(event: Event, topics: Sequence[bytes], data: bytes) -> dict[str, Any] | None:
    row: dict[str, Any] = {}
    try:
        for param, topic in zip(event.indexed, topics, strict=True):
            abi = parse_type(param.type)
            is_word = isinstance(abi, Word)
            row[param.name] = reference(abi, ABI.decode([param.type], topic)[0]) if is_word else topic
        values = ABI.decode([param.type for param in event.plain], data) if event.plain else ()
    except Exception:  # the reference has many ways to refuse, OverflowError among them
        return None
    for param, value in zip(event.plain, values, strict=True):
        row[param.name] = reference(parse_type(param.type), value)
    return row


def assert_agrees(event: Event, logs: Sequence[tuple[Sequence[bytes], bytes]]) -> tuple[int, set[int]]:
    """Each row is a fault or exactly what eth_abi says; returns the good rows' number and the faulty rows."""
    batch, faults = decode(event, raw_of(event, logs))
    faulty = [fault.row for fault in faults]
    assert batch.where.block.tolist() == [row for row in range(len(logs)) if row not in set(faulty)]
    assert faulty == sorted(set(faulty))
    assert all(fault.reason for fault in faults)
    expected = reference_rows(event, logs)
    for position, row in enumerate(batch.where.block.tolist()):
        found = {}
        for param in event.params:
            abi, entry = parse_type(param.type), batch.args[param.name][position]
            hashed = param.indexed and not isinstance(abi, Word)
            found[param.name] = entry.tobytes() if hashed else cell(abi, entry)
        assert found == expected[row]
    return len(batch), set(faulty)


def encoded(event: Event, draw: Draw) -> tuple[list[bytes], bytes]:
    """Topics and data of one log with random values."""
    topics = [topic_of(abi, draw(value_of(abi))) for abi in (parse_type(param.type) for param in event.indexed)]
    types = [param.type for param in event.plain]
    return topics, ABI.encode(types, [draw(value_of(parse_type(each))) for each in types])


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_eth_abi_encodes_is_read_back(data: st.DataObject) -> None:
    event = data.draw(events())
    logs = [encoded(event, data.draw) for _ in range(data.draw(st.integers(1, 3)))]
    assert assert_agrees(event, logs) == (len(logs), set())


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(events(), st.lists(st.tuples(TOPICS, SOUP), max_size=4))
def test_random_octets_are_faults_or_what_eth_abi_says(event: Event, noise: list[tuple[bytes, bytes]]) -> None:
    logs = [([topics[at * 32 :][:32] for at in range(len(event.indexed))], data) for topics, data in noise]
    assert_agrees(event, logs)


def spoiled(data: bytes, draw: Draw) -> bytes:
    """The data with one change: a word replaced, an octet flipped, a piece cut off, put in or put at the end."""
    at: int = draw(st.integers(0, max(0, len(data) - 1)))
    start = at // 32 * 32
    new: bytes = draw(WORD)
    match draw(st.sampled_from(["word", "octet", "cut", "insert", "append"])):
        case "word" if data:
            return data[:start] + new + data[start + 32 :]
        case "octet" if data:
            return data[:at] + bytes([data[at] ^ draw(st.sampled_from([1, 32, 128, 255]))]) + data[at + 1 :]
        case "cut":
            return data[:at]
        case "insert":
            return data[:start] + new + data[start:]
    return data + new[: draw(st.integers(1, 32))]


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_spoiled_data_is_a_fault_or_what_eth_abi_says(data: st.DataObject) -> None:
    """What eth_abi reads and would write the same way must be read; static data of another length must not."""
    event = data.draw(events())
    sound = encoded(event, data.draw)
    logs = [(sound[0], spoiled(sound[1], data.draw)), sound]
    _, faulty = assert_agrees(event, logs)
    expected = reference_rows(event, logs)[0]
    assert 1 not in faulty
    if not any(is_dynamic(parse_type(param.type)) for param in event.plain):
        same_length = len(logs[0][1]) == len(sound[1])
        assert (0 in faulty) == (expected is None or not same_length)
    elif expected is not None and rewritten(event, expected) == logs[0][1]:
        assert 0 not in faulty


def rewritten(event: Event, row: dict[str, Any]) -> bytes | None:
    """The canonical encoding of a row; None where text was no UTF-8, which eth_abi does not write."""
    try:
        return ABI.encode([param.type for param in event.plain], [row[param.name] for param in event.plain])
    except UnicodeEncodeError:
        return None


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def test_text_that_is_no_utf8_keeps_its_octets() -> None:
    event = parse_event("E(string a)")
    raw = b"ok\xff\xed\xa0\x80\0"
    batch, faults = decode(event, raw_of(event, [([], ABI.encode(["bytes"], [raw]))]))
    assert faults == []
    assert batch.args["a"][0].encode("utf-8", "surrogateescape") == raw


def test_a_shared_tail_is_read() -> None:
    """Two offsets to one empty tail are legal, and some encoders write them."""
    event = parse_event("E(bytes a, bytes b)")
    assert assert_agrees(event, [([], word(64) + word(64) + word(0))]) == (1, set())


def test_a_fault_of_a_dynamic_value_names_the_parameter_and_the_reason() -> None:
    event = parse_event("E(uint8 a, bytes b, uint16[] c)")
    good = ABI.encode(["uint8", "bytes", "uint16[]"], [1, b"xyz", [1, 2]])
    spoil = {
        0: (0, word(256)),
        1: (32, word(2**255)),
        2: (96, word(2**200)),
        3: (128, b"xyz!" + bytes(28)),
        4: (160, word(2**64)),
        5: (192, word(2**16)),
    }
    logs: list[tuple[list[bytes], bytes]] = [([], good[:at] + new + good[at + 32 :]) for at, new in spoil.values()]
    batch, faults = decode(event, raw_of(event, [*logs, ([], good[:64]), ([], good)]))
    assert batch.where.block.tolist() == [7]
    assert [fault.reason for fault in faults] == [
        "a is no uint8: the octets beside the value are dirty",
        "b has an offset that leads outside its part of the data",
        "b runs beyond the end of the data",
        "b has dirty padding",
        "c claims more items than the data can hold",
        "c holds a number that does not fit uint16",
        "has 64 octets of data, E needs at least 96",
    ]
