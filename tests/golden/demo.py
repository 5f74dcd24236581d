"""The demo chain, indexed once a test module as `indexer demo` does it, and its ledger as plain rows."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from functools import cache
from typing import Any

import asyncpg
from rich.console import Console

from indexer.demo.run import demo_settings, run_demo
from indexer.ledger.embedded import EmbeddedPostgres


@cache
def indexed_demo(server: EmbeddedPostgres) -> str:
    """The URL of a database of this server into which the demo chain was indexed."""
    url = server.url("golden_demo")
    asyncio.run(run_demo(demo_settings({"database": url}), Console(file=io.StringIO())))
    return url


def ask(url: str, statement: str, *values: object) -> list[dict[str, Any]]:
    """The rows of a statement, in UTC."""

    async def work() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
        try:
            return [dict(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()

    return asyncio.run(work())


def day_number(moment: datetime) -> int:
    """1 for the first day of the demo, 2026-01-01."""
    return (moment - datetime(2026, 1, 1, tzinfo=UTC)).days + 1
