"""Answer -> msgspec structs -> columns."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from .flows import OURS, Members, Swaps


class Log(msgspec.Struct, gc=False, rename="camel"):
    """The members of a log that a flow needs, still hexadecimal."""

    address: str
    topics: list[str]
    data: str
    block_number: str
    transaction_hash: str
    log_index: str
    block_timestamp: str
    removed: bool


class LogRawTopics(Log, gc=False, rename="camel"):
    """The same with topics left as JSON: a list and three texts less to make, nothing for the collector to walk."""

    topics: msgspec.Raw  # type: ignore[assignment]


class Answer(msgspec.Struct, gc=False):
    """A JSON-RPC answer of eth_getLogs."""

    result: list[Log]


class AnswerRawTopics(msgspec.Struct, gc=False):
    """An answer whose topics stay JSON."""

    result: list[LogRawTopics]


DECODER = msgspec.json.Decoder(Answer)
RAW_DECODER = msgspec.json.Decoder(AnswerRawTopics)
TOPIC = len('"') + len("0x") + 64 + len('",')


def parse(body: bytes) -> list[Log]:
    """The logs of an answer, as structs."""
    return DECODER.decode(body).result


def parse_raw_topics(body: bytes) -> list[LogRawTopics]:
    """The logs of an answer, topics left as JSON."""
    return RAW_DECODER.decode(body).result


def topics(raws: Sequence[msgspec.Raw], count: int) -> NDArray[np.uint8]:
    """(n, count, 32) octets of topics arrays without white space, each of that many; else ValueError."""
    table = np.frombuffer(b"".join(raws), np.uint8).reshape(len(raws), 1 + count * TOPIC)
    frame = np.frombuffer(b'"0x' + b"0" * 64 + b'",', np.uint8)
    entries = table[:, 1:].reshape(-1, count, TOPIC)
    if (entries[:, :, :3] != frame[:3]).any() or (entries[:, :, 67] != frame[67]).any():
        raise ValueError(f"a log has not {count} topics, or they are not printed as the others are")
    return np.frombuffer(unhexlify(entries[:, :, 3:67].tobytes()), np.uint8).reshape(-1, count, 32)


def octets(texts: Sequence[str], width: int) -> NDArray[np.uint8]:
    """(n, width) octets of 0x-prefixed hexadecimal texts, all of that width; anything else raises ValueError."""
    table = np.frombuffer("".join(texts).encode(), np.uint8).reshape(len(texts), 2 + 2 * width)
    if (table[:, :2] != np.frombuffer(b"0x", np.uint8)).any():
        raise ValueError(f"a text is not {width} octets in 0x-prefixed hexadecimal")
    return np.frombuffer(unhexlify(table[:, 2:].tobytes()), np.uint8).reshape(-1, width)


def quantities(texts: Sequence[str]) -> NDArray[np.int64]:
    """Quantities such as 0x1b4 as integers."""
    return np.array([int(text, 16) for text in texts], np.int64)


def words(data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(n, 32 k) octets as (n, k, 8) words."""
    return data.view(">u4").astype(np.uint32).reshape(len(data), data.shape[1] // 32, 8)


def swaps(logs: Sequence[Log] | Sequence[LogRawTopics], members: Members = OURS) -> Swaps:
    """Columns of the logs; one that no member emitted raises KeyError."""
    return Swaps(
        members,
        quantities([log.block_number for log in logs]),
        quantities([log.block_timestamp for log in logs]),
        quantities([log.log_index for log in logs]),
        octets([log.transaction_hash for log in logs], 32),
        np.array([members.numbers[log.address] for log in logs], np.int64),
        words(octets([log.data for log in logs], 160)),
    )
