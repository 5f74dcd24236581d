"""From the bytes of an eth_getLogs answer to columns, with every claim in it checked against the question."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from indexer.chain import template
from indexer.chain.template import Columns
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
_TEXTS = msgspec.json.Decoder(list[str])
_TOPIC = len('"0x') + 64 + len('",')  # the last one ends with "] instead of ",
_TOPICS_LENGTHS = (len("[]"), *(1 + count * _TOPIC for count in (1, 2, 3, 4)))  # of LOG0 to LOG4
_PREFIX = np.frombuffer(b"0x", np.uint8)
_BOUND = 1 << 39  # of block numbers and times: a place, block << 24 | log index, fits 63 bits


@dataclass(frozen=True, slots=True)
class Answer:
    """One eth_getLogs answer: its logs by topic0 and topic count, in chain order.

    blocks (n), hashes (n, 32): of the blocks that have one, in order.
    """

    groups: dict[LogKey, Raw]
    logs: int
    octets: int
    blocks: Ints
    hashes: Octets

    def anchor(self, within: Span) -> tuple[int, bytes] | None:
        """The last block of a span that has a log, and its hash."""
        at = int(np.searchsorted(self.blocks, within.last, "right")) - 1
        known = at >= 0 and int(self.blocks[at]) >= within.first
        return (int(self.blocks[at]), self.hashes[at].tobytes()) if known else None


def parse(body: bytes, asked: Span) -> Answer:
    """Columns of an answer to a question about `asked`.

    Raises EndpointFailed if the answer is no list of logs, EndpointLied if a log is outside the range, doubled, of
    another fork in the same block, or taken back (`removed`), or if their times contradict their order.
    """
    try:
        quick = _quick(body, asked)
        return _answer(_DECODER.decode(body), asked, len(body)) if quick is None else quick
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
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


def _quick(body: bytes, asked: Span) -> Answer | None:
    """The answer where it is printed as nodes print, and in order; else None, and it is read as any JSON."""
    try:
        columns = template.read(body)
    except (msgspec.MsgspecError, ValueError):
        return None
    return None if columns is None else _from_columns(columns, asked, len(body))


def _from_columns(columns: list[Columns], asked: Span, octets: int) -> Answer | None:
    rows = np.concatenate([one.rows for one in columns])
    count = len(rows)
    block, index, time = (np.empty(count, np.int64) for _ in range(3))
    address, tx_hash, block_hash = (np.empty((count, width), np.uint8) for width in (20, 32, 64))
    for one in columns:
        block[one.rows], index[one.rows] = one.block, one.index
        time[one.rows] = NO_TIME if one.time is None else np.where(one.time == 0, NO_TIME, one.time)
        address[one.rows], tx_hash[one.rows], block_hash[one.rows] = one.address, one.tx_hash, one.block_hash
    if not _sound(block, index, time, block_hash, asked):
        return None
    groups = {}
    for key, parts in _by_event(columns).items():
        mine = np.concatenate([part.rows for part in parts])
        order = np.argsort(mine) if len(parts) > 1 else np.arange(len(mine))
        mine = mine[order]
        emitters, emitter = _distinct(address[mine])
        where = Where(block[mine], time[mine], index[mine], tx_hash[mine], emitter, emitters)
        topics = np.concatenate([part.topics[:, 1:] for part in parts])[order]
        groups[key] = Raw(where, topics, *_joined([part.data for part in parts], order))
    ends = np.flatnonzero(np.append(np.diff(block) > 0, True))
    hashes = np.frombuffer(binascii.unhexlify(block_hash[ends].tobytes()), np.uint8).reshape(-1, 32)
    return Answer(groups, count, octets, block[ends], hashes)


def _sound(block: Ints, index: Ints, time: Ints, block_hash: Octets, asked: Span) -> bool:
    """Whether logs are in order, within the range, of one fork, and their times in order with them."""
    same, known = np.diff(block) == 0, time != NO_TIME
    further, later = np.diff(block[known]), np.diff(time[known])
    return bool(
        asked.first <= block[0]
        and block[-1] <= asked.last
        and index.max() < _MAX_LOG_INDEX
        and max(block.max(), time.max()) < _BOUND
        and (np.diff((block << 24) + index) > 0).all()
        and (block_hash[1:][same] == block_hash[:-1][same]).all()
        and not ((later < 0) | ((further == 0) & (later > 0))).any()
    )


def _by_event(columns: list[Columns]) -> dict[LogKey, list[Columns]]:
    """Columns by topic0 and topic count."""
    found: dict[LogKey, list[Columns]] = {}
    for one in columns:
        count = one.topics.shape[1]
        if count == 0:
            found.setdefault((b"", 0), []).append(one)
            continue
        kinds, member = _distinct(one.topics[:, 0])
        for number, kind in enumerate(kinds):
            part = one if len(kinds) == 1 else one.take(np.flatnonzero(member == number))
            found.setdefault((kind.tobytes(), count), []).append(part)
    return found


def _distinct(octets: Octets) -> tuple[Octets, Ints]:
    """The distinct rows, in order, and which of them each row is."""
    heads = np.ascontiguousarray(octets[:, :8]).view(">u8")[:, 0].astype(np.uint64)
    _, first, member = np.unique(heads, return_index=True, return_inverse=True)
    kinds = octets[first]
    if (kinds[member] == octets).all():
        return kinds, member
    whole = np.ascontiguousarray(octets).view(f"V{octets.shape[1]}")[:, 0]  # some begin alike
    distinct, member = np.unique(whole, return_inverse=True)
    return distinct.view(np.uint8).reshape(len(distinct), -1), member


def _joined(parts: list[Octets], order: Ints) -> tuple[bytes, Ints]:
    """Data of all logs end to end in that order, and where each begins and the last ends."""
    widths = np.concatenate([np.full(len(part), part.shape[1]) for part in parts])[order]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(widths)])
    if (widths == widths[0]).all():
        return np.concatenate(parts)[order].tobytes(), offsets
    texts = [row.tobytes() for part in parts for row in part]
    return b"".join([texts[at] for at in order.tolist()]), offsets


def _answer(logs: list[_Log], asked: Span, octets: int) -> Answer:
    if not logs:
        return Answer({}, 0, octets, np.zeros(0, np.int64), np.zeros((0, 32), np.uint8))
    block, index = _numbers([log.block_number for log in logs]), _numbers([log.log_index for log in logs])
    order = _order(logs, block, index, asked)
    if order is not None:
        logs, block, index = [logs[at] for at in order.tolist()], block[order], index[order]
    time = _times(logs, block, asked)
    groups = {
        key: _raw(logs, topics, block, time, index)
        if rows is None
        else _raw([logs[at] for at in rows.tolist()], topics, block[rows], time[rows], index[rows])
        for key, topics, rows in _grouped([log.topics for log in logs])
    }
    hashes = dict(zip(block.tolist(), [log.block_hash for log in logs], strict=True))
    return Answer(groups, len(logs), octets, np.array(list(hashes)), _octets(list(hashes.values()), 32))


def _grouped(raws: list[msgspec.Raw]) -> list[tuple[LogKey, Octets, Ints | None]]:
    """For each topic0 and topic count the further topics (n, count - 1, 32) and the rows; None if it is all of them."""
    try:
        return list(_compact_groups(raws))
    except ValueError:  # printed with white space or escapes, or malformed indeed
        return list(_compact_groups([msgspec.Raw(msgspec.json.encode(_TEXTS.decode(raw))) for raw in raws]))


def _compact_groups(raws: list[msgspec.Raw]) -> Iterator[tuple[LogKey, Octets, Ints | None]]:
    lengths = np.array(list(map(len, raws)))
    for length in np.unique(lengths).tolist():
        alone = (lengths == length).all()
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
    octets = np.frombuffer(b"".join(raws), np.uint8).reshape(len(raws), length)
    if length not in _TOPICS_LENGTHS or (octets[:, 0] != ord("[")).any():
        raise ValueError("topics are not up to four values of 32 octets")
    if count == 0:
        return np.zeros((len(raws), 0, 32), np.uint8)
    table = octets[:, 1:].reshape(-1, count, _TOPIC)
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
    numbers = block.tolist()
    blocks = len(set(numbers))
    hashes = set(zip(numbers, [log.block_hash for log in logs], strict=True))
    _octets([text for _, text in hashes], 32)
    if len(hashes) != blocks and len({(number, text.lower()) for number, text in hashes}) != blocks:
        raise EndpointLied(f"eth_getLogs {asked.first}-{asked.last}: logs of two forks in one block.")
    return order


def _raw(logs: list[_Log], topics: Octets, block: Ints, time: Ints, index: Ints) -> Raw:
    table: dict[str, int] = {}
    emitter = np.array([table.setdefault(log.address, len(table)) for log in logs], np.int64)
    # The same address may be written in two ways, with and without the capitals of its checksum.
    emitters, place = _distinct(_octets(list(table), 20))
    where = Where(
        block,
        time,
        index,
        _octets([log.transaction_hash for log in logs], 32),
        place[emitter],
        emitters,
    )
    return Raw(where, topics, *_data([log.data for log in logs]))


def _data(texts: list[str]) -> tuple[bytes, Ints]:
    """The octets of all logs' data, end to end, and where each begins and the last ends."""
    lengths = np.array(list(map(len, texts)), np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths // 2 - 1)])
    if (lengths == lengths[0]).all():
        return _unhexed(texts, int(lengths[0])), offsets
    if {text[:2] for text in texts} != {"0x"} or (lengths % 2).any():
        raise ValueError("data is not hexadecimal octets")
    return binascii.unhexlify("".join([text[2:] for text in texts])), offsets


def _octets(texts: list[str], width: int) -> Octets:
    """(n, width) octets of hexadecimal texts with 0x."""
    if set(map(len, texts)) != {2 + 2 * width}:
        raise ValueError(f"an address or a hash is not {width} octets")
    return np.frombuffer(_unhexed(texts, 2 + 2 * width), np.uint8).reshape(len(texts), width)


def _unhexed(texts: list[str], length: int) -> bytes:
    """The octets of hexadecimal texts with 0x, all of that length."""
    joined = "".join(texts).encode("ascii")
    table = np.frombuffer(joined, np.uint8).reshape(len(texts), length)
    if length < 2 or length % 2 or (table[:, :2] != _PREFIX).any():
        raise ValueError("a value is not hexadecimal octets")
    return binascii.unhexlify(table[:, 2:].tobytes())


def _numbers(texts: list[str]) -> Ints:
    """Hexadecimal quantities, padded or not; neighbours repeat, so each is read once."""
    known = set(texts)
    joined = "".join(known)
    if {text[:2] for text in known} != {"0x"} or not (joined.isascii() and joined.isalnum()):
        raise ValueError("a block number, log index or time is not hexadecimal")
    values = {text: int(text, 16) for text in known}
    if max(values.values()) >= _BOUND:
        raise ValueError("a block number, log index or time is out of bounds")
    return np.array([values[text] for text in texts], np.int64)


def _times(logs: list[_Log], block: Ints, asked: Span) -> Ints:
    """UTC seconds of each log, NO_TIME where it tells none."""
    told = _numbers(["0x0" if log.block_timestamp is None else log.block_timestamp for log in logs])
    time = np.where(told == 0, NO_TIME, told)
    known = time != NO_TIME
    further, later = np.diff(block[known]), np.diff(time[known])
    if ((later < 0) | ((further == 0) & (later > 0))).any():
        raise EndpointLied(f"eth_getLogs {asked.first}-{asked.last}: the times of the logs contradict their blocks.")
    return time
