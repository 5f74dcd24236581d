"""The bare way end to end against a fake node that runs beside it: fetch, prepare as (b), COPY."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import asyncpg
import uvloop

from . import columns, sink
from .answers import SWAP, Pool
from .fetch import Client, bare, by_aiohttp, get_logs, take_all
from .flows import Members, members
from .forms import Prepared, Stages, prepared
from .runs import seldom_collecting, store

BLOCKS, LOGS_PER_BLOCK, BASE_BLOCK = 5000, 100, 12_369_621
SHAPE = ("--blocks", str(BLOCKS), "--logs-per-block", str(LOGS_PER_BLOCK))
CHUNK = 100  # blocks a request: about 10,000 logs
Loop = Callable[[], asyncio.AbstractEventLoop]
Open = Callable[[str], AbstractAsyncContextManager[Client]]


@contextmanager
def node(replay: Path) -> Iterator[str]:
    """The URL of the fake node, answering on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    process = subprocess.Popen(
        [sys.executable, str(replay / "replaynode.py"), *SHAPE, "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            try:
                urlopen(url + "stats", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def truth(replay: Path, *more: str) -> Any:
    """What truth.py tells of the node's chain."""
    command = [sys.executable, str(replay / "truth.py"), *SHAPE, *more]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def pools(replay: Path) -> Members:
    """The pools of the node's chain."""
    found = []
    for pool in truth(replay, "--pools-list"):
        address, *tokens = (bytes.fromhex(text[2:]) for text in (pool["pool"], pool["token0"], pool["token1"]))
        found.append(Pool(address, *tokens, pool["fee"]))
    return members(found)


def _prepare(ours: Members, body: bytes) -> Prepared:
    return prepared(columns.swaps(columns.parse(body), ours), Stages())


REQUESTS = [
    get_logs(BASE_BLOCK + first, BASE_BLOCK + first + CHUNK - 1, f"0x{SWAP}") for first in range(0, BLOCKS, CHUNK)
]


async def _drop(_: bytes) -> None:
    pass


class _Pipe:
    """Prepares an answer while the one before it is copied; in_thread: beside the event loop."""

    def __init__(self, db: asyncpg.Connection, ours: Members, in_thread: bool) -> None:
        self._db, self._ours, self._in_thread = db, ours, in_thread
        self._copying: asyncio.Task[int] | None = None

    async def take(self, body: bytes) -> None:
        """Prepare one answer, wait for the COPY before, begin this one's."""
        made = await asyncio.to_thread(_prepare, self._ours, body) if self._in_thread else _prepare(self._ours, body)
        await self.finish()
        if made.copy:
            self._copying = asyncio.create_task(store(self._db, made))

    async def finish(self) -> None:
        """Wait for the COPY under way."""
        if self._copying:
            await self._copying


Work = Callable[[Client, _Pipe], Awaitable[None]]


async def fetch_only(client: Client, _: _Pipe) -> None:
    """Read all answers, look at nothing."""
    await take_all(client, REQUESTS, _drop)


async def end_to_end(client: Client, pipe: _Pipe) -> None:
    """Fetch, prepare and store all swaps over one connection to Postgres."""
    await take_all(client, REQUESTS, pipe.take)
    await pipe.finish()


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the node and Postgres are, its pools, and what must be in the table at the end."""

    url: str
    uri: str
    ours: Members
    fees: dict[bytes, int]


async def timed(chain: Chain, opened: Open, work: Work, in_thread: bool) -> float:
    """Seconds of one run into an empty table; refuses a table that does not hold the true fees."""
    async with sink.connected(chain.uri) as db, opened(chain.url) as client:
        await sink.create(db)
        await db.execute("checkpoint")
        start = time.perf_counter()
        await work(client, _Pipe(db, chain.ours, in_thread))
        seconds = time.perf_counter() - start
        if work is end_to_end and await sink.fees_held(db) != chain.fees:
            raise SystemExit("the fees in the table are not those of the node's truth")
    return seconds


CLIENTS: dict[str, tuple[Open, Loop]] = {
    "bare protocol, uvloop": (bare, uvloop.new_event_loop),
    "aiohttp, uvloop": (by_aiohttp, uvloop.new_event_loop),
    "aiohttp, asyncio": (by_aiohttp, asyncio.new_event_loop),
}
WORKS: dict[str, tuple[Work, bool]] = {
    "fetch only": (fetch_only, False),
    "end to end": (end_to_end, False),
    "end to end, prepared in a thread": (end_to_end, True),
}


def measure(uri: str, replay: Path, runs: int) -> list[str]:
    """Markdown rows of both clients on both loops, fetching only and end to end; none where there is no node."""
    if not (replay / "replaynode.py").exists():
        return [f"skipped: there is no fake node in {replay}"]
    told, seconds = truth(replay, "--json"), defaultdict[tuple[str, str], list[float]](list)
    fees = {bytes.fromhex(token[2:]): int(total) for token, total in told["fees_by_token"].items()}
    with node(replay) as url, seldom_collecting():
        chain = Chain(url, uri, pools(replay), fees)
        for _ in range(runs):
            for (client, (opened, loop)), (name, (work, in_thread)) in product(CLIENTS.items(), WORKS.items()):
                with asyncio.Runner(loop_factory=loop) as runner:
                    seconds[client, name].append(runner.run(timed(chain, opened, work, in_thread)))
    lines = ["| client | work | swaps/s |", "|---|---|---|"]
    return lines + [f"| {c} | {w} | {told['swaps'] / median(found):,.0f} |" for (c, w), found in seconds.items()]
