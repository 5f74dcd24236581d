"""A connection pooler as PgBouncer is one: clients share server connections, for a transaction or a session each."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_STARTUP = struct.pack("!II", 0, 196_608)[4:]  # protocol 3.0
_KEY = b"K" + struct.pack("!III", 12, 4_000_000, 1)  # a process number of its own, as PgBouncer gives


@dataclass
class Server:
    """A connection to Postgres, past its start-up."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: bytes


@dataclass
class Pooler:
    """Listens on loopback and lends server connections, the one given back last first."""

    socket: str  # of Postgres
    session: bool
    refused: str | None = None  # a startup parameter that it does not know
    idle: list[Server] = field(default_factory=list)
    clients: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client until it goes."""
        task = asyncio.current_task()
        assert task is not None
        self.clients.add(task)
        server: Server | None = None
        try:
            startup = await _startup(reader, writer)
            if self.refused is not None and self.refused.encode() in startup:
                writer.write(_error(f"unsupported startup parameter: {self.refused}"))
                await writer.drain()
                return
            server = await self._lent(startup)
            writer.write(server.greeting)
            self._give_back(server)
            server = None
            while True:
                message = await _message(reader)
                server = server if server is not None else await self._lent(startup)
                if message[:1] == b"X":
                    return
                server.writer.write(message)
                if message[:1] in (b"Q", b"S") and await _answered(server, writer) == b"I" and not self.session:
                    self._give_back(server)
                    server = None
                elif message[:1] == b"H":
                    await _flushed(server, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if server is not None:
                self._give_back(server)
            writer.close()
            self.clients.discard(task)

    async def _lent(self, startup: bytes) -> Server:
        return self.idle.pop() if self.idle else await _connected(self.socket, startup)

    def _give_back(self, server: Server) -> None:
        self.idle.append(server)


@asynccontextmanager
async def pooler(socket: str, *, session: bool = False, refused: str | None = None) -> AsyncIterator[int]:
    """The port of a pooler before the Postgres at this Unix socket."""
    made = Pooler(socket, session, refused)
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(made.clients):
            task.cancel()
        await asyncio.gather(*made.clients, return_exceptions=True)
        for server in made.idle:
            server.writer.close()
        await listener.wait_closed()


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The client's startup message; a wish for TLS is declined."""
    while True:
        length = await reader.readexactly(4)
        body = await reader.readexactly(struct.unpack("!I", length)[0] - 4)
        if body[:4] == _STARTUP:
            return length + body
        writer.write(b"N")


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


async def _connected(socket: str, startup: bytes) -> Server:
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(startup)
    greeting = b""
    while True:
        message = await _message(reader)
        greeting += _KEY if message[:1] == b"K" else message
        if message[:1] == b"Z":
            return Server(reader, writer, greeting)


async def _answered(server: Server, writer: asyncio.StreamWriter) -> bytes:
    """Hands on all that a question brings; the state of the transaction after it."""
    while True:
        message = await _message(server.reader)
        writer.write(message)
        if message[:1] == b"Z":
            await writer.drain()
            return message[5:6]


async def _flushed(server: Server, writer: asyncio.StreamWriter) -> None:
    """Hands on what is there without an end of the question: the driver waits for a statement's description."""
    while True:
        message = await _message(server.reader)
        writer.write(message)
        if message[:1] in (b"T", b"n", b"E"):
            await writer.drain()
            return


def _error(text: str) -> bytes:
    fields = b"SFATAL\0C08P01\0M" + text.encode() + b"\0\0"
    return b"E" + struct.pack("!I", 4 + len(fields)) + fields
