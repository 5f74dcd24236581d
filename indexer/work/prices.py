"""Loading a price file: checked whole, stored whole, and the days it touches valued again."""

from __future__ import annotations

from pathlib import Path

from eth_utils.address import to_checksum_address

from indexer.errors import BadInput
from indexer.ledger import closing, prices
from indexer.ledger.connect import Database
from indexer.prices.price_file import FilePrice, Mistake, read_price_file, sentences


async def load_prices(database: Database, file: Path) -> int:
    """Makes a CSV or Parquet file's prices known and values with them; how many there are.

    A file of the same name replaces what it said before; one with a header alone takes all of it back.
    Raises BadInput with every mistake, one a line: 'file:line: sentence'.
    """
    rows, mistakes = read_price_file(file)
    known = await prices.chain_ids(database)
    mistakes += await _unknown(database, rows, known)
    if mistakes:
        raise BadInput(sentences(file.name, mistakes))
    staged = [(known[row.chain], row.day, row.token, row.line, row.usd, row.source) for row in rows]
    await prices.put_file_prices(database, file.name, staged)
    for chain_id in known.values():  # where the answer was lost, a repeated attempt finds nothing that changes
        await closing.value_days(database, chain_id)
    await closing.refresh(database)
    return len(rows)


async def _unknown(database: Database, rows: list[FilePrice], known: dict[str, int]) -> list[Mistake]:
    """What the ledger says of chains and tokens that are well written."""
    tokens: dict[int, set[bytes]] = {}
    for row in rows:
        if row.chain in known:
            tokens.setdefault(known[row.chain], set()).add(row.token)
    strangers = await prices.unknown_tokens(database, tokens)
    listed = ", ".join(sorted(known)) if known else "none yet: index one first"
    found: list[Mistake] = []
    for row in rows:
        if row.chain not in known:
            found.append((row.line, f"chain {row.chain} is not in the ledger; known are {listed}"))
        elif (known[row.chain], row.token) in strangers:
            told = f"token {to_checksum_address(row.token)} is neither listed nor met in what was read on {row.chain}"
            found.append((row.line, f"{told}: correct it, or index what uses it first"))
    return found
