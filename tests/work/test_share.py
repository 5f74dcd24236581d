"""Work that other processes are told of: they ask the same questions, and no more together than one alone may."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

from pydantic import SecretStr

from indexer.chain.limits import Limits
from indexer.chain.pace import SECOND, Pace
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.model import Span
from indexer.work.group import group_of
from indexer.work.share import group_for, share_of
from tests.fakes.node import Node
from tests.work.world import ETHEREUM, deployment

DATABASE: Any = None  # nothing is asked of it


def pool(url: str, **how: Any) -> Endpoints:
    return Endpoints(ETHEREUM, [Endpoint(SecretStr(url))], **how)


async def test_a_share_says_all_that_the_first_process_knows() -> None:
    """It goes through a pipe; what endpoints refused, and how far the chain goes, need not be found out again."""
    first, second = pool("http://127.0.0.1:1/KEY"), pool("http://127.0.0.1:1/KEY")
    (fingerprint,) = first.limits_by_fingerprint
    first.restore({fingerprint: Limits(max_blocks=10)})
    first.exclude(first.endpoints[0], "eth_call", "http://127.0.0.1:1 has no state")
    first.final_seen = (5000, b"\1" * 32)
    group = group_of(first, DATABASE, [deployment("dex.open"), deployment("fork.open")])
    group.steps_from_state = True
    share = pickle.loads(pickle.dumps(share_of(group, {"dex.open": Span(3, 9)}, 5000)))
    assert (share.wanted, share.final) == ({"dex.open": Span(3, 9)}, 5000)
    other = group_for(share, second, DATABASE, None)
    assert (other.ids, other.fetcher.questions) == (group.ids, group.fetcher.questions)
    assert other.steps_from_state
    assert second.final_seen == first.final_seen
    assert second.limits.max_blocks == 10
    assert second.refused_by_fingerprint == {fingerprint: {"eth_call": "http://127.0.0.1:1 has no state"}}
    await asyncio.gather(first.close(), second.close())


async def test_three_processes_keep_to_one_budget_together() -> None:
    """Three in a second for all of them; who is alone again has all of it. The estimate goes by the whole."""
    async with Node(lambda method, params: params, ETHEREUM.chain_id) as node:
        pools = [pool(node.url, requests_per_second=3) for _ in range(3)]
        waits = []
        for one in pools:
            clock = Clock()
            one.pace = Pace(clock.now, clock.sleep)
            await one.verify()
            one.share_budget(3)
            for number in range(10):
                await one.call("eth_x", [number])
            waits.append(clock.at)
            assert one.budget == 3
        assert all(wait >= 8 * SECOND for wait in waits), "ten calls at one in a second each"
        one.share_budget(1)
        before = clock.at
        for number in range(10):
            await one.call("eth_x", [number])
        assert clock.at - before < 5 * SECOND
        await asyncio.gather(*(one.close() for one in pools))


class Clock:
    """Nanoseconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.at = 0

    def now(self) -> int:
        return self.at

    async def sleep(self, nanoseconds: int) -> None:
        self.at += nanoseconds
        await asyncio.sleep(0)
