"""Each check of sql/checks is silent on a sound ledger and speaks up for the fault it is there to find."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.ledger.sql import texts
from tests.simulation.demo import complaints, index, opened
from tests.simulation.node import DemoChain

CHECKS = dict(texts("checks"))
_MADE: set[str] = set()

_FIRST_FLOW = "(block_number, log_index) = (SELECT block_number, log_index FROM flow LIMIT 1)"
_FIRST_RANGE = "range_id = (SELECT min(range_id) FROM range_day)"
_USED = "INSERT INTO range_archive SELECT chain_id, range_id, 'f' FROM range"
_LABEL = "kind, source, side, basis"


def again(deployment: str = "deployment", **changes: str) -> str:
    """One of the exchange's flows once more, but for these columns."""
    columns = ["chain_id", "block_number", "block_time", "log_index", *_LABEL.split(", "), "leg", "tx_hash", "contract"]
    chosen = [changes.get(name, name) for name in (*columns, "protocol")]
    rest = f"{deployment}, token, amount FROM flow WHERE deployment = 'demo_dex.demo' LIMIT 1"
    return f"INSERT INTO flow SELECT {', '.join(chosen)}, {rest}"


FAULTS: dict[str, list[str]] = {
    "claimed_twice.sql": [
        again("'demo_farm.demo.exchange'", leg="leg + 7"),
        "SELECT ensure_flow_month('2026-03-01Z'); " + again(block_time="'2026-03-01Z'"),
        again(contract="substring(sha256(contract) FOR 20)"),
        again(leg="leg + 7", tx_hash="sha256(tx_hash)"),
    ],
    "range_digest.sql": [
        f"UPDATE flow SET amount = amount + 1 WHERE {_FIRST_FLOW}",
        f"DELETE FROM flow WHERE {_FIRST_FLOW}",
        f"UPDATE range_day SET digest = sha256(digest) WHERE {_FIRST_RANGE}",
        f"DELETE FROM range_day WHERE {_FIRST_RANGE}",
        f"UPDATE range_day SET flows = flows + 1 WHERE {_FIRST_RANGE}",
    ],
    "uncovered_flows.sql": [
        "DELETE FROM range_deployment WHERE range_id = (SELECT max(range_id) FROM range_deployment)",
        "UPDATE flow SET block_number = 99999 WHERE block_number = (SELECT min(block_number) FROM flow)",
    ],
    "overlapping_ranges.sql": [
        "INSERT INTO range_deployment SELECT chain_id, 1000, deployment, first_block, first_block FROM range_deployment LIMIT 1",
        "UPDATE range_deployment SET first_block = first_block - 1 WHERE first_block > 500",
    ],
    "coverage.sql": [
        "DELETE FROM range_deployment WHERE range_id = (SELECT min(range_id) FROM range_deployment)",
        "UPDATE range_deployment SET first_block = first_block + 1 WHERE first_block > 500",
    ],
    "day_digest.sql": [
        "UPDATE deployment_day SET digest = sha256(digest) WHERE day = '2026-01-03'",
        "UPDATE deployment_day SET flows = flows - 1 WHERE day = '2026-01-03'",
        "DELETE FROM range_day WHERE day = '2026-01-03'",
        "DELETE FROM deployment_day WHERE day = '2026-01-03'",
        "UPDATE stream SET numerator = numerator + 1",
        "DELETE FROM stream_span",
    ],
    "flow_daily.sql": [
        "UPDATE flow_daily SET amount = amount + 1 WHERE day = '2026-01-03'",
        "UPDATE flow_daily SET flows = flows + 1 WHERE day = '2026-01-03'",
        "DELETE FROM flow_daily WHERE day = '2026-01-03'",
        "UPDATE flow SET amount = amount * 2 WHERE block_number = (SELECT min(block_number) FROM flow)",
        "UPDATE stream SET begins = begins + interval '1 second'",
        f"INSERT INTO flow_daily SELECT chain_id, protocol, deployment, day, token, token, {_LABEL}, 1, 1 FROM flow_daily LIMIT 1",
    ],
    "protocol_day.sql": [
        "UPDATE protocol_part SET usd = usd * 2 WHERE kind = 'fee' AND day = '2026-01-03'",
        "UPDATE protocol_part SET flows = flows + 1 WHERE day = '2026-01-03'",
        "DELETE FROM protocol_part WHERE day = '2026-01-03'",
        "DELETE FROM protocol_day WHERE day = '2026-01-03'",
        "UPDATE protocol_day SET incentives_usd = incentives_usd + 1 WHERE day = '2026-01-03'",
        "UPDATE protocol_day SET unpriced = unpriced + 1 WHERE day = '2026-01-03'",
    ],
    "yield_identities.sql": [
        f"UPDATE protocol_day SET {change} WHERE day = '2026-01-03'; REFRESH MATERIALIZED VIEW yield_daily"
        for change in (
            "fees_usd = fees_usd + 0.000001", "supply_side_usd = supply_side_usd - 0.000001",
            "revenue_usd = revenue_usd + 1", "revenue_usd = NULL", "earnings_usd = earnings_usd + 1", "earnings_usd = NULL",
            "real_usd = real_usd + 1", "synthetic_usd = 0", "issued_usd = issued_usd + incentives_usd + 1",
            "real_share = real_share - 0.01", "real_share = 2", "blocks_held = blocks + 1", "unpriced = -3",
            "holders_usd = -1",
        )
    ],
    "price_evidence.sql": [
        "UPDATE price_daily SET age_days = 8 WHERE source = 'pool' AND day = '2026-01-12'",
        "DELETE FROM trade_daily WHERE day = '2026-01-03'",
        "UPDATE price_daily SET evidence = sha256(evidence) WHERE source = 'pool'",
        "UPDATE price_daily SET depth_usd = 1 WHERE source = 'pool'",
        "UPDATE chain SET min_liquidity_usd = 10^12",
        "UPDATE price_daily SET usd = 2 WHERE source = 'peg'",
        "UPDATE price_daily SET evidence = sha256(evidence) WHERE source = 'feed'",
        "DELETE FROM answer_daily",
        "UPDATE price_daily SET source = 'file' WHERE day = '2026-01-03'",
        "UPDATE price_daily SET source = 'share' WHERE day = '2026-01-03'",
    ],
    "part_prices.sql": [
        "UPDATE price_daily SET usd = usd * 1.000001 WHERE day = '2026-01-03'",
        "DELETE FROM price_daily WHERE day = '2026-01-03'",
        "UPDATE protocol_part SET unpriced = unpriced + 1 WHERE day = '2026-01-03'",
        "UPDATE trade_daily SET in0 = in0 * 2, in1 = in1 * 2 WHERE day = '2026-01-09'",
        "UPDATE flow_daily SET amount = amount * 2 WHERE day = '2026-01-03'",
        ("INSERT INTO flow_daily SELECT chain_id, protocol, deployment, day + 300, contract, token, kind, source, side, basis, 1, 1 "
        "FROM flow_daily WHERE kind = 'fee' LIMIT 1"),
    ],
    "feed_answers.sql": [
        "UPDATE answer_daily SET answers = answers + 1 WHERE day = '2026-01-09'",
        "UPDATE answer_daily SET mean_usd = mean_usd * 1.0001 WHERE day = '2026-01-09'",
        "DELETE FROM answer_daily WHERE day = '2026-01-09'",
        "DELETE FROM range_answer WHERE day = '2026-01-09'",
        "UPDATE range_answer SET answers[1] = 1 WHERE day = '2026-01-09'",
        "UPDATE feed_phase SET seen_last = seen_first WHERE phase = 1",
        "INSERT INTO answer_daily SELECT chain_id, deployment, day, token, token, 1, 1, 1, 1, 1 FROM answer_daily LIMIT 1",
    ],
    "dropped_flows.sql": [
        f"UPDATE range_day SET dropped = true WHERE {_FIRST_RANGE}",
        f"{_USED}; UPDATE range_day SET dropped = true; DELETE FROM deployment_day WHERE day = '2026-01-03'",
    ],
    "archive_index.sql": [
        _USED,
        f"INSERT INTO archive VALUES (31337, 'f', 'state', NULL, 0, 2000, 0, 1); {_USED}",
        f"INSERT INTO archive VALUES (31337, 'f', 'logs', sha256('q'), 90000, 90001, 0, 1); {_USED}",
    ],
    "stream_overlap.sql": [
        "UPDATE stream SET ends = ends + interval '1 hour'",
        ("INSERT INTO stream SELECT chain_id, deployment, span_first_block, contract, token, kind, source, side, basis, "
        "begins + interval '1 second', ends, numerator, denominator, block_number FROM stream LIMIT 1"),
    ],
    "expired_leases.sql": [
        "INSERT INTO lease VALUES (31337, 1, 1, 2, '{demo_dex.demo}', 'gone:1', now() - interval '1 second')",
    ],
}  # fmt: skip


@pytest.fixture
async def indexed(server: EmbeddedPostgres, template: str) -> AsyncIterator[Database]:
    """The indexed demo chain in a database that the test may spoil."""
    admin = await asyncpg.connect(server.url("postgres"))
    if not _MADE:
        await admin.execute(f'CREATE DATABASE "indexed" TEMPLATE "{template}"')
        async with DemoChain() as node, opened(server.url("indexed")) as database:
            await index(database, node.url)
        _MADE.add("indexed")
    await admin.execute('CREATE DATABASE "spoiled" TEMPLATE "indexed"')
    try:
        async with opened(server.url("spoiled")) as database:
            yield database
    finally:
        await admin.execute('DROP DATABASE "spoiled" WITH (FORCE)')
        await admin.close()


async def rows(database: Database, name: str) -> int:
    return len(await database.fetch(CHECKS[name]))


async def spoil(database: Database, fault: str) -> None:
    async with database.pool.acquire() as connection:
        await connection.execute(fault)


async def test_no_check_has_a_word_to_say_of_the_indexed_demo(indexed: Database) -> None:
    told = await indexed.fetch(
        "SELECT (SELECT count(*) FROM flow) AS flows, (SELECT count(*) FROM yield_daily) AS days"
    )
    assert (told[0]["flows"] > 10_000, told[0]["days"]) == (True, 42)
    assert await complaints(indexed) == {}


async def test_no_check_has_a_word_to_say_of_an_empty_ledger(database: Database) -> None:
    assert await complaints(database) == {}


def test_every_check_has_faults_that_it_must_find() -> None:
    assert set(FAULTS) == set(CHECKS)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_check_finds_each_of_its_faults(indexed: Database, name: str) -> None:
    for fault in FAULTS[name]:
        async with indexed.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            assert await connection.fetch(CHECKS[name]) == []
            await connection.execute(fault)
            assert await connection.fetch(CHECKS[name]) != [], fault
            await transaction.rollback()


@pytest.mark.parametrize(
    ("name", "table"),
    [("flow_daily.sql", "dirty_day"), ("day_digest.sql", "dirty_day"), ("protocol_day.sql", "dirty_value")],
)
async def test_what_is_marked_for_redoing_is_not_blamed_meanwhile(indexed: Database, name: str, table: str) -> None:
    await spoil(indexed, FAULTS[name][0])
    assert await rows(indexed, name) > 0
    marks = {
        "dirty_day": "INSERT INTO dirty_day SELECT chain_id, deployment, day FROM deployment_day",
        "dirty_value": "INSERT INTO dirty_value SELECT DISTINCT chain_id, day FROM deployment_day",
    }
    await spoil(indexed, marks[table])
    assert await rows(indexed, name) == 0


@pytest.mark.parametrize("forgotten", ["demo_farm.demo.exchange", "demo_dex.demo", "demo_farm.demo.chef"])
async def test_a_deployment_that_is_forgotten_leaves_a_sound_ledger(indexed: Database, forgotten: str) -> None:
    await indexed.fetch("SELECT forget_deployment($1)", forgotten)
    assert await complaints(indexed) == {}
    async with DemoChain() as node:
        await index(indexed, node.url)
    assert await complaints(indexed) == {}
    told: list[Any] = await indexed.fetch("SELECT count(*) AS n FROM flow WHERE deployment = $1", forgotten)
    assert told[0]["n"] > 0


@pytest.mark.parametrize("name", CHECKS)
async def test_a_reader_may_run_a_check(indexed: Database, name: str) -> None:
    """A check is one SELECT that writes nothing."""
    async with indexed.pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.fetch(CHECKS[name])
