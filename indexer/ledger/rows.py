"""Flows as a binary COPY stream and as digests, without a step per row where NumPy can do the batch.

Postgres' numeric_recv strips leading zero digits, so all amounts of a batch may be sent with the same number of
base-10^4 digits: every row then has the same width and the stream is one structured array.
Format: https://www.postgresql.org/docs/current/sql-copy.html (binary) and src/backend/utils/adt/numeric.c.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.decode import wide
from indexer.model import Flows, Ints, Label

COLUMNS = (
    "chain_id",
    "block_number",
    "block_time",
    "log_index",
    "kind",
    "source",
    "side",
    "basis",
    "leg",
    "tx_hash",
    "contract",
    "protocol",
    "deployment",
    "token",
    "amount",
)
HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
_POSTGRES_EPOCH = 946_684_800  # 2000-01-01 in UTC seconds
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose flows they are."""

    chain_id: int
    protocol: str
    deployment: str


@dataclass(frozen=True, slots=True)
class DayPart:
    """What a range adds to a deployment's day. day: days since 1970; digest: sum mod 2^256 as 32 octets."""

    deployment: str
    day: int
    first_block: int
    last_block: int
    flows: int
    digest: bytes


def copy_rows(owner: Owner, flows: Flows) -> bytes:
    """The rows of `flows` for COPY flow (COLUMNS) FROM STDIN (FORMAT binary), without header and trailer."""
    where = flows.where
    digits = wide.decimal_digits(flows.amount)
    fields: list[tuple[str, bytes | NDArray[np.generic]]] = [
        (">i8", np.full(len(flows), owner.chain_id)),
        (">i8", where.block),
        (">i8", (where.time - _POSTGRES_EPOCH) * 1_000_000),
        (">i4", where.log_index),
        *((f"S{len(text)}", text) for text in _label(flows.label)),
        (">i2", np.full(len(flows), flows.leg)),
        ("S32", where.tx_hash),
        ("S20", where.contract),
        *((f"S{len(text)}", text) for text in (owner.protocol.encode(), owner.deployment.encode())),
        ("S20", flows.token),
        (f"({4 + digits.shape[1]},)>i2", _numeric(digits)),
    ]
    return _structured(len(flows), fields)


def day_parts(owner: Owner, flows: Sequence[Flows]) -> list[DayPart]:
    """The owner's flows of a range by UTC day, each with its digest."""
    parts: dict[int, list[tuple[Ints, list[bytes]]]] = {}
    for batch in flows:
        days = batch.where.time // _DAY
        hashes = row_hashes(owner, batch)
        for day in np.unique(days).tolist():
            rows = np.flatnonzero(days == day)
            parts.setdefault(day, []).append((batch.where.block[rows], [hashes[row] for row in rows.tolist()]))
    return [_day_part(owner.deployment, day, pieces) for day, pieces in sorted(parts.items())]


def row_hashes(owner: Owner, flows: Flows) -> list[bytes]:
    """sha256 of each flow's natural columns: the same octets as the SQL function flow_octets builds."""
    where = flows.where
    suffix = "/".join((owner.protocol, owner.deployment, *_label_texts(flows.label))).encode()
    fields: list[tuple[str, bytes | NDArray[np.generic]]] = [
        (">i8", np.full(len(flows), owner.chain_id)),
        (">i8", where.block),
        (">i8", where.time),
        (">i4", where.log_index),
        (">i2", np.full(len(flows), flows.leg)),
        ("S32", where.tx_hash),
        ("S20", where.contract),
        ("S20", flows.token),
        ("S32", wide.to_octets(flows.amount)),
        (f"S{len(suffix)}", suffix),
    ]
    width = 8 * 3 + 4 + 2 + 32 + 20 + 20 + 32 + len(suffix)
    rows = np.empty(len(flows), [(str(at), kind) for at, (kind, _) in enumerate(fields)])
    for at, (kind, value) in enumerate(fields):
        rows[str(at)] = value if isinstance(value, bytes) else _as_field(kind, value)
    packed = rows.tobytes()
    sha256 = hashlib.sha256
    return [sha256(packed[at : at + width]).digest() for at in range(0, len(packed), width)]


def add_digests(digests: Iterable[bytes]) -> bytes:
    """Sum mod 2^256 of 32-octet numbers: order does not matter, so ranges of any size give the same day."""
    packed = np.frombuffer(b"".join(digests), ">u4").reshape(-1, 8)
    words = packed.astype(np.uint64).sum(axis=0).tolist()
    total = sum(int(word) << (32 * (7 - at)) for at, word in enumerate(words))
    return (total % 2**256).to_bytes(32, "big")


def _day_part(deployment: str, day: int, pieces: list[tuple[Ints, list[bytes]]]) -> DayPart:
    blocks = np.concatenate([block for block, _ in pieces])
    digest = add_digests(digest for _, hashes in pieces for digest in hashes)
    return DayPart(deployment, day, int(blocks.min()), int(blocks.max()), len(blocks), digest)


def _label_texts(label: Label) -> tuple[str, str, str, str]:
    return (label.kind.value, label.source.value, label.side.value, label.basis.value)


def _label(label: Label) -> list[bytes]:
    return [text.encode() for text in _label_texts(label)]


def _numeric(digits: NDArray[np.uint16]) -> NDArray[np.int64]:
    """numeric_send's form: number of digits, weight of the first, sign, display scale, digits."""
    rows, count = digits.shape
    head = np.broadcast_to(np.array([count, count - 1, 0, 0]), (rows, 4))
    return np.concatenate([head, digits], axis=1)


def _structured(rows: int, fields: Sequence[tuple[str, bytes | NDArray[np.generic]]]) -> bytes:
    names = [("count", ">i2")]
    for at, (kind, _) in enumerate(fields):
        names += [(f"length{at}", ">i4"), (f"value{at}", kind)]
    table = np.empty(rows, names)
    table["count"] = len(fields)
    for at, (kind, value) in enumerate(fields):
        table[f"length{at}"] = np.dtype(kind).itemsize
        table[f"value{at}"] = value if isinstance(value, bytes) else _as_field(kind, value)
    return table.tobytes()


def _as_field(kind: str, column: NDArray[np.generic]) -> NDArray[np.generic]:
    """Octets (n, k) become one S<k> field a row; numbers stay as they are."""
    if not kind.startswith("S"):
        return column
    return np.ascontiguousarray(column).view(kind)[:, 0]
