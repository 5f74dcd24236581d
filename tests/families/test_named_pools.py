"""A deployment may name its pools: they are asked for by address, and who they are is asked as of any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address

from indexer.demo.recording import CHAIN_FILE
from indexer.errors import BadInput
from indexer.families.uniswap_v3 import SWAP
from indexer.ledger.connect import Database
from tests.families.recordings import PROTOCOLS, Recording, flows, index


def _naming(folder: Path, pools: list[str]) -> Path:
    """The demo's exchange with only these pools."""
    text = (PROTOCOLS / "demo_dex.toml").read_text(encoding="utf-8")
    listed = ", ".join(f'"{to_checksum_address(pool)}"' for pool in pools)
    file = folder / "demo_dex.toml"
    file.write_text(
        text.replace("[deployment.counts]", f"pools = [{listed}]\n[deployment.counts]") + 'pools = "Of the demo."\n'
    )
    return file


async def test_named_pools_are_booked_from_any_start(url: str, database: Database, tmp_path: Path) -> None:
    """The pools were made long before the span, so their tokens and tiers come from the pools themselves."""
    recording = Recording()
    pools = [recording.contracts["pools"][name] for name in ("usdc_weth_500", "evil_usdc_10000")]
    await index(CHAIN_FILE, url, _naming(tmp_path, pools))
    swaps = {log.place for pool in pools for log in recording.find(SWAP, pool)}
    found = await flows(database)
    assert {(row["block_number"], row["log_index"]) for row in found if row["source"] == "swap"} == swaps
    assert {"0x" + row["contract"].hex() for row in found} == set(pools)


async def test_a_named_pool_of_another_factory_is_refused(url: str, database: Database, tmp_path: Path) -> None:
    """It would be read for nothing, or its swaps booked to the wrong protocol: the manifest is to be corrected."""
    fork = Recording().contracts["pools"]["fork_usdc_weth_3000"]
    with pytest.raises(BadInput, match=f"demo_dex.demo: contract {fork} is named in the manifest"):
        await index(CHAIN_FILE, url, _naming(tmp_path, [fork]))
    assert await flows(database) == []
