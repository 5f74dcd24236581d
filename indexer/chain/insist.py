"""Questions that every node answers without thinking, put to one endpoint until it does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from indexer.chain.pace import SECOND
from indexer.chain.rpc import Endpoint, Signs
from indexer.errors import EndpointFailed

SOON = SECOND // 2  # a connection is made, encryption agreed and an answer given in half of that by most endpoints
ATTEMPTS = 4


async def insist(endpoint: Endpoint, method: str, params: Sequence[object], soon: int = SOON) -> bytes:
    """As Endpoint.call; asked up to ATTEMPTS times, the first answer counts. Raises what the last one failed with.

    soon: nanoseconds after which it is asked once more beside the first, unless that failed sooner. Each further one
    is waited for twice as long as the one before.
    """
    running: set[asyncio.Task[bytes]] = set()
    asked: list[asyncio.Task[bytes]] = []
    try:
        while True:
            wait = None
            if len(asked) < ATTEMPTS:
                asked.append(asyncio.create_task(endpoint.call(method, params, Signs(soon << ATTEMPTS))))
                running.add(asked[-1])
                wait = (soon << len(asked) - 1) / SECOND
            done, running = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    return task.result()
                if not isinstance(error, EndpointFailed) or not (running or len(asked) < ATTEMPTS):
                    raise error
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
