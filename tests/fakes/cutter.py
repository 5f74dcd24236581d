"""A TCP proxy before Postgres that cuts the line at a commit: before the server sees it, or before its answer is seen."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

Cut = Literal["unseen", "unanswered"]

_PLAIN = struct.pack("!I", 196_608)  # protocol 3.0
_COMMIT = b"COMMIT"
# A statement with its comments before it; SELECT only of functions that write.
_WRITES = re.compile(rb"(--.*\n)*(INSERT|UPDATE|DELETE|SELECT (drop|ensure)_flow_month)\b")


@dataclass
class Cutter:
    """Decides at each commit. choose(port of the client, statement) tells where to cut, or None.

    A commit is COMMIT itself, or the end of a statement outside a transaction that writes.
    """

    socket: str  # of Postgres
    choose: Callable[[int, str], Cut | None]
    clients: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client until it goes or is cut off."""
        task = asyncio.current_task()
        assert task is not None
        self.clients.add(task)
        back, forth = await asyncio.open_unix_connection(self.socket)
        line = _Line(self.choose, reader, writer, back, forth)
        ways = [asyncio.create_task(line.ask()), asyncio.create_task(line.answer())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, forth):
                end.transport.abort()
            self.clients.discard(task)


class _Line:
    """One connection: which statement is under way, and whether a transaction is."""

    def __init__(
        self,
        choose: Callable[[int, str], Cut | None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
    ) -> None:
        self._choose, self._reader, self._writer, self._back, self._forth = choose, reader, writer, back, forth
        self._port: int = writer.get_extra_info("peername")[1]
        self._texts: dict[bytes, bytes] = {}  # prepared statements by name
        self._bound = b""
        self._idle = asyncio.Event()
        self._status, self._muted = b"I", False

    async def ask(self) -> None:
        """Hands on what the client says, until a cut."""
        await self._greet()
        while True:
            message = await _message(self._reader)
            statement = self._ending(message)
            cut = None if statement is None else self._choose(self._port, statement)
            if cut is None:
                self._forth.write(message)
                continue
            if cut == "unanswered":
                self._muted = True
                self._idle.clear()
                self._forth.write(message)
                await self._idle.wait()
            return

    async def answer(self) -> None:
        """Hands on what the server says, unless the client is not to know."""
        while True:
            message = await _message(self._back)
            if message[:1] == b"Z":
                self._status = message[5:6]
                self._idle.set()
            if not self._muted:
                self._writer.write(message)
                await self._writer.drain()

    async def _greet(self) -> None:
        while True:
            length = await self._reader.readexactly(4)
            body = await self._reader.readexactly(struct.unpack("!I", length)[0] - 4)
            if body[:4] == _PLAIN:
                self._forth.write(length + body)
                return
            self._writer.write(b"N")  # no TLS

    def _ending(self, message: bytes) -> str | None:
        """The statement that this message makes last, if it does."""
        kind, body = message[:1], message[5:]
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._texts[name] = text
        if kind == b"B":
            self._bound = self._texts.get(body.split(b"\0", 2)[1], b"")
        if kind == b"Q" and body.upper().startswith(_COMMIT):
            return "COMMIT"
        if kind == b"S" and self._status == b"I" and self._bound:
            statement, self._bound = self._bound, b""
            if _WRITES.match(statement):
                return statement.decode()
        return None


@asynccontextmanager
async def cutter(socket: str, choose: Callable[[int, str], Cut | None]) -> AsyncIterator[int]:
    """Its port, before the Postgres at this Unix socket."""
    made = Cutter(socket, choose)
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(made.clients):
            task.cancel()
        await asyncio.gather(*made.clients, return_exceptions=True)
        await listener.wait_closed()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
