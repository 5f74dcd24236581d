"""From the bytes of an eth_getLogs answer to columns, with every claim in it checked against the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from indexer.decode.columns import Raw
from indexer.errors import EndpointFailed, EndpointLied
from indexer.model import Ints, Octets, Span, Where

NO_TIME = -1  # the endpoint's logs carry no blockTimestamp (EIP-less addition of 2025; some send 0x0)
_MAX_LOG_INDEX = 1 << 24  # a block's gas bounds its logs far below this

LogKey = tuple[bytes, int]  # topic0 (empty for an anonymous log) and number of topics


class _Log(msgspec.Struct, gc=False):
    address: str
    topics: list[str]
    data: str
    blockNumber: str  # noqa: N815 - JSON-RPC's own names
    transactionHash: str  # noqa: N815
    logIndex: str  # noqa: N815
    blockHash: str  # noqa: N815
    blockTimestamp: str | None = None  # noqa: N815
    removed: bool = False


_DECODER = msgspec.json.Decoder(list[_Log])


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
    except (msgspec.DecodeError, ValueError) as error:
        raise EndpointFailed(f"eth_getLogs {asked.first}-{asked.last}: the answer is malformed ({error}).") from None


def merge(parts: Sequence[Raw]) -> Raw:
    """Raws of one event from neighbouring ranges, in order, as one."""
    if len(parts) == 1:
        return parts[0]
    tables = np.concatenate([part.where.emitters for part in parts])
    shifts = np.cumsum([0, *(len(part.where.emitters) for part in parts[:-1])])
    starts = np.cumsum([0, *(len(part.blob) for part in parts)])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts[:-1], strict=True)]
    return Raw(
        Where(
            np.concatenate([part.where.block for part in parts]),
            np.concatenate([part.where.time for part in parts]),
            np.concatenate([part.where.log_index for part in parts]),
            np.concatenate([part.where.tx_hash for part in parts]),
            np.concatenate([part.where.emitter + shift for part, shift in zip(parts, shifts, strict=True)]),
            tables,
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
    block, index = _numbers([log.blockNumber for log in logs]), _numbers([log.logIndex for log in logs])
    order = _order(logs, block, index, asked)
    if order is not None:
        logs, block, index = [logs[at] for at in order.tolist()], block[order], index[order]
    rows: dict[tuple[str, int], list[int]] = {}
    for at, log in enumerate(logs):
        rows.setdefault((log.topics[0] if log.topics else "", len(log.topics)), []).append(at)
    groups: dict[LogKey, Raw] = {}
    for (topic0, count), members in rows.items():
        alone = len(members) == len(logs)
        chosen, at_rows = (logs, slice(None)) if alone else ([logs[at] for at in members], np.array(members))
        groups[(bytes.fromhex(topic0[2:]), count)] = _raw(chosen, block[at_rows], index[at_rows])
    return Answer(groups, len(logs), octets, (int(block[-1]), bytes.fromhex(logs[-1].blockHash[2:])))


def _order(logs: list[_Log], block: Ints, index: Ints, asked: Span) -> Ints | None:
    """Checks the claim as a whole; the order that sorts it, or None if it is sorted."""
    if any(log.removed for log in logs):
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
    hashes = len({(log.blockNumber, log.blockHash) for log in logs})
    if hashes != len({log.blockNumber for log in logs}):
        raise EndpointLied(f"eth_getLogs {asked.first}-{asked.last}: logs of two forks in one block.")
    return order


def _raw(logs: list[_Log], block: Ints, index: Ints) -> Raw:
    rows, topics = len(logs), len(logs[0].topics)
    table: dict[str, int] = {}
    emitter = np.array([table.setdefault(log.address, len(table)) for log in logs], np.int64)
    where = Where(
        block,
        _times([log.blockTimestamp for log in logs]),
        index,
        _octets([log.transactionHash for log in logs], 32),
        emitter,
        _octets(list(table), 20),
    )
    further = [topic for log in logs for topic in log.topics[1:]]
    data = [log.data for log in logs]
    lengths = np.array([len(text) for text in data], np.int64) // 2 - 1
    blob = bytes.fromhex("".join(data).replace("0x", ""))
    return Raw(
        where,
        _octets(further, 32).reshape(rows, max(topics - 1, 0), 32),
        blob,
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
    )


def _octets(texts: list[str], width: int) -> Octets:
    octets = np.frombuffer(bytes.fromhex("".join(texts).replace("0x", "")), np.uint8)
    if len(octets) != width * len(texts):
        raise ValueError(f"a value that should have {width} octets has not")
    return octets.reshape(len(texts), width)


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
