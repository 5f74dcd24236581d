"""From the bytes of an eth_getLogs answer to columns, with every claim in it checked against the question."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from indexer.decode.columns import Raw
from indexer.errors import EndpointFailed, EndpointLied
from indexer.model import Ints, Octets, Span, Where

NO_TIME = -1  # the endpoint's logs carry no blockTimestamp (EIP-less addition of 2025; some send 0x0)
_MAX_LOG_INDEX = 1 << 24  # a block's gas bounds its logs far below this

LogKey = tuple[bytes, int]  # topic0 (empty for an anonymous log) and number of topics


class _Log(msgspec.Struct, gc=False, rename="camel"):
    """What is read of a log, still hexadecimal; topics stay JSON, since lists of texts are half the cost of parsing."""

    address: str
    topics: msgspec.Raw
    data: str
    block_number: str
    transaction_hash: str
    log_index: str
    block_hash: str
    block_timestamp: str | None = None
    removed: bool = False


_DECODER = msgspec.json.Decoder(list[_Log])
_TOPIC = len('"0x') + 64 + len('",')  # the last one ends with "] instead of ",


@dataclass(frozen=True, slots=True)
class Answer:
    """One eth_getLogs answer: its logs by topic0 and topic count, in chain order, and its last block's hash."""

    groups: dict[LogKey, Raw]
    logs: int
    octets: int
    anchor: tuple[int, bytes] | None


def parse(body: bytes, asked: Span) -> Answer:
    """Columns of an answer to a question about `asked`.

    Raises EndpointFailed if the answer is no list of logs, EndpointLied if a log is outside the range, doubled, of
    another fork in the same block, or taken back (`removed`).
    """
    try:
        logs = _DECODER.decode(body)
        return _answer(logs, asked, len(body))
    except (msgspec.MsgspecError, ValueError) as error:
        raise EndpointFailed(f"eth_getLogs {asked.first}-{asked.last}: the answer is malformed ({error}).") from None


def merge(parts: Sequence[Raw]) -> Raw:
    """Raws of one event from neighbouring ranges, in order, as one."""
    if len(parts) == 1:
        return parts[0]
    table: dict[bytes, int] = {}
    places = [
        np.array([table.setdefault(emitter.tobytes(), len(table)) for emitter in part.where.emitters], np.int64)
        for part in parts
    ]
    starts = np.cumsum([0, *(len(part.blob) for part in parts)])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts[:-1], strict=True)]
    return Raw(
        Where(
            np.concatenate([part.where.block for part in parts]),
            np.concatenate([part.where.time for part in parts]),
            np.concatenate([part.where.log_index for part in parts]),
            np.concatenate([part.where.tx_hash for part in parts]),
            np.concatenate([place[part.where.emitter] for part, place in zip(parts, places, strict=True)]),
            np.frombuffer(b"".join(table), np.uint8).reshape(len(table), 20),
        ),
        np.concatenate([part.topics for part in parts]),
        b"".join(part.blob for part in parts),
        np.concatenate([*offsets, starts[-1:]]),
    )


def take(raw: Raw, rows: Ints) -> Raw:
    """The chosen rows, in the order chosen."""
    lengths = np.diff(raw.offsets)
    where, topics = raw.where.take(rows), raw.topics[rows]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[rows])])
    if len(lengths) and (lengths == lengths[0]).all():
        octets = np.frombuffer(raw.blob, np.uint8).reshape(len(lengths), lengths[0])
        return Raw(where, topics, octets[rows].tobytes(), offsets)
    spans = zip(raw.offsets[rows].tolist(), raw.offsets[1:][rows].tolist(), strict=True)
    return Raw(where, topics, b"".join(raw.blob[start:stop] for start, stop in spans), offsets)


def _answer(logs: list[_Log], asked: Span, octets: int) -> Answer:
    if not logs:
        return Answer({}, 0, octets, None)
    block, index = _numbers([log.block_number for log in logs]), _numbers([log.log_index for log in logs])
    order = _order(logs, block, index, asked)
    if order is not None:
        logs, block, index = [logs[at] for at in order.tolist()], block[order], index[order]
    groups = {
        key: _raw(logs, topics, block, index)
        if rows is None
        else _raw([logs[at] for at in rows], topics, block[rows], index[rows])
        for key, topics, rows in _grouped([log.topics for log in logs])
    }
    return Answer(groups, len(logs), octets, (int(block[-1]), bytes.fromhex(logs[-1].block_hash[2:])))


def _grouped(raws: list[msgspec.Raw]) -> Iterator[tuple[LogKey, Octets, Ints | None]]:
    """For each topic0 and topic count the further topics (n, count - 1, 32) and the rows; None if it is all of them."""
    lengths = np.array(list(map(len, raws)))
    if ((lengths != 2) & (lengths % _TOPIC != 1)).any():  # printed with white space
        raws = [msgspec.Raw(msgspec.json.format(raw, indent=-1)) for raw in raws]
        lengths = np.array(list(map(len, raws)))
    for length in np.unique(lengths).tolist():
        alone = length == lengths[0] and (lengths == length).all()
        rows = np.arange(len(raws)) if alone else np.flatnonzero(lengths == length)
        topics = _topics(raws if alone else [raws[at] for at in rows.tolist()], length)
        first = topics[:, 0] if topics.shape[1] else np.zeros((len(rows), 32), np.uint8)
        kinds, member = np.unique(np.ascontiguousarray(first).view("V32")[:, 0], return_inverse=True)
        for number, kind in enumerate(kinds):
            mine = member == number
            key = (kind.tobytes() if topics.shape[1] else b"", topics.shape[1])
            yield key, topics[mine][:, 1:], None if alone and mine.all() else rows[mine]


def _topics(raws: list[msgspec.Raw], length: int) -> Octets:
    """(n, count, 32) octets of JSON arrays of that length without white space."""
    count = length // _TOPIC
    if count == 0:
        return np.zeros((len(raws), 0, 32), np.uint8)
    table = np.frombuffer(b"".join(raws), np.uint8).reshape(len(raws), length)[:, 1:].reshape(-1, count, _TOPIC)
    frame = np.frombuffer(b'"0x"', np.uint8)
    if (table[:, :, [0, 1, 2, 67]] != frame).any():
        raise ValueError("a topic is not 32 octets in hexadecimal")
    return np.frombuffer(binascii.unhexlify(table[:, :, 3:67].tobytes()), np.uint8).reshape(-1, count, 32)


def _order(logs: list[_Log], block: Ints, index: Ints, asked: Span) -> Ints | None:
    """Checks the claim as a whole; the order that sorts it, or None if it is sorted."""
    if True in [log.removed for log in logs]:
        raise EndpointLied(f"eth_getLogs {asked.first}-{asked.last}: a log of final blocks is marked removed.")
    if block.min() < asked.first or block.max() > asked.last:
        raise EndpointLied(
            f"eth_getLogs {asked.first}-{asked.last}: the answer holds logs of blocks {block.min()}-{block.max()}."
        )
    if index.max() >= _MAX_LOG_INDEX:
        raise EndpointLied(f"eth_getLogs {asked.first}-{asked.last}: log index {index.max()} cannot be.")
    place = (block << 24) + index
    order = None if (np.diff(place) > 0).all() else np.argsort(place, kind="stable")
    doubled = np.flatnonzero(np.diff(place if order is None else place[order]) == 0)
    if len(doubled):
        at = int(doubled[0] if order is None else order[doubled[0]])
        raise EndpointLied(f"Block {block[at]}: log {index[at]} came twice in one answer.")
    numbers, hashes = [log.block_number for log in logs], [log.block_hash for log in logs]
    if len(set(zip(numbers, hashes, strict=True))) != len(set(numbers)):
        raise EndpointLied(f"eth_getLogs {asked.first}-{asked.last}: logs of two forks in one block.")
    return order


def _raw(logs: list[_Log], topics: Octets, block: Ints, index: Ints) -> Raw:
    table: dict[str, int] = {}
    emitter = np.array([table.setdefault(log.address, len(table)) for log in logs], np.int64)
    where = Where(
        block,
        _times([log.block_timestamp for log in logs]),
        index,
        _octets([log.transaction_hash for log in logs], 32),
        emitter,
        _octets(list(table), 20),
    )
    data = [log.data for log in logs]
    lengths = np.array(list(map(len, data)), np.int64)
    same = (lengths == lengths[0]).all()
    blob = _unhexed(data, int(lengths[0])) if same else b"".join([bytes.fromhex(text[2:]) for text in data])
    return Raw(
        where,
        topics,
        blob,
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths // 2 - 1)]),
    )


def _octets(texts: list[str], width: int) -> Octets:
    octets = np.frombuffer(_unhexed(texts, 2 + 2 * width), np.uint8)
    return octets.reshape(len(texts), width)


def _unhexed(texts: list[str], length: int) -> bytes:
    """The octets of hexadecimal texts with 0x, all of one length."""
    joined = "".join(texts).encode()
    if len(joined) != length * len(texts) or len(set(map(len, texts))) > 1:
        raise ValueError("a value has a wrong length")
    if not texts or length == 2:
        return b""
    return binascii.unhexlify(np.frombuffer(joined, np.uint8).reshape(len(texts), length)[:, 2:].tobytes())


def _numbers(texts: list[str]) -> Ints:
    """Hexadecimal quantities; neighbours repeat, so each is read once."""
    values = {text: int(text, 16) for text in set(texts)}
    if any(value < 0 or value >= 1 << 39 for value in values.values()):
        raise ValueError("a block number or log index is out of bounds")
    return np.array([values[text] for text in texts], np.int64)


def _times(texts: list[str | None]) -> Ints:
    values = {text: NO_TIME if text is None else int(text, 16) for text in set(texts)}
    if any(value >= 1 << 39 for value in values.values()):
        raise ValueError("a blockTimestamp is out of bounds")
    return np.array([values[text] if values[text] else NO_TIME for text in texts], np.int64)
