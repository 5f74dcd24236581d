"""Runs the checks of sql/checks: each returns no rows while the ledger is sound."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import asyncpg

from indexer.ledger.connect import Database
from indexer.ledger.reading import Rows, readable
from indexer.ledger.sql import query, texts

SHOWN = 5  # rows of a failing check


class Outcome(StrEnum):
    """How a check ended."""

    HOLDS = "holds"
    FAILS = "fails"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Checked:
    """One check: its name, the sentence it stands for, how it ended, and the first rows that break it."""

    check: str
    sentence: str
    outcome: Outcome
    rows: Rows
    more: bool = False


async def run_checks(database: Database, patience_s: int) -> list[Checked]:
    """Every check in turn, each ended after so many seconds, in a transaction of its own that changes nothing."""
    return [await _run(database, name.removesuffix(".sql"), text, patience_s) for name, text in texts("checks")]


async def _run(database: Database, name: str, text: str, patience_s: int) -> Checked:
    sentence = said(text)
    try:
        async with database.pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(query("give_up_after"), str(patience_s * 1000))
            prepared = await connection.prepare(text)
            names = tuple(attribute.name for attribute in prepared.get_attributes())
            found = await (await prepared.cursor()).fetch(SHOWN + 1)
    except asyncpg.QueryCanceledError:
        return Checked(name, sentence, Outcome.UNFINISHED, Rows((), []))
    rows = Rows(names, [tuple(map(readable, row.values())) for row in found[:SHOWN]])
    outcome = Outcome.FAILS if found else Outcome.HOLDS
    return Checked(name, sentence, outcome, rows, more=len(found) > SHOWN)


def said(text: str) -> str:
    """The comment at the head of a check: what holds while it returns no rows."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)
