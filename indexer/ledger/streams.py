"""Streams: made anew from the steps of parameters before days are closed, stored where they changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import zip_longest
from typing import Any

import asyncpg

from indexer.ledger.connect import Connection, Database
from indexer.ledger.context import step_of
from indexer.ledger.sql import query
from indexer.model import Address, Span, Step, Stream

Steps = Mapping[tuple[Address, str], Sequence[Step]]
Row = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_KEY = 8  # the columns of a row that drop_stream names
_BEGINS = 7


@dataclass(frozen=True, slots=True)
class Accruing:
    """A deployment whose rewards accrue with time. contracts: those whose steps they follow from."""

    chain_id: int
    deployment: str
    start_block: int
    contracts: Sequence[Address]


async def known_spans(database: Database, of: Accruing) -> list[Span]:
    """Spans in which no event is missing since the deployment's start, or since a state that was asked."""
    return _spans(await database.fetch(query("known_spans"), *_place(of)))


async def rebuild(database: Database, of: Accruing, last: int, fold: Callable[[Steps], Iterable[Stream]]) -> list[date]:
    """Stores what `fold` makes of the steps up to block `last`, one known span at a time; the days whose cut changed.

    Those days are marked, to be closed again. Raises what `fold` raises.
    """

    async def work(connection: Connection) -> list[date]:
        await connection.execute(query("lock_closing"), of.chain_id)
        spans = _spans(await connection.fetch(query("known_spans"), *_place(of)))
        rows = await connection.fetch(query("steps"), of.chain_id, list(of.contracts), last)
        steps = [step_of(row) for row in rows]
        made = {_row(span, stream) for span in spans for stream in fold(_within(span, steps))}
        return await _replace(connection, (of.chain_id, of.deployment), spans, made)

    return await database.transaction(work)


async def _replace(connection: Connection, place: tuple[int, str], spans: list[Span], made: set[Row]) -> list[date]:
    """Stores these and marks the days that change."""
    stored = {tuple(row) for row in await connection.fetch(query("streams"), *place)}
    told = _spans(await connection.fetch(query("stored_stream_spans"), *place))
    since = min((row[_BEGINS] for row in stored ^ made), default=None), _differs_at(told, spans)
    if since == (None, None):
        return []
    before = await _days(connection, place, since)
    gone, fresh = (sorted(rows, key=lambda row: row[:_KEY]) for rows in (stored - made, made - stored))
    await connection.executemany(query("drop_stream"), [(*place, *row[:_KEY]) for row in gone])
    await connection.executemany(query("put_stream"), [(*place, *row) for row in fresh])
    await connection.execute(query("drop_stream_spans"), *place)
    await connection.executemany(query("put_stream_span"), [(*place, span.first, span.last) for span in spans])
    after = await _days(connection, place, since)
    changed = sorted(day for day in before.keys() | after.keys() if before.get(day) != after.get(day))
    await connection.execute(query("mark_days"), *place, changed)
    return changed


async def _days(
    connection: Connection, place: tuple[int, str], since: tuple[datetime | None, int | None]
) -> dict[date, tuple[int, int]]:
    rows = await connection.fetch(query("stream_days"), *place, *since)
    return {row["day"]: (row["pieces"], int(row["digests"])) for row in rows}


def _differs_at(told: Sequence[Span], spans: Sequence[Span]) -> int | None:
    """The lowest block that one list of disjoint spans has and the other has not, or has elsewhere; None if alike."""
    for one, other in zip_longest(told, spans):
        if one is None or other is None:
            return int((one or other).first)
        if one != other:
            return min(one.last, other.last) + 1 if one.first == other.first else min(one.first, other.first)
    return None


def _row(span: Span, stream: Stream) -> Row:
    label, told = stream.label, stream.evidence
    return (
        span.first, stream.contract, stream.token, label.kind.value, label.source.value, label.side.value,
        label.basis.value, _moment(stream.first), _moment(stream.last), stream.numerator, stream.denominator,
        told.block, told.tx_hash, told.log_index,
    )  # fmt: skip


def _moment(second: int) -> datetime:
    return _EPOCH + timedelta(seconds=min(second, _LATEST))


def _within(span: Span, steps: Iterable[Step]) -> dict[tuple[Address, str], list[Step]]:
    found: dict[tuple[Address, str], list[Step]] = {}
    for step in steps:
        if span.first <= step.block <= span.last:
            found.setdefault((step.contract, step.name), []).append(step)
    return found


def _place(of: Accruing) -> tuple[int, str, int, list[Address]]:
    return of.chain_id, of.deployment, of.start_block, list(of.contracts)


def _spans(rows: Iterable[asyncpg.Record]) -> list[Span]:
    return [Span(row["first_block"], row["last_block"]) for row in rows]
