"""Several endpoints as one: fail-over, waiting, budgets and what is learnt, on real sockets and a made-up clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr

from indexer.chain.boarding import Queue, Trip
from indexer.chain.chains import Chain, load_chains
from indexer.chain.lane import Lane
from indexer.chain.limits import Limits
from indexer.chain.pace import SECOND, Pace
from indexer.chain.pool import Endpoints
from indexer.chain.refusals import HistoryMissing, Reverted, TagUnsupported
from indexer.chain.rpc import Endpoint
from indexer.errors import (
    EndpointBusy,
    EndpointFailed,
    EndpointLied,
    EndpointUnusable,
    IndexerError,
    NoEndpoint,
    Retry,
    TooMuch,
)
from tests.fakes.node import Fault, Node, Reply, error_reply

ETHEREUM = load_chains()["ethereum"]


@dataclass
class Clock:
    """Nanoseconds that pass only by sleeping."""

    at: int = 0
    slept: list[int] = field(default_factory=list)

    def now(self) -> int:
        return self.at

    async def sleep(self, nanoseconds: int) -> None:
        self.slept.append(nanoseconds)
        self.at += nanoseconds
        await asyncio.sleep(0)


@dataclass
class Scene:
    pool: Endpoints
    nodes: list[Node]
    clock: Clock

    @property
    def node(self) -> Node:
        return self.nodes[0]


@asynccontextmanager
async def scene(
    *answers: Any, chain_ids: tuple[int, ...] = (), timeout_s: int = 60, **how: Any
) -> AsyncIterator[Scene]:
    """A pool over one fake node per answering function, on a clock that needs no waiting."""
    async with AsyncExitStack() as stack:
        ids = chain_ids or (1,) * len(answers)
        nodes = [await stack.enter_async_context(Node(a, n)) for a, n in zip(answers, ids, strict=True)]
        endpoints = [Endpoint(SecretStr(f"{node.url}/SECRETKEY"), timeout_s=timeout_s) for node in nodes]
        pool, clock = Endpoints(ETHEREUM, endpoints, **how), Clock()
        pool.pace = Pace(clock.now, clock.sleep, Random(7))
        stack.push_async_callback(pool.close)
        yield Scene(pool, nodes, clock)


def echo(method: str, params: Any) -> Any:
    return params


def fails(code: int, message: str) -> Any:
    def answer(method: str, params: Any) -> Any:
        raise Fault(code, message)

    return answer


def logs_question(first: int, last: int, addresses: int = 1) -> list[object]:
    return [{"fromBlock": hex(first), "toBlock": hex(last), "address": ["0x" + "11" * 20] * addresses}]


async def test_requests_go_round_among_equally_good_endpoints() -> None:
    async with scene(echo, echo, echo) as s:
        for number in range(9):
            assert json.loads(await s.pool.call("eth_x", [number])) == [number]
        assert [node.count("eth_x") for node in s.nodes] == [3, 3, 3]
        assert s.pool.requests == 12
        assert s.pool.retries == 0
        assert sum(endpoint.bytes_in for endpoint in s.pool.endpoints) > 0


async def test_a_failing_endpoint_is_left_for_another_at_once() -> None:
    async with scene(echo, echo) as s:
        s.nodes[0].script.extend([Reply("<html>", 503)] * 5)
        s.nodes[1].script.extend([])
        for number in range(10):
            await s.pool.call("eth_x", [number])
        assert s.clock.slept == []
        assert s.pool.retries == 1
        assert s.nodes[1].count("eth_x") == 10


async def test_a_single_endpoint_is_tried_again_after_growing_waits() -> None:
    async with scene(echo) as s:
        s.node.script.extend([Reply("", 500)] * 8)
        assert await s.pool.call("eth_x", []) == b"[]"
        assert s.node.count("eth_x") == 9
        assert s.pool.retries == 8
        assert len(s.clock.slept) == 8
        assert all(slept <= SECOND // 4 << n for n, slept in enumerate(s.clock.slept))
        assert all(slept >= SECOND // 8 << n for n, slept in enumerate(s.clock.slept) if n >= 2), "the circuit opens"
        assert sum(s.clock.slept) > 8 * SECOND


async def test_waits_are_drawn_from_the_given_dice() -> None:
    slept = []
    for _ in range(2):
        async with scene(echo) as s:
            s.node.script.extend([Reply("", 500)] * 5)
            await s.pool.call("eth_x", [])
            slept.append(s.clock.slept)
    assert slept[0] == slept[1]
    assert len(set(slept[0])) == 5


async def test_after_the_last_attempt_the_last_error_is_raised() -> None:
    async with scene(echo, attempts=3) as s:
        s.node.script.extend([Reply("", 500)] * 3)
        with pytest.raises(EndpointFailed):
            await s.pool.call("eth_x", [])
        assert s.node.count("eth_x") == 3


async def test_retry_after_is_obeyed() -> None:
    async with scene(echo) as s:
        s.node.script.append(error_reply(429, 429, "slow down", Retry_After="17"))
        await s.pool.call("eth_x", [])
        assert 17 * SECOND <= s.clock.at <= 18 * SECOND


async def test_while_one_endpoint_waits_another_serves() -> None:
    async with scene(echo, echo) as s:
        s.nodes[0].script.append(Reply("", 429, {"Retry-After": "100"}))
        for number in range(6):
            await s.pool.call("eth_x", [number])
        assert s.clock.at == 0
        assert (s.nodes[0].count("eth_x"), s.nodes[1].count("eth_x")) == (1, 6)
        s.clock.at = 101 * SECOND
        await asyncio.gather(*(s.pool.call("eth_x", [n]) for n in range(16)))
        assert s.nodes[0].count("eth_x") > 1, "an endpoint comes back when its rest is over"


async def test_those_in_line_wait_with_an_endpoint_that_has_to_rest() -> None:
    rested = asyncio.Event()

    async with scene(echo, concurrency=1) as s:

        async def sleep(nanoseconds: int) -> None:
            await rested.wait()
            s.clock.at = 11 * SECOND

        s.pool.pace.sleep = sleep
        s.node.script.append(Reply("", 429, {"Retry-After": "10"}))
        asked = asyncio.gather(*(s.pool.call("eth_x", [n]) for n in range(4)))
        await asyncio.sleep(0.1)
        assert s.node.count("eth_x") == 1
        rested.set()
        await asked
        assert s.node.count("eth_x") == 5


async def test_a_success_makes_up_for_the_failures_before_it() -> None:
    async with scene(echo) as s:
        s.node.script.extend([Reply("", 500)] * 7)
        await s.pool.call("eth_x", [])
        before = s.clock.at
        s.node.script.append(Reply("", 500))
        await s.pool.call("eth_x", [])
        assert s.clock.at - before <= SECOND // 4


async def test_after_its_rest_an_endpoint_that_failed_comes_second() -> None:
    async with scene(echo, echo) as s:
        s.nodes[0].script.append(Reply("", 500))
        await s.pool.call("eth_x", [])
        s.clock.at += 60 * SECOND
        for number in range(6):
            await s.pool.call("eth_x", [number])
        assert [node.count("eth_x") for node in s.nodes] == [1, 7]


async def test_a_place_handed_to_a_question_just_given_up_goes_to_the_next() -> None:
    lane, queue = Lane(Endpoint(SecretStr("http://127.0.0.1:1"))), Queue()
    first, second = (asyncio.create_task(queue.wait(Trip(frozenset()), None)) for _ in range(2))
    await asyncio.sleep(0)
    queue.hand_over(lane)
    first.cancel()
    assert await second is lane
    assert lane.load == 1


async def test_many_failures_at_once_count_as_one() -> None:
    async with scene(echo, attempts=2) as s:
        await s.pool.verify()
        s.node.script.extend([Reply("", 500)] * 8)
        await asyncio.gather(*(s.pool.call("eth_x", [n]) for n in range(8)))
        assert s.clock.at < SECOND


async def test_too_much_passes_through_and_teaches() -> None:
    async with scene(fails(-32614, "eth_getLogs is limited to a 10,000 range"), echo) as s:
        question = [("eth_getLogs", logs_question(1, 50_000))]
        answers = [(await s.pool.batch(question))[0] for _ in range(2)]
        assert sorted(type(answer).__name__ for answer in answers) == ["RangeTooWide", "bytes"]
        with pytest.raises(TooMuch, match="limited to a 10,000 range"):
            await s.pool.ask("eth_getLogs", logs_question(1, 50_000), bytes, avoid=s.pool.endpoints[1:])
        assert s.pool.limits == Limits(max_blocks=10_000)
        assert sorted(kept.max_blocks or 0 for kept in s.pool.limits_by_fingerprint.values()) == [0, 10_000]
        assert all(len(key) == 16 and "SECRET" not in key for key in s.pool.limits_by_fingerprint)


async def test_unnamed_limits_are_learnt_from_the_question() -> None:
    async with scene(fails(-32000, "block range is too wide")) as s:
        with pytest.raises(TooMuch):
            await s.pool.call("eth_getLogs", logs_question(1, 1000))
        assert s.pool.limits == Limits(refused_blocks=1000)
    async with scene(fails(-32000, "specify less number of address")) as s:
        with pytest.raises(TooMuch):
            await s.pool.call("eth_getLogs", logs_question(1, 1000, 40))
        with pytest.raises(TooMuch):
            await s.pool.call("eth_getLogs", [{"blockHash": "0x00", "address": ["0x"] * 9}])
        assert s.pool.limits == Limits(max_addresses=20)


async def test_limits_of_an_earlier_run_are_taken_over() -> None:
    async with scene(echo) as s:
        fingerprint = next(iter(s.pool.limits_by_fingerprint))
        s.pool.restore({fingerprint: Limits(7), "other": Limits(1)})
        assert s.pool.limits == Limits(7)


async def test_a_method_refused_by_one_endpoint_goes_to_the_others_only() -> None:
    def no_logs(method: str, params: Any) -> Any:
        if method == "eth_getLogs":
            raise Fault(-32005, "limit exceeded")
        return params

    async with scene(no_logs, echo) as s:
        for _ in range(4):
            await s.pool.call("eth_getLogs", [])
            await s.pool.call("eth_x", [])
        assert s.nodes[0].count("eth_getLogs") <= 1
        assert s.nodes[0].count("eth_x") > 1


async def test_when_nobody_is_left_each_endpoint_is_named_with_its_reason() -> None:
    async with scene(fails(-32601, "method not found"), fails(-32000, "Monthly capacity limit exceeded")) as s:
        with pytest.raises(NoEndpoint) as caught:
            await s.pool.call("eth_getLogs", [])
        text = str(caught.value)
        assert "ethereum" in text
        assert "eth_getLogs" in text
        assert "SECRETKEY" not in text
        assert all(f"{node.url}: " in text for node in s.nodes)
        assert "method not found" in text
        assert "Monthly capacity" in text
        assert s.clock.slept == []


async def test_a_pool_without_endpoints_says_so() -> None:
    with pytest.raises(NoEndpoint, match="none is configured"):
        await Endpoints(ETHEREUM, []).call("eth_x", [])


async def test_pruned_history_is_no_reason_to_drop_an_endpoint() -> None:
    async with scene(fails(4444, "pruned history unavailable"), echo) as s:
        for _ in range(6):
            await s.pool.call("eth_x", [])
        assert s.nodes[0].count("eth_x") > 1
        assert s.clock.slept == []
    async with scene(fails(4444, "pruned history unavailable")) as s:
        with pytest.raises(NoEndpoint, match="archive endpoint"):
            await s.pool.call("eth_x", [])
        assert s.node.count("eth_x") == 1


async def test_a_block_not_found_may_come_later() -> None:
    left = 3

    def behind(method: str, params: Any) -> Any:
        nonlocal left
        left -= 1
        if left > 0:
            raise Fault(-32000, "header not found")
        return params

    async with scene(behind) as s:
        assert await s.pool.call("eth_x", []) == b"[]"
        assert len(s.clock.slept) == 2


async def test_a_block_never_found_ends_in_no_endpoint() -> None:
    async with scene(fails(-32000, "header not found"), attempts=4) as s:
        with pytest.raises((NoEndpoint, HistoryMissing), match="header not found"):
            await s.pool.call("eth_x", [])
        assert s.node.count("eth_x") == 4


async def test_an_unsupported_tag_is_told_once_every_endpoint_was_asked() -> None:
    async with scene(fails(-32000, "finalized block not found"), echo) as s:
        for _ in range(3):
            await s.pool.call("eth_x", [])
    async with scene(fails(-32000, "finalized block not found"), fails(-32000, "safe block not found")) as s:
        with pytest.raises(TagUnsupported):
            await s.pool.call("eth_x", [])


async def test_a_reverted_call_is_not_tried_again() -> None:
    async with scene(fails(3, "execution reverted")) as s:
        with pytest.raises(Reverted):
            await s.pool.call("eth_call", [])
        assert s.node.count("eth_call") == 1


async def test_another_chain_is_never_asked_anything_else() -> None:
    async with scene(echo, echo, chain_ids=(56, 1)) as s:
        for _ in range(4):
            await s.pool.call("eth_x", [])
        assert s.nodes[0].count("eth_x") == 0
        assert s.nodes[0].count("eth_chainId") == 1
        assert len(s.pool.endpoints) == 1


async def test_verify_names_the_endpoint_and_both_chain_ids() -> None:
    async with scene(echo, echo, chain_ids=(56, 1)) as s:
        with pytest.raises(EndpointUnusable) as caught:
            await s.pool.verify()
        assert str(caught.value).startswith(f"{s.nodes[0].url} serves chain id 56, but ethereum is 1")


async def test_verify_bears_with_one_endpoint_down_but_not_with_all() -> None:
    dead = Endpoint(SecretStr("http://127.0.0.1:1"))
    async with Node(echo) as node:
        pool = Endpoints(ETHEREUM, [dead, Endpoint(SecretStr(node.url))])
        await pool.verify()
        await pool.close()
    pool, clock = Endpoints(ETHEREUM, [dead]), Clock()
    pool.pace = Pace(clock.now, clock.sleep, Random(7))
    with pytest.raises(EndpointFailed):
        await pool.verify()
    assert clock.at > 60 * SECOND
    await dead.close()


async def test_a_hanging_endpoint_does_not_hold_up_the_others() -> None:
    async with scene(echo, echo, timeout_s=1) as s:
        await s.pool.verify()
        s.nodes[0].script.extend([Reply(how="hang")] * 4)
        answers = asyncio.gather(*(s.pool.call("eth_x", [n]) for n in range(40)))
        assert len(await asyncio.wait_for(answers, 5)) == 40
        assert s.nodes[1].count("eth_x") >= 20


async def test_requests_under_way_never_exceed_the_concurrency() -> None:
    under_way = most = 0

    class Counting(Endpoint):
        async def call(self, *asked: Any) -> bytes:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                return await super().call(*asked)
            finally:
                under_way -= 1

    async with Node(echo) as node:
        pool = Endpoints(ETHEREUM, [Counting(SecretStr(node.url))], concurrency=3)
        await pool.verify()
        await asyncio.gather(*(pool.call("eth_x", [n]) for n in range(30)))
        await pool.close()
        assert most == 3
        assert node.connections <= 3


async def test_questions_given_up_while_waiting_leave_their_places_to_others() -> None:
    async with scene(echo, concurrency=2) as s:
        await s.pool.verify()
        s.node.delay = 0.01
        asked = [asyncio.create_task(s.pool.call("eth_x", [n])) for n in range(60)]
        for number, task in enumerate(asked):
            await asyncio.sleep(0.002 if number % 5 == 0 else 0)
            if number % 3:
                task.cancel()
        done = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)
        assert [json.loads(answer)[0] for answer in done if isinstance(answer, bytes)][-1] == 57
        assert await asyncio.wait_for(s.pool.batch([("eth_x", [n]) for n in range(5)]), 5)
        assert [lane.load for lane in s.pool._lanes] == [0]


async def test_a_thousand_questions_wait_in_line_without_waking_one_another() -> None:
    async with scene(echo, concurrency=4) as s:
        wakes = 0
        looked = s.pool._boarding._candidates

        def counting(trip: Any) -> Any:
            nonlocal wakes
            wakes += 1
            return looked(trip)

        s.pool._boarding._candidates = counting  # type: ignore[method-assign]
        answers = await asyncio.gather(*(s.pool.call("eth_x", [n]) for n in range(1000)))
        assert [json.loads(answer)[0] for answer in answers] == list(range(1000))
        assert wakes == 1000


async def test_those_who_wait_for_an_endpoint_that_turns_out_unusable_are_told() -> None:
    async with scene(fails(-32601, "method not found"), concurrency=1) as s:
        errors = await asyncio.gather(*(s.pool.call("eth_x", [n]) for n in range(20)), return_exceptions=True)
        assert {type(error) for error in errors} == {NoEndpoint}
        assert s.node.count("eth_x") == 1


async def test_a_budget_spaces_requests_and_counts_batch_items() -> None:
    async with scene(echo, requests_per_second=10) as s:
        await s.pool.verify()
        await asyncio.gather(*(s.pool.call("eth_x", [n]) for n in range(11)))
        assert s.clock.at >= SECOND
        before = s.clock.at
        await s.pool.batch([("eth_x", [n]) for n in range(20)])
        await s.pool.call("eth_x", [])
        assert s.clock.at - before >= 2 * SECOND


async def test_a_budget_holds_for_its_own_endpoint_only() -> None:
    async with scene(echo, echo, requests_per_second=[1, None]) as s:
        await s.pool.verify()
        before = s.clock.at
        for number in range(20):
            await s.pool.call("eth_x", [number])
        assert s.clock.at - before < 12 * SECOND, "the one without a budget is not held back"
        assert s.nodes[1].count("eth_x") > s.nodes[0].count("eth_x")


async def test_a_reader_that_finds_a_lie_sends_the_question_elsewhere() -> None:
    def read(answer: bytes) -> int:
        if answer == b'"lie"':
            raise EndpointLied("that is no number")
        return int(answer)

    async with scene(lambda method, params: "lie", lambda method, params: 5) as s:
        number, endpoint = await s.pool.ask("eth_x", [], read)
        assert number == 5
        assert endpoint.name == s.nodes[1].url
        assert await s.pool.ask("eth_x", [], read) == (5, endpoint)
        assert s.nodes[0].count("eth_x") == 1, "the liar rests"


async def test_a_reader_may_find_an_endpoint_unusable_for_one_question() -> None:
    def read(answer: bytes) -> bytes:
        if answer == b'"partial"':
            raise EndpointUnusable("its receipts are pruned")
        return answer

    async with scene(lambda method, params: "partial") as s:
        with pytest.raises(NoEndpoint, match="receipts are pruned"):
            await s.pool.ask("eth_x", [], read)
        assert s.node.count("eth_x") == 1
        assert await s.pool.call("eth_x", []) == b'"partial"'


async def test_a_second_witness_is_another_endpoint() -> None:
    async with scene(echo, echo) as s:
        for _ in range(4):
            _, first = await s.pool.ask("eth_x", [], bytes)
            _, second = await s.pool.ask("eth_x", [], bytes, avoid=[first])
            assert first is not second
        with pytest.raises(NoEndpoint):
            await s.pool.ask("eth_x", [], bytes, avoid=s.pool.endpoints)


async def test_together_means_one_endpoint_and_one_http_request() -> None:
    async with scene(lambda m, p: "a", lambda m, p: "b") as s:
        await s.pool.verify()
        for _ in range(4):
            found, _ = await s.pool.together([("eth_x", []), ("eth_y", [])], lambda answers: answers)
            assert found in ([b'"a"', b'"a"'], [b'"b"', b'"b"'])
        assert sum(node.http for node in s.nodes) == 2 + 4


async def test_a_batch_keeps_the_order_over_many_parts() -> None:
    async with scene(echo, echo) as s:
        answers = await s.pool.batch([("eth_x", [n]) for n in range(950)])
        assert [json.loads(a)[0] for a in answers if isinstance(a, bytes)] == list(range(950))
        assert sum(node.http for node in s.nodes) == 2 + 10
        assert await s.pool.batch([]) == []


@pytest.mark.parametrize("most", [10, 1])
async def test_an_endpoint_that_takes_only_small_batches_or_none_gets_what_it_takes(most: int) -> None:
    async with scene(echo) as s:
        s.node.max_batch = most
        answers = await s.pool.batch([("eth_x", [n]) for n in range(60)])
        assert [json.loads(a)[0] for a in answers if isinstance(a, bytes)] == list(range(60))
        again = s.node.http
        await s.pool.batch([("eth_x", [n]) for n in range(60)])
        assert s.node.http - again <= 60 // most * 2, "what was learnt is kept"
        assert s.clock.slept == []


async def test_only_the_failed_items_of_a_batch_are_asked_again() -> None:
    seen: dict[int, int] = {}

    def sometimes(method: str, params: Any) -> Any:
        seen[params[0]] = seen.get(params[0], 0) + 1
        if params[0] == 13 and seen[13] < 3:
            raise Fault(-32000, "overloaded")
        if params[0] == 7:
            raise Fault(3, "execution reverted")
        return params[0]

    async with scene(sometimes) as s:
        answers = await s.pool.batch([("eth_call", [n]) for n in range(20)])
        assert isinstance(answers[7], Reverted)
        assert [a for n, a in enumerate(answers) if n != 7] == [str(n).encode() for n in range(20) if n != 7]
        assert seen[13] == 3
        assert seen[12] == 1


async def test_items_that_never_come_are_errors_in_their_place() -> None:
    def answer(method: str, params: Any) -> Any:
        if params[0] == 1:
            raise Fault(-32000, "overloaded")
        return params[0]

    async with scene(answer, attempts=3) as s:
        answers = await s.pool.batch([("eth_x", [n]) for n in range(3)])
        assert [type(a) for a in answers] == [bytes, EndpointFailed, bytes]


async def test_a_batch_without_an_endpoint_left_is_refused() -> None:
    async with scene(fails(-32601, "method not found")) as s:
        with pytest.raises(NoEndpoint):
            await s.pool.batch([("eth_x", [n]) for n in range(3)])


async def test_a_wrong_key_takes_the_endpoint_out_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Node(echo) as node:
        endpoint = Endpoint(SecretStr(node.url))

        async def refuse(*_: object) -> bytes:
            raise EndpointUnusable(f"{endpoint.name}: check its key.")

        monkeypatch.setattr(endpoint, "call", refuse)
        pool = Endpoints(ETHEREUM, [endpoint])
        with pytest.raises(NoEndpoint, match="check its key"):
            await pool.call("eth_x", [])
        assert pool.endpoints == []
        await pool.close()


async def test_a_seeded_storm_of_faults_loses_no_answer() -> None:
    """Three endpoints that fail in every way at random: each question gets its own answer or a Retry."""
    dice = Random(11)
    replies = [
        lambda: Reply("", 503),
        lambda: Reply("", 429, {"Retry-After": "2"}),
        lambda: Reply("{", how="reset"),
        lambda: Reply('{"jsonrpc":"2.0"', how="truncated"),
        lambda: Reply({"jsonrpc": "2.0", "id": 999_999, "result": 1}),
        lambda: Reply("<html>"),
    ]
    async with scene(echo, echo, echo, attempts=40) as s:
        for node in s.nodes:
            node.script.extend(dice.choice(replies)() for _ in range(30))
        answers = await asyncio.gather(*(s.pool.call("eth_x", [n]) for n in range(100)))
        assert [json.loads(answer) for answer in answers] == [[n] for n in range(100)]
        assert s.pool.retries >= 30


def test_chains_are_loaded_whole_and_anew() -> None:
    chains = load_chains()
    assert {name: chain.chain_id for name, chain in chains.items()} == {
        "ethereum": 1,
        "arbitrum": 42161,
        "optimism": 10,
        "base": 8453,
        "polygon": 137,
        "bnb": 56,
        "avalanche": 43114,
    }
    slot_timed = {name: chain.slot_timed_from for name, chain in chains.items() if chain.slot_timed_from is not None}
    assert slot_timed == {"ethereum": 15_537_394, "optimism": 105_235_063, "base": 0}
    assert all(chain.multicall3.hex() == "ca11bde05977b3631167028862be2a173976ca11" for chain in chains.values())
    chains["mine"] = Chain("mine", 31337, 1000, None, 0, b"", None)
    assert "mine" not in load_chains()


def test_the_errors_of_a_pool_are_told_apart() -> None:
    assert issubclass(EndpointBusy, Retry)
    assert issubclass(HistoryMissing, EndpointUnusable)
    assert not issubclass(Reverted, Retry)
    assert issubclass(Reverted, IndexerError)
