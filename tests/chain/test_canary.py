"""The canary: a header's bloom filter convicts a node that leaves logs out, and never one that does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from indexer.chain.canary import TRIES, Canary, Verdict, bloom_of, canary
from indexer.chain.logs import parse
from indexer.chain.rpc import Endpoint
from indexer.model import Span
from tests.fakes.node import Fault, Node, Reply
from tests.simulation.node import honest, recorded

HEAD = recorded().chain.head


async def shown(answer: Any, first: int = 0) -> tuple[Canary, Node]:
    async with Node(answer) as node:
        endpoint = Endpoint(SecretStr(node.url))
        try:
            return await canary(endpoint, first, HEAD), node
        finally:
            await endpoint.close()


def busy() -> int:
    """A block with several logs."""
    return next(block for block in range(HEAD) if len(logs_of(block)) > 3)


def logs_of(block: int) -> list[dict[str, Any]]:
    return honest("eth_getLogs", [{"fromBlock": hex(block), "toBlock": hex(block)}])


@pytest.mark.parametrize("block", range(0, HEAD, 37))
def test_the_filter_of_a_blocks_logs_is_its_headers(block: int) -> None:
    """On every block of the recorded chain: what the client that made it computed."""
    header = honest("eth_getBlockByNumber", [hex(block), False])
    answer = parse(json.dumps(logs_of(block)).encode(), Span(block, block))
    assert bloom_of(answer) == int(header["logsBloom"], 16)


async def test_an_honest_node_is_whole() -> None:
    seen, node = await shown(honest, busy())
    assert (seen.verdict, seen.block) == (Verdict.WHOLE, busy())
    assert node.count("eth_getLogs") == 1


async def test_faults_on_the_way_are_no_verdict() -> None:
    async with Node(honest) as node:
        node.script.extend([Reply(how="hang"), Reply("", 500), Reply(how="reset")])
        endpoint = Endpoint(SecretStr(node.url))
        try:
            assert (await canary(endpoint, busy(), HEAD)).verdict == Verdict.WHOLE
        finally:
            await endpoint.close()


async def test_a_rest_that_is_asked_for_is_given() -> None:
    """An endpoint at its rate limit is no unknown: it would be believed."""
    async with Node(lambda method, params: [] if method == "eth_getLogs" else honest(method, params)) as node:
        node.script.extend([Reply("", 429, {"Retry-After": "0"})] * 3)
        endpoint = Endpoint(SecretStr(node.url))
        try:
            assert (await canary(endpoint, busy(), HEAD)).verdict == Verdict.EMPTY
        finally:
            await endpoint.close()


@given(st.data())
def test_whatever_is_left_out_shows_unless_the_filter_cannot_tell(data: st.DataObject) -> None:
    """A missing log is noticed exactly if it had a bit of its own: never is a whole answer called partial."""
    block = data.draw(st.sampled_from([block for block in range(HEAD) if len(logs_of(block)) > 1][:50]))
    kept = data.draw(st.lists(st.sampled_from(logs_of(block)), unique_by=lambda log: log["logIndex"]))
    whole, part = (bloom_of(parse(json.dumps(logs).encode(), Span(block, block))) for logs in (logs_of(block), kept))
    assert part & ~whole == 0
    if len(kept) == len(logs_of(block)):
        assert part == whole


async def test_nothing_where_something_must_be() -> None:
    seen, _ = await shown(lambda method, params: [] if method == "eth_getLogs" else honest(method, params), busy())
    assert (seen.verdict, seen.block) == (Verdict.EMPTY, busy())


async def test_only_a_part() -> None:
    seen, _ = await shown(
        lambda method, params: honest(method, params)[:1] if method == "eth_getLogs" else honest(method, params), busy()
    )
    assert seen.verdict is Verdict.PARTIAL


async def test_logs_beyond_the_header_are_no_fault() -> None:
    """Polygon's state-sync logs are in the answer and not in the header's filter."""

    extra = {**logs_of(busy())[0], "logIndex": "0xffff", "address": "0x" + "77" * 20}
    seen, _ = await shown(
        lambda method, params: [*honest(method, params), extra] if method == "eth_getLogs" else honest(method, params),
        busy(),
    )
    assert seen.verdict is Verdict.WHOLE


async def test_a_refusal_is_told_as_one() -> None:
    def answer(method: str, params: Sequence[Any]) -> Any:
        if method == "eth_getLogs":
            raise Fault(4444, "pruned history unavailable")
        return honest(method, params)

    seen, _ = await shown(answer, busy())
    assert seen.verdict is Verdict.REFUSED
    assert "4444: pruned history unavailable" in seen.says


@pytest.mark.parametrize(
    ("bloom", "headers"), [("0x" + "0" * 512, TRIES), ("0x0", TRIES), ("0x" + "f" * 512, 1), (None, 1)]
)
async def test_without_a_filter_nothing_is_known(bloom: str | None, headers: int) -> None:
    """Some chains leave it out, some nodes set every bit: no node is blamed, and further headers would be the same."""
    seen, node = await shown(lambda method, params: honest(method, params) | {"logsBloom": bloom})
    assert seen.verdict is Verdict.UNKNOWN
    assert node.count("eth_getBlockByNumber") == headers
    assert node.count("eth_getLogs") == 0


async def test_quiet_blocks_are_passed_over() -> None:
    """The first block with logs at growing distances is asked about."""
    quiet = next(block for block in range(HEAD) if not logs_of(block))
    seen, _ = await shown(honest, quiet)
    assert seen.verdict in (Verdict.WHOLE, Verdict.UNKNOWN)
    if seen.verdict is Verdict.WHOLE:
        assert logs_of(seen.block)


@pytest.mark.parametrize("answer", [None, [], "x", {"logsBloom": "zz"}])
async def test_a_header_that_makes_no_sense_proves_nothing(answer: Any) -> None:
    seen, _ = await shown(lambda method, params: answer, busy())
    assert seen.verdict is Verdict.UNKNOWN
    assert seen.says


async def test_a_node_that_does_not_serve_the_question_proves_nothing() -> None:
    def answer(method: str, params: Sequence[Any]) -> Any:
        if method == "eth_getLogs":
            raise Fault(-32000, "please specify an address in your request")
        return honest(method, params)

    seen, _ = await shown(answer, busy())
    assert seen.verdict is Verdict.UNKNOWN
    assert "please specify an address" in seen.says
