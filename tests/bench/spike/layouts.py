"""What a flow's labels and its key cost: the same 500,000 rows in tables that differ in one thing."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import asyncpg

from .columns import parse, swaps
from .flows import TEXTS, fees, fields
from .sink import KEY, LABELS, Cost, Meter, copy, create
from .stream import copy_stream

ENUMS = LABELS.partition("deployment text, ")[2]
NO_CONTRACT = KEY.replace("contract, ", "")
TEXT_LABELS = "kind text, source text, side text, basis text"


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns between contract and token with their binary values, and the primary key."""

    name: str
    labels: str
    values: tuple[bytes, ...]
    key: str = KEY


def _layouts() -> list[Layout]:
    texts = tuple(text.encode() for text in TEXTS)
    small, number = struct.pack(">h", 7), struct.pack(">i", 3)
    by_id = ("deployment int, " + ENUMS, (number, *texts[2:]))
    by_label = ("deployment int, label smallint", (number, small))
    return [
        Layout("protocol + deployment text, 4 enums (as asked)", LABELS, texts),
        Layout("deployment text only, 4 enums", "deployment text, " + ENUMS, texts[1:]),
        Layout("deployment int, 4 enums", *by_id),
        Layout("deployment int, 4 texts", "deployment int, " + TEXT_LABELS, by_id[1]),
        Layout("deployment int, label smallint", *by_label),
        Layout("as asked, key without contract", LABELS, texts, NO_CONTRACT),
        Layout("deployment int, label smallint, key without contract", *by_label, NO_CONTRACT),
        Layout("as asked, no key", LABELS, texts, ""),
        Layout("deployment int, label smallint, no key", *by_label, ""),
    ]


async def _sizes(db: asyncpg.Connection) -> tuple[int, int]:
    """Octets of the heap and of the indexes of all partitions."""
    return tuple(
        await db.fetchrow(
            "select sum(pg_table_size(inhrelid))::bigint, sum(pg_indexes_size(inhrelid))::bigint "
            "from pg_inherits where inhparent = 'flow'::regclass"
        )
    )


async def measure(db: asyncpg.Connection, postmaster: int, bodies: Sequence[bytes], runs: int) -> list[str]:
    """Markdown rows: layout, rows/s (median), Postgres microseconds a row, octets a row in heap and index."""
    flows = [fees(swaps(parse(body))) for body in bodies]
    count = sum(map(len, flows))
    costs: dict[str, list[Cost]] = {}
    sizes = {}
    for _ in range(runs):
        for layout in _layouts():
            streams = [copy_stream(fields(batch, layout.values), len(batch)) for batch in flows]
            await create(db, layout.labels, layout.key)
            await db.execute("checkpoint")
            meter = Meter(postmaster)
            for octets in streams:
                await copy(db, octets)
            costs.setdefault(layout.name, []).append(meter.cost())
            sizes[layout.name] = await _sizes(db)
    lines = ["| table | rows/s | Postgres us/row | heap B/row | index B/row |", "|---|---|---|---|---|"]
    for name, found in costs.items():
        rate, busy = count / median(c.wall for c in found), median(c.postgres for c in found) / count * 1e6
        heap, index = (size / count for size in sizes[name])
        lines.append(f"| {name} | {rate:,.0f} | {busy:.2f} | {heap:.0f} | {index:.0f} |")
    return lines
