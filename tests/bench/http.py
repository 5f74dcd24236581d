"""As much HTTP/1.1 as JSON-RPC clients need: kept-alive connections, bodies that tell their length."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

Piece = bytes | memoryview
Answering = Callable[[bytes, bytes], Sequence[Piece]]  # method and body -> pieces of a JSON body


class Http(asyncio.Protocol):
    """One connection; requests are answered in turn, as they come, after `latency` seconds."""

    transport: asyncio.WriteTransport
    latency = 0.0

    def __init__(self, answer: Answering) -> None:
        self.answer, self._waiting = answer, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers every request that is whole by now."""
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            top = bytes(self._waiting[:end])
            stop = end + 4 + _length(top)
            if len(self._waiting) < stop:
                return
            body = bytes(self._waiting[end + 4 : stop])
            del self._waiting[:stop]
            method = top[: top.find(b" ")]
            if self.latency and method == b"POST":
                asyncio.get_running_loop().call_later(self.latency, self.reply, method, body)
            else:
                self.reply(method, body)

    def reply(self, method: bytes, body: bytes) -> None:
        """Answers one request."""
        self.send(self.answer(method, body))

    def send(self, pieces: Sequence[Piece]) -> None:
        """Sends a good answer."""
        self.transport.writelines([head(sum(map(len, pieces))), *pieces])


def head(length: int, status: bytes = b"200 OK", *lines: bytes) -> bytes:
    """The head of an answer whose body has so many octets."""
    told = (b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % length, *lines)
    return b"\r\n".join((*told, b"", b""))


def _length(top: bytes) -> int:
    """The value of Content-Length; 0 without it."""
    _, _, rest = top.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if rest else 0
