"""A deployment may name its pools: they are asked for by address, and who they are is asked as of any other."""

from __future__ import annotations

from pathlib import Path

from eth_utils.address import to_checksum_address

from indexer.demo.recording import CHAIN_FILE
from indexer.families.uniswap_v3 import SWAP
from indexer.ledger.connect import Database
from tests.families.recordings import PROTOCOLS, Recording, flows, index


async def test_named_pools_are_booked_from_any_start(url: str, database: Database, tmp_path: Path) -> None:
    """The pools were made long before the span, so their tokens and tiers come from the pools themselves."""
    recording = Recording()
    pools = [recording.contracts["pools"][name] for name in ("usdc_weth_500", "evil_usdc_10000")]
    text = (PROTOCOLS / "demo_dex.toml").read_text(encoding="utf-8")
    listed = ", ".join(f'"{to_checksum_address(pool)}"' for pool in pools)
    file = tmp_path / "demo_dex.toml"
    file.write_text(
        text.replace("[deployment.counts]", f"pools = [{listed}]\n[deployment.counts]") + 'pools = "Of the demo."\n'
    )
    await index(CHAIN_FILE, url, file)
    swaps = {log.place for pool in pools for log in recording.find(SWAP, pool)}
    found = await flows(database)
    assert {(row["block_number"], row["log_index"]) for row in found if row["source"] == "swap"} == swaps
    assert {"0x" + row["contract"].hex() for row in found} == set(pools)
