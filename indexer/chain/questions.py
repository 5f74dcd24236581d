"""eth_calls by signature: many contracts asked the same functions in few requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from indexer.chain.calls import Call, calls_at, multicall
from indexer.chain.pool import Endpoints
from indexer.decode.signature import Function, parse_function
from indexer.model import Address

Answer = tuple[Any, ...] | None
Asking = Callable[[Sequence[Call], int | str], Awaitable[list[bytes | None]]]  # as calls.multicall, of one chain


async def ask(
    asked: Endpoints | Asking, contracts: Sequence[Address], functions: Sequence[str], block: int | str
) -> dict[Address, dict[str, Answer]]:
    """What each contract answers to each argument-less function at a block; None where it reverts or answers nonsense.

    asked: endpoints, or who else answers calls. functions: 'name() returns (types)'. Addresses come as 20 octets.
    """
    return await ask_each(asked, dict.fromkeys(contracts, functions), block)


async def ask_each(
    asked: Endpoints | Asking, wanted: Mapping[Address, Collection[str]], block: int | str
) -> dict[Address, dict[str, Answer]]:
    """As `ask`, with functions of its own for each contract."""
    parsed = {text: parse_function(text) for texts in wanted.values() for text in texts}
    calls = [(contract, parsed[text].selector) for contract, texts in wanted.items() for text in texts]
    answers = iter(await _answers(asked, calls, block))
    return {
        contract: {text: _decoded(parsed[text], next(answers)) for text in texts} for contract, texts in wanted.items()
    }


async def ask_at(pool: Endpoints, function: str, places: Sequence[tuple[Address, int]]) -> list[Answer]:
    """What contracts answer to one argument-less function, each at a block of its own; None as in `ask`."""
    parsed = parse_function(function)
    answers = await calls_at(pool, [((contract, parsed.selector), block) for contract, block in places])
    return [_decoded(parsed, answer) for answer in answers]


async def ask_numbered(
    pool: Endpoints, function: str, wanted: Sequence[tuple[Address, int]], block: int | str
) -> list[Answer]:
    """What contracts answer at a block to one function of one number, each to a number of its own; None as in `ask`."""
    parsed = parse_function(function)
    calls = [(contract, parsed.selector + number.to_bytes(32, "big")) for contract, number in wanted]
    return [_decoded(parsed, answer) for answer in await multicall(pool, calls, block)]


async def ask_raw(
    asked: Endpoints | Asking, contracts: Sequence[Address], functions: Sequence[str], block: int | str
) -> Mapping[Address, list[bytes | None]]:
    """As `ask`, with the answers' octets as they came."""
    selectors = [parse_function(text).selector for text in functions]
    answers = await _answers(asked, [(contract, one) for contract in contracts for one in selectors], block)
    width = len(selectors)
    return {contract: answers[at * width : (at + 1) * width] for at, contract in enumerate(contracts)}


async def _answers(asked: Endpoints | Asking, calls: Sequence[Call], block: int | str) -> list[bytes | None]:
    return await (multicall(asked, calls, block) if isinstance(asked, Endpoints) else asked(calls, block))


def _decoded(function: Function, data: bytes | None) -> Answer:
    if data is None:
        return None
    try:
        values = decode(function.outputs, data)
    except (DecodingError, OverflowError, ValueError):
        return None
    return tuple(
        bytes.fromhex(value[2:]) if kind == "address" else value
        for kind, value in zip(function.outputs, values, strict=True)
    )
