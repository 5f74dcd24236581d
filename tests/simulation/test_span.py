"""From where to where a run reads: --from and --to against what the chain and the ledger have."""

from __future__ import annotations

import pytest

from indexer.errors import BadInput
from indexer.ledger.connect import Database
from tests.simulation.demo import index
from tests.simulation.node import DemoChain


async def _held(database: Database) -> set[str]:
    rows = await database.fetch("SELECT blocks_held FROM coverage WHERE protocol = 'demo_dex'")
    return {f"{span.lower}-{span.upper - 1}" for row in rows for span in row["blocks_held"]}


async def test_an_empty_span_is_a_mistake_and_not_a_success(database: Database, node: DemoChain) -> None:
    """A date as --to is where a run stops, so --from X --to X holds nothing; the sentence says what to write."""
    with pytest.raises(BadInput, match="write the day after it"):
        await index(database, node.url, start="2026-01-03", to="2026-01-03")
    with pytest.raises(BadInput, match="nothing lies between"):
        await index(database, node.url, start=500, to=400)


async def test_a_start_that_is_not_final_yet_is_refused(database: Database, node: DemoChain) -> None:
    """By block or by time, the sentence names the last final block."""
    for start in (99_999, "2026-06-01"):
        with pytest.raises(BadInput, match=f"{start} is not final on demo yet: the last final block is {node.head}"):
            await index(database, node.url, start=start)


async def test_a_block_given_as_start_is_taken_as_it_is(database: Database, node: DemoChain) -> None:
    """Whatever is held already: no gap is filled that nobody asked for, and none of it is read again."""
    await index(database, node.url, start=100, to=199)
    await index(database, node.url, start=500, to=599)
    assert await _held(database) == {"100-199", "500-599"}


async def test_without_a_start_a_run_fills_what_is_missing_since_what_is_held(
    database: Database, node: DemoChain
) -> None:
    """Holes included, up to the last final block."""
    await index(database, node.url, start=100, to=199)
    await index(database, node.url, start=500, to=599)
    await index(database, node.url, start=None)
    assert await _held(database) == {f"100-{node.head}"}
