"""One chain's part of a run: its history, its closing, and going on."""

from __future__ import annotations

import time
from collections.abc import Sequence

from indexer.chain.head import Header, finalized
from indexer.chain.limits import Limits
from indexer.chain.pool import Endpoints
from indexer.chain.times import first_block_at
from indexer.errors import BadInput
from indexer.ledger import closing, context, ranges
from indexer.ledger.connect import Database
from indexer.manifest import Deployment
from indexer.model import Span
from indexer.settings import Settings, parse_moment
from indexer.work.backfill import backfill
from indexer.work.close import close_chain
from indexer.work.follow import follow
from indexer.work.group import groups
from indexer.work.progress import Progress
from indexer.work.together import together

DEFAULT_START = "7d"  # a first run shows something within minutes, whatever the endpoint costs


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
        self._deployments = [one.id for one in deployments]
        self._groups = groups(pool, database, deployments)
        self._first = 0

    async def history(self) -> Header:
        """Reads the settings' span, or up to the final head, and closes its days; the final head."""
        self._progress.stage = "connecting"
        await self._pool.verify()
        await self._restore_limits()
        final = await finalized(self._pool)
        target = await self._target(final)
        self._first = target.first
        if target.first <= target.last:
            await together(backfill(group, target, final.number, self._progress) for group in self._groups)
        await self._close(final)
        return final

    async def follow(self, final: Header) -> None:
        """Goes on with newly final blocks, for ever."""
        await follow(self._pool, self._groups, self._first, final, self._progress, self._close)

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
        if await close_chain(self._pool, self._database, final, self._settings.prices.min_liquidity_usd):
            await closing.refresh(self._database)
        self._progress.stage = "done"

    async def _restore_limits(self) -> None:
        names = list(self._pool.limits_by_fingerprint)
        kept = await context.endpoint_limits(self._database, names)
        self._pool.restore({name: Limits.from_dict(limits) for name, limits in kept.items()})

    async def _target(self, final: Header) -> Span:
        """From the settings' start, or from what is held already, to their end or the final head."""
        start, to = self._settings.start, self._settings.to
        last = final.number if to is None else await self._block(to, final, end=True)
        held = await ranges.held_hull(self._database, self._pool.chain.chain_id, self._deployments)
        if start is None and held is not None:
            return Span(held.first, max(held.first, last))
        first = await self._block(DEFAULT_START if start is None else start, final)
        if to is not None and first > last:
            raise BadInput(
                f"{self._pool.chain.name}: nothing lies between --from {start} (block {first}) and --to {to} (block "
                f"{last}). A date given as --to is where it stops: write the day after it."
            )
        return Span(first, last)

    async def _block(self, written: str | int, final: Header, *, end: bool = False) -> int:
        """A moment as a block number: the first block at or after it, for an end the last one before it."""
        moment = parse_moment(written, int(time.time()))
        if moment.block is not None:
            number = moment.block
        elif moment.time is not None and moment.time <= final.time:
            number = (await first_block_at(self._pool, moment.time, 0, final)).number - end
        else:
            number = final.number + 1  # a time that no final block has reached
        if number > final.number and not end:
            raise BadInput(
                f"{written} is not final on {self._pool.chain.name} yet: the last final block is {final.number}. "
                "Start earlier."
            )
        return min(number, final.number)
