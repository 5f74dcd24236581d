"""Two clients for eth_getLogs over keep-alive connections: aiohttp, and a bare asyncio.Protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec

IN_FLIGHT = 8


class Client(Protocol):
    """Sends a JSON-RPC request, gives the answer's body."""

    async def post(self, body: bytes) -> bytes: ...


def get_logs(first: int, last: int, topic: str, address: str | None = None) -> bytes:
    """The request for all logs of an event in blocks first..last."""
    where = {"fromBlock": hex(first), "toBlock": hex(last), "topics": [topic]}
    asked = {**where, "address": address} if address else where
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [asked]})


class _Aiohttp:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def post(self, body: bytes) -> bytes:
        async with self._session.post(self._url, data=body, headers={"Content-Type": "application/json"}) as answer:
            return await answer.read()


@asynccontextmanager
async def by_aiohttp(url: str) -> AsyncIterator[Client]:
    """One aiohttp session with IN_FLIGHT connections."""
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield _Aiohttp(session, url)


class _Connection(asyncio.Protocol):
    """One exchange at a time; the answer must tell its length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.chunks, self.missing = transport, [], -1

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            head, _, data = (b"".join(self.chunks) + data).partition(b"\r\n\r\n")
            self.chunks, lower = [], head.lower()
            self.missing = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        self.chunks.append(data)
        self.missing -= len(data)
        if self.missing == 0:
            body, self.chunks, self.missing = b"".join(self.chunks), [], -1
            if not self.answer.done():
                self.answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc or ConnectionError("the node closed the connection"))

    async def exchange(self, body: bytes) -> bytes:
        """Send a request, wait for its answer."""
        self.answer = asyncio.get_running_loop().create_future()
        head = f"POST / HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)
        return await self.answer


class _Bare:
    def __init__(self, free: asyncio.Queue[_Connection]) -> None:
        self._free = free

    async def post(self, body: bytes) -> bytes:
        connection = await self._free.get()
        answer = await connection.exchange(body)
        self._free.put_nowait(connection)
        return answer


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[Client]:
    """IN_FLIGHT connections without any HTTP library: the lower bound."""
    parts, loop, free = urlsplit(url), asyncio.get_running_loop(), asyncio.Queue[_Connection]()
    for _ in range(IN_FLIGHT):
        free.put_nowait((await loop.create_connection(_Connection, parts.hostname, parts.port))[1])
    yield _Bare(free)
    while not free.empty():
        free.get_nowait().transport.close()


async def take_all(client: Client, requests: Sequence[bytes], take: Callable[[bytes], Awaitable[None]]) -> None:
    """Give each answer to `take`, one at a time, in the order they come; IN_FLIGHT requests run meanwhile."""
    waiting, ready = list(requests)[::-1], asyncio.Queue[bytes](IN_FLIGHT)

    async def work() -> None:
        while waiting:
            await ready.put(await client.post(waiting.pop()))

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())
        for _ in requests:
            await take(await ready.get())
