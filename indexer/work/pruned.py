"""Endpoints whose history is pruned in silence are found before anything they say is believed."""

from __future__ import annotations

import asyncio

import structlog

from indexer.chain.canary import Canary, Verdict, canary
from indexer.chain.head import remember
from indexer.chain.pool import Endpoints

REMEDY = "Use an archive endpoint, or start later."

log = structlog.get_logger()


async def leave_out_pruned(pool: Endpoints, first: int, last: int) -> None:
    """Endpoints that leave out logs of the lowest block needed, `first`, are not asked for logs by this pool."""
    endpoints = pool.endpoints
    shown = await asyncio.gather(*(canary(endpoint, first, last) for endpoint in endpoints))
    for endpoint, seen in zip(endpoints, shown, strict=True):
        if seen.verdict in (Verdict.EMPTY, Verdict.PARTIAL):
            log.warning("endpoint left out", endpoint=endpoint.name, reason=lacking(seen))
            pool.exclude(endpoint, "eth_getLogs", f"{endpoint.name}: {lacking(seen)}")
        elif len(endpoints) == 1:  # of several, one that has not proven its chain yet may say otherwise
            for header in seen.headers:
                remember(pool, header)


def lacking(seen: Canary) -> str:
    """The sentence about an endpoint that leaves logs out."""
    what = "no logs" if seen.verdict is Verdict.EMPTY else "only a part of the logs"
    return f"it answers {what} of block {seen.block}, whose header tells of more: its history is pruned. {REMEDY}"
