"""Between single logs and a family's columns: logs are encoded as on chain and decoded by the product."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np

from indexer.chain.fetch import Logs
from indexer.decode import Event, Raw, decode, parse_event
from indexer.decode.wide import to_ints
from indexer.model import Batch, Classified, Label, Where
from tests.families.plain import Flow, Log

Booked = tuple[int, int, bytes, int, Label, int, bytes, bytes, int]


def word(value: int | bytes) -> bytes:
    """An ABI word: integers in two's complement, addresses padded on the left."""
    return value.rjust(32, b"\0") if isinstance(value, bytes) else (value % 2**256).to_bytes(32, "big")


def time_of(block: int) -> int:
    """UTC seconds of a made-up block."""
    return 1_700_000_000 + 12 * block


def transaction_of(log: Log) -> bytes:
    """A made-up transaction hash, another for every log."""
    return sha256(repr((log.block, log.index)).encode()).digest()


def batches(logs: Sequence[Log], signatures: Iterable[str], strangers: Sequence[bytes] = ()) -> dict[str, Batch]:
    """The logs as a range's batches, in chain order; strangers: contracts in the emitter table without a log."""
    found = {}
    for text in signatures:
        event = parse_event(text)
        if rows := _of(event, logs):
            found[text], faults = decode(event, _raw(event, rows, strangers))
            assert not faults
    return found


def logs_of(logs: Sequence[Log], signatures: Iterable[str]) -> Logs:
    """The logs as a fetched span, undecoded."""
    events = [parse_event(text) for text in signatures]
    rows = {(event.topic0, event.topic_count): _raw(event, _of(event, logs), ()) for event in events}
    return Logs({key: raw for key, raw in rows.items() if len(raw.where)}, len(logs))


def _of(event: Event, logs: Sequence[Log]) -> list[Log]:
    return sorted((log for log in logs if log.event == event.name), key=lambda log: (log.block, log.index))


def _raw(event: Event, logs: Sequence[Log], strangers: Sequence[bytes]) -> Raw:
    table = list(dict.fromkeys([*strangers, *(log.contract for log in reversed(logs))]))
    where = Where(
        np.array([log.block for log in logs], np.int64),
        np.array([time_of(log.block) for log in logs], np.int64),
        np.array([log.index for log in logs], np.int64),
        _octets([transaction_of(log) for log in logs], 32),
        np.array([table.index(log.contract) for log in logs], np.int64),
        _octets(table, 20),
    )
    topics = [word(log.args[param.name]) for log in logs for param in event.indexed]
    data = [b"".join(word(log.args[param.name]) for param in event.plain) for log in logs]
    offsets = np.cumsum([0, *map(len, data)], dtype=np.int64)
    return Raw(where, _octets(topics, 32).reshape(len(logs), len(event.indexed), 32), b"".join(data), offsets)


def _octets(rows: Sequence[bytes], width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)


def booked(made: Classified) -> list[Booked]:
    """Every flow of a classification with where it came from, sorted by place and leg."""
    rows = []
    for flows in made.flows:
        where = flows.where
        assert flows.token.shape == (len(flows), 20)
        assert flows.amount.shape == (len(flows), 8)
        columns = (where.block.tolist(), where.log_index.tolist(), where.tx_hash, where.time.tolist())
        for block, index, tx, time, contract, token, amount in zip(
            *columns, where.contract, flows.token, to_ints(flows.amount), strict=True
        ):
            rows.append(
                (block, index, tx.tobytes(), time, flows.label, flows.leg, contract.tobytes(), token.tobytes(), amount)
            )
    return sorted(rows, key=lambda row: (row[0], row[1], row[5], row[6]))


def expected(plain: Iterable[tuple[Log, Sequence[Flow]]]) -> list[Booked]:
    """The plain flows of single logs in the form and order of `booked`."""
    rows = [
        (log.block, log.index, transaction_of(log), time_of(log.block), *flow) for log, flows in plain for flow in flows
    ]
    return sorted(rows, key=lambda row: (row[0], row[1], row[5], row[6]))
