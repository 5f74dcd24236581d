"""How tokens describe themselves: asked once, when a flow first names them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from indexer.chain.questions import ask_raw
from indexer.decode.text import abi_text, clean_text
from indexer.families.event_rules import NATIVE
from indexer.ledger import context
from indexer.ledger.context import TokenRow
from indexer.model import Address, Classified
from indexer.work.asking import ask_facts
from indexer.work.group import Group

_QUESTIONS = ("symbol() returns (string)", "decimals() returns (uint8)")
_MOST_DECIMALS = 255  # uint8 of EIP-20


async def describe(group: Group, made: Iterable[Classified], block: int) -> None:
    """Records symbol and decimals of every token of these flows and trades that was not asked before."""
    named = _named(made)
    if named <= group.tokens:
        return
    async with group.asking:
        new = named - group.tokens
        known = await context.known_tokens(group.database, group.chain_id, sorted(new))
        strangers = sorted(new - known - {NATIVE})
        answers = await ask_raw(partial(ask_facts, group), strangers, _QUESTIONS, block) if strangers else {}
        asked_at = group.told_at
        rows = [_row(one, answers[one][0], answers[one][1], asked_at.get(one, block)) for one in strangers]
        rows += [_native(group.pool.chain.native, block)] if NATIVE in new - known else []
        await context.put_tokens(group.database, group.chain_id, rows)
        group.tokens |= new


def _named(made: Iterable[Classified]) -> set[Address]:
    columns = [
        column
        for classified in made
        for column in (
            *(flows.token for flows in classified.flows),
            *(token for trades in classified.trades for token in (trades.token0, trades.token1)),
        )
    ]
    named: set[Address] = set()
    for column in columns:
        named.update(np.ascontiguousarray(column).view("V20")[:, 0].tolist())
    return named


def _native(symbol: str | None, block: int) -> TokenRow:
    """The chain's own coin: no contract tells of it. Its raw unit is the wei of transactions, whatever the chain."""
    octets = None if symbol is None else symbol.encode()
    return TokenRow(NATIVE, symbol, 18, octets, block)


def _row(token: Address, symbol: bytes | None, decimals: bytes | None, block: int) -> TokenRow:
    octets = None if symbol is None else abi_text(symbol)
    number = int.from_bytes(decimals, "big") if decimals is not None and len(decimals) == 32 else None
    return TokenRow(
        token,
        None if octets is None else clean_text(octets),
        number if number is not None and number <= _MOST_DECIMALS else None,
        octets,
        block,
    )
