"""One chain's part of a run: its history, its closing, and going on."""

from __future__ import annotations

import time
from collections.abc import Sequence

from indexer.chain.head import Header, finalized
from indexer.chain.limits import Limits
from indexer.chain.pool import Endpoints
from indexer.chain.times import first_block_at
from indexer.errors import BadInput
from indexer.ledger import closing, context
from indexer.ledger.connect import Database
from indexer.ledger.sql import query
from indexer.manifest import Deployment
from indexer.model import Span
from indexer.settings import Settings, is_relative, parse_moment
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

        async def close(head: Header) -> None:
            if await self._close(head):
                await closing.refresh(self._database)

        await follow(self._pool, self._groups, self._first, final, self._progress, close)

    async def close(self) -> None:
        """Remembers what was learned of the endpoints and closes their connections."""
        try:
            for fingerprint, limits in self._pool.limits_by_fingerprint.items():
                await context.put_endpoint_limit(self._database, fingerprint, limits.as_dict())
        finally:
            await self._pool.close()

    async def _close(self, final: Header) -> bool:
        """Closes what is over; whether some day's figures changed."""
        self._progress.stage = "closing days"
        valued = await close_chain(self._pool, self._database, final, self._settings.prices.min_liquidity_usd)
        self._progress.stage = "done"
        return bool(valued)

    async def _restore_limits(self) -> None:
        names = list(self._pool.limits_by_fingerprint)
        kept = await context.endpoint_limits(self._database, names)
        self._pool.restore({name: Limits.from_dict(limits) for name, limits in kept.items()})

    async def _target(self, final: Header) -> Span:
        """From the settings' start, or from what is held already, to their end or the final head."""
        start, to = self._settings.start, self._settings.to
        last = final.number if to is None else await self._block(to, final, end=True)
        (held,) = await self._database.fetch(query("held_range"), self._pool.chain.chain_id, self._deployments)
        if start is None and held["first_block"] is not None:
            return Span(held["first_block"], last)
        written = DEFAULT_START if start is None else start
        first = await self._block(written, final)
        if held["last_block"] is not None and is_relative(written):
            first = min(first, held["last_block"] + 1)  # a time ago moves on: it must leave no gap behind
        return Span(first, last)

    async def _block(self, written: str | int, final: Header, *, end: bool = False) -> int:
        """A moment as a block number: the first block at or after it, for an end the last one before it."""
        moment = parse_moment(written, int(time.time()))
        if moment.block is not None:
            number = moment.block
        elif moment.time is not None and moment.time > final.time:
            if not end:
                raise BadInput(
                    f"{written} is after {self._pool.chain.name}'s last final block, {final.number}: start earlier."
                )
            return final.number
        else:
            number = (await first_block_at(self._pool, moment.time or 0, 0, final)).number - end
        if number > final.number and not end:
            raise BadInput(
                f"Block {number} is not final on {self._pool.chain.name} yet: the last final one is {final.number}."
            )
        return min(number, final.number)
