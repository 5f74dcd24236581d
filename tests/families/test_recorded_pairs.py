"""Uniswap v2 on recorded chains: what real swaps paid, what stands before them, and what a real deposit paid a maker."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from indexer.chain.chains import load_chains
from indexer.chain.logs import parse
from indexer.decode import decode, parse_event
from indexer.decode.wide import to_ints
from indexer.families import FAMILIES
from indexer.families.interface import Claim, Family
from indexer.families.uniswap_v2 import SWAP, SYNC, TRANSFER, UniswapV2
from indexer.manifest import Deployment, load_protocols, packaged_manifests
from indexer.model import Batch, Classified, Context, Span
from indexer.work.group import family_of
from tests.families.columns import booked
from tests.families.pair_worlds import FACTORY, TOKENS
from tests.families.plain import FEE_IN_SWAP

FAMILY: Family = UniswapV2()
CONTRACTS = {"factory": (FACTORY,), "pairs": (), "price_pairs": ()}
WETH = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
USDC = bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
SUSHI = bytes.fromhex("6b3595068778dd592e39a122f4f5a5cf09c90fe2")
UNISWAP = bytes.fromhex("5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f")
SUSHISWAP = bytes.fromhex("c0aee478e3658e2610c5f7a4a2e1777ce9e4f2ac")


def packaged() -> dict[str, Deployment]:
    """Every packaged deployment by id."""
    protocols = load_protocols(packaged_manifests(), list(load_chains()))
    return {one.id: one for protocol in protocols.values() for one in protocol.deployments}


TOPIC0 = {text: "0x" + parse_event(text).topic0.hex() for text in (SWAP, SYNC, TRANSFER)}
WBTC = bytes.fromhex("2260fac5e5542a773aa44fbcfedf7c193bc2c599")
WBTC_WETH = bytes.fromhex("ceff51756c56ceffca006cd410b03ffc46dd3a58")  # SushiSwap's


def recorded(shared: Path, *names: str) -> list[dict[str, Any]]:
    """Every log of these recordings, each once, in chain order."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for name in names:
        file = shared / "data" / name
        if not file.exists():
            pytest.skip(f"{name} is not among the recordings")
        with gzip.open(file, "rt") as lines:
            for line in lines:
                for log in _logs(json.loads(line)):
                    found[int(log["blockNumber"], 16), int(log["logIndex"], 16)] = log
    return [found[place] for place in sorted(found)]


def _logs(told: Any) -> Iterator[dict[str, Any]]:
    if isinstance(told, Mapping):
        if {"topics", "data", "address", "blockNumber", "logIndex"} <= told.keys():
            yield dict(told)
        else:
            for value in told.values():
                yield from _logs(value)
    elif isinstance(told, list):
        for value in told:
            yield from _logs(value)


def decoded(logs: Sequence[dict[str, Any]], text: str) -> Batch:
    """The logs of an event, as a node sends them, through the product's parsing and decoding."""
    event = parse_event(text)
    rows = [
        log
        for log in logs
        if log["topics"] and log["topics"][0] == TOPIC0[text] and len(log["topics"]) == event.topic_count
    ]
    keys = ("address", "topics", "data", "blockNumber", "transactionHash", "transactionIndex", "logIndex")
    told = [{key: log[key] for key in keys} | {"blockHash": f"0x{int(log['blockNumber'], 16):064x}"} for log in rows]
    blocks = [int(log["blockNumber"], 16) for log in rows]
    answer = parse(json.dumps(told).encode(), Span(min(blocks), max(blocks)))
    batch, faults = decode(event, answer.groups[event.topic0, event.topic_count])
    assert not faults
    return batch


def test_recorded_swaps_pay_three_in_a_thousand_of_what_their_raw_hex_says_came_in(shared: Path) -> None:
    """256 swaps on Ethereum (data/erigon-getlogs), whoever their factory; all before the switch."""
    logs = recorded(shared, "erigon-getlogs/getlogs_calls.jsonl.gz")
    swaps = [log for log in logs if log["topics"] and log["topics"][0] == TOPIC0[SWAP]]
    assert len(swaps) == 256
    members = {bytes.fromhex(log["address"][2:]): {"token0": TOKENS[0], "token1": TOKENS[1]} for log in swaps}
    made = FAMILY.classify(CONTRACTS, {SWAP: decoded(logs, SWAP)}, Context(members))
    wanted = Counter[tuple[int, int, int]]()
    for log in swaps:
        for number in (0, 1):
            fee = int(log["data"][2 + 64 * number : 66 + 64 * number], 16) * 3 // 1000
            if fee:
                wanted[int(log["blockNumber"], 16), int(log["logIndex"], 16), 2 * number] = fee
    rows = booked(made)
    assert {(row[0], row[1], row[5]): row[8] for row in rows} == wanted
    assert {row[4] for row in rows} == {FEE_IN_SWAP}
    assert sum(len(trades.where) for trades in made.trades) == len(swaps)


TETHER = bytes.fromhex("dac17f958d2ee523a2206206994597c13d831ec7")
DAI = bytes.fromhex("6b175474e89094c44da98b954eedeac495271d0f")
CODES = {  # keccak of the pairs' creation code, by factory
    UNISWAP: bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"),
    SUSHISWAP: bytes.fromhex("e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303"),
}


def well_known() -> set[bytes]:
    """Pairs of both factories that these tokens can make."""
    tokens = sorted((WETH, USDC, TETHER, DAI, WBTC, SUSHI))
    return {
        keccak(b"\xff" + factory + keccak(one + other) + code)[12:]
        for factory, code in CODES.items()
        for one, other in combinations(tokens, 2)
    }


def test_a_recorded_swap_directly_follows_the_sync_that_tells_its_reserves(shared: Path) -> None:
    """What depth is built on; and UniswapV2Pair.swap's own check: with 0.3 % of what came in left out, k has not fallen."""
    logs = recorded(shared, "erigon-getlogs/getlogs_calls.jsonl.gz", "rotki-cassettes/receipts-1.jsonl.gz")
    swaps, syncs = decoded(logs, SWAP), decoded(logs, SYNC)
    told = {place: row for row, place in enumerate(places(syncs))}
    reserves = [to_ints(syncs.args[f"reserve{number}"]) for number in (0, 1)]
    checked = 0
    for row, place in enumerate(places(swaps)):
        if swaps.where.contract[row].tobytes() not in well_known():
            continue
        last = told[place[0], place[1] - 1]
        assert (syncs.where.contract[last] == swaps.where.contract[row]).all()
        after = [reserves[number][last] for number in (0, 1)]
        came, went = ([to_ints(swaps.args[f"amount{number}{way}"])[row] for number in (0, 1)] for way in ("In", "Out"))
        before = [after[number] - came[number] + went[number] for number in (0, 1)]
        kept = [after[number] * 1000 - came[number] * 3 for number in (0, 1)]
        assert before[0] * before[1] * 1000**2 <= kept[0] * kept[1]
        checked += 1
    assert checked > 10


def places(batch: Batch) -> list[tuple[int, int]]:
    """Block and log index of each row."""
    return list(zip(batch.where.block.tolist(), batch.where.log_index.tolist(), strict=True))


def classified(
    name: str, logs: Sequence[dict[str, Any]], members: Mapping[bytes, Mapping[str, int | bytes]]
) -> Classified:
    """What a packaged deployment makes of the recorded transfers of these pairs."""
    deployment = packaged()[name]
    transfers = [log for log in logs if bytes.fromhex(log["address"][2:]) in members]
    family = FAMILIES[deployment.family].configured(deployment.options)
    (asked,) = [one for one in family.subscriptions(deployment.contracts) if one.event == TRANSFER]
    mints = [log for log in transfers if _fits(asked.topics, log)]
    return family.classify(deployment.contracts, {TRANSFER: decoded(mints, TRANSFER)}, Context(members))


def _fits(topics: Mapping[int, tuple[bytes, ...]], log: dict[str, Any]) -> bool:
    found = log["topics"]
    return len(found) == 3 and all(bytes.fromhex(found[at][2:]) in values for at, values in topics.items())


def test_a_recorded_deposit_paid_sushiswaps_maker_what_it_was_due(shared: Path) -> None:
    """Ethereum block 16515909, SushiSwap's WBTC/WETH: LP tokens for the maker, then the depositor's."""
    logs = recorded(shared, "rotki-cassettes/logs-1.jsonl.gz")
    contracts, answers = {"factory": (SUSHISWAP,)}, ((SUSHISWAP,), (WBTC,), (WETH,))
    claim = family_of(packaged()["sushiswap.ethereum.v2"]).admit(contracts, WBTC_WETH, answers)
    assert claim == Claim({"token0": WBTC, "token1": WETH})
    (row,) = booked(classified("sushiswap.ethereum.v2", logs, {WBTC_WETH: claim.facts}))
    assert (row[0], row[1], row[6], row[7]) == (16_515_909, 318, WBTC_WETH, WBTC_WETH)
    (raw,) = [log for log in logs if (int(log["blockNumber"], 16), int(log["logIndex"], 16)) == row[:2]]
    assert row[8] == int(raw["data"], 16) > 0
