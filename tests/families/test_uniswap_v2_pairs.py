"""Uniswap v2: which pairs are ours, what is asked of them, and what is packaged."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from indexer.chain.chains import load_chains
from indexer.chain.planner import shapes
from indexer.crosscheck import shared_event
from indexer.families.fee_to import FeeOptions
from indexer.families.interface import Claim, Family, Proof
from indexer.families.uniswap_v2 import PAIR_CREATED, SWAP, SYNC, TRANSFER, UniswapV2
from indexer.manifest import Deployment, load_protocols, packaged_manifests
from indexer.model import Evidence, Kind, Member
from indexer.work.classify import Matcher
from indexer.work.group import family_of, subscriptions
from tests.families.columns import batches, logs_of, transaction_of, word
from tests.families.pair_worlds import (
    FACTORY,
    FOREIGN,
    JAR,
    OTHER_FACTORY,
    PAIRS,
    SIGNATURES,
    TOKENS,
    PairWorld,
    creation,
)

FAMILY: Family = UniswapV2()
CONTRACTS = {"factory": (FACTORY,), "pairs": (), "price_pairs": ()}
ANSWERS = ((FACTORY,), (TOKENS[0],), (TOKENS[1],))
FACTS = {"token0": TOKENS[0], "token1": TOKENS[1]}
WETH = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
USDC = bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
SUSHI = bytes.fromhex("6b3595068778dd592e39a122f4f5a5cf09c90fe2")
UNISWAP = bytes.fromhex("5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f")
SUSHISWAP = bytes.fromhex("c0aee478e3658e2610c5f7a4a2e1777ce9e4f2ac")
USDC_WETH = bytes.fromhex("b4e16d0168e52d35cacd2c6185b44281ec28c9dc")  # Uniswap's, on Ethereum
SUSHI_WETH = bytes.fromhex("795065dcc9f64b5614c407a6efdc400da6221fb0")  # SushiSwap's


def packaged() -> dict[str, Deployment]:
    """Every packaged deployment by id."""
    protocols = load_protocols(packaged_manifests(), list(load_chains()))
    return {one.id: one for protocol in protocols.values() for one in protocol.deployments}


# ---------------------------------------------------------------- members


def test_every_created_pair_is_announced_with_its_evidence() -> None:
    log = creation(FACTORY, 4, PAIRS[1])
    assert FAMILY.announced(batches([log], SIGNATURES)) == [
        Member(PAIRS[1], FACTS, Evidence(9, transaction_of(log), 4))
    ]
    assert FAMILY.announced({}) == []


def test_another_factorys_announcement_is_not_believed() -> None:
    logs = [creation(OTHER_FACTORY, 0, FOREIGN[0]), creation(FACTORY, 1, PAIRS[0])]
    matched = Matcher(logs_of(logs, SIGNATURES)).match(PairWorld({}, []).deployment())
    assert [member.contract for member in FAMILY.announced(matched.batches)] == [PAIRS[0]]


def test_a_pair_that_names_our_factory_is_believed_if_the_factory_vouches_for_it() -> None:
    """The factory is asked getPair(token0, token1) and must answer with the pair's own address."""
    asked = keccak(text="getPair(address,address)")[:4] + word(TOKENS[0]) + word(TOKENS[1])
    assert FAMILY.admit(CONTRACTS, PAIRS[0], ANSWERS) == Claim(FACTS, Proof(FACTORY, asked, word(PAIRS[0])))


def test_real_pairs_addresses_are_proof_enough() -> None:
    """CREATE2 of the factory, both tokens and the pair's code, whose hash is a fork's own."""
    sushi = family_of(packaged()["sushiswap.ethereum.v2"])
    for family, factory, token, pair in (
        (FAMILY, UNISWAP, USDC, USDC_WETH),
        (sushi, SUSHISWAP, SUSHI, SUSHI_WETH),
    ):
        contracts, answers = {"factory": (factory,)}, ((factory,), (token,), (WETH,))
        assert family.admit(contracts, pair, answers) == Claim({"token0": token, "token1": WETH})
        claim = family.admit(contracts, pair[:-1] + b"\x00", answers)
        assert claim is not None
        assert claim.proof is not None


def test_a_pair_of_another_factory_is_not_ours() -> None:
    assert FAMILY.admit(CONTRACTS, PAIRS[0], ((OTHER_FACTORY,), *ANSWERS[1:])) is None


@pytest.mark.parametrize("missing", range(3))
@pytest.mark.parametrize("nothing", [None, ()])
def test_a_contract_that_leaves_a_question_open_is_not_ours(missing: int, nothing: tuple[()] | None) -> None:
    answers: list[tuple[Any, ...] | None] = list(ANSWERS)
    answers[missing] = nothing
    assert FAMILY.admit(CONTRACTS, PAIRS[0], answers) is None


# ---------------------------------------------------------------- subscriptions


def switched(*recipients: bytes) -> Family:
    """The family with one interval a recipient, ten blocks each."""
    options = {
        "fee_to": [
            {"first_block": 10 * at, "last_block": 10 * at + 9, "recipient": checksum(who), "source": "https://a.b/c"}
            for at, who in enumerate(recipients)
        ]
    }
    return FAMILY.configured(FeeOptions.model_validate(options))


def checksum(octets: bytes) -> str:
    return to_checksum_address(octets)


def test_any_contract_may_swap_and_the_factory_alone_announces() -> None:
    created, swaps = FAMILY.subscriptions(CONTRACTS)
    assert (created.event, created.emitters, created.rare) == (PAIR_CREATED, (FACTORY,), True)
    assert (swaps.event, swaps.emitters, swaps.topics) == (SWAP, None, {})


def test_reserves_are_read_of_price_pairs_alone() -> None:
    asked = {one.event: one.emitters for one in FAMILY.subscriptions({**CONTRACTS, "price_pairs": (PAIRS[0],)})}
    assert asked == {PAIR_CREATED: (FACTORY,), SWAP: None, SYNC: (PAIRS[0],)}


def test_named_pairs_bind_the_questions_and_price_pairs_are_among_them() -> None:
    contracts = {**CONTRACTS, "pairs": (PAIRS[0], PAIRS[1]), "price_pairs": (PAIRS[1], PAIRS[2])}
    asked = {one.event: one.emitters for one in switched(JAR).subscriptions(contracts)}
    assert asked[SWAP] == asked[TRANSFER] == (PAIRS[0], PAIRS[1], PAIRS[2])
    assert asked[SYNC] == (PAIRS[1], PAIRS[2])


def test_mints_are_asked_for_by_both_their_ends_so_that_any_contract_may_be_asked() -> None:
    (mints,) = [one for one in switched(JAR, TOKENS[0], JAR).subscriptions(CONTRACTS) if one.event == TRANSFER]
    assert (mints.emitters, mints.topics) == (None, {1: (bytes(32),), 2: (word(JAR), word(TOKENS[0]))})
    asked = shapes(switched(JAR).subscriptions(CONTRACTS))
    assert [(shape.emitters, len(shape.topics)) for shape in asked] == [(None, 1), (None, 3)]


def test_the_factory_is_the_anchor_and_nothing_is_a_parameter() -> None:
    assert FAMILY.anchor(CONTRACTS) == FACTORY
    assert (FAMILY.parameters, FAMILY.steps({}), FAMILY.observed("", None)) == ((), [], ())
    assert FAMILY.kinds.keys() == {Kind.FEE}


# ---------------------------------------------------------------- the packaged ones


def test_exchanges_with_the_same_events_load_together() -> None:
    """Uniswap v2 and v3 and SushiSwap's v2 and v3, with any emitter: each log is one factory's."""
    found = packaged()
    v2 = [one for one in found.values() if one.family == "uniswap_v2"]
    assert {"uniswap_v2.ethereum", "sushiswap.ethereum.v2", "uniswap_v2.base", "sushiswap.base.v2"} <= {
        one.id for one in v2
    }
    for one, other in combinations(found.values(), 2):
        if one.chain == other.chain:
            assert shared_event((family_of(one), one.contracts), (family_of(other), other.contracts)) is None


def test_the_same_factory_twice_would_claim_the_same_logs() -> None:
    one = packaged()["uniswap_v2.ethereum"]
    named = {**one.contracts, "pairs": (USDC_WETH,)}
    assert shared_event((FAMILY, one.contracts), (FAMILY, named)) == "PairCreated"
    assert shared_event((FAMILY, one.contracts), (FAMILY, {**named, "factory": (OTHER_FACTORY,)})) is None


def test_what_is_asked_of_a_chain_is_one_question_for_all_its_exchanges_and_one_for_each_special_thing() -> None:
    """Swaps of all four in one, mints to all recipients in one, reserves of price pairs in one."""
    open_ones = [one for one in packaged().values() if one.chain == "ethereum" and one.family.startswith("uniswap")]
    asked = shapes(question for one in open_ones for question in subscriptions(one))
    assert [(shape.emitters, len(shape.topics)) for shape in asked] == [((SUSHI_WETH,), 1), (None, 1), (None, 3)]
    recipients = asked[2].topics[2]
    assert recipients is not None
    assert len(recipients) == 3


def test_ethereums_switch_is_on_from_the_block_of_the_transaction_that_set_it() -> None:
    options = packaged()["uniswap_v2.ethereum"].options
    assert isinstance(options, FeeOptions)
    (on,) = options.fee_to
    assert (on.first_block, on.last_block) == (24_106_378, None)
    assert on.recipient.hex() == "f38521f130fccf29db1961597bc5d2b60f995f85"
    assert "0x091f0083242a777d55821c1189e568d6d033d9da501b75087dc736fa143d2c1e" in on.source


@pytest.mark.parametrize(
    ("name", "first", "genesis"),
    [("optimism", 148_664_612, (105_235_063, 1_686_068_903)), ("base", 43_069_327, (0, 1_686_789_347))],
)
def test_rollups_switch_is_on_from_the_first_block_of_8_march_2026(
    name: str, first: int, genesis: tuple[int, int]
) -> None:
    """Their blocks are two seconds apart since the block and time in ethereum-optimism/superchain-registry."""
    options = packaged()[f"uniswap_v2.{name}"].options
    assert isinstance(options, FeeOptions)
    assert options.fee_to[0].first_block == first
    time = genesis[1] + 2 * (first - genesis[0])
    assert time - 2 < 1_772_928_000 <= time  # 2026-03-08T00:00:00Z
