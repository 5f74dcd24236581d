"""One chain's part of a run: its history, its closing, and going on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date

from indexer.archive.store import open_store
from indexer.chain.head import finalized
from indexer.chain.header import Header
from indexer.chain.limits import Limits
from indexer.chain.pool import Endpoints
from indexer.ledger import closing, context, ranges
from indexer.ledger.connect import Database
from indexer.ledger.goals import keep_goals
from indexer.manifest import Deployment
from indexer.model import Span
from indexer.settings import Settings
from indexer.together import together
from indexer.work.backfill import backfill
from indexer.work.close import close_chain, day_of
from indexer.work.estimate import estimate
from indexer.work.feeds import Feeds, is_feed
from indexer.work.follow import follow
from indexer.work.group import Group, groups
from indexer.work.meanwhile import Meanwhile
from indexer.work.plan import remaining
from indexer.work.progress import Progress
from indexer.work.pruned import leave_out_pruned
from indexer.work.retain import drop_old_months, restore
from indexer.work.target import target


class ChainJob:
    """Everything a run does on one chain."""

    def __init__(
        self,
        settings: Settings,
        pool: Endpoints,
        deployments: Sequence[Deployment],
        database: Database,
        progress: Progress,
    ) -> None:
        self._settings, self._pool, self._database, self._progress = settings, pool, database, progress
        place = settings.archive_place
        self._store = None if place is None else open_store(place)
        self._deployments = [one for one in deployments if not is_feed(one)]
        self._feeds, self._feeds_asked = Feeds(pool, database, deployments), date.min
        self._groups: list[Group] = []
        self._first, self._last = 0, -1

    async def history(self) -> Header:
        """Reads the settings' span, or up to the final head, and closes its days; the final head."""
        self._progress.stage = "connecting"
        await self._pool.verify()
        await self._restore_limits()
        final = await finalized(self._pool)
        ids = [*(one.id for one in self._deployments), *await self._feeds.held()]
        held = await ranges.held_hull(self._database, self._pool.chain.chain_id, ids)
        wanted = await target(self._settings, self._pool, final, held)
        self._first, self._last = wanted.first, wanted.last
        if wanted.first <= wanted.last:
            await self._grouped(final)
            await self._prepare(wanted, final)
            read = asyncio.Event()
            meanwhile = Meanwhile(self._pool, self._database, self._groups, wanted, final, self._feeds.refine)
            await together([self._read(wanted, final, read), meanwhile.close_until(read)])
        await self._close(final)
        return final

    async def follow(self, final: Header) -> None:
        """Goes on with newly final blocks, for ever."""
        await follow(self._pool, self._grouped, self._first, final, self._progress, self._close)

    async def close(self) -> None:
        """Remembers what was learned of the endpoints and closes their connections."""
        try:
            for fingerprint, limits in self._pool.limits_by_fingerprint.items():
                await context.put_endpoint_limit(self._database, fingerprint, limits.as_dict())
        finally:
            await self._pool.close()

    async def _close(self, final: Header) -> None:
        """Closes what is over, and shows it."""
        self._progress.stage = "closing days"
        await self._keep_goals(final)
        await self._feeds.refine()
        deployments = [one for group in self._groups for one in group.deployments]
        valued = await close_chain(self._pool, self._database, deployments, final)
        if await restore(self._groups, final.number):
            valued += await close_chain(self._pool, self._database, deployments, final)
        if valued:
            await closing.refresh(self._database)
        if self._settings.keep_flows is not None:
            await drop_old_months(self._database, self._settings.keep_flows, day_of(final.time))
        self._progress.stage = "done"

    async def _grouped(self, final: Header) -> list[Group]:
        """What to read up to a head; once a day, before its days are closed, feeds and ledger are looked at anew."""
        if self._feeds_asked < day_of(final.time):
            last = final.number if self._settings.to is None else self._last
            wanted = [*self._deployments, *await self._feeds.resolve(Span(self._first, last), final)]
            if {one.id for one in wanted} != {name for group in self._groups for name in group.ids}:
                self._groups = groups(self._pool, self._database, wanted, self._store)
            for group in self._groups:
                group.look_anew()
            self._feeds_asked = day_of(final.time)
        return self._groups

    async def _restore_limits(self) -> None:
        names = list(self._pool.limits_by_fingerprint)
        kept = await context.endpoint_limits(self._database, names)
        self._pool.restore({name: Limits.from_dict(limits) for name, limits in kept.items()})

    async def _prepare(self, wanted: Span, final: Header) -> None:
        """Looks before it leaps: endpoints without the history are left out, and what the run will cost is told."""
        await self._keep_goals(final)
        plans = [await remaining(group, wanted) for group in self._groups]
        deepest = min((plan.deepest for plan in plans if plan.deepest is not None), default=None)
        if deepest is None:
            return
        await leave_out_pruned(self._pool, deepest, final.number)
        if self._progress.tell is not None:
            self._progress.stage = "estimating"
            sizes = {shape: size for group in self._groups for shape, size in group.fetcher.sizes.items()}
            self._progress.tell(await estimate(self._pool, plans, wanted, sizes=sizes))

    async def _read(self, wanted: Span, final: Header, read: asyncio.Event) -> None:
        """Reads all that is wanted, and says when that is over, however it ends."""
        try:
            await together(backfill(group, wanted, final.number, self._progress) for group in self._groups)
        finally:
            read.set()

    async def _keep_goals(self, final: Header) -> None:
        last = final.number if self._settings.to is None else self._last
        goals = {
            one.id: Span(max(self._first, one.start_block), last)
            for group in self._groups
            for one in group.deployments
            if one.start_block <= last
        }
        await keep_goals(self._database, self._pool.chain.chain_id, (final.number, final.time), goals)
