"""What tokens say of themselves: kept as said, shown safely, unknown where they do not say, asked once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eth_abi.abi import encode

from indexer.families.event_rules import NATIVE
from indexer.ledger.connect import Database
from indexer.model import Classified
from indexer.work.tokens import describe
from tests.ledger.made import at, flows, trades
from tests.work.world import DECIMALS, ETHEREUM, HEAD, SYMBOL, World, address, deployment, group_over, word

GOOD, OLD, EVIL, MUTE = (address(name) for name in ("good", "old", "evil", "mute"))


def text(value: str | bytes) -> bytes:
    return encode(["string" if isinstance(value, str) else "bytes"], [value])


def naming(*tokens: bytes) -> list[Classified]:
    """Flows of these tokens, twice each."""
    rows = [at(0, 1), at(0, 2)]
    return [Classified([flows(rows, [5, 6], token)]) for token in tokens]


async def described(database: Database, *tokens: bytes) -> list[tuple[Any, ...]]:
    rows = await database.fetch(
        "SELECT token, symbol, decimals, symbol_octets, block_number FROM token WHERE chain_id = $1", ETHEREUM.chain_id
    )
    by_token = {row["token"]: tuple(row)[1:] for row in rows}
    assert set(by_token) == set(tokens)
    return [by_token[token] for token in tokens]


async def told(database: Database, symbol: bytes | None, decimals: bytes | None) -> tuple[Any, ...]:
    """What is recorded of a token that answers so."""
    world = World({(EVIL, SYMBOL): symbol, (EVIL, DECIMALS): decimals})
    async with group_over(world, database, deployment()) as group:
        await describe(group, naming(EVIL), HEAD)
    return (await described(database, EVIL))[0]


async def test_a_token_is_recorded_as_it_describes_itself(database: Database) -> None:
    """Symbol and decimals with the block at which they were asked."""
    assert await told(database, text("WETH"), word(18)) == ("WETH", 18, b"WETH", HEAD)


async def test_the_chains_own_coin_is_asked_of_no_contract(database: Database) -> None:
    """The zero address stands for it; the packaged chain tells its symbol, and 18 decimals hold on every chain."""
    world = World({(NATIVE, SYMBOL): text("FAKE"), (NATIVE, DECIMALS): word(6), (GOOD, SYMBOL): text("GOOD")})
    async with group_over(world, database, deployment()) as group:
        await describe(group, naming(NATIVE, GOOD), HEAD)
        await describe(group, naming(NATIVE), HEAD)
    native, good = await described(database, NATIVE, GOOD)
    assert native == ("ETH", 18, b"ETH", HEAD)
    assert good[0] == "GOOD"
    assert world.times_asked(NATIVE) == 0


async def test_an_old_tokens_bytes32_symbol_is_text(database: Database) -> None:
    """MKR answers bytes32, padded with zeros."""
    assert await told(database, b"MKR".ljust(32, b"\0"), word(18)) == ("MKR", 18, b"MKR", HEAD)


HOSTILE = [
    ("US\u202eDC\u200b\x00\x1b[31m\n", "USDC[31m"),
    ("  a \t b  ", "a b"),
    ("<script>alert(1)</script>'; DROP TABLE flow; --", "<script>alert(1)</script>'; DROP TABLE flow; --"),
    (b"\xff\xfeUSDC", "\ufffd\ufffdUSDC"),
    (b"\x00" * 40, ""),
    ("", ""),
]


@pytest.mark.parametrize(("symbol", "shown"), HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_symbol_is_shown_safely_and_kept_exactly(
    database: Database, symbol: str | bytes, shown: str
) -> None:
    """Controls, bidirectional marks and NULs vanish, what is no UTF-8 is marked; the octets stay as evidence."""
    octets = symbol if isinstance(symbol, bytes) else symbol.encode()
    assert await told(database, text(symbol), word(6)) == (shown, 6, octets, HEAD)


async def test_an_endless_symbol_is_cut(database: Database) -> None:
    """A hundred thousand characters are one short line."""
    symbol, _, octets, _ = await told(database, text("A" * 100_000), word(6))
    assert len(symbol) == 64
    assert octets == b"A" * 100_000


@pytest.mark.parametrize(
    "decimals",
    [None, b"", word(300), word(256), b"\xff" * 32, bytes(31), word(18) + bytes(32), b"\x12"],
    ids=["reverts", "none", "300", "256", "2^256-1", "31 octets", "64 octets", "one octet"],
)
async def test_decimals_that_are_none_are_unknown(database: Database, decimals: bytes | None) -> None:
    """Never 0, never 18: amounts of such a token have no dollars."""
    assert await told(database, text("X"), decimals) == ("X", None, b"X", HEAD)


@pytest.mark.parametrize(("decimals", "known"), [(word(0), 0), (word(255), 255)])
async def test_any_uint8_counts_as_decimals(database: Database, decimals: bytes, known: int) -> None:
    """Zero decimals are an answer."""
    assert (await told(database, text("X"), decimals))[1] == known


@pytest.mark.parametrize(
    "symbol",
    [
        None,
        b"",
        b"\x01",
        bytes(63),
        word(2**255) + bytes(64),
        word(32) + word(2**200) + bytes(32),
        b"a\0b".ljust(32, b"\0"),
    ],
    ids=["reverts", "none", "one octet", "63 octets", "far offset", "endless length", "zeros within"],
)
async def test_a_symbol_that_is_none_is_unknown(database: Database, symbol: bytes | None) -> None:
    """Decimals are recorded all the same."""
    assert await told(database, symbol, word(9)) == (None, 9, None, HEAD)


async def test_each_token_is_asked_once(database: Database) -> None:
    """By four readers, in a later range and after a restart; a token without an answer is not asked again either."""
    world = World(
        {(GOOD, SYMBOL): text("GOOD"), (GOOD, DECIMALS): word(6), (MUTE, SYMBOL): None, (MUTE, DECIMALS): None}
    )
    for _ in range(2):
        async with group_over(world, database, deployment()) as group:
            await asyncio.gather(*(describe(group, naming(GOOD, MUTE), HEAD) for _ in range(4)))
            await describe(group, naming(MUTE), HEAD + 1)
    assert [world.times_asked(GOOD), world.times_asked(MUTE)] == [1, 1]
    assert await described(database, GOOD, MUTE) == [("GOOD", 6, b"GOOD", HEAD), (None, None, None, HEAD)]


async def test_a_new_token_among_known_ones_is_asked_alone(database: Database) -> None:
    """Only what is not known yet."""
    world = World({(token, SYMBOL): text("T") for token in (GOOD, OLD)})
    async with group_over(world, database, deployment()) as group:
        await describe(group, naming(GOOD), HEAD)
        await describe(group, naming(GOOD, OLD), HEAD)
    assert [world.times_asked(GOOD), world.times_asked(OLD)] == [1, 1]


async def test_both_tokens_of_a_trade_are_described(database: Database) -> None:
    """A trade gives prices, so its tokens matter even where no fee names them."""
    made = Classified([], [trades([at(0, 1)], (GOOD, OLD), [(5, -7)])])
    async with group_over(World(), database, deployment()) as group:
        await describe(group, [made], HEAD)
    await described(database, GOOD, OLD)


async def test_nothing_made_asks_nothing(database: Database) -> None:
    """No flow, no question."""
    world = World()
    async with group_over(world, database, deployment()) as group:
        await describe(group, [Classified()], HEAD)
        assert group.pool.requests == 0
