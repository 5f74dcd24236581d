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
from indexer.ledger.ranges import LEASE_SECONDS, Lease
from indexer.model import Span
from indexer.spans import missing
from indexer.work.group import Group
from indexer.work.history import ensure_history
from indexer.work.progress import Progress
from indexer.work.reading import read_range
from indexer.work.source import range_blocks
from indexer.work.streams import ensure_openings
from indexer.work.together import together

READERS = 4  # ranges in flight per group: while one waits for its answer another is decoded and a third is copied
PATIENCE = 5  # times a range may fail in a row before the run gives up
_POLL = 1  # seconds between looks at ranges that others read

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
    target = Span(min(span.first for span in wanted.values()), max(span.last for span in wanted.values()))
    held = await ranges.held(group.database, group.chain_id, list(wanted))
    left = [missing(span, held[name]) for name, span in wanted.items()]
    progress.blocks_wanted += max(sum(map(len, spans)) for spans in left)
    if not any(left) and not await _others_read(group, wanted, set()):
        return
    progress.stage = "reading parameters"
    await ensure_history(group, target)
    await ensure_openings(group, target)
    if group.archive is not None and any(left):
        await group.archive.look(Span(min(span.first for spans in left for span in spans), target.last))
    progress.stage = "reading logs"
    leases: set[Lease] = set()
    async with _heartbeat(group, leases):
        await together(_read_all(group, wanted, final, progress, leases) for _ in range(READERS))


async def _read_all(
    group: Group, wanted: Mapping[str, Span], final: int, progress: Progress, leases: set[Lease]
) -> None:
    failures = 0
    while True:
        lease = await _claim(group, wanted)
        if lease is None:
            if not await _others_read(group, wanted, leases):
                return
            await asyncio.sleep(_POLL)
            continue
        leases.add(lease)
        try:
            await _read_one(group, lease, final, progress)
            failures = 0
        except LeaseLost as lost:
            log.warning("range taken over", chain=group.pool.chain.name, reason=str(lost))
        except Retry as error:
            failures += 1
            await ranges.release(group.database, lease)
            log.warning("range failed", chain=group.pool.chain.name, first=lease.span.first, reason=str(error))
            if failures == PATIENCE:
                raise
            await asyncio.sleep(failures)
        except BaseException:
            await asyncio.shield(ranges.release(group.database, lease))
            raise
        finally:
            leases.discard(lease)


async def _claim(group: Group, wanted: Mapping[str, Span]) -> Lease | None:
    """The next range; one that is granted to a reader cancelled meanwhile is given back."""
    size = partial(range_blocks, group)
    claiming = asyncio.ensure_future(ranges.claim(group.database, group.chain_id, wanted, size))
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
    progress.blocks_done += len(lease.span)
    progress.logs += reading.logs_received
    progress.flows += reading.flows


async def _others_read(group: Group, wanted: Mapping[str, Span], leases: set[Lease]) -> bool:
    """Whether some block is being read by another process, which might die and leave it to us."""
    own = {lease.fence for lease in leases}
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
