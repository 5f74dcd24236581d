"""Processes of a run that read along with the one that started them: they begin with it, and end with it or before."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import structlog

from indexer.app import Run
from indexer.settings import Settings
from indexer.work.share import Share
from indexer.working import Begin, Counted, Said, serve

PATIENCE = 10  # seconds for a process to give its ranges back and end

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, and the end of the pipe that only this process holds. reading: how many shares, by chain."""

    process: BaseProcess
    pipe: Connection
    reading: Counter[str] = field(default_factory=Counter)


class Workers:
    """Reading processes, started before anything else is: on Linux they share what was imported until then."""

    def __init__(self, count: int, method: str = "fork" if sys.platform == "linux" else "spawn") -> None:
        """Starts them. method: as multiprocessing has it; fork wants a process without a loop and without threads."""
        context: Any = multiprocessing.get_context(method)
        self._workers: list[_Worker] = []
        self._run = Run()
        for _ in range(count):
            ours, theirs = context.Pipe()
            inherited = [*(one.pipe for one in self._workers), ours] if method == "fork" else []
            process = context.Process(target=serve, args=(theirs, inherited), daemon=True)
            process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours))

    @asynccontextmanager
    async def reading(self, settings: Settings, url: str, run: Run) -> AsyncIterator[None]:
        """Lets them read what the run shares until it is left. url: of the database, which must outlive them."""
        self._run, processes = run, 1 + len(self._workers)
        for worker in self._workers:
            asyncio.get_running_loop().add_reader(worker.pipe.fileno(), self._receive, worker)
            self._send(worker, Begin(settings, url, processes))
        run.share = self._share
        try:
            yield
        finally:
            await self.end()

    async def end(self) -> None:
        """Ends them, their ranges given back. One that does not end in time is killed: its ranges return by that."""
        ending, self._workers = self._workers, []
        for worker in ending:
            self._hang_up(worker)
        try:
            await asyncio.gather(*(asyncio.to_thread(worker.process.join, PATIENCE) for worker in ending))
        finally:
            for worker in ending:
                worker.process.kill()
            for chain in self._run.pools:
                self._divide(chain)

    def _share(self, share: Share) -> None:
        for worker in self._workers:
            self._send(worker, share)
            worker.reading[share.chain.name] += 1
        self._divide(share.chain.name)

    def _send(self, worker: _Worker, message: Begin | Share) -> None:
        with suppress(OSError):  # it died: that is told by its end of the pipe
            worker.pipe.send(message)

    def _receive(self, worker: _Worker) -> None:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker)
            return
        if isinstance(message, Said):
            getattr(log, message.level)(message.event, **message.fields, process=worker.process.pid)
        else:
            self._count(worker, message)

    def _count(self, worker: _Worker, counted: Counted) -> None:
        progress = self._run.progress[counted.chain]
        progress.blocks_done += counted.blocks
        progress.logs += counted.logs
        progress.flows += counted.flows
        self._run.helped += counted.requests
        worker.reading[counted.chain] -= counted.ended
        self._divide(counted.chain)

    def _lose(self, worker: _Worker) -> None:
        """Goes on without a process that died: Postgres gives its ranges back."""
        self._hang_up(worker)
        self._workers.remove(worker)
        worker.process.join(1)
        log.warning(
            "a reading process died, the others read its ranges",
            process=worker.process.pid,
            exitcode=worker.process.exitcode,
        )
        for chain in worker.reading:
            self._divide(chain)

    def _divide(self, chain: str) -> None:
        """What nobody else asks for now, this process may."""
        self._run.pools[chain].share_budget(1 + sum(worker.reading[chain] > 0 for worker in self._workers))

    def _hang_up(self, worker: _Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.pipe.fileno())
        worker.pipe.close()
