"""Uniswap v2's published bytecode on anvil, indexed as any chain: fees, the protocol's part and what it was paid."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from indexer import app
from indexer.families.fee_to import UNISWAP_INIT_CODE_HASH
from indexer.ledger.connect import Database
from indexer.settings import load_settings
from tests.demochain.anvil import anvil
from tests.demochain.artifacts import uniswap_v2
from tests.demochain.deploy import MULTICALL3
from tests.demochain.node import CHAIN_ID, ZERO, Node
from tests.families.pair_life import (
    Account,
    Exchange,
    Places,
    deposit,
    live,
    open_exchange,
    recipient_at,
    recompute,
    switch,
    trade,
)

__all__ = ["anvil"]

SEED = 20251227
FINAL = 70  # blocks on top: anvil calls final what is 64 deep
BALANCE = "balanceOf(address)->(uint256)"
MANIFEST = """
[protocol]
id = "pairs"
name = "Under test"
category = "dex"
methodology = "None."
[[deployment]]
chain = "local"
family = "uniswap_v2"
start_block = 0
exactness = "None."
[deployment.contracts]
factory = "{factory}"
price_pairs = ["{priced}"]
[deployment.counts]
fee = "accrued"
[deployment.sources]
start_block = "The chain's first block."
factory = "Deployed by this test."
price_pairs = "Made by this test."
{intervals}
"""
INTERVAL = """[[deployment.options.fee_to]]
first_block = {first}
{last}recipient = "{recipient}"
source = "Set by this test in that block."
"""


class Found(NamedTuple):
    """What the ledger holds of a pair: by place and leg what accrued, by place what was paid."""

    accrued: dict[Places, Counter[int]]
    paid: dict[Places, int]


def intervals(exchange: Exchange) -> str:
    """The switch as a manifest dates it: from the block of a setFeeTo to the one before the next."""
    ends = [*(block - 1 for block, _ in exchange.switched[1:]), None][: len(exchange.switched)]
    return "".join(
        INTERVAL.format(
            first=first,
            last="" if last is None else f"last_block = {last}\n",
            recipient=to_checksum_address(recipient),
        )
        for (first, recipient), last in zip(exchange.switched, ends, strict=True)
        if recipient != ZERO
    )


async def index(exchange: Exchange, url: str, folder: Path) -> None:
    """Runs `indexer up --once` on the node; reserves of the first pair are read."""
    node = exchange.node
    node.rpc("anvil_mine", hex(FINAL), hex(12))
    factory, priced = to_checksum_address(exchange.factory), to_checksum_address(exchange.pairs[0])
    file = folder / "pairs.toml"
    file.write_text(MANIFEST.format(factory=factory, priced=priced, intervals=intervals(exchange)))
    chain = {"rpc": [node.url], "chain_id": CHAIN_ID, "block_ms": 12_000, "multicall3": to_checksum_address(MULTICALL3)}
    settings = load_settings(None, {"database": url, "start": 0, "chains": {"local": chain}})
    known = app.catalogue(settings, [file])
    async with app.ledger(settings) as database:
        await app.up(settings, known, database, app.Run(), once=True, on_close=lambda: None)


async def found(database: Database, exchange: Exchange, pair: str) -> Found:
    """Every token must be that of its leg, and paid ones the pair's own."""
    rows = await database.fetch(
        "SELECT block_number, log_index, leg, kind, source, side, basis, token, amount FROM flow WHERE contract = $1",
        bytes.fromhex(pair[2:]),
    )
    result = Found({}, {})
    for row in rows:
        place, token = (row["block_number"], row["log_index"]), "0x" + row["token"].hex()
        assert (row["kind"], row["source"]) == ("fee", "swap")
        if row["basis"] == "paid":
            assert (row["leg"], row["side"], token) == (4, "protocol", pair)
            result.paid[place] = int(row["amount"])
            continue
        assert row["side"] == ("supply", "protocol")[row["leg"] % 2]
        assert token == exchange.tokens[pair][row["leg"] // 2]
        result.accrued.setdefault(place, Counter())[row["leg"]] = int(row["amount"])
    return result


def legs(account: Account) -> dict[Places, Counter[int]]:
    """What each swap must have booked, zeros left out."""
    made = {}
    for place, fees in account.fees.items():
        cuts = account.cuts[place]
        booked = Counter({2 * side: fees[side] - cuts[side] for side in (0, 1)})
        booked.update({2 * side + 1: cuts[side] for side in (0, 1)})
        if +booked:
            made[place] = +booked
    return made


@pytest.fixture
def exchange(anvil: Node) -> Exchange:
    """Three pairs of two factories, nothing traded yet."""
    return open_exchange(anvil, Random(SEED))


def test_the_published_bytecode_is_the_one_whose_hash_proves_addresses() -> None:
    assert keccak(uniswap_v2("UniswapV2Pair").bytecode) == UNISWAP_INIT_CODE_HASH


async def test_flows_of_real_pairs_are_what_their_contracts_took_and_minted(
    exchange: Exchange, url: str, database: Database, tmp_path: Path
) -> None:
    """Every swap and every mint of two pairs over five turns of the switch, to the raw unit."""
    live(exchange, 150)
    await index(exchange, url, tmp_path)
    for pair in exchange.pairs:
        account, ledger = recompute(exchange, pair), await found(database, exchange, pair)
        _the_recomputation_is_the_contract(exchange, pair, account)
        _the_life_was_a_varied_one(exchange, account)
        assert ledger.accrued == legs(account)
        assert ledger.paid == account.minted
        _what_was_paid_is_what_recipients_hold(exchange, pair, account, ledger)
    assert await found(database, exchange, exchange.foreign) == Found({}, {})
    await _depth_is_the_reserves_after_the_last_swap(database, exchange)


def _the_recomputation_is_the_contract(exchange: Exchange, pair: str, account: Account) -> None:
    node = exchange.node
    assert account.reserves == exchange.reserves(pair)
    assert account.supply == node.call(pair, "totalSupply()->(uint256)")[0]
    assert account.k_last == node.call(pair, "kLast()->(uint256)")[0]


def _the_life_was_a_varied_one(exchange: Exchange, account: Account) -> None:
    on = {recipient_at(exchange, place[0]) for place in account.fees}
    assert on == {ZERO, *exchange.jars}
    assert account.loans
    assert any(all(fees) for fees in account.fees.values())
    assert len(account.minted) > 3


def _what_was_paid_is_what_recipients_hold(exchange: Exchange, pair: str, account: Account, ledger: Found) -> None:
    """balanceOf each recipient is what it was paid, block by block of its turns, and what was deposited in its name."""
    for jar in exchange.jars:
        paid = sum(amount for place, amount in ledger.paid.items() if recipient_at(exchange, place[0]) == jar)
        assert exchange.node.call(pair, BALANCE, jar)[0] == paid + account.deposited[jar]
        assert (account.deposited[jar] > 0) == (pair == exchange.pairs[1])
        assert paid > 0


async def _depth_is_the_reserves_after_the_last_swap(database: Database, exchange: Exchange) -> None:
    rows = await database.fetch("SELECT * FROM range_trade ORDER BY close_block, close_log_index")
    closing: dict[bytes, Any] = {row["pool"]: row for row in rows}
    priced, other = (closing[bytes.fromhex(pair[2:])] for pair in exchange.pairs)
    account = recompute(exchange, exchange.pairs[0])
    assert (priced["close_block"], priced["close_log_index"]) == account.last_swap
    assert (int(priced["depth0"]), int(priced["depth1"])) == account.depth
    assert (other["depth0"], other["depth1"]) == (None, None)


async def test_fees_are_what_k_grew_by(exchange: Exchange, url: str, database: Database, tmp_path: Path) -> None:
    """A swap that takes all it may leaves its fee and nothing else to k: within one raw unit of either token.

    With f of token0 left out of the reserves after it, k is what it was before: growth of k = f x reserve1, plus what
    rounding the fee (one unit of token0) and the output (one unit of token1) leave.
    """
    pair, rng = exchange.pairs[0], Random(SEED)
    states: dict[int, tuple[list[int], int]] = {}
    for _ in range(40):
        before, side = exchange.reserves(pair), rng.randrange(2)
        trade(exchange, pair, int(10 ** rng.uniform(6, 23)), side)
        states[exchange.node.mine()] = (before, side)
    await index(exchange, url, tmp_path)
    booked = {place[0]: amounts for place, amounts in (await found(database, exchange, pair)).accrued.items()}
    accounts = list(states.items())
    for (block, (before, side)), (_, (after, _)) in pairwise(accounts):
        fee = booked[block][2 * side]
        assert sum(booked[block].values()) == fee
        growth = after[0] * after[1] - before[0] * before[1]
        assert fee * after[1 - side] <= growth < (fee + 1) * after[1 - side] + after[side]


async def test_what_is_minted_is_worth_what_was_allotted(
    exchange: Exchange, url: str, database: Database, tmp_path: Path
) -> None:
    """Without donations, swaps to and fro at a steady price: LP tokens for a sixth of the fees, within one percent."""
    pair, jar = exchange.pairs[0], exchange.jars[0]
    switch(exchange, jar)
    for _ in range(2):
        deposit(exchange, pair, (10**21, 3 * 10**21))
        exchange.node.mine()
        for number in range(30):
            trade(exchange, pair, (10**21, 3 * 10**21)[number % 2], number % 2)
            exchange.node.mine()
    deposit(exchange, pair, (10**21, 3 * 10**21))
    exchange.node.mine()
    await index(exchange, url, tmp_path)
    ledger = await found(database, exchange, pair)
    first = min(ledger.paid)  # minted for what came before the counted swaps, of which there is none but the switch's
    cuts = Counter[int]()
    for amounts in ledger.accrued.values():
        cuts += Counter({leg // 2: amount for leg, amount in amounts.items() if leg % 2})
    reserves, (supply,) = exchange.reserves(pair), exchange.node.call(pair, "totalSupply()->(uint256)")
    share = sum(ledger.paid.values())
    worth = 2 * share * reserves[0] // supply
    allotted = cuts[0] + cuts[1] * reserves[0] // reserves[1]
    assert len(ledger.paid) == 2
    assert first[0] > exchange.switched[0][0]
    assert abs(worth - allotted) * 100 < allotted
