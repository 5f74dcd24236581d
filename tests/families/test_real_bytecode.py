"""Real contracts on anvil, indexed as any chain: flows against an exact recomputation and against what was paid out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from indexer import app
from indexer.ledger.connect import Database
from indexer.settings import load_settings
from tests.demochain.anvil import Exchange, Staking, anvil, exchange, farm
from tests.demochain.artifacts import own
from tests.demochain.deploy import MULTICALL3, Pool, approve
from tests.demochain.node import CHAIN_ID, Node
from tests.families.scenario import BALANCE, Account, Exact, Life, Places, begin, far_from_par, leave, live, recompute

__all__ = ["anvil", "exchange", "farm"]

SEED = 20260314
FINAL = 70  # blocks on top: anvil calls final what is 64 deep
POOL_INFO = "poolInfo(uint256)->(address,uint256,uint256,uint256)"
MANIFEST = """
[protocol]
id = "{family}"
name = "Under test"
category = "dex"
methodology = "None."
[[deployment]]
chain = "local"
family = "{family}"
start_block = 0
exactness = "None."
[deployment.contracts]
{contracts}
[deployment.counts]
{kind} = "accrued"
[deployment.sources]
start_block = "The chain's first block."
{sources}
"""
Legs = dict[Places, Counter[int]]  # amounts by leg


class Found(NamedTuple):
    """What the ledger holds of one pool: accrued by source, and paid."""

    swaps: Legs
    flashes: Legs
    paid: Counter[int]


async def index(node: Node, url: str, folder: Path, family: str, kind: str, **contracts: str) -> None:
    """Runs `indexer up --once` on the node with one deployment that counts `kind`; contracts: address by role."""
    node.rpc("anvil_mine", hex(FINAL), hex(12))
    listed = {role: f'"{to_checksum_address(address)}"' for role, address in contracts.items()}
    roles = "\n".join(
        f"{role} = [{text}]" if role.endswith("s") else f"{role} = {text}" for role, text in listed.items()
    )
    sources = "\n".join(f'{role} = "Deployed by this test."' for role in contracts)
    file = folder / f"{family}.toml"
    file.write_text(MANIFEST.format(family=family, kind=kind, contracts=roles, sources=sources))
    chain = {"rpc": [node.url], "chain_id": CHAIN_ID, "block_ms": 12_000, "multicall3": to_checksum_address(MULTICALL3)}
    settings = load_settings(None, {"database": url, "start": 0, "chains": {"local": chain}})
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


def misfits(found: Legs, exact: Mapping[Places, Exact]) -> list[Places]:
    """Swaps whose booked fee is not the contract's less at most one raw unit a step, in the token that went in.

    The protocol's part is floored once instead of at every step, so it may be off by one a step either way.
    """
    wrong = [place for place in found if place not in exact]
    for place, one in exact.items():
        legs = found.get(place, Counter())
        supply, cut = legs[2 * one.side], legs[2 * one.side + 1]
        strange = sum(legs.values()) != supply + cut
        short, most = one.fee - supply - cut, one.steps + one.slack
        if strange or not 0 <= short <= most or abs(one.cut - cut) > most:
            wrong.append(place)
    return wrong


def shifted(found: Legs, exact: Mapping[Places, Exact], units: int) -> Legs:
    """The same flows with an error of so many raw units in what each swap gives to its liquidity providers."""
    result = {place: Counter(legs) for place, legs in found.items()}
    for place, legs in result.items():
        legs[2 * exact[place].side] += units
    return result


@pytest.fixture
def life(exchange: Exchange) -> Life:
    """Some 200 random acts in two pools, after which every position is burned and collected."""
    made = begin(exchange, Random(SEED))
    live(made, 120)
    leave(made)
    return made


async def test_flows_of_real_pools_are_what_their_contracts_took(
    life: Life, url: str, database: Database, tmp_path: Path
) -> None:
    """Every swap, every flash loan and every sum of two pools with switches, against an exact recomputation."""
    await index(life.node, url, tmp_path, "uniswap_v3", "fee", factory=life.exchange.place.factory)
    for pool in life.pools:
        account, ledger = recompute(life, pool), await found(database, pool)
        _the_recomputation_is_the_contract(life, pool, account)
        _the_life_was_a_varied_one(account)
        _each_log_is_booked(account, ledger)
        _the_sums_are_what_was_paid_out(account, ledger)


async def test_far_from_par_a_fee_is_short_by_less_than_one_unit_of_the_price(
    exchange: Exchange, url: str, database: Database, tmp_path: Path
) -> None:
    """SwapMath gives what the rounded price leaves of an exact input to the fee: many raw units, worth nothing."""
    life = far_from_par(exchange, Random(SEED))
    await index(life.node, url, tmp_path, "uniswap_v3", "fee", factory=life.exchange.place.factory)
    account, ledger = recompute(life, life.pools[0]), await found(database, life.pools[0])
    assert misfits(ledger.swaps, account.swaps) == []
    booked = {place: sum(legs.values()) for place, legs in ledger.swaps.items()}
    beyond = [one.fee - booked[place] - one.steps for place, one in account.swaps.items()]
    assert max(beyond) > 1000
    assert all(more * 10**11 < one.fee for more, one in zip(beyond, account.swaps.values(), strict=True) if more > 0)


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
    assert not any(one.slack for one in swaps)  # prices near one: nothing but steps is rounded
    assert min(one.steps for one in swaps) == 1
    assert max(one.steps for one in swaps) > 10
    assert any(one.words for one in swaps)
    assert account.flashes
    assert sum(account.swept) > 0 < sum(account.model.owed)


def _each_log_is_booked(account: Account, ledger: Found) -> None:
    assert misfits(ledger.swaps, account.swaps) == []
    assert misfits(shifted(ledger.swaps, account.swaps, 2), account.swaps)
    assert misfits(shifted(ledger.swaps, account.swaps, -1), account.swaps)
    exact = {place: _legs(both) for place, both in account.flashes.items()}
    assert ledger.flashes == {place: legs for place, legs in exact.items() if legs}


def _legs(exact: list[Exact]) -> Counter[int]:
    """The fees of one log by leg, zeros left out."""
    return +Counter({2 * one.side: one.fee - one.cut for one in exact}) + Counter(
        {2 * one.side + 1: one.cut for one in exact}
    )


def _the_sums_are_what_was_paid_out(account: Account, ledger: Found) -> None:
    """Within one raw unit a step, and a position's own rounding where it was collected."""
    legs = sum((*ledger.swaps.values(), *ledger.flashes.values()), Counter())
    for side in (0, 1):
        steps = account.steps(side)
        assert abs(account.supply(side) - legs[2 * side]) <= steps
        assert -account.checkpoints <= account.gained[side] - legs[2 * side] <= steps
        assert abs(account.swept[side] + account.model.owed[side] - legs[2 * side + 1]) <= steps
        assert ledger.paid[2 * side + 1] == account.swept[side]
    assert set(ledger.paid) <= {1, 3}


# ---------------------------------------------------------------- the farm


class Farmed(NamedTuple):
    """What a farm's life must have made: amounts by block, minted to the chef and paid from the reserve."""

    minted: Counter[int]
    paid: Counter[int]
    harvester: str


def farm_for_a_while(place: Staking, rng: Random) -> Farmed:
    """Two pools; deposits, withdrawals and updates in some blocks, none in others, payments from a reserve in two."""
    node, chef, account, owner = place.node, place.farm.chef, place.account, place.node.accounts()[0]
    other = node.deploy(account, own("Token"), "Other", "OTH", 18, 10**30)
    made = Farmed(Counter(), Counter(), node.deploy(owner, own("Harvester"), place.farm.token))
    node.transact(owner, chef, "add(uint256,address,bool)", 33, other, True)
    approve(node, account, [other], [chef])
    node.mine()
    for number in range(50):
        if number > 5 and rng.random() < 0.3:
            node.mine()
            continue
        pid = number % 2 if number < 5 else rng.randrange(2)
        due = _due(place, (place.staked, other), pid)
        _act(place, pid, rng if number > 5 else None)
        paid = 10**16 + number if number in (20, 30) else 0
        if paid:
            node.transact(account, place.farm.token, "transfer(address,uint256)", made.harvester, paid)
            node.transact(owner, made.harvester, "pay(address,uint256,uint256)", account, pid, paid)
        block = node.mine()
        made.minted[block] += due(block)
        made.paid[block] += paid
    return made


def _due(place: Staking, stakes: tuple[str, str], pid: int) -> Callable[[int], int]:
    """What an update of a pool in a block mints, as MasterChef.updatePool computes it from the state before."""
    node, chef = place.node, place.farm.chef
    _, weight, last, _ = node.call(chef, POOL_INFO, pid)
    ((staked,), (weights,), (per_block,)) = (
        node.call(stakes[pid], BALANCE, chef),
        node.call(chef, "totalAllocPoint()->(uint256)"),
        node.call(chef, "sushiPerBlock()->(uint256)"),
    )

    def due(block: int) -> int:
        (multiplier,) = node.call(chef, "getMultiplier(uint256,uint256)->(uint256)", last, block)
        return int(multiplier) * per_block * weight // weights if staked else 0

    return due


def _act(place: Staking, pid: int, rng: Random | None) -> None:
    """A deposit at first, later anything that updates the pool."""
    node, chef, account = place.node, place.farm.chef, place.account
    (staked,) = node.call(chef, "userInfo(uint256,address)->(uint256)", pid, account)
    kind = 0.0 if rng is None else rng.random()
    if kind < 0.4:
        node.transact(account, chef, "deposit(uint256,uint256)", pid, 10**18 + pid)
    elif kind < 0.7:
        node.transact(account, chef, "withdraw(uint256,uint256)", pid, staked // 2)
    else:
        node.transact(account, chef, "updatePool(uint256)", pid)


async def test_a_real_chefs_mints_are_its_incentives(
    farm: Staking, url: str, database: Database, tmp_path: Path
) -> None:
    """To the raw unit: block by block what updatePool computes, in sum what the chef holds and has handed out."""
    node, place = farm.node, farm.farm
    made = farm_for_a_while(farm, Random(SEED))
    addresses = {"chef": place.chef, "token": place.token, "harvesters": made.harvester}
    await index(node, url, tmp_path, "masterchef", "incentive", **addresses)
    rows = await database.fetch("SELECT block_number, basis, side, kind, token, amount FROM flow")
    booked: dict[str, Counter[int]] = {"accrued": Counter(), "paid": Counter()}
    for row in rows:
        assert (row["kind"], row["side"], row["token"].hex()) == ("incentive", "supply", place.token[2:])
        booked[row["basis"]][row["block_number"]] += int(row["amount"])
    assert booked == {"accrued": +made.minted, "paid": +made.paid}
    assert len(booked["paid"]) == 2
    assert len(booked["accrued"]) > 20
    held = node.call(place.token, BALANCE, place.chef)[0]
    assert sum(booked["accrued"].values()) == held + handed_out(node, place.token, place.chef)


def handed_out(node: Node, token: str, giver: str) -> int:
    """Everything that an account ever transferred of a token, from the raw logs."""
    topics = ["0x" + keccak(text="Transfer(address,address,uint256)").hex(), "0x" + "00" * 12 + giver[2:]]
    asked = {"fromBlock": "0x0", "toBlock": "latest", "address": token, "topics": topics}
    return sum(int(log["data"], 16) for log in node.rpc("eth_getLogs", asked))
