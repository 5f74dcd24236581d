"""eth_calls by signature: many contracts asked the same functions in few requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from indexer.chain.calls import multicall
from indexer.chain.pool import Endpoints
from indexer.decode.signature import Function, parse_function
from indexer.model import Address

Answer = tuple[Any, ...] | None


async def ask(
    pool: Endpoints, contracts: Sequence[Address], functions: Sequence[str], block: int | str
) -> dict[Address, dict[str, Answer]]:
    """What each contract answers to each argument-less function at a block; None where it reverts or answers nonsense.

    functions: 'name() returns (types)'. Addresses come as 20 octets.
    """
    parsed = [parse_function(text) for text in functions]
    calls = [(contract, function.selector) for contract in contracts for function in parsed]
    answers = iter(await multicall(pool, calls, block))
    return {
        contract: {text: _decoded(function, next(answers)) for text, function in zip(functions, parsed, strict=True)}
        for contract in contracts
    }


async def ask_raw(
    pool: Endpoints, contracts: Sequence[Address], functions: Sequence[str], block: int | str
) -> Mapping[Address, list[bytes | None]]:
    """As `ask`, with the answers' octets as they came."""
    selectors = [parse_function(text).selector for text in functions]
    answers = await multicall(pool, [(contract, one) for contract in contracts for one in selectors], block)
    width = len(selectors)
    return {contract: answers[at * width : (at + 1) * width] for at, contract in enumerate(contracts)}


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
