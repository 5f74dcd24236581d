"""Uniswap v3: the batch form equals the plain one, and both equal what a real day paid."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from indexer.chain.logs import parse
from indexer.decode import decode, parse_event
from indexer.decode.wide import to_ints
from indexer.families.interface import Claim, Family, Proof
from indexer.families.uniswap_v3 import (
    COLLECT_PROTOCOL,
    FLASH,
    POOL_CREATED,
    SET_FEE_PROTOCOL,
    SHARE,
    SWAP,
    UniswapV3,
)
from indexer.manifest import Deployment
from indexer.model import Classified, Context, Evidence, Member, Side, Span, Step
from indexer.work.classify import Matcher
from tests.families.columns import batches, booked, expected, logs_of, time_of, transaction_of, word
from tests.families.plain import COLLECTED, CUT_OF_SWAP, FEE_IN_SWAP, Change, Log, Pool, switch_at, uniswap_v3

SIGNATURES = (POOL_CREATED, SWAP, FLASH, SET_FEE_PROTOCOL, COLLECT_PROTOCOL)
FAMILY: Family = UniswapV3()


def address(name: str) -> bytes:
    return sha256(name.encode()).digest()[:20]


FACTORY, OTHER_FACTORY = address("factory"), address("other factory")
CONTRACTS = {"factory": (FACTORY,), "pools": ()}
TOKENS = [address(f"token {number}") for number in range(3)]
POOLS = [address(f"pool {number}") for number in range(3)]
FOREIGN = [address(f"foreign {number}") for number in range(2)]
SENDER = {"sender": address("sender"), "recipient": address("recipient")}
END_OF_BLOCK = 2**24 - 1  # where a step that the state showed is placed

# ---------------------------------------------------------------- the property


class World(NamedTuple):
    """Logs of some blocks, with the pools that are ours and every change of a switch, before and after too."""

    pools: dict[bytes, Pool]
    logs: list[Log]
    changes: list[Change]

    def classify(self) -> Classified:
        members = {contract: pool._asdict() for contract, pool in self.pools.items()}
        found = batches(self.logs, SIGNATURES, strangers=FOREIGN)
        steps: dict[tuple[bytes, str], list[Step]] = {}
        for change in self.changes:
            step = Step(change.contract, SHARE, change.block, change.index, change.denominators)
            steps.setdefault((change.contract, SHARE), []).append(step)
        ordered = {key: sorted(held, key=lambda one: (one.block, one.log_index)) for key, held in steps.items()}
        return FAMILY.classify(CONTRACTS, found, Context(members, ordered))

    def plain(self) -> list[Any]:
        return expected((log, uniswap_v3(log, self.pools, self.changes)) for log in self.logs)


Int256 = (
    st.sampled_from((0, 1, -1, 2, -2, 333, 334, 2**255 - 1, -(2**255), 2**128, -(2**64)))
    | st.integers(-400, 400)
    | st.integers(-(2**255), 2**255 - 1)
    | st.integers(10**17, 10**22)
)


def unsigned(width: int) -> st.SearchStrategy[int]:
    return st.sampled_from((0, 1, 3, 9, 10, 2**width - 1)) | st.integers(0, 30) | st.integers(0, 2**width - 1)


Denominator = st.sampled_from((0, 0, 4, 5, 6, 7, 8, 9, 10))
Denominators = st.tuples(Denominator, Denominator)
Tier = st.sampled_from((100, 500, 3000, 10_000, 0, 1, 999_999)) | st.integers(0, 999_999)
Token = st.sampled_from(TOKENS)
Contract = st.sampled_from(POOLS + POOLS + FOREIGN)
Place = st.tuples(st.integers(10, 12), st.integers(0, 5) | st.just(END_OF_BLOCK))


@st.composite
def log_at(draw: st.DrawFn, place: tuple[int, int]) -> Log:
    event = draw(st.sampled_from(("Swap", "Swap", "Swap", "SetFeeProtocol", "Flash", "CollectProtocol")))
    args: dict[str, int | bytes] = dict(SENDER)
    if event == "Swap":
        args |= {name: draw(Int256) for name in ("amount0", "amount1")}
        args |= {"sqrtPriceX96": draw(unsigned(160)), "liquidity": draw(unsigned(128))}
        args["tick"] = draw(st.integers(-887272, 887272))
    elif event == "SetFeeProtocol":
        values = draw(st.tuples(Denominators, Denominators))
        names = ("feeProtocol0Old", "feeProtocol1Old", "feeProtocol0New", "feeProtocol1New")
        args = dict(zip(names, values[0] + values[1], strict=True))
    else:
        names = ("amount0", "amount1", "paid0", "paid1") if event == "Flash" else ("amount0", "amount1")
        args |= {name: draw(unsigned(256 if event == "Flash" else 128)) for name in names}
    return Log(event, draw(Contract), *place, args)


def changes_of(logs: Sequence[Log]) -> list[Change]:
    return [
        Change(log.contract, log.block, log.index, (log.number("feeProtocol0New"), log.number("feeProtocol1New")))
        for log in logs
        if log.event == "SetFeeProtocol"
    ]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    base = draw(st.sampled_from((0, 20_000_000, 2**38)))
    pools = {contract: Pool(draw(Token), draw(Token), draw(Tier)) for contract in POOLS}
    places = draw(st.lists(Place, unique=True, max_size=14))
    logs = [draw(log_at((base + block, index))) for block, index in places]
    elsewhere = st.tuples(Contract, st.sampled_from((7, 8, 9, 13)), st.sampled_from((0, 3, END_OF_BLOCK)), Denominators)
    others = draw(st.lists(elsewhere, max_size=4, unique_by=lambda one: one[:3]))
    known = [Change(contract, base + block, index, held) for contract, block, index, held in others]
    return World(pools, logs, [*known, *changes_of(logs)])


@given(worlds())
def test_the_batch_form_books_what_the_plain_form_books(world: World) -> None:
    """Random pools and tiers, switches as of (block, log index), dust, nonsense amounts, and foreign pools."""
    assert booked(world.classify()) == world.plain()


@given(worlds())
def test_both_sides_of_each_swap_of_a_known_pool_are_kept(world: World) -> None:
    found = [
        (block, index, token0.tobytes(), token1.tobytes(), *amounts)
        for one in world.classify().trades
        for block, index, token0, token1, *amounts in zip(
            one.where.block.tolist(),
            one.where.log_index.tolist(),
            one.token0,
            one.token1,
            *(to_ints(column) for column in (one.amount0, one.amount1, one.sqrt_price, one.liquidity)),
            strict=True,
        )
    ]
    wanted = [
        (
            log.block,
            log.index,
            world.pools[log.contract].token0,
            world.pools[log.contract].token1,
            abs(log.number("amount0")),
            abs(log.number("amount1")),
            log.number("sqrtPriceX96"),
            log.number("liquidity"),
        )
        for log in world.logs
        if log.event == "Swap" and log.contract in world.pools
    ]
    assert found == sorted(wanted)


@given(worlds())
def test_steps_are_the_changes_that_the_logs_tell(world: World) -> None:
    steps = FAMILY.steps(batches(world.logs, SIGNATURES))
    assert all(step.name == SHARE for step in steps)
    told = [(step.contract, step.block, step.log_index, step.values, step.tx_hash) for step in steps]
    logs = [log for log in world.logs if log.event == "SetFeeProtocol"]
    wanted = [(*change, transaction_of(log)) for change, log in zip(changes_of(world.logs), logs, strict=True)]
    assert told == sorted(wanted, key=lambda row: (row[1], row[2]))


# ---------------------------------------------------------------- single cases


def swap(place: tuple[int, int], amount0: int, amount1: int, contract: bytes = POOLS[0]) -> Log:
    args = SENDER | {"amount0": amount0, "amount1": amount1, "sqrtPriceX96": 2**96, "liquidity": 1, "tick": 0}
    return Log("Swap", contract, *place, args)


def switch(place: tuple[int, int], denominators: tuple[int, int]) -> Log:
    new0, new1 = denominators
    args = {"feeProtocol0Old": 0, "feeProtocol1Old": 0, "feeProtocol0New": new0, "feeProtocol1New": new1}
    return Log("SetFeeProtocol", POOLS[0], *place, args)


POOL = Pool(TOKENS[0], TOKENS[1], 3000)


def amounts(*logs: Log) -> list[tuple[int, int, int]]:
    """(log index, leg, amount) of each flow in POOL."""
    made = World({POOLS[0]: POOL}, list(logs), changes_of(logs)).classify()
    return [(row[1], row[5], row[8]) for row in booked(made)]


def test_switches_in_one_block_hold_for_the_swaps_after_each() -> None:
    """10^6 in pays 3000: all to providers, then a quarter to the protocol, then a tenth, then nothing."""
    logs = [
        swap((7, 0), 10**6, -1), switch((7, 1), (4, 0)), swap((7, 2), 10**6, -1), switch((7, 3), (10, 4)),
        swap((7, 4), 10**6, -1), switch((7, 5), (0, 4)), swap((7, 6), 10**6, -1), swap((7, 7), -1, 10**6),
    ]  # fmt: skip
    assert amounts(*logs) == [
        (0, 0, 3000), (2, 0, 2250), (2, 1, 750), (4, 0, 2700), (4, 1, 300), (6, 0, 3000), (7, 2, 2250), (7, 3, 750),
    ]  # fmt: skip


def test_dust_pays_nothing_and_the_protocol_nothing_below_its_denominator() -> None:
    """333 x 3000 / 10^6 is below one; 1,333 pays 3, of which a quarter is none."""
    assert amounts(switch((1, 0), (4, 4)), swap((1, 1), 333, -5), swap((1, 2), 1333, 0)) == [(2, 0, 3)]


def test_both_sides_positive_both_pay() -> None:
    assert amounts(swap((1, 0), 10**6, 2 * 10**6)) == [(0, 0, 3000), (0, 2, 6000)]


def test_amounts_at_the_ends_of_int256_neither_overflow_nor_pay_when_negative() -> None:
    assert amounts(swap((1, 0), 2**255 - 1, -(2**255))) == [(0, 0, (2**255 - 1) * 3000 // 10**6)]


def test_without_logs_there_is_nothing() -> None:
    assert FAMILY.classify(CONTRACTS, {}, Context()) == Classified([], [])


def test_a_batch_of_foreign_pools_alone_makes_nothing() -> None:
    made = World({}, [swap((1, 0), 10**6, -1, FOREIGN[0]), swap((1, 1), 10**6, -1, FOREIGN[1])], []).classify()
    assert (booked(made), list(made.trades)) == ([], [])


def test_collecting_is_paid_never_accrued() -> None:
    log = Log("CollectProtocol", POOLS[0], 1, 0, SENDER | {"amount0": 2**128 - 1, "amount1": 0})
    made = World({POOLS[0]: POOL}, [log], []).classify()
    assert booked(made) == expected([(log, uniswap_v3(log, {POOLS[0]: POOL}, []))])
    assert [(flows.label, flows.leg) for flows in made.flows] == [(COLLECTED, 1)]


def test_the_plain_form_takes_the_switch_from_the_logs_before() -> None:
    changes = [Change(POOLS[0], 5, 3, (4, 6)), Change(POOLS[0], 5, 1, (0, 9)), Change(POOLS[1], 4, 0, (7, 7))]
    asked = [switch_at(swap(place, 0, 0), changes) for place in ((5, 0), (5, 2), (5, 4), (9, 0))]
    assert asked == [(0, 0), (0, 9), (4, 6), (4, 6)]


# ---------------------------------------------------------------- membership and parameters


def test_every_created_pool_is_announced_with_its_evidence() -> None:
    args = {"token0": TOKENS[0], "token1": TOKENS[1], "fee": 500, "tickSpacing": -(2**23), "pool": POOLS[1]}
    log = Log("PoolCreated", FACTORY, 9, 4, args)
    facts = {"token0": TOKENS[0], "token1": TOKENS[1], "fee_ppm": 500}
    found = FAMILY.announced(batches([log], SIGNATURES))
    assert found == [Member(POOLS[1], facts, Evidence(9, transaction_of(log), 4))]
    assert FAMILY.announced({}) == []
    assert FAMILY.steps({}) == []


def test_another_factorys_announcement_is_not_believed() -> None:
    """PoolCreated is asked for from any contract where that saves a request: who emitted it decides."""
    args = {"token0": TOKENS[0], "token1": TOKENS[1], "fee": 500, "tickSpacing": 10}
    logs = [
        Log("PoolCreated", maker, 9, index, args | {"pool": pool})
        for index, (maker, pool) in enumerate([(OTHER_FACTORY, FOREIGN[0]), (FACTORY, POOLS[0])])
    ]
    deployment = Deployment("dex.demo", "dex", "demo", "uniswap_v3", 0, CONTRACTS, {}, "", bytes(32))
    matched = Matcher(logs_of(logs, SIGNATURES)).match(deployment)
    assert [member.contract for member in FAMILY.announced(matched.batches)] == [POOLS[0]]


ANSWERS = ((FACTORY,), (TOKENS[0],), (TOKENS[1],), (3000,))
FACTS = {"token0": TOKENS[0], "token1": TOKENS[1], "fee_ppm": 3000}


def test_a_pool_that_names_our_factory_is_believed_if_the_factory_vouches_for_it() -> None:
    """The factory is asked getPool(token0, token1, fee) and must answer with the pool's own address."""
    claim = FAMILY.admit(CONTRACTS, POOLS[0], ANSWERS)
    assert claim is not None
    assert (claim.facts, claim.proof is not None) == (FACTS, True)
    assert claim.proof == Proof(
        FACTORY, keccak(text="getPool(address,address,uint24)")[:4] + b"".join(map(word, (*TOKENS[:2], 3000))),
        word(POOLS[0]),
    )  # fmt: skip


def test_a_real_pools_address_is_proof_enough() -> None:
    """CREATE2 of the factory, the tokens, the tier and the pool's code: Ethereum's USDC/WETH 0.3 %."""
    factory = bytes.fromhex("1f98431c8ad98523631ae4a59f267346ea31f984")
    answers = ((factory,), (USDC,), (WETH,), (3000,))
    contracts = {"factory": (factory,), "pools": ()}
    assert FAMILY.admit(contracts, USDC_WETH, answers) == Claim(dict(REAL[USDC_WETH]))
    for another in (POOLS[0], USDC_WETH[:-1] + b"\xd9"):
        claim = FAMILY.admit(contracts, another, answers)
        assert claim is not None
        assert claim.proof is not None
        assert claim.proof.expected == bytes(12) + another


def test_a_tier_of_zero_is_a_tier() -> None:
    claim = FAMILY.admit(CONTRACTS, POOLS[0], (*ANSWERS[:3], (0,)))
    assert claim is not None
    assert claim.facts["fee_ppm"] == 0


def test_a_pool_of_another_factory_is_not_ours() -> None:
    assert FAMILY.admit(CONTRACTS, POOLS[0], ((OTHER_FACTORY,), *ANSWERS[1:])) is None


@pytest.mark.parametrize("missing", range(4))
@pytest.mark.parametrize("nothing", [None, ()])
def test_a_contract_that_leaves_a_question_open_is_not_ours(missing: int, nothing: tuple[()] | None) -> None:
    answers: list[tuple[Any, ...] | None] = list(ANSWERS)
    answers[missing] = nothing
    assert FAMILY.admit(CONTRACTS, POOLS[0], answers) is None


def test_a_contract_that_answers_nothing_is_not_ours() -> None:
    assert FAMILY.admit(CONTRACTS, POOLS[0], (None, None, None, None)) is None


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
    asked = FAMILY.subscriptions(CONTRACTS | {"pools": (POOLS[0], POOLS[1])})
    assert {one.emitters for one in asked if one.event != POOL_CREATED} == {(POOLS[0], POOLS[1])}
    assert not any(one.topics for one in asked)


def test_the_factory_is_the_anchor() -> None:
    assert FAMILY.anchor(CONTRACTS) == FACTORY


def test_the_parameter_is_told_by_an_event_that_is_subscribed() -> None:
    assert {one.event for one in FAMILY.parameters} <= {one.event for one in FAMILY.subscriptions(CONTRACTS)}


# ---------------------------------------------------------------- the real thing

USDC = bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
WETH = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
USDC_WETH = bytes.fromhex("8ad599c3a0ff1de082011efddc58f1908eb6e6d8")  # Ethereum, tier 0.3 %
REAL = {USDC_WETH: {"token0": USDC, "token1": WETH, "fee_ppm": 3000}}
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


def test_made_up_logs_carry_their_time_and_transaction() -> None:
    """What the property test compares is not the same everywhere."""
    rows = booked(World({POOLS[0]: POOL}, [swap((1, 0), 10**6, -1), swap((2, 0), 10**6, -1)], []).classify())
    assert len({row[2] for row in rows}) == 2
    assert [row[3] for row in rows] == [time_of(1), time_of(2)]
    assert CUT_OF_SWAP not in {row[4] for row in rows}
