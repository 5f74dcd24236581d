"""What is asked within a block is counted for it: by all its tasks, by nobody else's."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from indexer.chain.meter import Meter, count, metered
from indexer.chain.rpc import Endpoint
from tests.fakes.node import Node


async def test_calls_and_octets_of_all_tasks_are_counted() -> None:
    async with Node(lambda method, params: "x" * 1000) as node:
        endpoint = Endpoint(SecretStr(node.url))
        with metered() as meter:
            await asyncio.gather(endpoint.call("eth_a", []), endpoint.batch([("eth_b", []), ("eth_c", [])]))
        await endpoint.call("eth_d", [])
        await endpoint.close()
    assert meter.requests == 3, "each item of a batch counts, and what came after the block does not"
    assert 3000 < meter.octets < 4000


async def test_work_side_by_side_is_kept_apart() -> None:
    async def work(times: int) -> Meter:
        with metered() as meter:
            for _ in range(times):
                await asyncio.sleep(0)
                count(requests=1, octets=times)
        return meter

    first, second = await asyncio.gather(asyncio.create_task(work(3)), asyncio.create_task(work(5)))
    assert (first.requests, first.octets, second.requests, second.octets) == (3, 9, 5, 25)


def test_without_a_meter_nothing_is_kept() -> None:
    count(requests=1)
    with metered() as meter:
        with metered() as inner:
            count(requests=2)
        count(requests=1)
    assert (meter.requests, inner.requests) == (1, 2)
