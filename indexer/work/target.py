"""From where to where a run reads: what the settings say, as blocks of a chain."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from indexer.chain.head import headers
from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.chain.times import first_block_at
from indexer.errors import BadInput
from indexer.model import Span
from indexer.settings import Settings, parse_moment
from indexer.work.close import day_of

DEFAULT_START = "7d"  # a first run shows something within minutes, whatever the endpoint costs


async def target(settings: Settings, pool: Endpoints, final: Header, held: Span | None) -> Span:
    """From the settings' start, or from what is held already, to their end or the final head; held: first to last.

    A span whose first block is after its last holds nothing to read. Raises BadInput for a start or an end that is
    before the chain's first block (unless other chains are read, too: then its first block is meant) or not final yet.
    """
    start, to = settings.start, settings.to
    last = final.number if to is None else await _end(settings, pool, to, final)
    if last < 0:
        return Span(0, last)
    if start is None and held is not None:
        return Span(held.first, max(held.first, last))
    first = await _start(settings, pool, DEFAULT_START if start is None else start, final)
    if to is not None and first > last:
        raise BadInput(
            f"{pool.chain.name}: nothing lies between --from {start} (block {first}) and --to {to} (block "
            f"{last}). A date given as --to is where it stops: write the day after it."
        )
    return Span(first, last)


async def _start(settings: Settings, pool: Endpoints, written: str | int, final: Header) -> int:
    moment = parse_moment(written, int(time.time()))
    if moment.block is not None and moment.block <= final.number:
        return moment.block
    if moment.time is None or moment.time > final.time:
        raise BadInput(f"--from {written} {_not_final(pool, final)} Start earlier.")
    origin = await _origin(pool)
    if moment.time < origin.time and settings.start is not None:
        _refuse_before(settings, pool, f"--from {written}", moment.time, origin)
        return 0
    return (await first_block_at(pool, moment.time, origin, final)).number


async def _end(settings: Settings, pool: Endpoints, written: str | int, final: Header) -> int:
    """A block as it is; of a time the last block before it."""
    now = int(time.time())
    moment = parse_moment(written, now)
    if moment.block is not None and moment.block <= final.number:
        return moment.block
    if moment.time is None or moment.time > max(now, final.time):  # our clock may be behind
        rest = "End there or earlier, or leave --to out: the run then goes on with blocks as they become final."
        raise BadInput(f"--to {written} {_not_final(pool, final)} {rest}")
    if moment.time > final.time:
        return final.number
    origin = await _origin(pool)
    if moment.time <= origin.time:
        _refuse_before(settings, pool, f"--to {written}", moment.time, origin)
        return -1
    return (await first_block_at(pool, moment.time, origin, final)).number - 1


async def _origin(pool: Endpoints) -> Header:
    """The chain's first block with a time: Ethereum's block 0 has none."""
    (first,) = await headers(pool, [0])
    return first if first.time else (await headers(pool, [1]))[0]


def _refuse_before(settings: Settings, pool: Endpoints, written: str, moment: int, origin: Header) -> None:
    """Raises BadInput, unless the chain began later on that day or other chains, which may be older, are read too."""
    others = sum(bool(chain.rpc) for chain in settings.chains.values()) > 1
    if not others and (day_of(moment) != day_of(origin.time) or written.startswith("--to")):
        later = "a later day" if written.startswith("--to") else "that day or a later one"
        began = f"{pool.chain.name} ({stamp(origin.time)})"
        raise BadInput(f"{written} is before the first block of {began}: write {later}, or a block number.")


def _not_final(pool: Endpoints, final: Header) -> str:
    return f"is not final on {pool.chain.name} yet: the last final block is {final.number} ({stamp(final.time)})."


def stamp(seconds: int) -> str:
    """UTC seconds as people read them."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
