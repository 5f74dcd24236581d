"""Whether a node still has old logs: what it answers for one block against what that block's header says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
from eth_utils.crypto import keccak

from indexer.chain.header import Header, read_header
from indexer.chain.insist import insist
from indexer.chain.logs import Answer, parse
from indexer.chain.refusals import HistoryMissing
from indexer.chain.rpc import Endpoint
from indexer.errors import EndpointBusy, EndpointFailed, EndpointLied, IndexerError
from indexer.model import Span

_FULL = (1 << 2048) - 1
TRIES = 8  # blocks looked at, each twice as far on as the one before, until one has logs, or no filter
REST = 10  # seconds that an endpoint gets at most each time it asks for a rest
PATIENCE = 60  # seconds that all of it may take
ATTEMPTS = 4  # of a question to an endpoint that asks for a rest


class Verdict(StrEnum):
    """What the answer for a block with logs shows."""

    WHOLE = "whole"
    EMPTY = "empty"  # [], though the header says that there are logs: pruned in silence
    PARTIAL = "partial"  # some of the logs that the header speaks of are missing
    REFUSED = "refused"  # the node says that it no longer has them
    UNKNOWN = "unknown"  # no block with logs was found, or the node would not answer


@dataclass(frozen=True, slots=True)
class Canary:
    """What a node showed. block: the one it was asked about; says: its refusal, or why nothing is known.

    headers: those it gave on the way.
    """

    verdict: Verdict
    block: int
    says: str = ""
    headers: tuple[Header, ...] = field(default=(), compare=False)


async def canary(endpoint: Endpoint, first: int, last: int) -> Canary:
    """Asks for all logs of the first block from `first` on that has any, in TRIES + 1 requests if none fails.

    A header's bloom filter holds the emitter and the topics of every log of its block (Yellow Paper, 4.3.1): bits of
    it that no answered log sets are logs that the node left out. Never raises what the endpoint does.
    """
    block, headers = first, []
    try:
        async with asyncio.timeout(PATIENCE):
            bloom: int | None = 0
            for block in _places(first, last):
                bloom, header = await _bloom(endpoint, block)
                headers.append(header)
                if bloom != 0:
                    break
            if not bloom:
                return Canary(Verdict.UNKNOWN, first, "no header near it tells of logs", tuple(headers))
            answer = await _patiently(endpoint, "eth_getLogs", [{"fromBlock": hex(block), "toBlock": hex(block)}])
        return Canary(_verdict(parse(answer, Span(block, block)), bloom), block, "", tuple(headers))
    except HistoryMissing as refusal:
        return Canary(Verdict.REFUSED, block, str(refusal))
    except TimeoutError:
        return Canary(Verdict.UNKNOWN, block, f"{endpoint.name} gave no answer to this for {PATIENCE} seconds.")
    except IndexerError as error:
        return Canary(Verdict.UNKNOWN, block, str(error))


def bloom_of(answer: Answer) -> int:
    """The bloom filter of logs as a number of 2,048 bits."""
    items: set[bytes] = set()
    for (topic0, count), raw in answer.groups.items():
        items |= {emitter.tobytes() for emitter in raw.where.emitters}
        items |= {topic.tobytes() for topic in raw.topics.reshape(-1, 32)} | ({topic0} if count else set())
    bits = 0
    for item in items:
        digest = keccak(item)
        for at in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[at : at + 2]) & 2047)
    return bits


def _verdict(answer: Answer, bloom: int) -> Verdict:
    if answer.logs == 0:
        return Verdict.EMPTY
    return Verdict.PARTIAL if bloom & ~bloom_of(answer) else Verdict.WHOLE


def _places(first: int, last: int) -> Iterator[int]:
    for step in range(TRIES):
        place = first + (1 << step) - 1
        if place > last:
            return
        yield place


async def _bloom(endpoint: Endpoint, block: int) -> tuple[int | None, Header]:
    """A block's filter and header; None where the node gives no filter, or one with every bit set: no block's logs can.

    Raises EndpointFailed for a block it does not know, EndpointLied for what is no header.
    """
    answer = await _patiently(endpoint, "eth_getBlockByNumber", [hex(block), False])
    header = read_header(block, answer)
    if header is None:
        raise EndpointFailed(f"{endpoint.name}: block {block} is unknown to it; use another endpoint.")
    written = msgspec.json.decode(answer).get("logsBloom")
    try:
        bits = int(written, 16) if isinstance(written, str) else None
    except ValueError:
        raise EndpointLied(f"{endpoint.name}: block {block} has no readable logsBloom; use another endpoint.") from None
    return (None if bits == _FULL else bits), header


async def _patiently(endpoint: Endpoint, method: str, params: Sequence[object]) -> bytes:
    """As `insist`; an endpoint that asks for a rest gets it, up to REST seconds each time, and is asked again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await insist(endpoint, method, params)
        except EndpointBusy as busy:
            await asyncio.sleep(min(REST, 1 if busy.retry_after is None else busy.retry_after))
    return await insist(endpoint, method, params)
