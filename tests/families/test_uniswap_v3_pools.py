"""Uniswap v3: which pools are ours, what is asked of them, and what real ones paid."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from indexer.chain.logs import parse
from indexer.decode import decode, parse_event
from indexer.families.interface import Claim, Proof
from indexer.families.uniswap_v3 import POOL_CREATED, SHARE, SWAP
from indexer.manifest import Deployment
from indexer.model import Classified, Context, Evidence, Member, Side, Span
from indexer.work.classify import Matcher
from tests.families.columns import batches, booked, logs_of, transaction_of, word
from tests.families.plain import FEE_IN_SWAP, Log
from tests.families.worlds import CONTRACTS, FACTORY, FAMILY, FOREIGN, OTHER_FACTORY, POOLS, SIGNATURES, TOKENS

USDC = bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
WETH = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
USDC_WETH = bytes.fromhex("8ad599c3a0ff1de082011efddc58f1908eb6e6d8")  # Ethereum, tier 0.3 %
REAL: dict[bytes, dict[str, int | bytes]] = {
    USDC_WETH: {"token0": USDC, "token1": WETH, "fee_ppm": 3000, "tick_spacing": 60}
}
TOPIC0 = "0x" + parse_event(SWAP).topic0.hex()
# Ethereum block 18937569, log 18 of transaction 0x48978372750b9aab9c5360b9f80df28b96ff087b93cc3c39523f18e11d39a547:
# 72,988.401005 USDC bought for 32.222946497961684985 WETH.
REAL_SWAP: dict[str, Any] = {
    "address": "0x8ad599c3a0ff1de082011efddc58f1908eb6e6d8",
    "topics": [
        "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67",
        "0x000000000000000000000000a69babef1ca67a37ffaf7a485dfff3382056e78c",
        "0x000000000000000000000000a69babef1ca67a37ffaf7a485dfff3382056e78c",
    ],
    "data": "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffef018d6293"
    "000000000000000000000000000000000000000000000001bf2ee71d8b6c6ff9"
    "00000000000000000000000000000000000051f6a092f6e0e2890584c6f44756"
    "000000000000000000000000000000000000000000000000518cc74e6aa9ab7a"
    "000000000000000000000000000000000000000000000000000000000003097e",
    "blockNumber": "0x120f6e1",
    "transactionHash": "0x48978372750b9aab9c5360b9f80df28b96ff087b93cc3c39523f18e11d39a547",
    "transactionIndex": "0x5",
    "logIndex": "0x12",
    "blockTimestamp": "0x65974f5b",
}


def creation(maker: bytes, index: int, pool: bytes) -> Log:
    """A PoolCreated log of block 9."""
    facts = {"token0": TOKENS[0], "token1": TOKENS[1], "pool": pool}
    return Log("PoolCreated", maker, 9, index, {"fee": 500, "tickSpacing": -(2**23), **facts})


def test_every_created_pool_is_announced_with_its_evidence() -> None:
    log = creation(FACTORY, 4, POOLS[1])
    facts: dict[str, int | bytes] = {"token0": TOKENS[0], "token1": TOKENS[1], "fee_ppm": 500} | {
        "tick_spacing": -(2**23)
    }
    found = FAMILY.announced(batches([log], SIGNATURES))
    assert found == [Member(POOLS[1], facts, Evidence(9, transaction_of(log), 4))]
    assert FAMILY.announced({}) == []
    assert FAMILY.steps({}) == []


def test_another_factorys_announcement_is_not_believed() -> None:
    """PoolCreated is asked for from any contract where that saves a request: who emitted it decides."""
    logs = [creation(OTHER_FACTORY, 0, FOREIGN[0]), creation(FACTORY, 1, POOLS[0])]
    deployment = Deployment("dex.demo", "dex", "demo", "uniswap_v3", 0, CONTRACTS, {}, "", bytes(32))
    matched = Matcher(logs_of(logs, SIGNATURES)).match(deployment)
    assert [member.contract for member in FAMILY.announced(matched.batches)] == [POOLS[0]]


ANSWERS = ((FACTORY,), (TOKENS[0],), (TOKENS[1],), (3000,), (60,))
FACTS = {"token0": TOKENS[0], "token1": TOKENS[1], "fee_ppm": 3000, "tick_spacing": 60}


def test_a_pool_that_names_our_factory_is_believed_if_the_factory_vouches_for_it() -> None:
    """The factory is asked getPool(token0, token1, fee) and must answer with the pool's own address."""
    claim = FAMILY.admit(CONTRACTS, POOLS[0], ANSWERS)
    assert claim is not None
    assert claim.facts == FACTS
    asked = keccak(text="getPool(address,address,uint24)")[:4] + word(TOKENS[0]) + word(TOKENS[1]) + word(3000)
    assert claim.proof == Proof(FACTORY, asked, word(POOLS[0]))


def test_a_real_pools_address_is_proof_enough() -> None:
    """CREATE2 of the factory, the tokens, the tier and the pool's code: Ethereum's USDC/WETH 0.3 %."""
    factory = bytes.fromhex("1f98431c8ad98523631ae4a59f267346ea31f984")
    answers = ((factory,), (USDC,), (WETH,), (3000,), (60,))
    contracts = {"factory": (factory,), "pools": ()}
    assert FAMILY.admit(contracts, USDC_WETH, answers) == Claim(REAL[USDC_WETH])
    for another in (POOLS[0], USDC_WETH[:-1] + b"\xd9"):
        claim = FAMILY.admit(contracts, another, answers)
        assert claim is not None
        assert claim.proof is not None
        assert claim.proof.expected == bytes(12) + another


def test_a_tier_of_zero_is_a_tier() -> None:
    claim = FAMILY.admit(CONTRACTS, POOLS[0], (*ANSWERS[:3], (0,), ANSWERS[4]))
    assert claim is not None
    assert claim.facts["fee_ppm"] == 0


def test_a_pool_of_another_factory_is_not_ours() -> None:
    assert FAMILY.admit(CONTRACTS, POOLS[0], ((OTHER_FACTORY,), *ANSWERS[1:])) is None


@pytest.mark.parametrize("missing", range(5))
@pytest.mark.parametrize("nothing", [None, ()])
def test_a_contract_that_leaves_a_question_open_is_not_ours(missing: int, nothing: tuple[()] | None) -> None:
    answers: list[tuple[Any, ...] | None] = list(ANSWERS)
    answers[missing] = nothing
    assert FAMILY.admit(CONTRACTS, POOLS[0], answers) is None


def test_a_contract_that_answers_nothing_is_not_ours() -> None:
    assert FAMILY.admit(CONTRACTS, POOLS[0], (None,) * 5) is None


@pytest.mark.parametrize(
    ("packed", "values"), [(0, (0, 0)), (0x44, (4, 4)), (0xA0, (0, 10)), (0x06, (6, 0)), (0xA4, (4, 10))]
)
def test_slot0_holds_token0s_denominator_in_the_low_four_bits(packed: int, values: tuple[int, int]) -> None:
    """UniswapV3Pool.setFeeProtocol: feeProtocol0 + (feeProtocol1 << 4)."""
    assert FAMILY.observed(SHARE, (2**96, 0, 0, 1, 1, packed, True)) == values


def test_a_pool_that_was_not_there_yet_has_the_switch_off() -> None:
    assert FAMILY.observed(SHARE, None) == (0, 0) == FAMILY.parameters[0].initial


def test_without_named_pools_any_contract_may_emit() -> None:
    created, *others = FAMILY.subscriptions(CONTRACTS)
    assert (created.event, created.emitters, created.rare) == (POOL_CREATED, (FACTORY,), True)
    assert {one.event: one.emitters for one in others} == dict.fromkeys(SIGNATURES[1:])


def test_named_pools_bind_the_questions() -> None:
    asked = FAMILY.subscriptions({**CONTRACTS, "pools": (POOLS[0], POOLS[1])})
    assert {one.emitters for one in asked if one.event != POOL_CREATED} == {(POOLS[0], POOLS[1])}
    assert not any(one.topics for one in asked)


def test_the_factory_is_the_anchor() -> None:
    assert FAMILY.anchor(CONTRACTS) == FACTORY


def test_the_parameter_is_told_by_an_event_that_is_subscribed() -> None:
    assert {one.event for one in FAMILY.parameters} <= {one.event for one in FAMILY.subscriptions(CONTRACTS)}


def classified(logs: Sequence[dict[str, Any]]) -> Classified:
    """Logs as a node sends them, through the product's parsing and decoding."""
    blocks = [int(log["blockNumber"], 16) for log in logs]
    told = [log | {"blockHash": f"0x{int(log['blockNumber'], 16):064x}"} for log in logs]
    answer = parse(json.dumps(told).encode(), Span(min(blocks), max(blocks)))
    event = parse_event(SWAP)
    batch, faults = decode(event, answer.groups[event.topic0, event.topic_count])
    assert not faults
    return FAMILY.classify(CONTRACTS, {SWAP: batch}, Context(REAL))


def test_a_real_swap_paid_three_tenths_of_a_percent_of_its_ether() -> None:
    """32,222,946,497,961,684,985 x 3,000 / 10^6, rounded down; the switch was off."""
    (row,) = booked(classified([REAL_SWAP]))
    transaction = bytes.fromhex(REAL_SWAP["transactionHash"][2:])
    assert row[:4] == (18937569, 18, transaction, 1704415067)
    assert row[4:] == (FEE_IN_SWAP, 2, USDC_WETH, WETH, 96_668_839_493_885_054)


def test_a_whole_recorded_day_adds_up_to_what_its_raw_hex_says(shared: Path) -> None:
    """All 267 swaps of 2024-01-05: 27,490.384906 USDC and 12.589016458826562603 WETH (data/demeter-fetch)."""
    file = shared / "data" / "demeter-fetch" / "eth-univ3-USDC-WETH-3000-2024-01-05.jsonl.gz"
    if not file.exists():
        pytest.skip(f"{file.name} is not among the recordings")
    with gzip.open(file, "rt") as lines:
        swaps = [log for log in map(json.loads, lines) if log["topics"][0] == TOPIC0]
    wanted: Counter[bytes] = Counter()
    for log in swaps:
        for token, at in ((USDC, 2), (WETH, 66)):
            paid = int(log["data"][at : at + 64], 16)
            wanted[token] += paid * 3 // 1000 if paid < 2**255 else 0
    assert wanted == {USDC: 27_490_384906, WETH: 12_589016458826562603}
    made = classified(swaps)
    found: Counter[bytes] = Counter()
    for row in booked(made):
        found[row[7]] += row[8]
    assert found == wanted
    assert {flows.label.side for flows in made.flows} == {Side.SUPPLY}
    assert sum(len(one) for one in made.flows) == len(swaps) == 267
