"""Prices that users load, and what is claimed of a token's price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from indexer.ledger.connect import Connection, Database
from indexer.ledger.reading import Rows
from indexer.ledger.sql import query
from indexer.model import Address

PriceRow = tuple[int, date, Address, int, Decimal, str]  # chain id, day, token, line, dollars, source
_STAGED = ("chain_id", "day", "token", "line", "usd", "source")
_CLAIMS = ("day", "chain", "token", "symbol", "usd", "source", "age_days", "depth_usd", "evidence", "verdict")


@dataclass(frozen=True, slots=True)
class NamedToken:
    """A token of a chain that goes by a name. listed: whether it is in the token list."""

    chain_id: int
    chain: str
    token: Address
    symbol: str | None
    listed: bool


@dataclass(frozen=True, slots=True)
class ClosedBounds:
    """The first and the last closed day of a chain, None without any; closed: whether the day asked for is one."""

    first: date | None
    last: date | None
    closed: bool


async def chain_ids(database: Database) -> dict[str, int]:
    """Chains that the ledger knows, by name."""
    return {row["name"]: row["chain_id"] for row in await database.fetch(query("chain_ids"))}


async def unknown_tokens(database: Database, tokens: Mapping[int, Iterable[Address]]) -> set[tuple[int, Address]]:
    """Those of each chain's tokens that neither the token list nor the ledger knows."""
    return {
        (chain_id, row["token"])
        for chain_id, asked in tokens.items()
        for row in await database.fetch(query("unknown_tokens"), chain_id, sorted(set(asked)))
    }


async def put_file_prices(database: Database, file: str, rows: Sequence[PriceRow]) -> list[int]:
    """Replaces what a file said before; chains with closed days that are to be valued again. Never half of it."""

    async def work(connection: Connection) -> list[int]:
        await connection.execute(query("stage_prices"))
        await connection.copy_records_to_table("staged_price", records=rows, columns=_STAGED)
        touched = [row["chain_id"] for row in await connection.fetch(query("mark_file_days"), file)]
        for statement in ("drop_file_prices", "put_file_prices"):
            await connection.execute(query(statement), file)
        return touched

    return await database.transaction(work)


async def named_tokens(database: Database, token: Address | None, symbol: str, chain: str | None) -> list[NamedToken]:
    """Tokens with this address or symbol, on one chain or (None) on all, listed ones first."""
    rows = await database.fetch(query("named_tokens"), token, symbol, chain)
    return [NamedToken(*row.values()) for row in rows]


async def closed_bounds(database: Database, chain_id: int, day: date | None) -> ClosedBounds:
    """Which days of a chain are closed, and whether this one is."""
    (row,) = await database.fetch(query("closed_bounds"), chain_id, day)
    return ClosedBounds(row["first"], row["last"], bool(row["closed"]))


async def token_claims(database: Database, chain_id: int, day: date, token: Address) -> Rows:
    """Every claim of a token's price on a day with its verdict, the accepted one first."""
    rows = await database.fetch(query("token_claims"), chain_id, day, token)
    return Rows(_CLAIMS, [tuple(row.values()) for row in rows])
