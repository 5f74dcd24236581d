"""eth_getLogs answers become columns that agree with a reading one log at a time, or they are refused."""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.chain import template
from indexer.chain.logs import NO_TIME, merge, parse, take
from indexer.errors import EndpointFailed, EndpointLied
from indexer.model import Span
from tests.chain import plain_logs as plain
from tests.chain.plain_logs import PlainLog

ASKED = Span(100, 140)
ALL = Span(0, 2**39)

# Ethereum mainnet: three logs of transaction 0x5a7849ab...d8af (block 4,777,359) and one of 0x03620c6b...3318
# (block 9,282,169), as eth_getTransactionReceipt gives them; the first and the last are MakerDAO's LogNote, whose data
# is dynamic, the others WETH Transfers.
REAL = json.loads("""[
{"address":"0x448a5065aebb8e423f0896e6c5d525c040f59af3",
 "topics":["0x049878f300000000000000000000000000000000000000000000000000000000",
  "0x0000000000000000000000008d44eaae757884f4f8fb4664d07acecee71cfd89",
  "0x000000000000000000000000000000000000000000000004e1003b28d9280000",
  "0x0000000000000000000000000000000000000000000000000000000000000000"],
 "data":"0x000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000400000000000000000000000000000000000000000000000000000000000000024049878f3000000000000000000000000000000000000000000000004e1003b28d9280000",
 "blockNumber":"0x48e58f","transactionHash":"0x5a7849ab4b7f7de2b005deddef24a094387c248c3bcb06066109bd7852c1d8af",
 "transactionIndex":"0x27","blockHash":"0x762832a7ab2464ae92a659dde2f4ad8ea3c2674c3c74410f0b5e7563c7146a36",
 "logIndex":"0x2","removed":false,"blockTimestamp":"0x5a3d20e3"},
{"address":"0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
 "topics":["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
  "0x0000000000000000000000008d44eaae757884f4f8fb4664d07acecee71cfd89",
  "0x000000000000000000000000448a5065aebb8e423f0896e6c5d525c040f59af3"],
 "data":"0x000000000000000000000000000000000000000000000004e14781c3f76dad52",
 "blockNumber":"0x48e58f","transactionHash":"0x5a7849ab4b7f7de2b005deddef24a094387c248c3bcb06066109bd7852c1d8af",
 "transactionIndex":"0x27","blockHash":"0x762832a7ab2464ae92a659dde2f4ad8ea3c2674c3c74410f0b5e7563c7146a36",
 "logIndex":"0x3","removed":false,"blockTimestamp":"0x5a3d20e3"},
{"address":"0x35d1b3f3d7966a1dfe207aa4514c12a259a0492b",
 "topics":["0x7608870300000000000000000000000000000000000000000000000000000000",
  "0x5341490000000000000000000000000000000000000000000000000000000000",
  "0x000000000000000000000000c73e0383f3aff3215e6f04b0331d58cecf0ab849",
  "0x000000000000000000000000c73e0383f3aff3215e6f04b0331d58cecf0ab849"],
 "data":"0x000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000e0760887035341490000000000000000000000000000000000000000000000000000000000000000000000000000000000c73e0383f3aff3215e6f04b0331d58cecf0ab849000000000000000000000000c73e0383f3aff3215e6f04b0331d58cecf0ab849000000000000000000000000c73e0383f3aff3215e6f04b0331d58cecf0ab849fffffffffffffffffffffffffffffffffffffffffffffede4e7fb594b1cce1ae000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
 "blockNumber":"0x8da279","transactionHash":"0x03620c6bf5edb7a7935953337ffcfac70d631cf2012d6c80d36828d636063318",
 "transactionIndex":"0x3f","blockHash":"0xe0ee0d50a63ca72787c1b95002d367d7bed93c80a0b876ebd73ef7838d6b243e",
 "logIndex":"0x3b","removed":false,"blockTimestamp":"0x5e1e4e14"}
]""")


def log(block: int = 120, index: int = 0, **changes: Any) -> dict[str, Any]:
    """A well-formed Transfer; changes by JSON key, ... takes a key away."""
    told = {
        "address": "0x" + "a1" * 20,
        "topics": ["0x" + "dd" * 32, "0x" + "00" * 31 + "01", "0x" + "00" * 31 + "02"],
        "data": "0x" + "00" * 31 + "07",
        "blockNumber": hex(block),
        "transactionHash": f"0x{block * 1000 + index:064x}",
        "transactionIndex": "0x0",
        "blockHash": f"0x{block:064x}",
        "logIndex": hex(index),
        "blockTimestamp": hex(1_700_000_000 + 12 * block),
        "removed": False,
    } | changes
    return {key: value for key, value in told.items() if value is not ...}


def body(*logs: Any) -> bytes:
    return json.dumps(logs, separators=(",", ":")).encode()


def agrees(answer: bytes, asked: Span = ASKED) -> None:
    logs = plain.read(answer, asked)
    plain.agree(parse(answer, asked), logs, answer)
    with by_template():
        plain.agree(parse(answer, asked), logs, answer)


@contextmanager
def by_template() -> Iterator[None]:
    """Templates are tried however few logs there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(template, "_FEWEST", 1)
        yield


# ---------------------------------------------------------------- answers that are right


def hexed(octets: bytes, upper: bool) -> str:
    return "0x" + (octets.hex().upper() if upper else octets.hex())


TOPIC0S = st.sampled_from([b"\x11" * 32, b"\xee" * 32, b"\x00" * 32])
WORDS = st.binary(min_size=32, max_size=32)
EMITTERS = st.sampled_from([b"\xaa" * 20, b"\x01" * 20, b"\xbc" * 20])
DATA = st.one_of(st.just(b""), st.binary(min_size=64, max_size=64), st.binary(max_size=70))
TIMES = st.sampled_from(["right", "right", "right", "zero", "null", "missing"])


@st.composite
def told_logs(draw: st.DrawFn, fixed_data: bool) -> dict[str, Any]:
    block, index, upper = draw(st.integers(100, 140)), draw(st.integers(0, 300)), draw(st.booleans())
    count = draw(st.integers(0, 4))
    topics = [draw(TOPIC0S), *(draw(WORDS) for _ in range(count - 1))][:count]
    time = {"right": hex(10**9 + block), "zero": "0x0", "null": None, "missing": ...}[draw(TIMES)]
    return log(
        block,
        index,
        address=hexed(draw(EMITTERS), upper),
        topics=[hexed(topic, upper) for topic in topics],
        data=hexed(bytes(64) if fixed_data else draw(DATA), upper),
        blockNumber="0x" + "0" * draw(st.integers(0, 3)) + f"{block:x}",
        transactionHash=hexed(draw(WORDS), upper),
        blockHash=hexed(block.to_bytes(32, "big"), upper),
        blockTimestamp=time,
        removed=draw(st.sampled_from([False, False, ...])),
        **draw(
            st.sampled_from([{}, {"type": "mined"}, {"l1": {"a": [1, 2.5, None]}}, {"note": 'a "quoted"\\ \u00e9\n'}])
        ),
    )


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    logs = draw(st.lists(told_logs(fixed_data=draw(st.booleans())), max_size=12))
    once = {(int(one["blockNumber"], 16), one["logIndex"]): one for one in logs}
    indent = draw(st.sampled_from([None, None, 0, 1, 2, 17]))
    tight = draw(st.booleans())
    text = json.dumps(list(once.values()), indent=indent, separators=(",", ":") if tight else None)
    return text.replace("0x", "\\u0030x").encode() if draw(st.integers(0, 9)) == 0 else text.encode()


@settings(max_examples=400, deadline=None)
@given(answers())
def test_columns_are_what_a_reading_log_by_log_gives(answer: bytes) -> None:
    """Any events, topic counts, data lengths, order, spelling of hexadecimal, white space, further keys and times."""
    agrees(answer)


def test_an_empty_answer_has_no_anchor() -> None:
    """No logs are an answer, too."""
    agrees(b"[]")
    agrees(b" [ ]\n")
    assert parse(b"[]", ASKED).anchor(ASKED) is None


def test_one_address_in_two_spellings_is_one_emitter() -> None:
    """Some nodes answer with checksummed addresses, and a proxy may mix the answers of two nodes."""
    mixed = [log(120, 0, address="0x" + "ab" * 20), log(120, 1, address="0x" + "AB" * 20)]
    (raw,) = parse(body(*mixed), ASKED).groups.values()
    assert raw.where.emitters.shape == (1, 20)
    assert raw.where.emitter.tolist() == [0, 0]


def test_real_logs_are_read_as_they_are() -> None:
    """Logs of mainnet that anyone can compare: the emitter, the place and the amount of a WETH transfer."""
    agrees(body(*REAL), ALL)
    groups = parse(body(*REAL), ALL).groups
    (transfer,) = (raw for (topic0, _), raw in groups.items() if topic0.hex().startswith("ddf252ad"))
    assert transfer.where.block.tolist() == [4_777_359]
    assert transfer.where.time.tolist() == [1513955555]
    assert int.from_bytes(transfer.blob, "big") == 90020062355388214610
    assert transfer.where.contract[0].tobytes().hex() == "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"


def recorded(shared: Path, chain: int) -> list[dict[str, Any]]:
    with gzip.open(shared / "data" / "rotki-cassettes" / f"logs-{chain}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("chain", [1, 10, 100, 42161])
def test_thousands_of_recorded_logs_agree(shared: Path, chain: int) -> None:
    """Real logs of every kind of contract, in a wrong order and with and without white space."""
    logs = recorded(shared, chain)
    random.Random(chain).shuffle(logs)
    agrees(json.dumps(logs).encode(), ALL)
    agrees(body(*logs), ALL)


def test_whole_recorded_answers_agree(shared: Path) -> None:
    """Real answers of a node to real questions, within the ranges asked."""
    with gzip.open(shared / "data" / "erigon-getlogs" / "getlogs_calls.jsonl.gz", "rt") as lines:
        calls = [json.loads(line) for line in lines]
    asked = [call for call in calls if call["method"] == "eth_getLogs" and "fromBlock" in call["params"][0]]
    read = 0
    for call in asked:
        ends = [call["params"][0][end] for end in ("fromBlock", "toBlock")]
        if all(end.startswith("0x") for end in ends):
            agrees(body(*call["result"]), Span(int(ends[0], 16), int(ends[1], 16)))
            read += len(call["result"])
    assert read > 500


# ---------------------------------------------------------------- claims that cannot be


FORKED = log(120, 1, blockHash="0x" + "fe" * 32)
LIES: dict[str, list[dict[str, Any]]] = {
    "below the range": [log(99)],
    "above the range": [log(120), log(141)],
    "doubled": [log(120, 3), log(121, 3), log(120, 3)],
    "doubled in another spelling": [log(120, 10), log(120, 10, logIndex="0x0A")],
    "taken back": [log(120, 0), log(120, 1, removed=True)],
    "two hashes for one block": [log(120, 0), FORKED],
    "two hashes for one block in two spellings": [log(120, 0), FORKED | {"blockNumber": "0x0078"}],
    "a log index no block can have": [log(120, 1 << 24)],
    "two times for one block": [log(120, 0), log(120, 1, blockTimestamp="0x1")],
    "time running backwards": [log(120, 0), log(121, 0, blockTimestamp="0x5")],
}


@pytest.mark.parametrize("name", LIES)
def test_a_contradiction_is_a_lie(name: str) -> None:
    """What is well written but cannot be true."""
    with pytest.raises(EndpointLied):
        plain.read(body(*LIES[name]), ASKED)
    with pytest.raises(EndpointLied, match=r"\d"):
        parse(body(*LIES[name]), ASKED)


def test_the_same_hash_in_two_spellings_is_no_fork() -> None:
    """Capitals do not make another hash."""
    agrees(body(log(120, 0, blockHash="0x" + "ab" * 32), log(120, 1, blockHash="0x" + "AB" * 32)))


def broken(key: str, value: Any) -> dict[str, Any]:
    return {key: value}


BROKEN: list[dict[str, Any]] = [
    *(broken(key, value) for key in ("blockNumber", "logIndex") for value in (
        "", "0x", "78", "0X78", "0x-1", "-0x78", " 0x78", "0x78 ", "0x7_8", "0x7g", "+0x78", "0x\u0667", 120, None, ...,
        "0x" + "f" * 10, "0x" + "f" * 5000,
    )),
    *(broken("blockTimestamp", value) for value in ("", "0x", "1700", "-0x1", "0xffffffffffffffff", 17, [])),
    *(broken(key, value) for key in ("transactionHash", "blockHash") for value in (
        "0x" + "a" * 63, "0x" + "a" * 65, "0x" + "a" * 62, "0x", "", "1x" + "a" * 64, "0X" + "a" * 64, "0x" + "g" * 64,
        "0x" + "\u00e9" * 64, "0x" + "a" * 62 + "  ", None, 7, ...,
    )),
    *(broken("address", value) for value in (
        "0x" + "a" * 38, "0x" + "a" * 42, "a" * 42, "0X" + "a" * 40, "0x" + "z" * 40, None, ..., ["0x" + "a" * 40],
    )),
    *(broken("data", value) for value in (
        "", "0", "1x", "0X", "0x1", "0x123", "zz" + "00" * 32, "0X" + "00" * 32, "0x12 34", "0x1 ", "0xgg",
        None, ..., 7,
    )),
    *(broken("topics", value) for value in (
        None, ..., {}, "0x" + "d" * 64, 5, ["0x" + "d" * 63], ["0x" + "d" * 65], ["0x" + "d" * 62 + " 1"], [None], [7],
        ["0X" + "d" * 64], ["d" * 66], ["0x" + "d" * 64] * 5, [["0x" + "d" * 64]], {"0x" + "d" * 64: "0x" + "d" * 64},
        {"0x" + "d" * 64: 1}, ["0x" + "g" * 64], [""], ["0x" + "d" * 128],
    )),
    *(broken("removed", value) for value in ("false", None, 0)),
]  # fmt: skip


@pytest.mark.parametrize("changes", BROKEN, ids=lambda changes: str(changes)[:60])
@pytest.mark.parametrize("beside", [[], [log(121, 7)], [log(121, 7, topics=[], data="0x" + "11" * 5)]], ids=[0, 1, 2])
def test_a_malformed_log_spoils_the_answer(changes: dict[str, Any], beside: list[dict[str, Any]]) -> None:
    """Every field with every wrong spelling, alone, beside a log like it and beside one unlike it."""
    answer = body(log(120, 0, **changes), *beside)
    with pytest.raises(EndpointFailed):
        plain.read(answer, ASKED)
    with pytest.raises(EndpointFailed, match=r"eth_getLogs 100-140: the answer is malformed"):
        parse(answer, ASKED)


def test_wrong_lengths_that_add_up_are_still_wrong() -> None:
    """A digit too few here and one too many there: lengths count log by log, not in sum."""
    for key, digits in (("transactionHash", 64), ("address", 40), ("data", 64)):
        short, long = "0x" + "1" * (digits - 2), "0x" + "1" * (digits + 2)
        texts = [short, long] if key != "data" else ["0x" + "1" * 63, "0x" + "1" * 65]
        with pytest.raises(EndpointFailed):
            parse(body(*(log(120, row, **{key: text}) for row, text in enumerate(texts))), ASKED)


NOT_LISTS = [
    b"", b"null", b"{}", b'"0x"', b"7", b"true", b"[null]", b"[[]]", b"[7]", b'["0x"]', b"[{}]", b"[", b"]", b"\x00",
    b"\xff\xfe", b"<html>", body(log())[:-1], body(log()) + b"]", body(log())[1:],
    body(log()).replace(b'"0x0"', b"0x0"),
    b"[" * 100_000, b'[{"topics":' + b"[" * 100_000, b'[{"x":' + b"[" * 100_000, b'{"a":' * 100_000, b"[{},",
]  # fmt: skip


@pytest.mark.parametrize("answer", NOT_LISTS, ids=lambda answer: repr(answer[:30]))
def test_what_is_no_list_of_logs_is_malformed(answer: bytes) -> None:
    """Other JSON, cut JSON, no JSON, and nesting that would overflow a stack (as deep as rpc.py lets Python go)."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(min(before, 3000))
    try:
        with pytest.raises(EndpointFailed):
            parse(answer, ASKED)
    finally:
        sys.setrecursionlimit(before)


# ---------------------------------------------------------------- answers that were tampered with


def flip(answer: bytearray, dice: random.Random) -> None:
    answer[dice.randrange(len(answer))] = dice.randrange(256)


def swap_text(answer: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(answer))
    answer[at : at + 1] = dice.choice(
        [b'"', b"0", b"F", b",", b"[", b"]", b"{", b"}", b" ", b"\\", b"-", b"x", b"null"]
    )


def delete(answer: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(answer))
    del answer[at : at + dice.choice([1, 1, 2, 64, 300])]


def double(answer: bytearray, dice: random.Random) -> None:
    at, length = dice.randrange(len(answer)), dice.choice([1, 2, 64, 400])
    answer[at:at] = answer[at : at + length]


def truncate(answer: bytearray, dice: random.Random) -> None:
    del answer[dice.randrange(len(answer)) :]


TAMPERING: Sequence[Callable[[bytearray, random.Random], None]] = (
    flip,
    flip,
    swap_text,
    swap_text,
    delete,
    double,
    truncate,
)


def verdict(reading: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "read", reading()
    except EndpointFailed:
        return "failed", None
    except EndpointLied:
        return "lied", None


PRINTED = [
    log(100 + row // 9, 7 * row, data="0x" + "1f" * 32 * (row % 3), transactionIndex=hex(row)) for row in range(250)
]


@pytest.mark.parametrize("separators", [(",", ":"), (",", ": ")])
def test_what_a_node_prints_is_read_by_template(separators: tuple[str, str]) -> None:
    """Numbers of several lengths, data of several, and three topics or none."""
    answer = json.dumps([*PRINTED, *(log(130, row, topics=[]) for row in range(9))], separators=separators).encode()
    found = template.read(answer)
    assert found is not None
    assert sorted(row for one in found for row in one.rows.tolist()) == list(range(259))
    agrees(answer)


def test_tampered_answers_are_judged_alike() -> None:
    """2,000 answers with an octet flipped, cut or doubled: refused exactly where a plain reading refuses them."""
    dice = random.Random(20)
    clean = [
        body(*REAL),
        body(*(one | {"data": "0x" + "1f" * 96} for one in PRINTED[:9])),
        body(*(log(120 + row // 3, row, data="0x" + "1f" * (row % 4)) for row in range(6))),
    ]
    seen = {"read": 0, "failed": 0, "lied": 0}
    for _ in range(2000):
        answer, tamper = bytearray(dice.choice(clean)), dice.choice(TAMPERING)
        tamper(answer, dice)
        tampered, asked = bytes(answer), ALL
        wanted, logs = verdict(lambda: plain.read(tampered, asked))  # noqa: B023
        for way in (nullcontext(), by_template()):
            with way:
                kind, found = verdict(lambda: parse(tampered, asked))  # noqa: B023
            both = tamper is double and {kind, wanted} == {"failed", "lied"}  # a log twice, and broken where they meet
            assert kind == wanted or both, tampered
            if kind == "read":
                plain.agree(found, logs, tampered)
        seen[wanted] += 1
    assert min(seen.values()) > 10, seen


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0x1f null', max_size=60).map(str.encode))
def test_any_octets_are_an_answer_or_an_endpoint_s_fault(answer: bytes) -> None:
    """Nothing else ever comes out."""
    kind, _ = verdict(lambda: parse(answer, ASKED))
    assert kind in ("read", "failed", "lied")


# ---------------------------------------------------------------- columns put together and taken apart

KEY = (b"\xee" * 32, 2)


@st.composite
def raws(draw: st.DrawFn, least: int = 0) -> list[PlainLog]:
    count, same = draw(st.integers(least, 6)), draw(st.booleans())
    return [
        PlainLog(
            draw(st.integers(0, 9)), row, NO_TIME, draw(WORDS), draw(EMITTERS), (KEY[0], draw(WORDS)),
            draw(st.just(b"12345678") if same else DATA),
        )
        for row in range(count)
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(raws(), min_size=1, max_size=4))
def test_merged_columns_hold_every_part_in_order(parts: list[list[PlainLog]]) -> None:
    """Emitters that several parts know stand once in the new table, and each row's data stays its own."""
    merged = merge([plain.raw_of(part) if part else empty() for part in parts])
    assert plain.rows_of(KEY, merged) == [row for part in parts for row in part]


def empty() -> Any:
    return take(
        plain.raw_of([PlainLog(1, 0, 0, bytes(32), bytes(20), (bytes(32), bytes(32)), b"")]), np.zeros(0, np.int64)
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_taken_rows_are_those_asked_for(data: st.DataObject) -> None:
    """Any rows, in any order, more than once or none."""
    logs = data.draw(raws(least=1))
    rows = data.draw(st.lists(st.integers(0, len(logs) - 1), max_size=8))
    taken = take(plain.raw_of(logs), np.array(rows, np.int64))
    assert plain.rows_of(KEY, taken) == [logs[row] for row in rows]


def test_parsed_ranges_merge_into_what_one_answer_gives() -> None:
    """Two halves read apart are the whole."""
    whole = [log(110 + row // 2, row, data="0x" + "ab" * (row % 3)) for row in range(10)]
    (together,) = parse(body(*whole), ASKED).groups.values()
    halves = [parse(body(*half), ASKED).groups for half in (whole[:5], whole[5:])]
    (key,) = halves[0]
    assert plain.rows_of(key, merge([half[key] for half in halves])) == plain.rows_of(key, together)
