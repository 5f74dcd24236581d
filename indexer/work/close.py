"""Closing what is over: finds where days begin, then sums, values and shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from indexer.chain.head import header
from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.chain.times import first_block_at
from indexer.errors import EndpointFailed
from indexer.ledger import closing
from indexer.ledger.connect import Database
from indexer.manifest import Deployment
from indexer.model import Span
from indexer.work.streams import rebuild

DAY = 86_400


async def close_chain(
    pool: Endpoints, database: Database, deployments: Sequence[Deployment], final: Header
) -> list[date]:
    """Closes and values every touched day that ended before the final head; the days valued.

    deployments: those whose streams are made anew before.
    """
    chain_id = pool.chain.chain_id
    for span in await closing.undated_blocks(database, chain_id):
        await _find_days(pool, database, span, final)
    return await close_known(database, chain_id, deployments, (final.number, day_of(final.time)))


async def close_read(
    pool: Endpoints, database: Database, deployments: Sequence[Deployment], read: tuple[int, date], final: Header
) -> list[date]:
    """The same while later days are read. read: the first block, and a day before whose end all has been read."""
    first, today = await _known(pool, read[0]), min(read[1], day_of(final.time))
    await _find_starts(pool, database, (day_of(first.time), today), (first, final))
    return await close_known(database, pool.chain.chain_id, deployments, (final.number, today), side_by_side=1)


async def close_known(
    database: Database,
    chain_id: int,
    deployments: Sequence[Deployment],
    end: tuple[int, date],
    side_by_side: int = closing.CLOSERS,
) -> list[date]:
    """The same for days whose bounds are known; asks nobody. end: a block not below any read, and the day not over."""
    last, today = end
    if await closing.dirty_days(database, chain_id, today):
        await rebuild(database, chain_id, deployments, last)
    await closing.close_days(database, chain_id, today, side_by_side)
    return await closing.value_days(database, chain_id)


def day_of(time: int) -> date:
    """UTC day of UTC seconds."""
    return datetime.fromtimestamp(time, UTC).date()


def start_of(day: date) -> int:
    """UTC seconds at which a UTC day begins."""
    return (day - date(1970, 1, 1)).days * DAY


async def _find_days(pool: Endpoints, database: Database, span: Span, final: Header) -> None:
    """Finds the first block of each day that a held span touches, and of the day after it if that has begun."""
    first, last = await _known(pool, span.first), await _last(pool, database, span, final)
    until = min(day_of(last.time) + timedelta(days=1), day_of(final.time))
    await _find_starts(pool, database, (day_of(first.time), until), (first, last, final))


async def _find_starts(pool: Endpoints, database: Database, days: tuple[date, date], seen: Sequence[Header]) -> None:
    """Finds the first block of each day from the first to the last of two. seen: as for `_find_day`."""
    known = await closing.day_starts(database, pool.chain.chain_id)
    day, last = days
    while day <= last:
        if day not in known:
            known[day] = await _find_day(pool, database, day, known, seen)
            await closing.put_day_start(database, pool.chain.chain_id, day, known[day])
        day += timedelta(days=1)


async def _last(pool: Endpoints, database: Database, span: Span, final: Header) -> Header:
    """The header of a span's last block, or the final one where a flow tells that both are of the same day."""
    if span.last >= final.number:
        return final
    today = await closing.neighbours(database, pool.chain.chain_id, day_of(final.time))
    return final if today.after is not None and today.after <= span.last else await _known(pool, span.last)


async def _find_day(
    pool: Endpoints, database: Database, day: date, known: dict[date, int], seen: Sequence[Header]
) -> int:
    """The day's first block: from flows on both sides of midnight if they are neighbours, else from headers.

    seen: headers by number; the last one is of the day or later.
    """
    near = await closing.neighbours(database, pool.chain.chain_id, day)
    if near.before is not None and near.after == near.before + 1:
        return near.after
    begins = start_of(day)
    earlier = [block for other, block in known.items() if other < day]
    lowest = max([*earlier, near.before if near.before is not None else 0])
    low = next((one for one in reversed(seen) if one.time < begins and one.number >= lowest), lowest)
    high = next(one for one in seen if one.time >= begins)
    if near.after is not None and near.after < high.number:
        high = await _known(pool, near.after)
    return (await first_block_at(pool, begins, low, high)).number


async def _known(pool: Endpoints, block: int) -> Header:
    found = await header(pool, block)
    if found is None:
        raise EndpointFailed(f"{pool.chain.name} block {block}: the endpoint does not know this final block.")
    return found
