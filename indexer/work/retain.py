"""Retention: flows of old months go once the archive can make them again, and come back where a day needs them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import structlog

from indexer.ledger.archive import drop_month, flow_months
from indexer.ledger.connect import Database
from indexer.ledger.dropped import DroppedRange, dropped_ranges, put_back
from indexer.work.group import Group
from indexer.work.history import ensure_history
from indexer.work.reading import read_range

log = structlog.get_logger()


async def restore(groups: Sequence[Group], final: int) -> bool:
    """Makes dropped flows again of days that are to be closed again; whether there were any.

    final: a final block. Raises ArchiveUnusable where the archive makes other flows than those that were dropped.
    """
    found = False
    for group in groups:
        dropped = await dropped_ranges(group.database, group.chain_id, group.ids)
        if dropped and group.archive is None:
            log.warning(
                "days stay open: their flows were dropped, and the archive that makes them again is switched off",
                chain=group.pool.chain.name,
                ranges=len(dropped),
            )
            continue
        for one in dropped:
            await _restore(group, one, final)
        found |= bool(dropped)
    return found


async def _restore(group: Group, one: DroppedRange, final: int) -> None:
    assert group.archive is not None
    await ensure_history(group, one.span)
    await group.archive.look(one.span)
    reading = await read_range(group, one.span, (one.deployment,), final)
    await group.archive.list_files(reading.kept)
    ((owner, classified),) = reading.classified.items()
    await put_back(group.database, one, owner, classified)


async def drop_old_months(database: Database, months: int, today: date) -> list[date]:
    """Drops the flows of closed and archived months that are more than so many before today's; the months dropped."""
    dropped = []
    for month in await flow_months(database, months_before(today, months)):
        flows = await drop_month(database, month)
        if flows is not None:
            log.info("month dropped", month=month.isoformat(), flows=flows)
            dropped.append(month)
    return dropped


def months_before(day: date, months: int) -> date:
    """First day of the month so many months before a day's month."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)
