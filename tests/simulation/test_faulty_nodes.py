"""Nodes with faults: the same ledger in the end, or a sentence; never another ledger."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from indexer.chain import pool as pools
from indexer.chain.pace import Pace
from indexer.errors import EndpointUnusable, IndexerError, NoEndpoint
from indexer.ledger.connect import Database
from indexer.work import backfill
from tests.fakes.node import Fault, Reply, error_reply
from tests.simulation.demo import CHAIN, complaints, index, outcome
from tests.simulation.node import CHAIN_ID, DemoChain, Dice, Log

FASTER = 200  # times the pace of the clock that rests and Retry-After are measured by
Tamper = Callable[[list[Log], int, int], Any]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints rest and the run waits as long as ever, by a faster clock."""

    async def sleep(nanoseconds: int) -> None:
        await asyncio.sleep(nanoseconds / FASTER / 1_000_000_000)

    monkeypatch.setattr(pools, "Pace", lambda: Pace(lambda: time.monotonic_ns() * FASTER, sleep, random.Random(5)))
    monkeypatch.setattr(backfill.asyncio, "sleep", _shortened(asyncio.sleep))


def _shortened(plain: Callable[[float], Any]) -> Callable[[float], Any]:
    async def sleep(seconds: float, *rest: Any) -> Any:
        return await plain(min(seconds, 0.05) if seconds >= 1 else seconds, *rest)

    return sleep


def now_and_then(seed: int, share: int, change: Tamper) -> Tamper:
    """Applies a change to so many of a hundred answers."""
    dice = random.Random(seed)
    return lambda logs, first, last: change(logs, first, last) if dice.randrange(100) < share else logs


def shuffled(logs: list[Log], *_: int) -> list[Log]:
    return random.Random(len(logs)).sample(logs, len(logs))


def doubled(logs: list[Log], *_: int) -> list[Log]:
    return [*logs, *logs[:1]]


def removed(logs: list[Log], *_: int) -> list[Log]:
    return [*logs[:-1], logs[-1] | {"removed": True}] if logs else logs


def outside(logs: list[Log], first: int, last: int) -> list[Log]:
    return [*logs[:-1], logs[-1] | {"blockNumber": hex(last + 1)}] if logs else logs


def forked(logs: list[Log], *_: int) -> list[Log]:
    """A log of another fork beside one of this fork in one block."""
    twins = [at for at in range(1, len(logs)) if logs[at]["blockNumber"] == logs[at - 1]["blockNumber"]]
    return (
        [*logs[: twins[0]], logs[twins[0]] | {"blockHash": "0x" + "f" * 64}, *logs[twins[0] + 1 :]] if twins else logs
    )


def broken(logs: list[Log], *_: int) -> Any:
    return (
        [*logs[:-1], {name: value for name, value in logs[-1].items() if name != "logIndex"}]
        if logs
        else {"not": "logs"}
    )


def untimed(logs: list[Log], *_: int) -> list[Log]:
    return [{name: value for name, value in log.items() if name != "blockTimestamp"} for log in logs]


def null(*_: Any) -> None:
    return None


REPAIRED: dict[str, Tamper] = {
    "a log twice in an answer": now_and_then(1, 25, doubled),
    "a log marked removed": now_and_then(2, 25, removed),
    "a log of a block that was not asked for": now_and_then(3, 25, outside),
    "logs of two forks": now_and_then(4, 25, forked),
    "a log without an index": now_and_then(5, 25, broken),
    "null instead of logs": now_and_then(6, 25, null),
    "logs in any order": shuffled,
    "logs without times": untimed,
    "times in some answers only": now_and_then(7, 50, untimed),
}


@pytest.mark.parametrize("name", REPAIRED)
async def test_an_answer_that_cannot_be_is_asked_for_again(
    name: str, database: Database, undisturbed: dict[str, Any]
) -> None:
    async with DemoChain(REPAIRED[name]) as node:
        await index(database, node.url)
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}


def page() -> Reply:
    return Reply("<html>Bad gateway</html>", 502)


PASSING: dict[str, list[Callable[[], Reply]]] = {
    "429 with Retry-After": [lambda: error_reply(429, -32005, "Too Many Requests", Retry_After="3")],
    "429 without": [lambda: Reply("slow down", 429)],
    "500": [lambda: Reply("internal error", 500)],
    "502 with a page": [page],
    "cut answers": [lambda: Reply('{"jsonrpc":"2.0","id":1,"result":[', how="truncated")],
    "cut connections": [lambda: Reply(how="reset")],
    "200 with a page": [lambda: Reply("<html>Please log in</html>")],
    "an error under 200": [lambda: error_reply(200, -32000, "no backend is currently healthy to serve traffic")],
    "everything at once": [
        page, lambda: Reply("{}", 429), lambda: Reply(how="reset"), lambda: Reply("", 500), lambda: Reply("{", how="truncated"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", PASSING)
async def test_faults_that_go_by_are_waited_out(name: str, database: Database, undisturbed: dict[str, Any]) -> None:
    async with DemoChain() as node:
        node.script = Dice(17, 30, PASSING[name])
        await index(database, node.url)
        assert node.script.thrown > 3
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}


async def test_answers_that_hang_are_cut_by_the_timeout(database: Database, undisturbed: dict[str, Any]) -> None:
    async with DemoChain() as node:
        node.script.extend([Reply(how="hang"), Reply(how="hang")])
        await index(database, node.url, chains={"demo": CHAIN | {"rpc": [{"url": node.url, "timeout_s": 1}]}})
    assert await outcome(database) == undisturbed


def at_most(blocks: int, code: int, message: str) -> Tamper:
    """Refuses wider questions."""

    def tamper(logs: list[Log], first: int, last: int) -> list[Log]:
        if last - first + 1 > blocks:
            raise Fault(code, message)
        return logs

    return tamper


def fitting(logs: list[Log], first: int, most: int) -> int:
    """The last block up to which there are no more logs than that; at least the first one."""
    return max(first, int(logs[most]["blockNumber"], 16) - 1)


def capped(most: int, refuse: Callable[[int, int], Fault]) -> Tamper:
    """Refuses richer answers; refuse(first, last) gets a range that would do."""

    def tamper(logs: list[Log], first: int, last: int) -> list[Log]:
        if len(logs) > most and last > first:
            raise refuse(first, fitting(logs, first, most))
        return logs

    return tamper


def alchemy(first: int, last: int) -> Fault:
    return Fault(
        -32602,
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the "
        "response size, or you can request any block range with a cap of 10K logs in the response. Based on your "
        f"parameters and the response size limit, this block range should work: [{hex(first)}, {hex(last)}]",
    )


def infura(first: int, last: int) -> Fault:
    return Fault(
        -32005,
        f"query returned more than 10000 results. Try with this block range [{hex(first)}, {hex(last)}].",
        {"from": hex(first), "limit": 10000, "to": hex(last)},
    )


LIMITED: dict[str, Tamper] = {
    "Alchemy with a hint": capped(300, alchemy),
    "Infura with a hint": capped(300, infura),
    "Infura without a hint": capped(300, lambda *_: Fault(-32005, "query returned more than 10000 results")),
    "too large, no more said": capped(300, lambda *_: Fault(-32008, "Response is too big")),
    "a wrong hint": capped(300, lambda first, last: infura(first + 5000, last + 9000)),
    "100 blocks, named": at_most(100, -32000, "ranges over 100 blocks are not supported on freetier"),
    "100 blocks, not named": at_most(100, -32602, "block range is too wide"),
    "10 blocks, named": at_most(
        10, -32600, "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range."
    ),
    "10 blocks, not named": at_most(10, -32602, "block range is too large"),
}


@pytest.mark.parametrize("name", LIMITED)
async def test_limits_of_providers_are_learned_and_kept_to(
    name: str, database: Database, undisturbed: dict[str, Any]
) -> None:
    async with DemoChain(LIMITED[name]) as node:
        await index(database, node.url)
        widest = max(last - first + 1 for first, last in node.spans[len(node.spans) // 2 :])
        if "named" in name:
            assert widest <= int(name.split(maxsplit=1)[0])
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}


async def test_a_limit_is_remembered_by_the_next_run(database: Database) -> None:
    async with DemoChain(at_most(100, -32000, "ranges over 100 blocks are not supported on freetier")) as node:
        await index(database, node.url, to=400)
        before = len(node.spans)
        await index(database, node.url)
        assert max(last - first + 1 for first, last in node.spans[before:]) <= 100


async def test_a_lying_endpoint_beside_an_honest_one_does_no_harm(
    database: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    async with DemoChain(outside) as liar:
        await index(database, [liar.url, node.url])
        assert liar.count("eth_getLogs") > 0
    assert await outcome(database) == undisturbed


HOPELESS: dict[str, tuple[Tamper | None, str]] = {
    "always removed": (removed, "marked removed"),
    "always outside": (outside, "holds logs of blocks"),
    "always twice": (doubled, "came twice"),
    "always null": (null, "eth_getLogs"),
    "not one block": (at_most(0, -32602, "block range is too large"), "even one block"),
}


@pytest.mark.parametrize("name", HOPELESS)
async def test_a_node_that_never_tells_the_truth_ends_the_run_with_a_sentence(name: str, database: Database) -> None:
    tamper, words = HOPELESS[name]
    assert tamper is not None
    async with DemoChain(tamper) as node:
        with pytest.raises(IndexerError, match=words):
            await index(database, node.url)
    rows = await database.fetch("SELECT FROM flow")
    assert rows == []
    assert await complaints(database) == {}
    assert await database.fetch("SELECT FROM lease") == [], "what could not be read is given back"


async def test_after_the_node_is_well_again_the_next_run_goes_on(
    database: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    """The node dies half way: what was committed stays."""
    node.tamper = lambda logs, first, last: None if 600 < first < 1000 else logs
    with pytest.raises(IndexerError):
        await index(database, node.url)
    assert await complaints(database) == {}
    rows = await database.fetch("SELECT FROM range")
    assert rows != []
    node.tamper = lambda logs, first, last: logs
    await index(database, node.url)
    assert await outcome(database) == undisturbed


async def test_an_endpoint_that_refuses_the_key_ends_the_run(database: Database, node: DemoChain) -> None:
    node.script = Dice(1, 100, [lambda: Reply("invalid api key", 403)])
    with pytest.raises(NoEndpoint, match="http://127"):
        await index(database, node.url)


async def test_an_endpoint_of_another_chain_is_refused(database: Database, node: DemoChain) -> None:
    node.chain_id = CHAIN_ID + 1
    with pytest.raises(EndpointUnusable, match="31338"):
        await index(database, node.url)
