"""Archive files give back every log and answer as it was, and nothing else."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.archive.files import CallFile, LogFile, read_calls, read_logs, write_calls, write_logs
from indexer.archive.filters import Filter
from indexer.archive.store import name_of
from indexer.decode.columns import Raw
from indexer.errors import ArchiveUnusable
from indexer.model import Span, Where
from tests.chain.plain_logs import PlainLog, raw_of, rows, rows_of

NAME = "chain/1/ab/abcd.parquet"
FILTERS = (Filter(None, ((b"\1" * 32, b"\2" * 32), None, (b"\3" * 32,))), Filter((b"\4" * 20,), ((b"\5" * 32,),)))

topic = st.binary(min_size=32, max_size=32)
logs = st.lists(
    st.builds(
        PlainLog,
        st.integers(0, 2**39 - 1),
        st.integers(0, 2**24 - 1),
        st.integers(-1, 2**39 - 1),
        topic,
        st.sampled_from([bytes([number]) * 20 for number in range(4)]) | st.binary(min_size=20, max_size=20),
        st.lists(st.sampled_from([b"\1" * 32, b"\2" * 32]) | topic, max_size=4).map(tuple),
        st.just(b"") | st.binary(max_size=200) | st.binary(min_size=32, max_size=32),
        st.just(b""),
    ),
    max_size=20,
    unique_by=lambda log: (log.block, log.index),
)


def filed(found: list[PlainLog], **more: object) -> LogFile:
    groups = {key: raw_of([log for log in sorted(found) if log.key == key]) for key in {log.key for log in found}}
    plain = {"received": len(found), "anchor": (7, b"\7" * 32), "endpoint": "node.example"}
    return LogFile(1, Span(5, 9), FILTERS, groups, **(plain | more))  # type: ignore[arg-type]


@settings(max_examples=100)
@given(logs)
def test_logs_come_back_as_they_were(found: list[PlainLog]) -> None:
    """Any number of topics, anonymous logs, no data and much, the same emitter and many, in their order."""
    file = filed(found)
    again = read_logs(NAME, write_logs(file))
    assert rows(dict(again.groups)) == sorted(found)
    for key, raw in again.groups.items():
        assert rows_of(key, raw) == rows_of(key, file.groups[key])
        assert raw.where.block.dtype == raw.where.time.dtype == raw.where.emitter.dtype == raw.offsets.dtype == np.int64
    assert (again.chain_id, again.span, again.received, again.anchor, again.endpoint, again.timed) == (
        1, Span(5, 9), len(found), (7, b"\7" * 32), "node.example", True,
    )  # fmt: skip
    assert set(again.filters) == set(FILTERS)


@given(logs)
def test_a_file_of_the_same_content_has_the_same_octets(found: list[PlainLog]) -> None:
    """Whatever order its groups and its table of emitters came in."""
    file = filed(found)
    octets = write_logs(file)
    shuffled = LogFile(**{**_fields(file), "groups": dict(reversed(list(file.groups.items())))})
    assert write_logs(shuffled) == octets
    if found:
        assert write_logs(filed(found, endpoint="other.example")) != octets


def test_a_file_without_logs_says_that_there_were_none() -> None:
    """An empty answer is worth as much as another: it is not asked again."""
    again = read_logs(NAME, write_logs(filed([], anchor=None, timed=False)))
    assert (again.groups, again.received, again.anchor, again.timed) == ({}, 0, None, False)


def test_only_the_groups_wanted_are_read() -> None:
    """The others are not even taken apart."""
    found = [PlainLog(n, 0, 1, bytes(32), bytes(20), topics, b"x" * n) for n, topics in enumerate(_TOPICS)]
    octets = write_logs(filed(found))
    for log in found:
        (only,) = read_logs(NAME, octets, {log.key}).groups.items()
        assert (only[0], rows_of(*only)) == (log.key, [log])
    assert read_logs(NAME, octets, ()).groups == {}


_TOPICS = [(), (b"\1" * 32,), (b"\1" * 32, b"\2" * 32), (b"\1" * 32, b"\2" * 32, b"\3" * 32), tuple([b"\1" * 32] * 4)]


def test_more_emitters_than_a_dictionary_usually_holds() -> None:
    """A hundred thousand contracts, each once: they stay entries of one table, in any order."""
    count, dice = 100_000, np.random.default_rng(1)
    emitters = np.unique(dice.integers(0, 256, (count, 20), np.uint8), axis=0)
    at = dice.permutation(len(emitters))
    where = Where(at * 0 + 5, at * 0 + 1, np.arange(len(at)), np.zeros((len(at), 32), np.uint8), at, emitters)
    raw = Raw(where, np.zeros((len(at), 0, 32), np.uint8), b"", np.zeros(len(at) + 1, np.int64))
    file = LogFile(1, Span(5, 5), FILTERS, {(b"\1" * 32, 1): raw})
    (again,) = read_logs(NAME, write_logs(file)).groups.values()
    assert len(again.where.emitters) == len(emitters)
    assert (again.where.contract == raw.where.contract).all()


def test_other_programs_can_read_it() -> None:
    """Plain columns, one row a log, octets as they are."""
    found = [PlainLog(5, 1, 1_700_000_000, b"\7" * 32, b"\4" * 20, (b"\1" * 32, b"\2" * 32), b"data")]
    table = pq.read_table(io.BytesIO(write_logs(filed(found))))
    assert table.to_pylist() == [
        {
            "block": 5, "time": 1_700_000_000, "log_index": 1, "tx_hash": b"\7" * 32, "emitter": b"\4" * 20,
            "topic0": b"\1" * 32, "topic1": b"\2" * 32, "topic2": None, "topic3": None, "data": b"data",
        }
    ]  # fmt: skip


answers = st.dictionaries(
    st.tuples(st.binary(min_size=20, max_size=20), st.binary(max_size=40)),
    st.none() | st.binary(max_size=300),
    max_size=9,
)


@given(answers)
def test_answers_come_back_as_they_were(told: dict[tuple[bytes, bytes], bytes | None]) -> None:
    """A revert stays apart from an empty answer."""
    file = CallFile(1, 77, told)
    assert read_calls(NAME, write_calls(file)) == file
    assert write_calls(CallFile(1, 77, dict(reversed(told.items())))) == write_calls(file)


def foreign() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"block": [1, 2]}), sink)
    return sink.getvalue()


LOG_FILE = write_logs(filed([PlainLog(5, 1, 1, bytes(32), bytes(20), (b"\1" * 32,), b"data")]))
CALL_FILE = write_calls(CallFile(1, 5, {(bytes(20), b""): b"x"}))


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "is none that the indexer wrote"),
        (b"PAR1", "is none that the indexer wrote"),
        (b"not Parquet at all, but long enough to look for a footer", "is none that the indexer wrote"),
        (LOG_FILE[:-1], "is none that the indexer wrote"),
        (LOG_FILE[: len(LOG_FILE) // 2], "is none that the indexer wrote"),
        (foreign(), "is none that the indexer wrote"),
        (CALL_FILE, "holds calls, not logs"),
    ],
    ids=["empty", "mark only", "text", "cut by one", "cut by half", "foreign", "of calls"],
)
def test_what_is_no_file_of_logs_is_refused_by_name(octets: bytes, said: str) -> None:
    """What, where, and what to do."""
    with pytest.raises(ArchiveUnusable) as caught:
        read_logs(NAME, octets)
    assert str(caught.value).startswith(f"The archive file {NAME} {said}. ")
    assert "indexer reclassify --fetch" in str(caught.value)
    assert caught.value.exit_code == 5


def test_a_file_of_logs_is_none_of_calls() -> None:
    with pytest.raises(ArchiveUnusable, match="holds logs, not calls"):
        read_calls(NAME, LOG_FILE)


def test_a_newer_format_asks_for_a_newer_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is guessed of it."""
    monkeypatch.setattr("indexer.archive.files.FORMAT", 2)
    octets = write_logs(filed([]))
    monkeypatch.undo()
    with pytest.raises(ArchiveUnusable, match="has format 2, and this version reads 1: update the indexer"):
        read_logs(NAME, octets)


def test_a_name_is_that_of_the_content() -> None:
    assert name_of(10, b"") == "chain/10/e3/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.parquet"
    assert name_of(10, b"x") != name_of(10, b"y")


def _fields(file: LogFile) -> dict[str, object]:
    return {name: getattr(file, name) for name in LogFile.__dataclass_fields__}
