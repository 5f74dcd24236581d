"""Backfill: ranges claimed, read and committed until nothing of the target is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import structlog

from indexer.chain.meter import metered
from indexer.errors import DatabaseUnusable, LeaseLost, Retry
from indexer.ledger import ranges
from indexer.ledger.outlook import look
from indexer.ledger.ranges import LEASE_SECONDS, Lease
from indexer.model import Span
from indexer.spans import hull, missing
from indexer.together import together
from indexer.work.group import Group
from indexer.work.history import ensure_history
from indexer.work.progress import Progress
from indexer.work.reading import read_range
from indexer.work.share import share_of
from indexer.work.source import range_blocks
from indexer.work.streams import ensure_openings

READERS = 4  # ranges in flight per group: while one waits for its answer another is decoded and a third is copied
PATIENCE = 5  # times a range may fail in a row before the run gives up
_SHORTEST, _POLL = 0.05, 1  # seconds between looks at ranges that others read: twice as long each time

log = structlog.get_logger()


async def backfill(group: Group, target: Span, final: int, progress: Progress) -> None:
    """Reads every missing block of the target. final: a final block at or above the target's end.

    Several processes may do the same target at once; each returns when all of it is held by whomever.
    """
    await refill(group, dict.fromkeys(group.ids, target), final, progress)


async def refill(group: Group, targets: Mapping[str, Span], final: int, progress: Progress) -> None:
    """The same with a target for each deployment; those without one are left as they are."""
    wanted = {
        one.id: Span(max(targets[one.id].first, one.start_block), targets[one.id].last)
        for one in group.deployments
        if one.id in targets and one.start_block <= targets[one.id].last
    }
    if not wanted:
        return
    target = hull(wanted.values())
    left = await _left(group, wanted)
    progress.blocks_wanted += max(sum(map(len, spans)) for spans in left)
    if not any(left) and not await _others(group, wanted, set()):
        return
    progress.stage = "reading parameters"
    await ensure_history(group, target)
    await ensure_openings(group, target)
    progress.stage = "reading logs"
    if progress.share is not None:
        progress.share(share_of(group, wanted, final))
    await read_missing(group, wanted, final, progress)


async def read_missing(group: Group, wanted: Mapping[str, Span], final: int, progress: Progress) -> None:
    """Claims, reads and commits until every wanted block is held, whoever reads it; parameters must be known."""
    group.missing = dict(zip(wanted, await _left(group, wanted), strict=True))
    left = [span for spans in group.missing.values() for span in spans]
    if group.archive is not None and left:
        await group.archive.look(Span(min(left).first, max(span.last for span in wanted.values())))
    leases: set[Lease] = set()
    async with group.database.guard, _heartbeat(group, leases):
        await together(_read_all(group, wanted, final, progress, leases) for _ in range(READERS))


async def _left(group: Group, wanted: Mapping[str, Span]) -> list[list[Span]]:
    """What each deployment lacks that nobody reads yet."""
    held = await look(group.database, group.chain_id, group.outlook)
    return [missing(span, held[name]) for name, span in wanted.items()]


async def _read_all(
    group: Group, wanted: Mapping[str, Span], final: int, progress: Progress, leases: set[Lease]
) -> None:
    failures = 0
    while True:
        lease = await _claim(group, wanted)
        if lease is None:
            if not await _freed(group, wanted, leases):
                return
            continue
        leases.add(lease)
        try:
            await _read_one(group, lease, final, progress)
            failures = 0
        except LeaseLost as lost:
            group.look_anew()
            log.warning("range taken over", chain=group.pool.chain.name, reason=str(lost))
        except Retry as error:
            failures += 1
            await _give_back(group, lease)
            log.warning("range failed", chain=group.pool.chain.name, first=lease.span.first, reason=str(error))
            if failures == PATIENCE:
                raise
            await asyncio.sleep(failures)
        except BaseException:
            await _give_back(group, lease)
            raise
        finally:
            leases.discard(lease)


async def _give_back(group: Group, lease: Lease) -> None:
    """Gives a range back unread, also where its reader is cancelled meanwhile."""
    giving = asyncio.ensure_future(ranges.release(group.database, lease))
    try:
        await asyncio.shield(giving)
    except asyncio.CancelledError:
        await giving
        raise


async def _claim(group: Group, wanted: Mapping[str, Span]) -> Lease | None:
    """The next range; one that is granted to a reader cancelled meanwhile is given back."""
    size = partial(range_blocks, group)
    claiming = asyncio.ensure_future(ranges.claim(group.database, group.chain_id, wanted, size, group.outlook))
    try:
        return await asyncio.shield(claiming)
    except asyncio.CancelledError:
        late = await claiming
        if late is not None:
            await ranges.release(group.database, late)
        raise


async def _read_one(group: Group, lease: Lease, final: int, progress: Progress) -> None:
    with metered() as meter:
        reading = await read_range(group, lease.span, lease.deployments, final)
    reading = replace(reading, requests=meter.requests, octets=meter.octets)
    await ranges.commit(group.database, lease, reading)
    await group.keep_limits()
    progress.blocks_done += len(lease.span)
    progress.logs += reading.logs_received
    progress.flows += reading.flows


async def _freed(group: Group, wanted: Mapping[str, Span], leases: set[Lease]) -> bool:
    """Waits until a range that others read is committed, or free since they died; False if nobody else reads one."""
    before, pause = await _others(group, wanted, leases), _SHORTEST
    now = before
    while now.keys() == before.keys() and now:
        await asyncio.sleep(min(pause, _POLL))
        if not all(now.values()):
            return True
        now, pause = await _others(group, wanted, leases), pause * 2
    return bool(before)


async def _others(group: Group, wanted: Mapping[str, Span], leases: set[Lease]) -> dict[int, bool]:
    """Fencing numbers of what other processes read of this, and whether they live; if not, it is left to us."""
    own = [lease.fence for lease in leases]
    return await ranges.leased_elsewhere(group.database, group.chain_id, wanted, own)


@asynccontextmanager
async def _heartbeat(group: Group, leases: set[Lease]) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                await ranges.renew(group.database, leases)
            except DatabaseUnusable as error:  # the readers meet it too, and end the run if it stays
                log.warning("leases not renewed", chain=group.pool.chain.name, reason=str(error))

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
