"""Block headers: one, many, and the last final one; each checked for shape and against the question."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from indexer.chain.header import Header, is_hash, read_header
from indexer.chain.pool import Endpoints
from indexer.chain.refusals import TagUnsupported
from indexer.errors import EndpointFailed, EndpointLied, IndexerError

KEPT = 1_000  # headers of final blocks that a pool remembers


async def header(pool: Endpoints, block: int | str) -> Header | None:
    """The header of a block by number, tag (`latest`) or 0x hash; None where the node knows no such block.

    Raises EndpointLied for an answer of another shape or block, TagUnsupported, and as Endpoints.call.
    """
    if isinstance(block, int) and block in pool.headers:
        return pool.headers[block]
    found, _ = await pool.ask(*_question(block), partial(read_header, block))
    if found is not None:
        remember(pool, found)
    return found


async def header_between(pool: Endpoints, block: int, low: Header, high: Header) -> Header:
    """The header of a block between two others, also in time: an endpoint that says otherwise rests, another is asked.

    Raises EndpointLied where all of them do, EndpointFailed for a block that none has, and as Endpoints.call.
    """
    kept = pool.headers.get(block)
    if kept is not None and low.time <= kept.time <= high.time:
        return kept
    try:
        found, _ = await pool.ask(*_question(block), partial(_placed, block, low, high))
    except EndpointLied:
        pool.headers.clear()  # the lie may be a neighbour's
        raise
    remember(pool, found)
    return found


def remember(pool: Endpoints, found: Header) -> None:
    """Keeps the header of a final block: searches and closing ask for the same ones."""
    if pool.final_seen is not None and found.number <= pool.final_seen[0]:
        pool.headers[found.number] = found
        if len(pool.headers) > KEPT:
            del pool.headers[next(iter(pool.headers))]


async def headers(pool: Endpoints, blocks: Sequence[int]) -> list[Header]:
    """The headers of these blocks, in their order, in JSON-RPC batches.

    Raises EndpointFailed for a block that no endpoint has, and as `header`.
    """
    answers = await pool.batch([_question(block) for block in blocks])
    return [await _settle(pool, block, answer) for block, answer in zip(blocks, answers, strict=True)]


async def finalized(pool: Endpoints) -> Header:
    """The last final block: by the `finalized` tag, else the chain's confirmations below the newest block.

    Raises EndpointLied where no endpoint's answer is at or below its own newest block, and at or above the last
    answer given, which is kept in pool.final_seen.
    """
    questions = [_question("finalized"), _question("latest")]
    try:
        final, _ = await pool.together(questions, partial(_final, pool.final_seen))
    except TagUnsupported:
        final = None
    final = final if final is not None else await _confirmed(pool)
    if pool.final_seen is None or final.number > pool.final_seen[0]:
        pool.final_seen = (final.number, final.hash)
    return final


async def _confirmed(pool: Endpoints) -> Header:
    newest, _ = await pool.ask(*_question("latest"), partial(_known, "latest"))
    number = max(0, newest.number - pool.chain.confirmations, *(pool.final_seen or ())[:1])
    deep, _ = await pool.ask(*_question(number), partial(_known, number))
    _not_before(deep, pool.final_seen)
    return deep


async def _settle(pool: Endpoints, block: int, answer: bytes | IndexerError) -> Header:
    """The header in a batch's answer; where it is none, the block is asked for once more by itself."""
    if isinstance(answer, bytes):
        try:
            return _known(block, answer)
        except (EndpointLied, EndpointFailed):
            pass
    found, _ = await pool.ask(*_question(block), partial(_known, block))
    return found


def _final(seen: tuple[int, bytes] | None, answers: list[bytes]) -> Header | None:
    final = read_header("finalized", answers[0])
    if final is None:
        return None
    newest = _known("latest", answers[1])
    if final.number > newest.number:
        raise EndpointLied(
            f"finalized block {final.number} is above the newest, {newest.number}; ask another endpoint."
        )
    _not_before(final, seen)
    return final


def _not_before(final: Header, seen: tuple[int, bytes] | None) -> None:
    if seen is None or final.number > seen[0] or (final.number, final.hash) == seen:
        return
    was, now = f"{seen[0]} ({seen[1].hex()[:8]})", f"{final.number} ({final.hash.hex()[:8]})"
    raise EndpointLied(f"the finalized block went from {was} back to {now}; ask another endpoint.")


def _question(block: int | str) -> tuple[str, list[object]]:
    if is_hash(block):
        return "eth_getBlockByHash", [block, False]
    return "eth_getBlockByNumber", [hex(block) if isinstance(block, int) else block, False]


def _known(block: int | str, answer: bytes) -> Header:
    found = read_header(block, answer)
    if found is None:
        raise EndpointFailed(f"block {block} is unknown to this node, it may be behind; ask another endpoint.")
    return found


def _placed(block: int, low: Header, high: Header, answer: bytes) -> Header:
    found = _known(block, answer)
    if not low.time <= found.time <= high.time:
        raise EndpointLied(f"block {block} is not between its neighbours in time; ask another endpoint.")
    return found
