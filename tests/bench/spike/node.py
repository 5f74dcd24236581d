"""The bare way end to end against a fake node that runs beside it: fetch, prepare as (b), COPY."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import asyncpg
import uvloop

from . import columns, sink
from .answers import SWAP, Pool
from .fetch import Client, bare, by_aiohttp, get_logs, take_all
from .flows import Members, members
from .forms import Prepared, Stages, prepared
from .runs import seldom_collecting, store

PORT = 28745
URL = f"http://127.0.0.1:{PORT}/"
BLOCKS, LOGS_PER_BLOCK, BASE_BLOCK = 5000, 100, 12_369_621
SHAPE = ("--blocks", str(BLOCKS), "--logs-per-block", str(LOGS_PER_BLOCK))
CHUNK = 100  # blocks a request: about 10,000 logs
Loop = Callable[[], asyncio.AbstractEventLoop]
Open = Callable[[str], AbstractAsyncContextManager[Client]]


@contextmanager
def node(replay: Path) -> Iterator[None]:
    """The fake node, answering."""
    process = subprocess.Popen(
        [sys.executable, str(replay / "replaynode.py"), *SHAPE, "--port", str(PORT)], stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            try:
                urlopen(URL + "stats", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


def truth(replay: Path, *more: str) -> object:
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


async def fetch_only(opened: Open) -> None:
    """Read all answers, look at nothing."""
    async with opened(URL) as client:
        await take_all(client, REQUESTS, _drop)


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


async def end_to_end(opened: Open, uri: str, ours: Members, in_thread: bool) -> None:
    """Fetch, prepare and store all swaps over one connection to Postgres."""
    async with opened(URL) as client, sink.connected(uri) as db:
        pipe = _Pipe(db, ours, in_thread)
        await take_all(client, REQUESTS, pipe.take)
        await pipe.finish()


async def _emptied(uri: str) -> None:
    async with sink.connected(uri) as db:
        await sink.create(db)
        await db.execute("checkpoint")


async def _check(uri: str, expected: dict[bytes, int]) -> None:
    async with sink.connected(uri) as db:
        if await sink.fees_held(db) != expected:
            raise SystemExit("the fees in the table are not those of the node's truth")


def measure(uri: str, replay: Path, runs: int) -> list[str]:
    """Markdown rows of both clients on both loops, fetching only and end to end; none where there is no node."""
    if not (replay / "replaynode.py").exists():
        return [f"skipped: there is no fake node in {replay}"]
    ours, told = pools(replay), truth(replay, "--json")
    expected = {bytes.fromhex(token[2:]): int(total) for token, total in told["fees_by_token"].items()}
    clients: dict[str, tuple[Open, Loop]] = {
        "bare protocol, uvloop": (bare, uvloop.new_event_loop),
        "aiohttp, uvloop": (by_aiohttp, uvloop.new_event_loop),
        "aiohttp, asyncio": (by_aiohttp, asyncio.new_event_loop),
    }
    seconds: dict[tuple[str, str], list[float]] = {}
    with node(replay), seldom_collecting():
        for _ in range(runs):
            for name, (opened, loop) in clients.items():
                works = {
                    "fetch only": lambda opened=opened: fetch_only(opened),
                    "end to end": lambda opened=opened: end_to_end(opened, uri, ours, in_thread=False),
                    "end to end, thread": lambda opened=opened: end_to_end(opened, uri, ours, in_thread=True),
                }
                for work, go in works.items():
                    with asyncio.Runner(loop_factory=loop) as runner:
                        runner.run(_emptied(uri))
                        start = time.perf_counter()
                        runner.run(go())
                        seconds.setdefault((name, work), []).append(time.perf_counter() - start)
                        if work != "fetch only":
                            runner.run(_check(uri, expected))
    lines = ["| client | work | swaps/s |", "|---|---|---|"]
    return lines + [f"| {c} | {w} | {told['swaps'] / median(found):,.0f} |" for (c, w), found in seconds.items()]
