"""Following a chain: new final blocks are read as they come, days closed as they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from indexer.chain.head import finalized
from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.errors import Retry
from indexer.model import Span
from indexer.work.backfill import backfill
from indexer.work.group import Group
from indexer.work.progress import Progress

POLL = 12  # seconds; finality comes in steps of minutes, so this adds little to its age

log = structlog.get_logger()


async def follow(
    pool: Endpoints,
    groups: Callable[[Header], Awaitable[Sequence[Group]]],
    first: int,
    final: Header,
    progress: Progress,
    close: Callable[[Header], Awaitable[None]],
) -> None:
    """Reads blocks as they become final, for ever, and calls `close` after each step. final: what is read already.

    groups: those to read up to a head.
    """
    while True:
        progress.stage = f"waiting for final blocks after {final.number}"
        await asyncio.sleep(POLL)
        try:
            newer = await finalized(pool)
            if newer.number == final.number:
                continue
            for group in await groups(newer):
                await backfill(group, Span(first, newer.number), newer.number, progress)
            final = newer
            await close(final)
        except Retry as error:
            log.warning("following paused", chain=pool.chain.name, reason=str(error))
