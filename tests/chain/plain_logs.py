"""An eth_getLogs answer read one log at a time with json and int: what indexer.chain.logs must agree with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from indexer.chain.logs import NO_TIME, Answer, LogKey
from indexer.decode.columns import Raw
from indexer.errors import EndpointFailed, EndpointLied
from indexer.model import Span, Where

QUANTITY = re.compile("0x[0-9a-fA-F]+")
OCTETS = re.compile("0x([0-9a-fA-F]{2})*")
LARGEST = 2**39
MOST_LOGS = 2**24  # of a block


class PlainLog(NamedTuple):
    """A log; its hash of the block last, so that logs sort by place."""

    block: int
    index: int
    time: int
    tx_hash: bytes
    emitter: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_hash: bytes = b""

    @property
    def key(self) -> LogKey:
        return (self.topics[0] if self.topics else b"", len(self.topics))


def read(body: bytes, asked: Span) -> list[PlainLog]:
    """The logs in chain order. EndpointFailed: it is malformed; EndpointLied: it contradicts itself."""
    try:
        told = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise EndpointFailed(str(error)) from error
    check(isinstance(told, list))
    logs = sorted(one(log) for log in told)
    if any(log["removed"] for log in told if "removed" in log):
        raise EndpointLied("removed")
    honest(asked.first <= log.block <= asked.last and log.index < MOST_LOGS for log in logs)
    for log, after in pairwise(logs):
        same = log.block == after.block
        honest([not same or log.index != after.index, not same or log.block_hash == after.block_hash])
    timed = [log for log in logs if log.time != NO_TIME]
    for log, after in pairwise(timed):
        honest([log.time == after.time if log.block == after.block else log.time <= after.time])
    return logs


def one(log: Any) -> PlainLog:
    check(isinstance(log, dict))
    check(type(log.get("removed", False)) is bool)
    check(isinstance(log.get("topics"), list) and len(log["topics"]) <= 4)
    told = log.get("blockTimestamp")
    return PlainLog(
        quantity(log.get("blockNumber")),
        quantity(log.get("logIndex")),
        (quantity(told) if told is not None else 0) or NO_TIME,
        octets(log.get("transactionHash"), 32),
        octets(log.get("address"), 20),
        tuple(octets(topic, 32) for topic in log["topics"]),
        octets(log.get("data"), None),
        octets(log.get("blockHash"), 32),
    )


def quantity(text: Any) -> int:
    check(isinstance(text, str) and QUANTITY.fullmatch(text) is not None)
    number = int(text, 16)
    check(number < LARGEST)
    return number


def octets(text: Any, width: int | None) -> bytes:
    check(isinstance(text, str) and OCTETS.fullmatch(text) is not None)
    found = bytes.fromhex(text[2:])
    check(width is None or len(found) == width)
    return found


def check(well_formed: bool) -> None:
    if not well_formed:
        raise EndpointFailed("malformed")


def honest(claims: Iterable[bool]) -> None:
    if not all(claims):
        raise EndpointLied("a contradiction")


def rows(groups: dict[LogKey, Raw]) -> list[PlainLog]:
    """Columns taken apart again, in chain order."""
    return sorted(log for key, raw in groups.items() for log in rows_of(key, raw))


def rows_of(key: LogKey, raw: Raw) -> list[PlainLog]:
    where = raw.where
    emitters = [emitter.tobytes() for emitter in where.emitters]
    assert len(set(emitters)) == len(emitters), "each emitter stands once in the table"
    assert raw.topics.shape == (len(where), max(key[1] - 1, 0), 32)
    first = (key[0],) if key[1] else ()
    return [
        PlainLog(
            int(where.block[row]),
            int(where.log_index[row]),
            int(where.time[row]),
            where.tx_hash[row].tobytes(),
            emitters[int(where.emitter[row])],
            (*first, *(topic.tobytes() for topic in raw.topics[row])),
            raw.blob[int(raw.offsets[row]) : int(raw.offsets[row + 1])],
        )
        for row in range(len(where))
    ]


def agree(answer: Answer, logs: Sequence[PlainLog], body: bytes) -> None:
    """The product's answer is exactly these logs, grouped by topic0 and topic count, each group in chain order."""
    assert answer.logs == len(logs)
    assert answer.octets == len(body)
    hashes = {log.block: log.block_hash for log in logs}
    assert dict(zip(answer.blocks.tolist(), map(bytes, answer.hashes), strict=True)) == hashes
    for block in [-1, *hashes]:
        assert answer.anchor(Span(0, block)) == ((block, hashes[block]) if block in hashes else None)
        assert answer.anchor(Span(block + 1, block + 1)) == (
            (block + 1, hashes[block + 1]) if block + 1 in hashes else None
        )
    assert rows(answer.groups) == [log._replace(block_hash=b"") for log in logs]
    for key, raw in answer.groups.items():
        found = rows_of(key, raw)
        assert found == [log._replace(block_hash=b"") for log in logs if log.key == key]


def raw_of(logs: Sequence[PlainLog]) -> Raw:
    """Logs of one key as columns, written the plain way."""
    table = sorted({log.emitter for log in logs})
    where = Where(
        np.array([log.block for log in logs], np.int64),
        np.array([log.time for log in logs], np.int64),
        np.array([log.index for log in logs], np.int64),
        _table([log.tx_hash for log in logs], 32),
        np.array([table.index(log.emitter) for log in logs], np.int64),
        _table(table, 20),
    )
    further = max(len(logs[0].topics) - 1, 0) if logs else 0
    topics = _table([topic for log in logs for topic in log.topics[1:]], 32).reshape(len(logs), further, 32)
    offsets = np.cumsum([0, *(len(log.data) for log in logs)]).astype(np.int64)
    return Raw(where, topics, b"".join(log.data for log in logs), offsets)


def _table(values: Sequence[bytes], width: int) -> Any:
    return np.array([list(value) for value in values], np.uint8).reshape(len(values), width)
