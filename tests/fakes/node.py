"""A JSON-RPC node on loopback that answers as told, misbehaves as told, and counts what it was asked."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web


class Fault(Exception):
    """Raised by an answering function: becomes the JSON-RPC error object."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({} if data is None else {"data": data})


@dataclass
class Reply:
    """One scripted HTTP answer. body: text, octets or a JSON value; how: what the connection does."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    how: Literal["plain", "reset", "truncated", "hang", "endless", "bomb"] = "plain"

    def octets(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def error_reply(status: int, code: int, message: str, data: object = None, **headers: str) -> Reply:
    """A JSON-RPC error under an HTTP status."""
    return Reply(
        {"jsonrpc": "2.0", "id": None, "error": Fault(code, message, data).error},
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


Answering = Callable[[str, Sequence[Any]], Any]


class Node:
    """`async with Node(answer) as node`: node.url, node.script (replies to come first), node.asked, node.connections.

    answer(method, params) gives the result or raises Fault. batches: whether lists are taken. shape: last change
    to the list of answers of a batch.
    """

    def __init__(self, answer: Answering, chain_id: int = 1) -> None:
        self.answer, self.chain_id = answer, chain_id
        self.script: deque[Reply] = deque()
        self.asked: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.peers: set[Any] = set()
        self.http = 0
        self.max_batch = 1000
        self.delay = 0.0
        self.shape: Callable[[list[Any]], Any] = lambda answers: answers
        self.url = ""
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        await self._runner.cleanup()

    @property
    def connections(self) -> int:
        """TCP connections seen so far."""
        return len(self.peers)

    def count(self, method: str) -> int:
        """How often the method was asked, in batches or alone."""
        return Counter(name for name, _ in self.asked)[method]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        self.http += 1
        self.headers.append(dict(request.headers))
        asked = json.loads(await request.read())
        for one in asked if isinstance(asked, list) else [asked]:
            self.asked.append((one["method"], one["params"]))
        first = asked[0] if isinstance(asked, list) else asked
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.script and first["method"] != "eth_chainId":
            return await self._misbehave(request, self.script.popleft())
        return web.json_response(self._answers(asked))

    def _answers(self, asked: Any) -> Any:
        if not isinstance(asked, list):
            return self._one(asked)
        if len(asked) > self.max_batch:
            return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch not taken"}}
        return self.shape([self._one(one) for one in asked])

    def _one(self, asked: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": asked["id"]}
        if asked["method"] == "eth_chainId":
            return head | {"result": hex(self.chain_id)}
        try:
            return head | {"result": self.answer(asked["method"], asked["params"])}
        except Fault as fault:
            return head | {"error": fault.error}

    async def _misbehave(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        body, transport = reply.octets(), request.transport
        assert transport is not None
        if reply.how == "plain":
            return web.Response(body=body, status=reply.status, headers=reply.headers)
        if reply.how == "bomb":
            packed = gzip.compress(body, 9)
            return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
        if reply.how == "reset":
            transport.abort()
        if reply.how == "hang":
            await self._stop.wait()
        return await self._stream(request, reply, body)

    async def _stream(self, request: web.Request, reply: Reply, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if reply.how == "truncated":
            response.content_length = len(body) + 100
        try:
            await response.prepare(request)
            await response.write(body)
            while reply.how == "endless" and not self._stop.is_set():
                await response.write(b" " * 65536)
        except (ConnectionError, OSError):
            pass
        if request.transport is not None:
            request.transport.close()
        return response


class Blocks:
    """A made-up chain: headers with the given times (by number), `latest` and `finalized`."""

    def __init__(self, times: Callable[[int], int] | Sequence[int], head: int, finalized: int | None = None) -> None:
        self.time = times if callable(times) else times.__getitem__
        self.head, self.finalized = head, finalized

    def hash(self, number: int) -> str:
        return f"0x{number + (1 << 200):064x}"

    def header(self, number: int) -> dict[str, str]:
        return {
            "number": hex(number),
            "hash": self.hash(number),
            "parentHash": self.hash(number - 1),
            "timestamp": hex(self.time(number)),
        }

    def __call__(self, method: str, params: Sequence[Any]) -> Any:
        """Answer eth_getBlockByNumber; anything else is an unknown method."""
        if method != "eth_getBlockByNumber":
            raise Fault(-32601, f"the method {method} does not exist/is not available")
        block = params[0]
        if block == "finalized" and self.finalized is None:
            raise Fault(-32000, "finalized block not found")
        number = {"latest": self.head, "finalized": self.finalized}.get(block)
        number = int(block, 16) if number is None else number
        return self.header(number) if number <= self.head else None
