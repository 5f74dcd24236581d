"""As much HTTP/1.1 as JSON-RPC clients need: kept-alive connections, bodies that tell their length."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

Piece = bytes | memoryview
Answering = Callable[[bytes, bytes], Sequence[Piece]]  # method and body -> pieces of a JSON body

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Http(asyncio.Protocol):
    """One connection; requests are answered in turn, as they come."""

    def __init__(self, answer: Answering) -> None:
        self._answer, self._waiting = answer, bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers every request that is whole by now."""
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._waiting[:end])
            stop = end + 4 + _length(head)
            if len(self._waiting) < stop:
                return
            body = bytes(self._waiting[end + 4 : stop])
            del self._waiting[:stop]
            self._send(self._answer(head[: head.find(b" ")], body))

    def _send(self, pieces: Sequence[Piece]) -> None:
        assert self._transport is not None
        self._transport.writelines([_HEAD % sum(map(len, pieces)), *pieces])


def _length(head: bytes) -> int:
    """The value of Content-Length; 0 without it."""
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if rest else 0
