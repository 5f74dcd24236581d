"""Real contracts on anvil, indexed as any chain: flows against an exact recomputation and against what was paid out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from eth_utils.address import to_checksum_address

from indexer import app
from indexer.ledger.connect import Database
from indexer.settings import load_settings
from tests.demochain.anvil import Exchange, Staking, anvil, exchange, farm
from tests.demochain.artifacts import own
from tests.demochain.deploy import MULTICALL3, Pool
from tests.demochain.manifests import DEX, FARM
from tests.demochain.node import CHAIN_ID, Node
from tests.families.scenario import BALANCE, Account, Exact, Life, Places, begin, leave, live, recompute

__all__ = ["anvil", "exchange", "farm"]

SEED = 20260314
FINAL = 70  # blocks on top: anvil calls final what is 64 deep
Legs = dict[Places, Counter[int]]  # amounts by leg


class Found(NamedTuple):
    """What the ledger holds of one pool: accrued by source, and paid."""

    swaps: Legs
    flashes: Legs
    paid: Counter[int]


async def index(node: Node, url: str, file: Path, manifest: str) -> None:
    """Runs `indexer up --once` on the node with one protocol, written to this file."""
    node.rpc("anvil_mine", hex(FINAL), hex(12))
    file.write_text(manifest)
    chain = {"rpc": [node.url], "chain_id": CHAIN_ID, "block_ms": 12_000, "multicall3": to_checksum_address(MULTICALL3)}
    settings = load_settings(None, {"database": url, "start": 0, "chains": {"demo": chain}})
    known = app.catalogue(settings, [file])
    async with app.ledger(settings) as database:
        await app.up(settings, known, database, app.Run(), once=True, on_close=lambda: None)


async def found(database: Database, pool: Pool) -> Found:
    """The ledger's flows of a pool; every token must be that of its leg."""
    rows = await database.fetch(
        "SELECT block_number, log_index, leg, kind, source, side, basis, token, amount FROM flow WHERE contract = $1",
        bytes.fromhex(pool.address[2:]),
    )
    result = Found({}, {}, Counter())
    for row in rows:
        token = (pool.token0, pool.token1)[row["leg"] // 2]
        assert "0x" + row["token"].hex() == token
        assert (row["kind"], row["side"]) == ("fee", ("supply", "protocol")[row["leg"] % 2])
        if row["basis"] == "paid":
            result.paid[row["leg"]] += int(row["amount"])
            continue
        legs = result.swaps if row["source"] == "swap" else result.flashes
        legs.setdefault((row["block_number"], row["log_index"]), Counter())[row["leg"]] = int(row["amount"])
    return result


def misfits(found: Mapping[Places, Counter[int]], exact: Mapping[Places, Exact]) -> list[Places]:
    """Swaps whose booked fee is not the contract's less at most one raw unit a step, in the token that went in.

    The protocol's part is floored once instead of at every step, so it may be off by one a step either way.
    """
    wrong = [place for place in found if place not in exact]
    for place, one in exact.items():
        legs = found.get(place, Counter())
        supply, cut = legs[2 * one.side], legs[2 * one.side + 1]
        strange = sum(legs.values()) != supply + cut
        if strange or not 0 <= one.fee - supply - cut <= one.steps or abs(one.cut - cut) > one.steps:
            wrong.append(place)
    return wrong


def shifted(found: Legs, exact: Mapping[Places, Exact], units: int) -> Legs:
    """The same flows with an error of so many raw units in every swap."""
    return {
        place: legs + Counter({2 * exact[place].side: units}) if units > 0 else legs - Counter({2 * exact[place].side: -units})
        for place, legs in found.items()
    }


@pytest.fixture
def life(exchange: Exchange) -> Life:
    """Some 150 random acts in two pools, after which every position is burned and collected."""
    made = begin(exchange, Random(SEED))
    live(made, 80)
    leave(made)
    return made


async def test_flows_of_real_pools_are_what_their_contracts_took(
    life: Life, url: str, database: Database, tmp_path: Path
) -> None:
    """Every swap, every flash loan and every sum of two pools with switches, against an exact recomputation."""
    manifest = DEX.format(start=0, factory=to_checksum_address(life.exchange.place.factory))
    await index(life.node, url, tmp_path / "demo_dex.toml", manifest)
    for pool in life.pools:
        account, ledger = recompute(life, pool), await found(database, pool)
        _the_recomputation_is_the_contract(life, pool, account)
        _the_life_was_a_varied_one(account)
        _each_log_is_booked(account, ledger)
        _the_sums_are_what_was_paid_out(account, ledger)


def _the_recomputation_is_the_contract(life: Life, pool: Pool, account: Account) -> None:
    """Accumulators equal to the last bit; and when all have left, the pool is empty but for dust."""
    model, node = account.model, life.node
    assert model.growth == [node.call(pool.address, f"feeGrowthGlobal{side}X128()->(uint256)")[0] for side in (0, 1)]
    assert tuple(model.owed) == node.call(pool.address, "protocolFees()->(uint128,uint128)")
    assert model.liquidity == node.call(pool.address, "liquidity()->(uint128)")[0] == 0
    for side, token in enumerate((pool.token0, pool.token1)):
        (left,) = node.call(token, BALANCE, pool.address)
        assert account.protocol(side) == account.swept[side] + model.owed[side]
        assert 0 <= account.supply(side) - account.gained[side] <= account.checkpoints
        assert 0 <= left - model.owed[side] <= 2 * account.checkpoints + sum(s.steps for s in account.swaps.values())


def _the_life_was_a_varied_one(account: Account) -> None:
    swaps = list(account.swaps.values())
    assert {one.side for one in swaps if one.cut} == {0, 1}
    assert {one.side for one in swaps if not one.cut} == {0, 1}
    assert min(one.steps for one in swaps) == 1
    assert max(one.steps for one in swaps) > 10
    assert any(one.words for one in swaps)
    assert account.flashes
    assert sum(account.swept) > 0 < sum(account.model.owed)


def _each_log_is_booked(account: Account, ledger: Found) -> None:
    assert misfits(ledger.swaps, account.swaps) == []
    assert misfits(shifted(ledger.swaps, account.swaps, 2), account.swaps)
    assert misfits(shifted(ledger.swaps, account.swaps, -1), account.swaps)
    exact = {
        place: Counter({leg: amount for one in both for leg, amount in ((2 * one.side, one.fee - one.cut), (2 * one.side + 1, one.cut)) if amount})
        for place, both in account.flashes.items()
    }
    assert {place: +legs for place, legs in ledger.flashes.items()} == {p: legs for p, legs in exact.items() if legs}


def _the_sums_are_what_was_paid_out(account: Account, ledger: Found) -> None:
    """Within one raw unit a step, and a position's own rounding where it was collected."""
    legs = sum((*ledger.swaps.values(), *ledger.flashes.values()), Counter())
    for side in (0, 1):
        steps = account.steps(side)
        assert abs(account.supply(side) - legs[2 * side]) <= steps
        assert -account.checkpoints <= account.gained[side] - legs[2 * side] <= steps
        assert abs(account.swept[side] + account.model.owed[side] - legs[2 * side + 1]) <= steps
        assert ledger.paid[2 * side + 1] == account.swept[side]
        print(side, steps, account.supply(side) - legs[2 * side], account.gained[side] - legs[2*side], account.protocol(side) - legs[2*side+1], len(account.swaps), account.checkpoints)
    assert set(ledger.paid) <= {1, 3}
