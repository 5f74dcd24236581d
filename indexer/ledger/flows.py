"""Flows on their way into their partitions, as one COPY stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from weakref import WeakKeyDictionary

import asyncpg

from indexer.errors import DatabaseUnusable
from indexer.ledger.connect import Connection, Database
from indexer.ledger.rows import COLUMNS, HEADER, TRAILER, DayPart, Owner, copy_rows, day_parts
from indexer.ledger.sql import query
from indexer.model import Classified

Made = Mapping[Owner, Classified]

_EPOCH = date(1970, 1, 1)
_MONTHS: WeakKeyDictionary[Database, set[date]] = WeakKeyDictionary()


class NoRoomError(Exception):
    """The partition of a month was dropped since it was looked for."""


def encoded(made: Made) -> tuple[list[DayPart], bytes]:
    """What each day gets of these flows, and the stream for COPY."""
    parts = [part for owner, one in made.items() for part in day_parts(owner, one.flows)]
    rows = [copy_rows(owner, flows) for owner, one in made.items() for flows in one.flows]
    return parts, b"".join((HEADER, *rows, TRAILER))


async def copy_flows(connection: Connection, stream: bytes) -> None:
    """Writes a stream. Raises DatabaseUnusable for a log that is booked already, NoRoomError."""
    try:
        with BytesIO(stream) as source:  # asyncpg leaves it in a cycle: closed, it does not keep the stream until then
            await connection.copy_to_table("flow", source=source, columns=COLUMNS, format="binary")
    except asyncpg.UniqueViolationError as error:
        raise DatabaseUnusable(
            f"Another deployment has booked a log of this range already: {error.detail} If it was renamed or left the "
            "manifests, look its id up in table deployment and call forget_deployment('its id')."
        ) from None
    except asyncpg.CheckViolationError as error:
        if error.constraint_name is not None:
            raise
        raise NoRoomError(str(error)) from None


async def ensure_months(database: Database, made: Made, *, anew: bool = False) -> None:
    """Makes room for every month that these flows are of. anew: also for those that had some when last looked at."""
    known = _MONTHS.setdefault(database, set())
    if anew:
        known.clear()
    for month in _months(made):
        if month not in known:
            await database.fetch(query("ensure_flow_month"), datetime(month.year, month.month, 1, tzinfo=UTC))
            known.add(month)


def _months(made: Made) -> Iterable[date]:
    """First days of the months from the earliest flow to the latest."""
    times = [
        int(time)
        for one in made.values()
        for flows in one.flows
        for time in (flows.where.time.min(), flows.where.time.max())
    ]
    if not times:
        return
    day, last = (_EPOCH + timedelta(days=time // 86_400) for time in (min(times), max(times)))
    month = day.replace(day=1)
    while month <= last:
        yield month
        month = (month + timedelta(days=31)).replace(day=1)
