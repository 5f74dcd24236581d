"""A member's log that cannot be decoded is kept in quarantine, with its place and reason, and is never a flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from indexer.demo.recording import CHAIN_FILE
from indexer.families.masterchef import TRANSFER
from indexer.families.uniswap_v3 import POOL_CREATED, SWAP
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from tests.families.recordings import CHAIN_ID, PROTOCOLS, SPAN, Log, Recording, dirty, flows, index, shortened

DEX, FARM = PROTOCOLS / "demo_dex.toml", PROTOCOLS / "demo_farm.toml"


@pytest.fixture
def recording() -> Recording:
    """The demo chain as it is."""
    return Recording()


async def whole(server: EmbeddedPostgres, name: str, manifest: Any, span: tuple[int, int] = SPAN) -> list[Any]:
    """Every flow of the unchanged recording, read into a database of its own."""
    url = server.url(f"whole_{name}")
    await index(CHAIN_FILE, url, manifest, span)
    database = await Database.open(url)
    try:
        return await flows(database)
    finally:
        await database.close()


def place_of(row: Any) -> tuple[int, int]:
    return row["block_number"], row["log_index"]


def without(rows: Sequence[Any], logs: Sequence[Log]) -> list[Any]:
    """The flows that other logs made; these must have made some."""
    spoiled = {log.place for log in logs}
    assert spoiled <= set(map(place_of, rows))
    return [row for row in rows if place_of(row) not in spoiled]


async def quarantine(database: Database) -> list[Any]:
    return list(await database.fetch("SELECT * FROM quarantine ORDER BY block_number, log_index"))


async def test_malformed_swaps_of_members_are_kept_aside_and_all_else_is_booked(
    recording: Recording, server: EmbeddedPostgres, url: str, database: Database, tmp_path: Path
) -> None:
    """One with a tick too large for int24, one short of an octet."""
    pools = recording.contracts["pools"]
    large, short = (recording.find(SWAP, pools[name])[0] for name in ("usdc_weth_3000", "usdc_weth_500"))
    recording.spoil([large], dirty(4))
    recording.spoil([short], shortened)
    await index(recording.write(tmp_path), url, DEX)
    kept = {place_of(row): row for row in await quarantine(database)}
    assert set(kept) == {large.place, short.place}
    for log, reason in ((large, "tick is no int24"), (short, "has 159 octets of data, Swap needs exactly 160")):
        row = kept[log.place]
        assert reason in row["reason"]
        assert (row["chain_id"], row["deployment"]) == (CHAIN_ID, "demo_dex.demo")
        assert (row["contract"].hex(), row["tx_hash"].hex()) == (log.contract[2:], log.transaction[2:])
        assert row["topic0"].hex() == log.topics[0][2:]
    assert kept[large.place]["data"] == dirty(4)(large.data)
    assert kept[short.place]["data"] == short.data[:-1]
    assert await flows(database) == without(await whole(server, "swaps", DEX), [large, short])


async def test_a_member_known_by_nothing_but_malformed_logs_is_asked_who_it_is(
    recording: Recording, url: str, database: Database, tmp_path: Path
) -> None:
    swaps = recording.find(SWAP, recording.contracts["pools"]["evil_usdc_10000"])
    recording.spoil(swaps, shortened)
    await index(recording.write(tmp_path), url, DEX)
    assert swaps
    assert [place_of(row) for row in await quarantine(database)] == [log.place for log in swaps]


@pytest.mark.parametrize("how_many", [1, None], ids=["one log", "all its logs"])
async def test_what_a_foreign_contract_sends_is_nobodys_business(
    recording: Recording, url: str, database: Database, tmp_path: Path, how_many: int | None
) -> None:
    """The fork's pool, known as foreign by its good logs, or by malformed ones alone."""
    swaps = recording.find(SWAP, recording.contracts["pools"]["fork_usdc_weth_3000"])
    assert len(swaps) > 1
    recording.spoil(swaps[:how_many], shortened)
    await index(recording.write(tmp_path), url, DEX)
    assert await quarantine(database) == []
    assert not {log.place for log in swaps} & set(map(place_of, await flows(database)))


async def test_the_factorys_own_malformed_log_is_kept_and_its_pool_is_found_nevertheless(
    recording: Recording, server: EmbeddedPostgres, url: str, database: Database, tmp_path: Path
) -> None:
    span = (0, 60)
    created = recording.find(POOL_CREATED, recording.contracts["factory"], span)[0]
    recording.spoil([created], dirty(1))
    await index(recording.write(tmp_path), url, DEX, span)
    (row,) = await quarantine(database)
    assert (place_of(row), row["contract"].hex()) == (created.place, created.contract[2:])
    assert "pool is no address" in row["reason"]
    found = await flows(database)
    assert created.data[-20:] in {flow["contract"] for flow in found}
    assert found == await whole(server, "factory", DEX, span)


async def test_a_malformed_mint_of_a_named_token_is_kept_aside(
    recording: Recording, server: EmbeddedPostgres, url: str, database: Database, tmp_path: Path
) -> None:
    span = (40, 200)
    topics = ("0x" + "00" * 32, "0x" + "00" * 12 + recording.contracts["chef"][2:])
    transfers = recording.find(TRANSFER, recording.contracts["farm_token"], span)
    minted = next(log for log in transfers if log.topics[1:] == topics)
    recording.spoil([minted], shortened)
    await index(recording.write(tmp_path), url, FARM, span)
    (row,) = await quarantine(database)
    assert (place_of(row), row["deployment"]) == (minted.place, "demo_farm.demo.chef")
    assert await flows(database) == without(await whole(server, "mints", FARM, span), [minted])
