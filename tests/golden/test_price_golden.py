"""What real pools said of a price within half a percent of what a real feed said in the same block."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from indexer.chain.logs import parse
from indexer.decode import decode, parse_event
from indexer.families.chainlink_feed import ANSWER_UPDATED, ChainlinkFeed
from indexer.families.uniswap_v3 import SWAP, UniswapV3
from indexer.ledger.closing import close_days, put_day_start, value_days
from indexer.ledger.connect import Database
from indexer.ledger.context import TokenRow, put_tokens
from indexer.ledger.registry import keep_rules, list_quotes
from indexer.model import Batch, Context, Span
from indexer.settings import PriceSettings
from tests.ledger.made import CHAIN, known, reading, store

# Ethereum block 15,547,621 of 2022-09-16 17:20 UTC, as github.com/ethereum/portal-spec-tests has it; its receipts are
# proven by the header. The swaps are all of these two pools' in that block.
BLOCK = 15_547_621
HASH = "0x96a9313cd506e32893d46c82358569ad242bb32786bd5487833e0f77767aec2a"
DAY = date(2022, 9, 16)
USDC, USDT, WETH = map(
    bytes.fromhex,
    (
        "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
        "dac17f958d2ee523a2206206994597c13d831ec7",
        "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
    ),
)
DECIMALS = {USDC: 6, USDT: 6, WETH: 18}
USDC_WETH = "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"  # tier 0.05 %
WETH_USDT = "0x11b815efb8f581194ae79006d24e0d814b7697f6"  # tier 0.05 %
POOLS: dict[str, tuple[bytes, bytes]] = {USDC_WETH: (USDC, WETH), WETH_USDT: (WETH, USDT)}
# Chainlink's USDT / ETH, 18 decimals: the aggregator behind 0xEe9F2375b4bdF6387aa8265dD4FB8F16512A1d46 at that time.
AGGREGATOR = "0x7de0d6fce0c128395c488cb4df667cdbfb35d7de"
# Of each log: emitter, index in the block, topics after the first, data.
ANSWER = (AGGREGATOR, 186, ["2806d73710a80", "1ef7"], "6324b057")
SWAPS = (
    (
        USDC_WETH,
        2,
        ["57c1e0c2adf6eecdb135bcf9ec5f23b319be2c94"] * 2,
        (
            "000000000000000000000000000000000000000000000000000000377ed79f17"
            "fffffffffffffffffffffffffffffffffffffffffffffff6ddfcace2e87e41b9"
            "00000000000000000000000000000000000067d610a6b556f34e81019c8da5ae"
            "0000000000000000000000000000000000000000000000006d68cab8083e1a2f"
            "0000000000000000000000000000000000000000000000000000000000031bfa"
        ),
    ),
    (
        USDC_WETH,
        19,
        ["68b3465833fb72a70ecdf485e0e4c7bd8665fc45"] * 2,
        (
            "00000000000000000000000000000000000000000000000000000000acda7d00"
            "ffffffffffffffffffffffffffffffffffffffffffffffffe393a3a1c6c36fbd"
            "00000000000000000000000000000000000067d5cec384721177cc1a452cc280"
            "0000000000000000000000000000000000000000000000006e9c8b505d157aa5"
            "0000000000000000000000000000000000000000000000000000000000031bf9"
        ),
    ),
    (
        USDC_WETH,
        321,
        ["68b3465833fb72a70ecdf485e0e4c7bd8665fc45"] * 2,
        (
            "0000000000000000000000000000000000000000000000000000000002faf080"
            "ffffffffffffffffffffffffffffffffffffffffffffffffff828bf6f6544bbb"
            "00000000000000000000000000000000000067d5cda12ae0ba9a071b2b6a90e6"
            "0000000000000000000000000000000000000000000000006e9c8b505d157aa5"
            "0000000000000000000000000000000000000000000000000000000000031bf9"
        ),
    ),
    (
        WETH_USDT,
        308,
        ["68b3465833fb72a70ecdf485e0e4c7bd8665fc45"] * 2,
        (
            "fffffffffffffffffffffffffffffffffffffffffffffffffb1b6629c174f5bc"
            "000000000000000000000000000000000000000000000000000000001dcd6500"
            "0000000000000000000000000000000000000000000277a6a838c4050858121f"
            "00000000000000000000000000000000000000000000000005977a234ccd78d3"
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffce415"
        ),
    ),
)
Typed = tuple[str, int, list[str], str]


def told(log: Typed, event: str) -> dict[str, Any]:
    """A typed log as a node sends it."""
    address, index, topics, data = log
    return {
        "address": address,
        "topics": ["0x" + parse_event(event).topic0.hex(), *("0x" + topic.rjust(64, "0") for topic in topics)],
        "data": "0x" + data.rjust((len(data) + 63) // 64 * 64, "0"),
        "blockNumber": hex(BLOCK),
        "blockHash": HASH,
        "transactionHash": f"0x{index:064x}",
        "transactionIndex": "0x0",
        "logIndex": hex(index),
        "blockTimestamp": "0x6324b057",
    }


def decoded(logs: list[dict[str, Any]], event: str) -> Batch:
    """The product's own reading of a node's answer."""
    parsed = parse_event(event)
    answer = parse(json.dumps(logs).encode(), Span(BLOCK, BLOCK))
    batch, faults = decode(parsed, answer.groups[parsed.topic0, parsed.topic_count])
    assert not faults
    return batch


def ether_for_a_dollar() -> Fraction:
    """What the feed answered: ether for one USDT."""
    batch = decoded([told(ANSWER, ANSWER_UPDATED)], ANSWER_UPDATED)
    facts = {bytes.fromhex(AGGREGATOR[2:]): {"decimals": 18}}
    (answers,) = ChainlinkFeed(USDT).classify({}, {ANSWER_UPDATED: batch}, Context(facts)).answers
    (value,) = (int.from_bytes(row.astype(">u4").tobytes(), "big") for row in answers.value)
    return Fraction(value, 10**answers.decimals)


@pytest.fixture
async def traded(database: Database) -> Database:
    """The day of the block, closed, with the trades of both pools."""
    await known(database)
    await put_tokens(database, CHAIN, [TokenRow(token, "T", decimals, b"T", 0) for token, decimals in DECIMALS.items()])
    await keep_rules(database, [CHAIN], PriceSettings(min_liquidity_usd=0, min_pool_age_days=0))
    batch = decoded([told(log, SWAP) for log in SWAPS], SWAP)
    facts: dict[bytes, Mapping[str, int | bytes]] = {
        bytes.fromhex(pool[2:]): {"token0": one, "token1": other, "fee_ppm": 500, "tick_spacing": 10}
        for pool, (one, other) in POOLS.items()
    }
    made = UniswapV3().classify({"factory": (bytes(20),), "pools": ()}, {SWAP: batch}, Context(facts))
    await put_day_start(database, CHAIN, DAY, BLOCK - 5000)
    await put_day_start(database, CHAIN, date(2022, 9, 17), BLOCK + 2000)
    await store(database, BLOCK, BLOCK, reading(*made.flows, traded=made.trades))
    await close_days(database, CHAIN, date(2022, 9, 17))
    return database


async def price(database: Database, token: bytes, pegged: bytes) -> Fraction:
    """What pools say of a token if another, alone, is held at one."""
    await list_quotes(database, [(CHAIN, pegged, "Q", DECIMALS[pegged], Decimal(1))])
    await value_days(database, CHAIN)
    (row,) = await database.fetch("SELECT usd, source, depth_usd FROM price_daily WHERE token = $1", token)
    assert row["source"] == "pool"
    assert row["depth_usd"] > 0
    return Fraction(row["usd"])


def apart(one: Fraction, other: Fraction) -> Fraction:
    return abs(one / other - 1)


async def test_a_pool_and_the_feed_of_the_same_pair_agree(traded: Database) -> None:
    """USDT in ether, by 500 USDT that bought ether, and as the feed says: 0.000705152 and 0.000704158."""
    pool, feed = await price(traded, USDT, pegged=WETH), ether_for_a_dollar()
    assert round(float(feed), 9) == 0.000704158
    assert apart(pool, feed) < Fraction(5, 1000)


async def test_ether_in_dollars_of_another_pool_agrees_with_the_feed(traded: Database) -> None:
    """170 ether bought with USDC at a dollar, against USDT at a dollar by the feed: 1,414.80 and 1,420.14."""
    pool, feed = await price(traded, WETH, pegged=USDC), 1 / ether_for_a_dollar()
    assert (round(float(pool), 2), round(float(feed), 2)) == (1414.80, 1420.14)
    assert apart(pool, feed) < Fraction(5, 1000)


def test_the_typed_logs_are_those_of_the_recorded_block(shared: Path) -> None:
    """Every swap of both pools and the aggregator's answer, in data/blocks-portal-spec-tests."""
    file = shared / "data" / "blocks-portal-spec-tests" / f"1-{BLOCK}.json.gz"
    if not file.exists():
        pytest.skip(f"{file.name} is not among the recordings")
    logs = [log for receipt in json.loads(gzip.decompress(file.read_bytes()))["receipts"] for log in receipt["logs"]]
    topics = {"0x" + parse_event(event).topic0.hex() for event in (SWAP, ANSWER_UPDATED)}
    found = [log for log in logs if log["address"] in (*POOLS, AGGREGATOR) and log["topics"][0] in topics]
    wanted = [told(log, SWAP) for log in SWAPS] + [told(ANSWER, ANSWER_UPDATED)]
    place = ("address", "topics", "data", "blockNumber", "logIndex", "blockTimestamp", "blockHash")
    assert sorted(([log[key] for key in place] for log in found), key=str) == sorted(
        ([log[key] for key in place] for log in wanted), key=str
    )
