"""One endpoint: every way to answer badly becomes a typed error, and no secret is ever shown."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hexbytes import HexBytes
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from web3.datastructures import AttributeDict
from web3.types import RPCEndpoint

from indexer.chain.refusals import HistoryMissing, RangeTooWide, Reverted
from indexer.chain.rpc import BatchRefused, Endpoint, Signs, quantity
from indexer.chain.web3_provider import Web3Provider, web3
from indexer.errors import BadInput, EndpointBusy, EndpointFailed, EndpointLied, EndpointUnusable, IndexerError, TooMuch
from tests.fakes.node import Blocks, Fault, Node, Reply, error_reply


def echo(method: str, params: Any) -> Any:
    return [method, params]


@asynccontextmanager
async def serving(answer: Any = echo, **how: Any) -> AsyncIterator[tuple[Node, Endpoint]]:
    async with Node(answer) as node:
        endpoint = Endpoint(SecretStr(node.url), **how)
        try:
            yield node, endpoint
        finally:
            await endpoint.close()


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


async def failing(reply: Reply, method: str = "eth_getLogs", **how: Any) -> IndexerError:
    """What a call raises that meets this reply."""
    async with serving(**how) as (node, endpoint):
        node.script.append(reply)
        with pytest.raises(IndexerError) as caught:
            await endpoint.call(method, [])
        assert str(caught.value).startswith(endpoint.name)
        return caught.value


async def test_call_gives_the_json_text_of_the_result() -> None:
    async with serving() as (_, endpoint):
        assert json.loads(await endpoint.call("eth_x", ["0x1", None, {"a": [1]}])) == [
            "eth_x",
            ["0x1", None, {"a": [1]}],
        ]


async def test_a_null_result_is_null_and_not_an_error() -> None:
    async with serving(lambda method, params: None) as (_, endpoint):
        assert await endpoint.call("eth_getBlockByNumber", ["0x1", False]) == b"null"


async def test_many_requests_share_one_connection_and_are_counted() -> None:
    async with serving() as (node, endpoint):
        for _ in range(20):
            await endpoint.call("eth_a", [])
        await endpoint.batch([("eth_b", []), ("eth_a", [])])
        assert node.connections == 1
        assert endpoint.requests == {"eth_a": 21, "eth_b": 1}
        assert endpoint.http == node.http == 21
        assert endpoint.bytes_in > 21 * 20


@pytest.mark.parametrize("status", [200, 400, 413, 429, 500, 503])
async def test_a_json_error_is_understood_under_any_status(status: int) -> None:
    error = await failing(error_reply(status, -32614, "eth_getLogs is limited to a 10,000 range"))
    assert isinstance(error, RangeTooWide)
    assert error.max_blocks == 10_000


async def test_an_error_beside_a_null_result_is_an_error() -> None:
    body = {"jsonrpc": "2.0", "id": 1, "result": None, "error": {"code": 4444, "message": "pruned history unavailable"}}
    assert isinstance(await failing(Reply(body)), HistoryMissing)


async def test_an_error_that_is_a_plain_text_is_understood() -> None:
    assert isinstance(await failing(Reply({"error": "Too many requests"}, 200)), EndpointBusy)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        (None, None, None),
        ("7", 7, 7),
        ("soon", None, None),
        (600, 500, 601),
        (-600, 0, 0),
        ("-5", None, None),
    ],
)
@pytest.mark.parametrize("body", ["", {"jsonrpc": "2.0", "id": 1, "error": {"code": 429, "message": "slow down"}}])
async def test_429_is_busy_for_as_long_as_the_header_says(
    header: str | int | None, least: int | None, most: int | None, body: Any
) -> None:
    """A number stands for a date so many seconds from now."""
    if isinstance(header, int):
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=header), usegmt=True)
    error = await failing(Reply(body, 429, {} if header is None else {"Retry-After": header}))
    assert isinstance(error, EndpointBusy)
    if least is None or most is None:
        assert error.retry_after is None
    else:
        assert error.retry_after is not None
        assert least <= error.retry_after <= most


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply("", 401), EndpointUnusable),
        (Reply("", 402), EndpointUnusable),
        (Reply("forbidden", 403), EndpointUnusable),
        (Reply("request rate too high", 403), EndpointBusy),
        (Reply("", 413), TooMuch),
        (Reply("boom", 500), EndpointFailed),
        (Reply("<html><title>503</title></html>", 503), EndpointFailed),
        (Reply("<html>maintenance</html>", 200), EndpointFailed),
        (Reply("", 200), EndpointFailed),
        (Reply("", 204), EndpointFailed),
        (Reply("", 302, {"Location": "http://127.0.0.1:9/elsewhere"}), EndpointFailed),
        (Reply('{"jsonrpc":"2.0","id":1,"result":[1,2', 200), EndpointFailed),
        (Reply('{"jsonrpc":"2.0","id":1}', 200), EndpointFailed),
        (Reply('{"jsonrpc":"2.0","id":1,"result":[]}', 500), EndpointFailed),
        (Reply('{"jsonrpc":"2.0","id":77,"result":[]}', 200), EndpointFailed),
        (Reply('{"jsonrpc":"2.0","id":null,"result":[]}', 200), EndpointFailed),
        (Reply("[]", 200), EndpointFailed),
        (Reply("[" * 100_000, 200), EndpointFailed),
        (Reply('{"id":1,"error":' + "[" * 100_000, 200), EndpointFailed),
        (Reply({"id": 1, "error": {"message": "x", "data": nested(900)}}), EndpointFailed),
        (Reply(b'{"id":1,"error":"\xff\xfe"}', 200), EndpointFailed),
        (Reply('{"jsonrpc":"2.0","id":1,"result":[]}', how="truncated"), EndpointFailed),
        (Reply("{", how="reset"), EndpointFailed),
    ],
)
async def test_every_other_bad_answer_has_its_class(reply: Reply, kind: type[IndexerError]) -> None:
    assert type(await failing(reply)) is kind


async def test_a_redirect_is_never_followed_with_a_key() -> None:
    async with Node(echo) as elsewhere:
        for status in (301, 302, 307, 308):
            assert type(await failing(Reply("", status, {"Location": elsewhere.url}))) is EndpointFailed
        assert elsewhere.http == 0


def test_no_request_has_id_zero() -> None:
    """Some servers answer id 0 with id null."""
    assert Endpoint(SecretStr("http://127.0.0.1:1"))._request("eth_chainId", []).id == 1


async def test_no_answer_in_time_is_a_failure() -> None:
    error = await failing(Reply(how="hang"), timeout_s=1)
    assert type(error) is EndpointFailed
    assert "within 1 s" in str(error)


async def test_silence_is_cut_long_before_the_time_for_a_whole_answer() -> None:
    async with serving(timeout_s=30) as (node, endpoint):
        node.script.extend([Reply(how="hang")])
        signs = Signs(silence=200_000_000)
        with pytest.raises(EndpointFailed, match="silent for too long"):
            await asyncio.wait_for(endpoint.call("eth_x", [], signs), 5)
        assert not signs.heard
        await endpoint.call("eth_x", [], signs)
        assert signs.heard


async def test_a_connection_that_was_idle_for_longer_than_that_is_as_good_as_new() -> None:
    """aiohttp starts its read timer anew where a large answer that had stopped goes on, also at its very end."""
    async with serving(echo) as (node, endpoint):
        await endpoint.call("eth_x", [], Signs(silence=50_000_000))
        (session,) = endpoint._sessions.values()
        assert session.connector is not None
        ((connection, *_),) = (idle[0] for idle in session.connector._conns.values())
        connection._reading_paused = True
        connection.resume_reading()
        await asyncio.sleep(0.1)
        await endpoint.call("eth_x", [], Signs(silence=50_000_000))
        assert node.connections == 1


@pytest.mark.parametrize("how", ["endless", "bomb"])
@pytest.mark.parametrize(("method", "kind"), [("eth_getLogs", TooMuch), ("eth_getBlockByNumber", EndpointFailed)])
async def test_reading_stops_at_the_cap(how: Any, method: str, kind: type[IndexerError]) -> None:
    async with serving(max_bytes=1_000_000) as (node, endpoint):
        node.script.append(Reply(b" " * 20_000_000 if how == "bomb" else b" ", how=how))
        with pytest.raises(kind, match="over 1000000 octets"):
            await endpoint.call(method, [])
        assert endpoint.bytes_in < 3_000_000


async def test_a_refused_connection_or_an_unknown_name_is_a_failure() -> None:
    for url in ("http://127.0.0.1:1", "http://no-such-host.invalid"):
        endpoint = Endpoint(SecretStr(url))
        with pytest.raises(EndpointFailed, match=endpoint.name):
            await endpoint.call("eth_chainId", [])
        await endpoint.close()


async def test_plain_http_behind_an_https_url_is_a_failure() -> None:
    async with Node(echo) as node:
        endpoint = Endpoint(SecretStr(node.url.replace("http:", "https:")))
        with pytest.raises(EndpointFailed):
            await endpoint.call("eth_chainId", [])
        await endpoint.close()


async def test_a_batch_out_of_order_is_put_back_in_order() -> None:
    async with serving(lambda method, params: params[0]) as (node, endpoint):
        node.shape = lambda answers: answers[::-1]
        assert await endpoint.batch([("eth_x", [n]) for n in range(5)]) == [b"0", b"1", b"2", b"3", b"4"]


async def test_missing_doubled_and_failing_items_of_a_batch_are_errors_of_their_own() -> None:
    def answer(method: str, params: Any) -> Any:
        if params[0] == 3:
            raise Fault(3, "execution reverted")
        return params[0]

    async with serving(answer) as (node, endpoint):
        node.shape = lambda answers: [answers[0], answers[0], *answers[2:]]
        answers = await endpoint.batch([("eth_call", [n]) for n in range(5)])
        assert [type(a) for a in answers] == [EndpointFailed, EndpointFailed, bytes, Reverted, bytes]
        assert "2 times" in str(answers[0])
        assert "0 times" in str(answers[1])


@pytest.mark.parametrize(
    ("reply", "kind", "max_items"),
    [
        (error_reply(200, -32600, "batch requests are not supported"), BatchRefused, None),
        (error_reply(400, -32600, "batch size 50 exceeds limit of 10"), BatchRefused, 10),
        (error_reply(200, -32000, "maximum batch limit exceeded"), BatchRefused, None),
        (error_reply(200, -32601, "Method not found"), BatchRefused, None),
        (Reply("", 413), BatchRefused, None),
        (Reply("", 405), BatchRefused, None),
        (Reply({"jsonrpc": "2.0", "id": 1, "result": "0x1"}), BatchRefused, None),
        (error_reply(429, 429, "slow down"), EndpointBusy, None),
        (error_reply(200, -32000, "too many requests"), EndpointBusy, None),
        (error_reply(503, -32000, "overloaded"), EndpointFailed, None),
        (Reply("<html>", 502), EndpointFailed, None),
    ],
)
async def test_one_error_for_a_whole_batch_tells_refused_batches_from_refused_requests(
    reply: Reply, kind: type[IndexerError], max_items: int | None
) -> None:
    async with serving() as (node, endpoint):
        node.script.append(reply)
        with pytest.raises(IndexerError) as caught:
            await endpoint.batch([("eth_x", []), ("eth_y", [])])
        assert type(caught.value) is kind
        if isinstance(caught.value, BatchRefused):
            assert caught.value.max_items == max_items


async def test_web3_works_over_the_same_connection_and_counters() -> None:
    blocks = Blocks(lambda number: 1000 + number * 12, head=100, finalized=90)

    def answer(method: str, params: Any) -> Any:
        return "0x2a" if method == "eth_call" else blocks(method, params)

    async with serving(answer) as (node, endpoint):
        client = web3(endpoint)
        assert await client.eth.chain_id == 1
        assert (await client.eth.get_block("finalized"))["number"] == 90
        call: Any = {"to": "0x" + "11" * 20, "data": "0x"}
        assert await client.eth.call(call, 90) == b"\x2a"
        assert node.connections == 1
        assert endpoint.requests["eth_getBlockByNumber"] == endpoint.requests["eth_call"] == 1
        assert endpoint.requests.total() == endpoint.http == node.http  # web3 itself asks eth_chainId more than once


async def test_web3_batches_work_too() -> None:
    async with serving(Blocks(lambda number: number, head=9)) as (node, endpoint):
        client = web3(endpoint)
        async with client.batch_requests() as batch:
            batch.add(client.eth.get_block(3))
            batch.add(client.eth.get_block(4))
            found: Any = await batch.async_execute()
        assert [block["number"] for block in found] == [3, 4]
        assert node.http == 1


async def test_web3_meets_our_errors() -> None:
    async with serving() as (node, endpoint):
        node.script.append(error_reply(413, -32614, "eth_getLogs is limited to a 5 range"))
        with pytest.raises(RangeTooWide):
            await web3(endpoint).eth.get_logs({"fromBlock": 1, "toBlock": 9})


async def test_web3s_own_types_reach_the_node_as_json() -> None:
    async with serving(echo) as (node, endpoint):
        await Web3Provider(endpoint).make_request(RPCEndpoint("eth_x"), [HexBytes("0x01"), AttributeDict({"a": 1})])
        assert node.asked == [("eth_x", ["0x01", {"a": 1}])]


async def test_a_run_needs_no_web3() -> None:
    """Its import would more than double the time that a command takes to start."""
    asked = "import sys, indexer.app, indexer.cli; sys.exit('web3' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", asked)
    assert await process.wait() == 0


def test_deeply_nested_json_cannot_overflow_the_stack() -> None:
    """web3's imports raise the recursion limit so far that a decoder would crash the process first."""
    assert sys.getrecursionlimit() <= 3000


async def test_after_close_a_call_opens_a_new_connection() -> None:
    async with serving() as (node, endpoint):
        await endpoint.call("eth_x", [])
        await endpoint.close()
        await endpoint.close()
        await endpoint.call("eth_x", [])
        assert node.connections == 2


def test_each_event_loop_gets_its_own_session() -> None:
    async def once(endpoint: Endpoint | None) -> Endpoint:
        async with Node(echo) as node:
            endpoint = endpoint or Endpoint(SecretStr("http://127.0.0.1:1"))
            with pytest.raises(EndpointFailed):
                await endpoint.call("eth_x", [])
            assert node.http == 0
            await endpoint.close()
        return endpoint

    endpoint = asyncio.run(once(None))
    asyncio.run(once(endpoint))
    gc.collect()


@pytest.mark.parametrize(
    "url", ["", "ftp://host/x", "canarykey", "http://", "http://[bad", "https:///canarykey", "ws://h/canarykey"]
)
def test_a_bad_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        Endpoint(SecretStr(url))
    assert "canarykey" not in "".join(traceback.format_exception(caught.value))


def test_two_ways_to_sign_in_are_refused() -> None:
    with pytest.raises(BadInput, match="not both"):
        Endpoint(SecretStr("http://u:p@host"), headers={"authorization": SecretStr("Bearer x")})


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:pass@node.example/v2/KEY?k=1", "https://node.example"),
        ("https://node.example:443/", "https://node.example"),
        ("http://node.example:8545", "http://node.example:8545"),
    ],
)
def test_an_endpoint_is_shown_by_scheme_host_and_port(url: str, name: str) -> None:
    endpoint = Endpoint(SecretStr(url))
    assert endpoint.name == name
    assert str(endpoint) == repr(endpoint) == f"Endpoint({name})"
    assert len(endpoint.fingerprint) == 16
    assert endpoint.fingerprint == Endpoint(SecretStr(url)).fingerprint
    assert endpoint.fingerprint != Endpoint(SecretStr(url.replace("node", "other"))).fingerprint


CANARY = "canary0key%2Fpart"
SPOKEN = ["canary0key", "CANARY0HEADER", "canary0user", "canary0pass"]
ECHO = json.dumps(
    {
        "id": 1,
        "error": {
            "code": -32000,
            "message": "bad key canary0key%2Fpart canary0key/part CANARY0HEADER at /v2/canary0key%2Fpart",
            "data": {"canary0user-canary0pass": ["Bearer CANARY0HEADER", "canary0user", "canary0pass"]},
        },
    }
)
PAGE = f"<html>no such page: /v2/{CANARY}?key={CANARY} for canary0user:canary0pass, CANARY0HEADER</html>"


def every_failure() -> list[Reply]:
    shown = [Reply(ECHO, status) for status in (200, 400, 401, 403, 413, 429, 500)]
    shown += [Reply(PAGE, status) for status in (200, 301, 400, 401, 403, 404, 413, 429, 500, 503)]
    cut: list[Any] = ["reset", "truncated", "hang", "endless", "bomb"]
    return shown + [Reply(b" " * 300_000, how=how) for how in cut]


async def test_no_key_reaches_logs_exceptions_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("web3", "web3.providers.AsyncHTTPProvider", "aiohttp.client", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    shown: list[str] = []
    async with Node(echo) as node:
        host = node.url.removeprefix("http://")
        urls = [
            f"http://canary0user:canary0pass@{host}/v2/{CANARY}?key={CANARY}",
            f"http://canary0user:canary0pass@127.0.0.1:1/v2/{CANARY}?key={CANARY}",
            f"http://canary0user:canary0pass@no-such-host.invalid/v2/{CANARY}?key={CANARY}",
            f"https://canary0user:canary0pass@{host}/v2/{CANARY}?key={CANARY}",
        ]
        for url in urls:
            headers = {"X-Key": SecretStr("Bearer CANARY0HEADER")}
            endpoint = Endpoint(SecretStr(url), timeout_s=1, max_bytes=200_000, headers=headers)
            shown += [repr(endpoint), str(endpoint), repr(vars(endpoint))]
            for reply in every_failure() if url == urls[0] else [Reply()]:
                node.script.extend([reply] * 3)
                shown += await failures(endpoint)
                node.script.clear()
            await endpoint.close()
        assert any("canary0key" in str(headers) or "CANARY0HEADER" in str(headers) for headers in node.headers)
    gc.collect()
    text = "\n".join([*shown, caplog.text, *(str(vars(record)) for record in caplog.records)])
    assert [spoken for spoken in SPOKEN if spoken.lower() in text.lower()] == []


async def failures(endpoint: Endpoint) -> list[str]:
    """All that can be seen of what a single call, a batch and a web3 call raise, contexts included."""
    shown: list[str] = []
    for attempt in (
        endpoint.call("eth_getLogs", []),
        endpoint.batch([("eth_getLogs", []), ("eth_chainId", [])]),
        web3(endpoint).eth.get_block("latest"),
    ):
        try:
            await attempt
        except Exception as error:
            link: BaseException | None = error
            while link is not None:
                shown += ["".join(traceback.format_exception(link)), repr(link), str(vars(link))]
                link = link.__cause__ or link.__context__
    return shown


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"id": 1, "error": text}).encode()))
def test_whatever_comes_is_a_result_or_a_typed_error(body: bytes) -> None:
    """The reading of a body raises nothing but our own errors."""
    endpoint = Endpoint(SecretStr("http://127.0.0.1:1"))

    async def given_body(*_: object) -> Any:
        from indexer.chain.rpc import _Reply

        return _Reply(200, None, bytearray(body))

    endpoint._post = given_body  # type: ignore[method-assign, assignment]
    questions: list[Any] = [endpoint.call("eth_getLogs", []), endpoint.batch([("eth_getLogs", [])])]
    for question in questions:
        with suppress(IndexerError):
            asyncio.run(question)


@pytest.mark.parametrize(
    ("value", "number"),
    [("0x10", 16), ("0X1F", 31), ("0x0000000a", 10), (7, 7), ("0x7fffffffffffffff", 2**63 - 1), ("0x0", 0)],
)
def test_a_quantity_is_read_in_every_honest_form(value: object, number: int) -> None:
    assert quantity(value, "block") == number


@pytest.mark.parametrize(
    "value", ["0x8000000000000000", "", "0x", "10", "-0x1", -1, True, None, 1.5, "0xg", "0x1_0", 2**63]
)
def test_an_absurd_quantity_is_a_lie(value: object) -> None:
    with pytest.raises(EndpointLied, match="block should be a quantity"):
        quantity(value, "block")
