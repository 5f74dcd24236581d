"""Days are closed and shown while later ones are still being read: a long history shows figures before its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date

import structlog

from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.errors import DatabaseUnusable, IndexerError
from indexer.ledger import closing
from indexer.ledger.connect import Database
from indexer.ledger.outlook import Outlook, look
from indexer.model import Span
from indexer.spans import missing
from indexer.work.close import close_read
from indexer.work.group import Group

EVERY = 60  # seconds between looks, at least: what takes no longer is closed at its end, with all processors
PART = 20  # of the time, closing takes one part in so many

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What is being read of a chain. final: a final block, not below; prepare: called before days are closed."""

    pool: Endpoints
    database: Database
    groups: Sequence[Group]
    wanted: Span
    final: Header
    prepare: Callable[[], Awaitable[None]]

    async def close_until(self, read: asyncio.Event) -> None:
        """Closes and shows each day once all of it is read, by whomever, until `read` is set: the reading is over."""
        outlooks, shown, pause = [Outlook(group.ids) for group in self.groups], date.min, float(EVERY)
        while not await _set_within(read, pause):
            began = time.monotonic()
            try:
                shown = await self._close(outlooks, shown)
            except DatabaseUnusable:
                raise
            except IndexerError as error:  # if it stays, the reader meets it, too, or closing at the end
                log.warning("days are closed later", chain=self.pool.chain.name, reason=str(error))
            pause = max(EVERY, PART * (time.monotonic() - began))

    async def _close(self, outlooks: Sequence[Outlook], shown: date) -> date:
        """Closes the days before the newest one up to which all is read, unless it is `shown` already; that one."""
        deployments = [one for group in self.groups for one in group.deployments]
        first = max(self.wanted.first, min(one.start_block for one in deployments))
        last = min([await self._read_up_to(*each) for each in zip(self.groups, outlooks, strict=True)])
        newest = await closing.last_day(self.database, self.pool.chain.chain_id, Span(first, last))
        if newest is None or newest <= shown:
            return shown
        await self.prepare()
        if await close_read(self.pool, self.database, deployments, (first, newest), self.final):
            await closing.refresh(self.database)
        return newest

    async def _read_up_to(self, group: Group, outlook: Outlook) -> int:
        """The last block of the wanted ones up to which nothing is missing of any of the group's deployments."""
        await look(self.database, group.chain_id, outlook)
        held, last = outlook.held or {}, self.wanted.last
        wants = {one.id: Span(max(self.wanted.first, one.start_block), last) for one in group.deployments}
        gaps = [gap for name, span in wants.items() for gap in missing(span, held.get(name, ()))]
        return min([last, *(gap.first - 1 for gap in gaps)])


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event is set by then; waits for it."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
