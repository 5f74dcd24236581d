"""Ranges: taking one under a lease, and committing all of it or nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from weakref import WeakKeyDictionary

import asyncpg

from indexer.errors import DatabaseUnusable, LeaseLost
from indexer.ledger.connect import Connection, Database
from indexer.ledger.rows import COLUMNS, HEADER, TRAILER, DayPart, Owner, copy_rows, day_parts
from indexer.ledger.sql import query
from indexer.ledger.trades import TradeDay, trade_days
from indexer.model import Classified, Member, Quarantined, Span, Step
from indexer.spans import missing

LEASE_SECONDS = 30
_EPOCH = date(1970, 1, 1)
_QUARANTINED_OCTETS = 65_536


@dataclass(frozen=True, slots=True)
class Lease:
    """A range taken by this process; the commit is refused once the fence no longer stands."""

    chain_id: int
    fence: int
    span: Span
    deployments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one range made: everything its commit writes."""

    classified: Mapping[Owner, Classified]
    members: Mapping[str, Sequence[Member]] = field(default_factory=dict)
    steps: Sequence[Step] = ()
    quarantined: Mapping[str, Sequence[Quarantined]] = field(default_factory=dict)
    logs_received: int = 0
    logs_used: int = 0
    anchor: tuple[int, bytes] | None = None
    endpoint: str = ""

    @property
    def flows(self) -> int:
        """Number of flows."""
        return sum(len(flows) for classified in self.classified.values() for flows in classified.flows)


async def claim(database: Database, chain_id: int, wanted: Mapping[str, Span], size: int) -> Lease | None:
    """Takes the lowest blocks that some deployment wants and nobody holds or reads, at most `size`; None if none."""

    async def work(connection: Connection) -> Lease | None:
        await connection.execute(query("lock_claims"), chain_id)
        await connection.execute(query("drop_expired_leases"), chain_id)
        rows = await connection.fetch(query("held"), chain_id, list(wanted))
        held: dict[str, list[Span]] = {deployment: [] for deployment in wanted}
        for row in rows:
            held[row["deployment"]].append(Span(row["first_block"], row["last_block"]))
        chosen = choose({name: missing(span, held[name]) for name, span in wanted.items()}, size)
        if chosen is None:
            return None
        span, names = chosen
        values = (chain_id, span.first, span.last, list(names), holder(), LEASE_SECONDS)
        return Lease(chain_id, await connection.fetchval(query("take_lease"), *values), span, names)

    return await database.transaction(work)


def choose(gaps: Mapping[str, Sequence[Span]], size: int) -> tuple[Span, tuple[str, ...]] | None:
    """The lowest missing blocks, for every deployment that misses them, as long as it is the same ones that do."""
    first = min((spans[0].first for spans in gaps.values() if spans), default=None)
    if first is None:
        return None
    names = tuple(sorted(name for name, spans in gaps.items() if spans and spans[0].first == first))
    last = min(first + size - 1, *(gaps[name][0].last for name in names))
    others = [spans[0].first for name, spans in gaps.items() if spans and name not in names]
    return Span(first, min([last, *(other - 1 for other in others)])), names


async def held(database: Database, chain_id: int, deployments: Sequence[str]) -> dict[str, list[Span]]:
    """Spans held or being read, per deployment."""
    result: dict[str, list[Span]] = {name: [] for name in deployments}
    for row in await database.fetch(query("held"), chain_id, list(deployments)):
        result[row["deployment"]].append(Span(row["first_block"], row["last_block"]))
    return result


async def held_hull(database: Database, chain_id: int, deployments: Sequence[str]) -> Span | None:
    """From the lowest to the highest block that one of the deployments holds; None if none is held."""
    (row,) = await database.fetch(query("held_hull"), chain_id, list(deployments))
    return None if row["first_block"] is None else Span(row["first_block"], row["last_block"])


async def leased_elsewhere(database: Database, chain_id: int, wanted: Mapping[str, Span], own: Iterable[int]) -> bool:
    """Whether somebody else holds a lease for blocks that are wanted; own: this process's fences."""
    first, last = min(span.first for span in wanted.values()), max(span.last for span in wanted.values())
    return bool(await database.fetch(query("leases_of_others"), chain_id, list(wanted), list(own), first, last))


async def renew(database: Database, leases: Iterable[Lease]) -> None:
    """Says that this process is alive."""
    by_chain: dict[int, list[int]] = {}
    for lease in leases:
        by_chain.setdefault(lease.chain_id, []).append(lease.fence)
    for chain_id, fences in by_chain.items():
        await database.fetch(query("renew_leases"), chain_id, fences, LEASE_SECONDS)


async def release(database: Database, lease: Lease) -> None:
    """Gives a range back unread."""
    await database.fetch(query("end_lease"), lease.chain_id, lease.fence)


async def commit(database: Database, lease: Lease, reading: Reading) -> None:
    """Writes a range in one transaction: what the ledger held of it goes, what it now holds comes.

    Repeating it changes nothing. Raises LeaseLost if the range was taken over meanwhile.
    """
    parts, stream = await asyncio.to_thread(_encoded, reading)  # the network and Postgres go on meanwhile
    await _ensure_months(database, reading)

    async def work(connection: Connection) -> None:
        if await connection.fetchval(query("end_lease"), lease.chain_id, lease.fence) is None:
            if await connection.fetchval(query("committed"), lease.chain_id, lease.fence) is not None:
                return  # an earlier attempt went through, only its answer was lost
            raise LeaseLost(f"Blocks {lease.span.first}-{lease.span.last} were taken over by another worker.")
        place = (lease.chain_id, lease.span.first, lease.span.last)
        for statement in ("drop_flows", "drop_quarantine", "drop_range_parts"):
            await connection.execute(query(statement), *place, list(lease.deployments))
        if await connection.fetchval(query("held_beyond"), *place, list(lease.deployments)):
            raise LeaseLost(
                f"Blocks {lease.span.first}-{lease.span.last} are held in part by a range that reaches beyond them."
            )
        if reading.flows:
            await _copy(connection, stream)
        await _put_facts(connection, lease.chain_id, reading)
        await _put_range(connection, lease, reading, parts)

    await database.transaction(work)


def holder() -> str:
    """Who holds a lease: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


async def _copy(connection: Connection, stream: bytes) -> None:
    try:
        with BytesIO(stream) as source:  # asyncpg leaves it in a cycle: closed, it does not keep the stream until then
            await connection.copy_to_table("flow", source=source, columns=COLUMNS, format="binary")
    except asyncpg.UniqueViolationError as error:
        raise DatabaseUnusable(
            f"Another deployment has booked a log of this range already: {error.detail} If it was renamed or left the "
            "manifests, look its id up in table deployment and call forget_deployment('its id')."
        ) from None


def _encoded(reading: Reading) -> tuple[list[DayPart], bytes]:
    """What each day gets of the range, and the stream for COPY."""
    parts = [part for owner, made in reading.classified.items() for part in day_parts(owner, made.flows)]
    rows = [copy_rows(owner, flows) for owner, made in reading.classified.items() for flows in made.flows]
    return parts, b"".join((HEADER, *rows, TRAILER))


async def _ensure_months(database: Database, reading: Reading) -> None:
    times = {
        int(time) // 86_400
        for made in reading.classified.values()
        for flows in made.flows
        for time in (flows.where.time.min(), flows.where.time.max())
    }
    if not times:
        return
    day, last = min(times), max(times)
    while True:
        month = _EPOCH + timedelta(days=day)
        if month.replace(day=1) not in _MONTHS.setdefault(database, set()):
            await database.fetch(query("ensure_flow_month"), datetime(month.year, month.month, 1, tzinfo=UTC))
            _MONTHS[database].add(month.replace(day=1))
        if day == last:
            return
        day = min(last, day + 28)


_MONTHS: WeakKeyDictionary[Database, set[date]] = WeakKeyDictionary()


async def _put_facts(connection: Connection, chain_id: int, reading: Reading) -> None:
    steps = sorted(reading.steps, key=lambda step: (step.contract, step.name, step.block, step.log_index))
    await connection.executemany(
        query("put_step"),
        [
            (chain_id, step.contract, step.name, step.block, step.log_index, list(step.values), step.tx_hash)
            for step in steps
        ],
    )
    for deployment, members in sorted(reading.members.items()):
        await connection.executemany(query("put_contract"), contract_rows(chain_id, deployment, members))
    await connection.executemany(
        query("put_quarantine"),
        [
            (
                chain_id, log.block, log.log_index, deployment, log.tx_hash, log.contract, log.topic0, log.reason,
                log.data[:_QUARANTINED_OCTETS],
            )
            for deployment, logs in sorted(reading.quarantined.items())
            for log in logs
        ],
    )  # fmt: skip


def contract_rows(chain_id: int, deployment: str, members: Iterable[Member]) -> list[tuple[object, ...]]:
    """Rows for put_contract, in an order that never deadlocks with another worker's."""
    return [
        (
            chain_id,
            deployment,
            member.contract,
            None if member.facts is None else {name: _fact(value) for name, value in member.facts.items()},
            member.evidence.block,
            member.evidence.tx_hash,
            member.evidence.log_index,
        )
        for member in sorted(members, key=lambda member: member.contract)
    ]


def _fact(value: int | bytes) -> int | str:
    return "0x" + value.hex() if isinstance(value, bytes) else value


async def _put_range(connection: Connection, lease: Lease, reading: Reading, parts: Sequence[DayPart]) -> None:
    chain_id, span = lease.chain_id, lease.span
    anchor_block, anchor_hash = reading.anchor if reading.anchor is not None else (None, None)
    number = await connection.fetchval(
        query("put_range"), chain_id, span.first, span.last, anchor_block, anchor_hash,
        reading.logs_received, reading.logs_used, reading.flows, reading.endpoint, lease.fence,
    )  # fmt: skip
    await connection.execute(
        query("put_range_deployments"), chain_id, number, list(lease.deployments), span.first, span.last
    )
    await connection.executemany(
        query("put_range_day"),
        [
            (
                chain_id,
                number,
                part.deployment,
                _day(part.day),
                part.first_block,
                part.last_block,
                part.flows,
                part.digest,
            )
            for part in parts
        ],
    )
    await connection.executemany(
        query("put_range_trade"),
        [
            _trade_row(chain_id, number, owner.deployment, trade)
            for owner, made in reading.classified.items()
            for trade in trade_days(made.trades)
        ],
    )
    days = sorted({_day(part.day) for part in parts})
    await connection.execute(query("mark_dirty"), chain_id, list(lease.deployments), days, span.first, span.last)


def _trade_row(chain_id: int, number: int, deployment: str, trade: TradeDay) -> tuple[object, ...]:
    day, *rest = astuple(trade)
    return (chain_id, number, deployment, _day(day), *rest)


def _day(number: int) -> date:
    return _EPOCH + timedelta(days=number)
