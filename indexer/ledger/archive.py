"""The archive's index, and what is to be read again from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from indexer.ledger.connect import Connection, Database
from indexer.ledger.sql import query
from indexer.model import Address, Span


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was written to the archive.

    holds: logs, history, facts or state. question: fingerprint of its filters, and those as JSON; None for eth_calls.
    count: of logs or answers. contracts: who told the facts.
    """

    file: str
    holds: str
    span: Span
    count: int
    octets: int
    question: tuple[bytes, Sequence[Mapping[str, Any]]] | None = None
    contracts: Sequence[Address] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of logs as the index lists it."""

    file: str
    holds: str
    question: bytes
    span: Span
    logs: int


async def put_kept(connection: Connection, chain_id: int, files: Iterable[Kept]) -> None:
    """Lists files within the transaction of what was made of them."""
    for one in sorted(files, key=lambda kept: kept.file):
        if one.question is not None:
            await connection.execute(query("put_archive_question"), chain_id, one.question[0], list(one.question[1]))
        await connection.execute(
            query("put_archive"), chain_id, one.file, one.holds, None if one.question is None else one.question[0],
            one.span.first, one.span.last, one.count, one.octets,
        )  # fmt: skip
        if one.contracts:
            await connection.execute(query("put_archive_calls"), chain_id, sorted(set(one.contracts)), one.file)


async def list_kept(database: Database, chain_id: int, files: Sequence[Kept]) -> None:
    """Lists files of which nothing else is written."""

    async def work(connection: Connection) -> None:
        await put_kept(connection, chain_id, files)

    await database.transaction(work)


async def listed(database: Database, chain_id: int, span: Span) -> list[Listed]:
    """Files with logs of some of these blocks, by their first block."""
    return [
        Listed(row["file"], row["holds"], row["question"], Span(row["first_block"], row["last_block"]), row["logs"])
        for row in await database.fetch(query("archived"), chain_id, span.first, span.last)
    ]


async def questions(database: Database, chain_id: int, wanted: Collection[bytes]) -> dict[bytes, list[dict[str, Any]]]:
    """Filters as JSON, by their fingerprint."""
    rows = await database.fetch(query("archive_questions"), chain_id, sorted(wanted))
    return {row["question"]: row["filters"] for row in rows}


async def fact_files(database: Database, chain_id: int, contracts: Collection[Address]) -> list[str]:
    """Files with facts that these contracts told, oldest first."""
    return [row["file"] for row in await database.fetch(query("archived_facts"), chain_id, sorted(contracts))]


async def state_files(database: Database, chain_id: int, block: int) -> list[str]:
    """Files with answers about the state at a block."""
    return [row["file"] for row in await database.fetch(query("archived_state"), chain_id, block)]


async def holds_state(database: Database, chain_id: int) -> bool:
    """Whether any answer about the state is kept: parameters were then not read from their events."""
    (row,) = await database.fetch(query("archives_state"), chain_id)
    return bool(row["exists"])


async def forget_file(database: Database, chain_id: int, file: str) -> None:
    """Takes a file that can no longer be read out of the index."""
    await database.fetch(query("forget_file"), chain_id, file)


async def to_read_again(database: Database, chain_id: int, deployments: Sequence[str]) -> dict[str, list[Span]]:
    """Spans that deployments held before they were retired; those read again since are among them."""
    return _spans(deployments, await database.fetch(query("retired_spans"), chain_id, list(deployments)))


async def read_spans(database: Database, chain_id: int, deployments: Sequence[str]) -> dict[str, list[Span]]:
    """Spans that deployments hold, not counting what is being read."""
    return _spans(deployments, await database.fetch(query("read_spans"), chain_id, list(deployments)))


async def ranges_between(database: Database, chain_id: int, deployment: str, span: Span) -> list[Span]:
    """A deployment's ranges that touch some blocks."""
    rows = await database.fetch(query("ranges_between"), chain_id, deployment, span.first, span.last)
    return [Span(row["first_block"], row["last_block"]) for row in rows]


async def stored_versions(database: Database, deployments: Sequence[str]) -> dict[str, tuple[str, int, bytes]]:
    """Family, its version and the manifest's digest that the coverage of deployments counts for, where there is one."""
    rows = await database.fetch(query("stored_versions"), list(deployments))
    return {row["deployment"]: (row["family"], row["family_version"], row["manifest_digest"]) for row in rows}


async def flow_months(database: Database, before: date) -> list[date]:
    """First days of the months whose flows the ledger has room for and that end before a day."""
    return [row["month"] for row in await database.fetch(query("flow_months"), before)]


async def drop_month(database: Database, month: date) -> int | None:
    """Drops a month's flows; their number, or None if it is not closed and archived whole, or somebody reads it."""
    (row,) = await database.fetch(query("drop_flow_month"), month)
    return None if row["flows"] is None else int(row["flows"])


def _spans(deployments: Sequence[str], rows: Iterable[Any]) -> dict[str, list[Span]]:
    result: dict[str, list[Span]] = {name: [] for name in deployments}
    for row in rows:
        result[row["deployment"]].append(Span(row["first_block"], row["last_block"]))
    return result
