"""One chain's part of the archive: what it holds by the ledger's index, and its files, read and written."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from indexer.archive.files import CallFile, LogFile, LogKey, read_calls, read_logs, write_calls, write_logs
from indexer.archive.filters import Filter, Wanted, as_json, fingerprint, from_json
from indexer.archive.store import Store, name_of
from indexer.errors import ArchiveUnusable
from indexer.ledger import archive as index
from indexer.ledger.archive import Kept, Listed
from indexer.ledger.connect import Database
from indexer.model import Address, Span

LOGS = ("logs",)
HISTORY = ("history", "logs")  # parameter events need no times
FACTS, STATE = "facts", "state"

Call = tuple[Address, bytes]  # contract, calldata


@dataclass(frozen=True, slots=True)
class Piece:
    """Blocks, the files that answer for all of them, and which of the wanted atoms these files answer."""

    span: Span
    files: tuple[Listed, ...]
    answered: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a contract answered at a block; None for a revert or an empty answer."""

    answer: bytes | None
    block: int


@dataclass(slots=True)
class _Shelf:
    """Files that answer one question, without those that lie within others: sorted by first and by last block."""

    filters: tuple[Filter, ...]
    files: list[Listed] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def add(self, one: Listed) -> None:
        """Files come by their first block."""
        if self.files and one.span.last <= self.files[-1].span.last:
            return
        if self.files and self.files[-1].span.first == one.span.first:
            self.files.pop()
            self.starts.pop()
        self.files.append(one)
        self.starts.append(one.span.first)

    def at(self, block: int) -> Listed | None:
        """The file with this block that goes furthest."""
        place = bisect_right(self.starts, block) - 1
        return self.files[place] if place >= 0 and self.files[place].span.last >= block else None

    def after(self, block: int) -> int | None:
        """First block of the next file that begins after a block."""
        place = bisect_right(self.starts, block)
        return self.starts[place] if place < len(self.starts) else None


class Archive:
    """Files of one chain. mend: one that cannot be used is taken out of the index, as if it never was."""

    def __init__(self, store: Store, database: Database, chain_id: int, *, mend: bool = False) -> None:
        self._store, self._database, self._chain_id, self.mend = store, database, chain_id, mend
        self._shelves: dict[tuple[str, bytes], _Shelf] = {}
        self._known: dict[Call, Told] = {}
        self._read: set[str] = set()
        self._seen: Span | None = None

    async def look(self, span: Span) -> None:
        """Learns from the index which files have logs of these blocks, unless that is known."""
        if self._seen is None or not self._seen.first <= span.first <= span.last <= self._seen.last:
            await self._look(span)

    async def _look(self, span: Span) -> None:
        found = await index.listed(self._database, self._chain_id, span)
        asked = await index.questions(self._database, self._chain_id, {one.question for one in found})
        filters = {key: from_json(plain) for key, plain in asked.items()}
        self._shelves, self._seen = {}, span
        for one in found:
            key = (one.holds, one.question)
            self._shelves.setdefault(key, _Shelf(filters[one.question])).add(one)

    def piece(self, wanted: Wanted, span: Span, holds: Collection[str]) -> Piece:
        """The first blocks of the span for which the same files answer, as few files as will do."""
        shelves = self._shelves_for(wanted, holds)
        here = [(mask, found) for mask, shelf in shelves if (found := shelf.at(span.first)) is not None]
        answered, files = 0, []
        for mask, one in sorted(here, key=lambda item: (item[0].bit_count(), item[1].span.last), reverse=True):
            if mask & ~answered:
                answered |= mask
                files.append(one)
        ends = [span.last, *(one.span.last for one in files)]
        if answered != wanted.all:
            ends += [after - 1 for _, shelf in shelves if (after := shelf.after(span.first)) is not None]
        return Piece(Span(span.first, min(ends)), tuple(files), answered)

    async def read(self, one: Listed, keys: Collection[LogKey]) -> LogFile:
        """A listed file with the logs of these kinds. Raises ArchiveUnusable, ArchiveFailed."""
        octets = await self._store.get(one.file)
        return await asyncio.to_thread(read_logs, one.file, octets, keys)

    async def forget(self, one: Listed) -> None:
        """What the file held counts as never asked."""
        await index.forget_file(self._database, self._chain_id, one.file)
        if self._seen is not None:
            await self._look(self._seen)

    async def keep_logs(self, file: LogFile) -> Kept:
        """Writes logs; whoever commits what was made of them lists the file."""
        octets = await asyncio.to_thread(write_logs, file)
        name = name_of(self._chain_id, octets)
        await self._store.put(name, octets)
        question = (fingerprint(file.filters), as_json(file.filters))
        logs = sum(len(raw.where) for raw in file.groups.values())
        return Kept(name, "logs" if file.timed else "history", file.span, logs, len(octets), question)

    async def list_files(self, kept: Sequence[Kept]) -> None:
        """Lists files that no range's commit will."""
        if kept:
            await index.list_kept(self._database, self._chain_id, kept)

    async def keep_answers(self, holds: str, block: int, answers: Mapping[Call, bytes | None]) -> None:
        """Writes and lists answers to eth_calls, before anything is made of them. holds: FACTS or STATE."""
        octets = await asyncio.to_thread(write_calls, CallFile(self._chain_id, block, answers))
        name = name_of(self._chain_id, octets)
        await self._store.put(name, octets)
        contracts = sorted({contract for contract, _ in answers}) if holds == FACTS else ()
        kept = Kept(name, holds, Span(block, block), len(answers), len(octets), contracts=contracts)
        await self.list_files([kept])

    async def facts(self, calls: Iterable[Call]) -> dict[Call, Told]:
        """The newest answers to those of the calls that were asked as facts before."""
        wanted = set(calls)
        if contracts := {contract for contract, _ in wanted - self._known.keys()}:
            await self._learn(await index.fact_files(self._database, self._chain_id, contracts))
        return {call: self._known[call] for call in wanted & self._known.keys()}

    async def state(self, block: int) -> dict[Call, bytes | None]:
        """Answers about the state at a block."""
        answers: dict[Call, bytes | None] = {}
        for name in await index.state_files(self._database, self._chain_id, block):
            file = await self._calls(name)
            answers |= {} if file is None else file.answers
        return answers

    async def holds_state(self) -> bool:
        """Whether any answer about the state was kept."""
        return await index.holds_state(self._database, self._chain_id)

    async def _learn(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._read and (file := await self._calls(name)) is not None:
                self._known |= {call: Told(answer, file.block) for call, answer in file.answers.items()}
                self._read.add(name)

    async def _calls(self, name: str) -> CallFile | None:
        """Answers of a file; None where it could not be used and was taken out of the index."""
        try:
            return await asyncio.to_thread(read_calls, name, await self._store.get(name))
        except ArchiveUnusable:
            if not self.mend:
                raise
        await index.forget_file(self._database, self._chain_id, name)
        return None

    def _shelves_for(self, wanted: Wanted, holds: Collection[str]) -> list[tuple[int, _Shelf]]:
        """Shelves that answer some of what is wanted."""
        masks = [
            (wanted.answered(question, shelf.filters), shelf)
            for (kind, question), shelf in self._shelves.items()
            if kind in holds
        ]
        return [(mask, shelf) for mask, shelf in masks if mask]
