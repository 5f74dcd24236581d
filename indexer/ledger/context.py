"""What logs need besides themselves, as the ledger knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from indexer.ledger.connect import Connection, Database
from indexer.ledger.ranges import contract_rows
from indexer.ledger.sql import query
from indexer.model import Address, Member, Span, Step

Facts = Mapping[str, int | bytes] | None


@dataclass(frozen=True, slots=True)
class TokenRow:
    """How a token describes itself: shown symbol, decimals (None: it does not say), symbol as answered."""

    token: Address
    symbol: str | None
    decimals: int | None
    symbol_octets: bytes | None
    block: int


async def contracts(
    database: Database, chain_id: int, deployment: str, wanted: Sequence[Address]
) -> dict[Address, Facts]:
    """Facts of those contracts that the deployment met before; None for the ones that are not its own."""
    rows = await database.fetch(query("contracts"), chain_id, deployment, list(wanted))
    return {row["contract"]: _facts(row["facts"]) for row in rows}


async def put_contracts(database: Database, chain_id: int, deployment: str, members: Iterable[Member]) -> None:
    """Records contracts that were asked."""
    rows = contract_rows(chain_id, deployment, members)

    async def work(connection: Connection) -> None:
        await connection.executemany(query("put_contract"), rows)

    await database.transaction(work)


async def steps(
    database: Database, chain_id: int, wanted: Sequence[Address], last: int
) -> dict[tuple[Address, str], list[Step]]:
    """Parameter changes of contracts up to and including a block, oldest first."""
    result: dict[tuple[Address, str], list[Step]] = {}
    for row in await database.fetch(query("steps"), chain_id, list(wanted), last):
        step = step_of(row)
        result.setdefault((step.contract, step.name), []).append(step)
    return result


def step_of(row: asyncpg.Record) -> Step:
    """The step that a row of the query `steps` holds."""
    values = tuple(int(value) for value in row["values"])
    return Step(row["contract"], row["name"], row["block_number"], row["log_index"], values, row["tx_hash"])


async def put_history(
    database: Database, chain_id: int, deployments: Sequence[str], span: Span, found: Iterable[Step]
) -> None:
    """Records all parameter changes of a span and that it was read whole."""
    rows = sorted(
        (chain_id, step.contract, step.name, step.block, step.log_index, list(step.values), step.tx_hash)
        for step in found
    )

    async def work(connection: Connection) -> None:
        await connection.executemany(query("put_step"), rows)
        for deployment in sorted(deployments):
            await connection.execute(query("put_history"), chain_id, deployment, span.first, span.last)

    await database.transaction(work)


async def histories(database: Database, chain_id: int, deployments: Sequence[str]) -> dict[str, list[Span]]:
    """Spans whose parameter events are known, per deployment."""
    result: dict[str, list[Span]] = {name: [] for name in deployments}
    for row in await database.fetch(query("histories"), chain_id, list(deployments)):
        result[row["deployment"]].append(Span(row["first_block"], row["last_block"]))
    return result


async def known_tokens(database: Database, chain_id: int, wanted: Sequence[Address]) -> set[Address]:
    """Those of the tokens that were asked before."""
    return {row["token"] for row in await database.fetch(query("known_tokens"), chain_id, list(wanted))}


async def put_tokens(database: Database, chain_id: int, tokens: Iterable[TokenRow]) -> None:
    """Records how tokens describe themselves."""
    rows = [
        (chain_id, token.token, token.symbol, token.decimals, token.symbol_octets, token.block)
        for token in sorted(tokens, key=lambda token: token.token)
    ]

    async def work(connection: Connection) -> None:
        await connection.executemany(query("put_token"), rows)

    await database.transaction(work)


async def endpoint_limits(database: Database, endpoints: Sequence[str]) -> dict[str, dict[str, int | None]]:
    """What was learned of these endpoints, by fingerprint."""
    rows = await database.fetch(query("endpoint_limits"), list(endpoints))
    return {row["endpoint"]: row["limits"] for row in rows}


async def put_endpoint_limit(database: Database, endpoint: str, limits: Mapping[str, int | None]) -> None:
    """Remembers what was learned of an endpoint."""
    await database.fetch(query("put_endpoint_limit"), endpoint, dict(limits))


def _facts(stored: Mapping[str, int | str] | None) -> Facts:
    if stored is None:
        return None
    return {name: bytes.fromhex(value[2:]) if isinstance(value, str) else value for name, value in stored.items()}
