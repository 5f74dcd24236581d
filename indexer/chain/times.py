"""When blocks were made, with as few headers as the chain's clock allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from indexer.chain.head import header, header_between, headers
from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.errors import BadInput, EndpointFailed, EndpointLied
from indexer.model import Ints

_NEAR = 172_800  # seconds within which a chain's slots tell well enough how many blocks there are
_MISSES = 3  # on one side, after which a mark outside of the bracket gives way to its middle

Gap = tuple[int, int]  # indices of two known blocks with unknown ones between


async def block_times(pool: Endpoints, blocks: Ints) -> Ints:
    """UTC seconds of each block of a sorted list without doubles.

    Where blocks are slot-timed, two headers exactly a slot per block apart prove all between them. Raises
    EndpointLied where times contradict the order or the slots, and as head.headers.
    """
    start, whole_seconds = pool.chain.slot_timed_from, pool.chain.block_ms % 1000 == 0
    cut = int(np.searchsorted(blocks, start)) if start is not None and whole_seconds else len(blocks)
    times = np.zeros(len(blocks), np.int64)
    times[:cut] = await _each(pool, blocks[:cut])
    times[cut:] = await _bisected(pool, blocks[cut:])
    if (np.diff(times) < 0).any():
        at = int(blocks[int(np.argmax(np.diff(times) < 0))])
        raise EndpointLied(f"{pool.chain.name}: a block after {at} claims to be older; ask another endpoint.")
    return times


async def _each(pool: Endpoints, blocks: Ints) -> Ints:
    return np.array([found.time for found in await headers(pool, blocks.tolist())], np.int64)


async def _bisected(pool: Endpoints, blocks: Ints) -> Ints:
    """Halve the stretches that missed slots until each is proven or known; one batch of headers per level."""
    last = len(blocks) - 1
    if last < 1:
        return await _each(pool, blocks)
    times = np.full(len(blocks), -1, np.int64)
    times[[0, last]] = await _each(pool, blocks[[0, last]])
    gaps: list[Gap] = [(0, last)]
    while gaps := [gap for gap in gaps if not _proven(pool, blocks, times, gap)]:
        middles = [(low + high) // 2 for low, high in gaps]
        times[middles] = await _each(pool, blocks[middles])
        gaps = [part for (low, high), mid in zip(gaps, middles, strict=True) for part in ((low, mid), (mid, high))]
    return times


def _proven(pool: Endpoints, blocks: Ints, times: Ints, gap: Gap) -> bool:
    """Fill the gap where its ends are exactly a slot per block apart; say whether nothing in it is unknown."""
    low, high = gap
    distance = int(blocks[high] - blocks[low])
    missed_ms = int(times[high] - times[low]) * 1000 - distance * pool.chain.block_ms
    if missed_ms < 0 or missed_ms % pool.chain.block_ms:
        ends = f"{blocks[low]} and {blocks[high]}"
        raise EndpointLied(f"{pool.chain.name}: the times of blocks {ends} do not fit its slots; ask another endpoint.")
    if missed_ms == 0:
        times[low : high + 1] = times[low] + (blocks[low : high + 1] - blocks[low]) * pool.chain.block_ms // 1000
    return missed_ms == 0 or high - low == 1


async def first_block_at(pool: Endpoints, time: int, low: int | Header, high: Header) -> Header:
    """The first block of low..high whose time is at or after `time` (UTC seconds), in few headers.

    low: as a number its header is asked for only where `high` is much later than `time`, or no other block is earlier.
    Raises BadInput if `high` is earlier than `time`, EndpointLied where every endpoint's times are out of order.
    """
    if high.time < time:
        pool.headers.clear()  # it may be one of these that is wrong
        raise BadInput(f"{pool.chain.name}: no block up to {high.number} is as late as {time}; wait, or ask earlier.")
    if isinstance(low, int) and high.time - time > _NEAR:
        low = await _one(pool, low)
    if isinstance(low, Header) and low.time >= time:
        return low
    foot = low if isinstance(low, Header) else _guess(pool, low, high)
    seen, before = [high, foot], foot if foot is low else replace(foot, time=0)
    while high.number - before.number > 1:
        found = await header_between(pool, _aim(time, before, high, seen), before, high)
        before, high = (found, high) if found.time < time else (before, found)
        seen = [seen[0], foot if foot is low else seen[0], *seen[2:], found]
    if before.hash or high.number == before.number:
        return high
    before = await _one(pool, before.number)
    return high if before.time < time else before


def _guess(pool: Endpoints, block: int, later: Header) -> Header:
    """A block's header, but for hashes, if all blocks up to a later one were a slot apart."""
    return Header(block, b"", b"", later.time - (later.number - block) * pool.chain.block_ms // 1000)


async def _one(pool: Endpoints, block: int) -> Header:
    found = await header(pool, block)
    if found is None:
        raise EndpointFailed(f"{pool.chain.name}: block {block} is unknown to its endpoint; ask another one.")
    return found


def _aim(time: int, low: Header, high: Header, seen: list[Header]) -> int:
    """A block strictly between low and high: a secant through the two nearest known ones.

    What it finds shall lie on the other side of `time` than the nearest one: each further miss on the same side takes
    it twice as far beyond its mark. On rhythms like those of the packaged chains a search takes 3 to 9 headers on
    average.
    """
    near, next_near = sorted({low, high, *seen[-3:]}, key=lambda known: abs(known.time - time))[:2]
    early = near.time < time
    same_side = 0
    for known in reversed(seen[2:]):
        if (known.time < time) != early:
            break
        same_side += 1
    span = abs(next_near.time - near.time)
    if span == 0:
        return (low.number + high.number) // 2
    blocks, beyond = abs(time - near.time) * abs(next_near.number - near.number), 1 << max(0, same_side - 1)
    mark = near.number - (-blocks // span) + beyond - 1 if early else near.number - blocks // span - beyond
    if same_side >= _MISSES and not low.number < mark < high.number:
        mark = (low.number + high.number) // 2
    return max(low.number + 1, min(high.number - 1, mark))
