"""What is claimed of a token's price on a day, and what became of each claim."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from eth_utils.address import to_checksum_address

from indexer.documents import quoted
from indexer.errors import BadInput
from indexer.ledger import prices
from indexer.ledger.connect import Database
from indexer.ledger.prices import NamedToken
from indexer.ledger.reading import Rows

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_MOST = 20  # candidates named


async def price_claims(database: Database, token_or_symbol: str, chain: str | None, day: date | None) -> Rows:
    """Every claim of a token's price with dollars, source, age, depth, evidence and verdict, the accepted one first.

    token_or_symbol: an address or a symbol; the symbol of a listed token means that one. chain: None for any.
    day: a closed UTC day, None for the newest. Raises BadInput if that is no token, more than one, or no closed day.
    """
    known = await prices.chain_ids(database)
    if chain is not None and chain not in known:
        raise BadInput(f"chain {quoted(chain)} is not in the ledger; known are {', '.join(sorted(known))}.")
    token = await _token(database, token_or_symbol, chain)
    return await prices.token_claims(database, token.chain_id, await _day(database, token, day), token.token)


async def _token(database: Database, name: str, chain: str | None) -> NamedToken:
    address = bytes.fromhex(name[2:]) if _ADDRESS.fullmatch(name) else None
    found = await prices.named_tokens(database, address, name, chain)
    listed = [one for one in found if one.listed]
    candidates = listed if listed and address is None else found
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise BadInput([f"{quoted(name)} is more than one token: give an address and a chain.", *_lines(candidates)])
    where = "any chain of the ledger" if chain is None else chain
    raise BadInput(
        f"{quoted(name)} is no token on {where}: give an address, or a symbol as its contract writes it, of a token "
        "that was met in a flow or a trade."
    )


def _lines(candidates: Sequence[NamedToken]) -> list[str]:
    shown = [
        f"  {one.chain} {to_checksum_address(one.token)}{' (listed)' if one.listed else ''}"
        for one in candidates[:_MOST]
    ]
    more = len(candidates) - _MOST
    return [*shown, f"  and {more} more"] if more > 0 else shown


async def _day(database: Database, token: NamedToken, day: date | None) -> date:
    bounds = await prices.closed_bounds(database, token.chain_id, day)
    if bounds.first is None or bounds.last is None:
        raise BadInput(f"No day of {token.chain} is closed yet: prices are told for closed days.")
    if day is not None and not bounds.closed:
        raise BadInput(f"{day} is not closed on {token.chain}; what is lies between {bounds.first} and {bounds.last}.")
    return bounds.last if day is None else day
