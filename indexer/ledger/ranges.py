"""Ranges: taking one under a lease, and committing all of it or nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from indexer.errors import LeaseLost
from indexer.ledger.answers import AnswerDay, answer_days
from indexer.ledger.archive import Kept, put_kept
from indexer.ledger.connect import Connection, Database
from indexer.ledger.flows import NoRoomError, copy_flows, encoded, ensure_months
from indexer.ledger.outlook import Outlook, first_look, look
from indexer.ledger.rows import DayPart, Owner
from indexer.ledger.sql import query
from indexer.ledger.trades import trade_columns, trade_days
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
    """What one range made: everything its commit writes.

    files: archive files that its logs come from; kept: those that were written for it and are not listed yet.
    """

    classified: Mapping[Owner, Classified]
    members: Mapping[str, Sequence[Member]] = field(default_factory=dict)
    steps: Sequence[Step] = ()
    quarantined: Mapping[str, Sequence[Quarantined]] = field(default_factory=dict)
    logs_received: int = 0
    logs_used: int = 0
    anchor: tuple[int, bytes] | None = None
    endpoint: str = ""
    requests: int | None = None
    octets: int | None = None
    files: Sequence[str] = ()
    kept: Sequence[Kept] = ()

    @property
    def flows(self) -> int:
        """Number of flows."""
        return sum(len(flows) for classified in self.classified.values() for flows in classified.flows)


async def claim(
    database: Database,
    chain_id: int,
    wanted: Mapping[str, Span],
    size: int | Callable[[int, tuple[str, ...]], int],
    outlook: Outlook | None = None,
) -> Lease | None:
    """Takes the lowest blocks that some deployment wants and nobody holds or reads, at most `size`; None if none.

    size: a number of blocks, or what tells it from the first block and the deployments. outlook: what was seen before.
    """
    seen, guard = Outlook(list(wanted)) if outlook is None else outlook, database.guard
    taken: Lease | None = None

    async def work(connection: Connection) -> Lease | None:
        nonlocal taken
        await connection.execute(query("lock_claims"), chain_id)
        if taken is not None and await connection.fetchval(query("lease_stands"), chain_id, taken.fence):
            return taken  # an earlier attempt went through, only its answer was lost
        held = seen.take(await connection.fetch(query("held_since"), chain_id, seen.reading, seen.latest))
        gaps = {name: missing(span, held[name]) for name, span in wanted.items()}
        chosen = choose(gaps, size if isinstance(size, int) else 1 << 62)
        if chosen is None:
            return None
        span, names = chosen
        if not isinstance(size, int):
            span = Span(span.first, min(span.last, span.first + size(span.first, names) - 1))
        own = guard.number if guard.held else None
        values = (chain_id, span.first, span.last, list(names), holder(), LEASE_SECONDS, own)
        taken = Lease(chain_id, await connection.fetchval(query("take_lease"), *values), span, names)
        return taken

    async with seen.turn:
        if seen.held is None:
            await first_look(database, chain_id, seen)  # takes a while, so not while others wait for the lock
        await database.fetch(query("drop_dead_leases"), chain_id, guard.number)
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
    """Spans held or being read, per deployment, merged."""
    return await look(database, chain_id, Outlook(list(deployments)))


async def held_hull(database: Database, chain_id: int, deployments: Sequence[str]) -> Span | None:
    """From the lowest to the highest block that one of the deployments holds; None if none is held."""
    (row,) = await database.fetch(query("held_hull"), chain_id, list(deployments))
    return None if row["first_block"] is None else Span(row["first_block"], row["last_block"])


async def leased_elsewhere(
    database: Database, chain_id: int, wanted: Mapping[str, Span], own: Iterable[int]
) -> dict[int, bool]:
    """Leases of others for blocks that are wanted, and whether they still hold; own: this process's fences."""
    first, last = min(span.first for span in wanted.values()), max(span.last for span in wanted.values())
    rows = await database.fetch(query("leases_of_others"), chain_id, list(wanted), list(own), first, last)
    return {row["fence"]: row["alive"] for row in rows}


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
    parts, stream = await asyncio.to_thread(encoded, reading.classified)  # the network and Postgres go on meanwhile
    await ensure_months(database, reading.classified)

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
            await copy_flows(connection, stream)
        await _put_facts(connection, lease.chain_id, reading)
        await _put_range(connection, lease, reading, parts)

    try:
        await database.transaction(work)
    except NoRoomError:  # dropped in the meantime: nothing was written, and now there is room again
        await ensure_months(database, reading.classified, anew=True)
        await database.transaction(work)


def holder() -> str:
    """Who holds a lease: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


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
        reading.logs_received, reading.logs_used, reading.flows, reading.endpoint, lease.fence, reading.requests,
        reading.octets,
    )  # fmt: skip
    await connection.execute(
        query("put_range_deployments"), chain_id, number, list(lease.deployments), span.first, span.last
    )
    await put_kept(connection, chain_id, reading.kept)
    files = sorted({*reading.files, *(one.file for one in reading.kept)})
    await connection.execute(query("put_range_archive"), chain_id, number, files)
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
    trades = {owner.deployment: trade_days(made.trades) for owner, made in reading.classified.items()}
    await connection.execute(query("put_range_trades"), chain_id, number, *trade_columns(trades))
    answers = [(owner, one) for owner, made in reading.classified.items() for one in answer_days(made.answers)]
    await connection.executemany(
        query("put_range_answer"), [_answer_row(chain_id, number, owner.deployment, one) for owner, one in answers]
    )
    days = sorted({_day(day) for day in (*(part.day for part in parts), *(one.day for _, one in answers))})
    await connection.execute(query("mark_dirty"), chain_id, list(lease.deployments), days, span.first, span.last)


def _answer_row(chain_id: int, number: int, deployment: str, answer: AnswerDay) -> tuple[object, ...]:
    day, *rest = answer
    return (chain_id, number, deployment, _day(day), *rest)


def _day(number: int) -> date:
    return _EPOCH + timedelta(days=number)
