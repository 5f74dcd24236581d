"""What one endpoint can do, found out with a few harmless questions."""

from __future__ import annotations

import time

from indexer.chain.head import finalized, header
from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.chain.refusals import HistoryMissing, Reverted, TagUnsupported
from indexer.errors import EndpointUnusable, NoEndpoint, TooMuch
from indexer.model import Address, Span

WIDEST = 100_000  # blocks: more than any provider's limit that is worth knowing, little work for a node without one
NOBODY = "0x000000000000000000000000000000000000dEaD"  # has no code, so that the answer is empty however wide the range


async def final_tag(pool: Endpoints) -> bool:
    """Whether the endpoint knows the `finalized` tag."""
    try:
        return await header(pool, "finalized") is not None
    except TagUnsupported:
        return False


async def final_head(pool: Endpoints) -> tuple[Header, int]:
    """The last final block, and nanoseconds the answer took."""
    began = time.monotonic_ns()
    found = await finalized(pool)
    return found, time.monotonic_ns() - began


async def widest_range(pool: Endpoints, final: int) -> int:
    """How many blocks an eth_getLogs may span, up to WIDEST; limits that refusals name are learned by the pool."""
    size = min(WIDEST, final + 1)
    while True:
        span = Span(final - size + 1, final)
        question = {"fromBlock": hex(span.first), "toBlock": hex(span.last), "address": NOBODY}
        try:
            await pool.call("eth_getLogs", [question])
        except (TooMuch, NoEndpoint):  # too wide, or beyond what the node still has
            if size == 1:
                raise
            named = pool.limits.max_blocks
            size = min(size // 2, size if named is None else named)
        else:
            return size


async def has_state(pool: Endpoints, contract: Address | None, block: int) -> bool:
    """Whether the endpoint answers eth_call as of a block; a revert is such an answer."""
    to = "0x" + (bytes(20) if contract is None else contract).hex()
    try:
        await pool.call("eth_call", [{"to": to, "data": "0x"}, hex(block)])
    except Reverted:
        return True
    except (HistoryMissing, NoEndpoint, EndpointUnusable):
        return False
    return True
