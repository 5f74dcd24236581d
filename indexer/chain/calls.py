"""Many eth_calls at one block in few requests, through Multicall3 where it exists."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from indexer.chain.lane import Request
from indexer.chain.pool import Endpoints
from indexer.chain.refusals import Reverted
from indexer.errors import EndpointLied, TooMuch

CHUNK = 1_000  # calls in one aggregate3: at 30,000 gas each, below geth's default eth_call cap of 50 million
FEW = 10  # calls that failed without a reason and are asked one by one
AGGREGATE3 = bytes.fromhex("82ad56cb")  # aggregate3((address,bool,bytes)[]), github.com/mds1/multicall
_TOLD = "(bool,bytes)[]"

Call = tuple[bytes, bytes]  # contract (20 octets), calldata


async def multicall(pool: Endpoints, calls: Sequence[Call], block: int | str) -> list[bytes | None]:
    """What each call returns at that block (number or tag), in order; None for a revert or an empty answer.

    Raises EndpointLied for an answer of another shape, NoEndpoint where the state is pruned everywhere, and as
    Endpoints.call.
    """
    if len(calls) < 2 or not _deployed(pool, block):
        return await _singly(pool, calls, block)
    parts = [calls[start : start + CHUNK] for start in range(0, len(calls), CHUNK)]
    done = await asyncio.gather(*(_aggregate(pool, part, block) for part in parts))
    return [answer for part in done for answer in part]


def _deployed(pool: Endpoints, block: int | str) -> bool:
    """Whether Multicall3 may be there: in a copy, whose head is below its birth, it may be so from the first block."""
    born = pool.chain.multicall3_block
    copied = born is not None and pool.final_seen is not None and pool.final_seen[0] < born
    return born is not None and (copied or not isinstance(block, int) or block >= born)


async def _aggregate(
    pool: Endpoints, calls: Sequence[Call], block: int | str, *, again: bool = False
) -> list[bytes | None]:
    """again: whether these are calls that failed without a reason before."""
    if len(calls) == 1:
        return await _singly(pool, calls, block)
    try:
        asked = AGGREGATE3 + _encoded(calls)
        question = _request((pool.chain.multicall3, asked), block)
        told, _ = await pool.ask(*question, partial(_results, len(calls)))
    except (Reverted, TooMuch):
        half = len(calls) // 2
        halves = [await _aggregate(pool, part, block, again=again) for part in (calls[:half], calls[half:])]
        return [*halves[0], *halves[1]]
    if told is None:
        return await _singly(pool, calls, block)
    return await _confirm(pool, calls, block, told, again=again)


async def _confirm(
    pool: Endpoints, calls: Sequence[Call], block: int | str, results: Sequence[tuple[bool, bytes]], *, again: bool
) -> list[bytes | None]:
    """Failures without a reason are asked again: a neighbour may have burnt their gas.

    Many go together once more, the last one first, so that what burns gas does so at the end; else one by one.
    """
    answers = [data or None if good else None for good, data in results]
    unsure = [number for number, (good, data) in enumerate(results) if not good and not data][::-1]
    asked = [calls[number] for number in unsure]
    many = len(unsure) > FEW and not again
    found = await (_aggregate(pool, asked, block, again=True) if many else _singly(pool, asked, block))
    for number, answer in zip(unsure, found, strict=True):
        answers[number] = answer
    return answers


def _encoded(calls: Sequence[Call]) -> bytes:
    """Calls that may fail as (address,bool,bytes)[]: a library's general encoder takes longer than all else here."""
    offset, offsets, tails = 32 * len(calls), [], []
    for contract, data in calls:
        padding = bytes(-len(data) % 32)
        tails.append(b"".join((bytes(12), contract, _word(1), _word(96), _word(len(data)), data, padding)))
        offsets.append(_word(offset))
        offset += len(tails[-1])
    return b"".join((_word(32), _word(len(calls)), *offsets, *tails))


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


async def calls_at(pool: Endpoints, calls: Sequence[tuple[Call, int | str]]) -> list[bytes | None]:
    """What each call returns at its own block, in order, in JSON-RPC batches; None and raises as `multicall`."""
    answers = await pool.batch([_request(call, block) for call, block in calls])
    results: list[bytes | None] = []
    for answer in answers:
        if isinstance(answer, bytes):
            results.append(_octets(answer) or None)
        elif isinstance(answer, Reverted):
            results.append(None)
        else:
            raise answer
    return results


async def _singly(pool: Endpoints, calls: Sequence[Call], block: int | str) -> list[bytes | None]:
    return await calls_at(pool, [(call, block) for call in calls])


def _request(call: Call, block: int | str) -> Request:
    contract, data = call
    at = hex(block) if isinstance(block, int) else block
    return "eth_call", [{"to": "0x" + contract.hex(), "data": "0x" + data.hex()}, at]


def _octets(answer: bytes) -> bytes:
    try:
        text = msgspec.json.decode(answer, type=str)
        return bytes.fromhex(text.removeprefix("0x"))
    except (msgspec.MsgspecError, ValueError):
        raise EndpointLied(f"eth_call should give hex octets, not {answer[:80]!r}; ask another endpoint.") from None


def _results(count: int, answer: bytes) -> list[tuple[bool, bytes]] | None:
    """Success and data of each call; None if Multicall3 is not at that address at that block."""
    told = _octets(answer)
    if not told:
        return None
    try:
        (results,) = decode([_TOLD], told)
    except (DecodingError, OverflowError):
        results = ()
    if len(results) != count:
        raise EndpointLied(f"Multicall3 answered {len(results)} of {count} calls; ask another endpoint.")
    return list(results)
