"""What is claimed of a price: every claim with its verdict, and the one accepted is the one that was taken."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from eth_utils.address import to_checksum_address

from indexer.errors import BadInput
from indexer.ledger.connect import Database
from indexer.ledger.prices import put_file_prices
from indexer.publish.prices import price_claims
from tests.ledger.made import CHAIN, COIN, OTHER_POOL, POOL, USDC, WETH, address
from tests.ledger.pricing import FEED, USDT, answered, closed, day, ether, pair, prepared, valued

NAMES = ("day", "chain", "token", "symbol", "usd", "source", "age_days", "depth_usd", "evidence", "verdict")


@pytest.fixture
async def ready(database: Database) -> Database:
    """A day on which ether is claimed by a file, a feed and three pools; the file and the feed are a day older."""
    await prepared(database, pegs=(USDC, USDT))
    far = address(0xB3)
    markets = [ether(3, 2000), ether(3, 9999, 999, OTHER_POOL), ether(1, 1990, 9000, far), pair(3, USDC, USDT, "1")]
    await closed(database, [], markets)
    await answered(database, 2, WETH, "2001", "2002")
    await put_file_prices(database, "mine.csv", [(CHAIN, day(2), WETH, 7, Decimal("2003.5"), "Kraken's close")])
    await valued(database)
    return database


async def refusal(database: Database, token: str, chain: str | None = None, when: date | None = None) -> list[str]:
    with pytest.raises(BadInput) as caught:
        await price_claims(database, token, chain, when)
    return caught.value.problems


async def test_every_claim_is_shown_with_its_verdict(ready: Database) -> None:
    rows = await price_claims(ready, "WETH", None, day(3))
    assert rows.names == NAMES
    assert {row[:4] for row in rows.values} == {(day(3), "made", WETH, "WETH")}
    newer = "not needed: a file tells the price"
    shallow = "refused: 999 dollars of the quote token are provably in the pool, 1000 are needed"
    assert [row[4:] for row in rows.values] == [
        (Decimal("2003.5"), "file", 1, None, "mine.csv:7: Kraken's close", "accepted"),
        (2002, "feed", 1, None, f"0x{FEED.hex()} feed.f1", newer),
        (1990, "pool", 2, 9000, f"0x{address(0xB3).hex()}", newer),
        (2000, "pool", 0, 5000, f"0x{POOL.hex()}", newer),
        (9999, "pool", 0, 999, f"0x{OTHER_POOL.hex()}", shallow),
    ]


async def test_a_pegs_evidence_says_who_confirmed_it(ready: Database) -> None:
    """The pool against ether's price of yesterday says nothing of today's dollar."""
    first, *_ = (await price_claims(ready, "USDa1", None, day(3))).values
    assert first[4:] == (1, "peg", 0, None, "token list (other pegs: 1 confirm, 0 contradict)", "accepted")


async def test_a_peg_that_a_feed_judged_names_the_pool(ready: Database) -> None:
    await answered(ready, 3, USDT, "1.001", contract=address(0xF2))
    await valued(ready)
    first, *_ = (await price_claims(ready, "USDa1", None, day(3))).values
    assert first[8].startswith("token list (deepest pool against a price from outside: 0x")
    assert first[8].endswith(" at 1.001000)")


async def test_a_token_without_claims_has_no_rows(ready: Database) -> None:
    assert (await price_claims(ready, to_checksum_address(COIN), "made", day(3))).values == []


@pytest.mark.parametrize("spelled", [to_checksum_address(WETH), "0x" + WETH.hex(), "0x" + WETH.hex().upper(), "WETH"])
async def test_a_token_goes_by_its_address_in_any_case_or_its_symbol(ready: Database, spelled: str) -> None:
    assert len((await price_claims(ready, spelled, "made", day(3))).values) == 5


async def test_without_a_day_the_newest_closed_one_is_meant(ready: Database) -> None:
    rows = await price_claims(ready, "USDa1", None, None)
    assert {row[0] for row in rows.values} == {day(14)}


async def test_a_listed_tokens_symbol_means_that_token(ready: Database) -> None:
    """Anybody can name his own token WETH."""
    await ready.fetch("INSERT INTO token VALUES ($1, $2, 'WETH', 18, NULL, 0)", CHAIN, address(0x66))
    rows = await price_claims(ready, "WETH", None, day(3))
    assert {row[2] for row in rows.values} == {WETH}


async def test_an_ambiguous_symbol_is_answered_with_the_candidates(ready: Database) -> None:
    """Of one chain, and of two; more than twenty are counted."""
    assert await refusal(ready, "X", "made") == [
        "'X' is more than one token: give an address and a chain.",
        f"  made {to_checksum_address(COIN)}",
        f"  made {to_checksum_address(address(0xA5))}",
    ]
    await ready.fetch("INSERT INTO chain (chain_id, name) VALUES (8, 'other')")
    await ready.fetch("INSERT INTO quote_token VALUES (8, $1, 'WETH', 18, NULL)", WETH)
    for name in ("WETH", to_checksum_address(WETH)):
        problems = await refusal(ready, name)
        assert problems[1:] == [f"  {chain} {to_checksum_address(WETH)} (listed)" for chain in ("made", "other")]
    await ready.fetch(
        "INSERT INTO token SELECT 8, sha224(n::text::bytea), 'Y', 1, NULL, 0 FROM generate_series(1, 25) AS n"
    )
    await ready.fetch("UPDATE token SET token = substring(token FOR 20) WHERE chain_id = 8")
    problems = await refusal(ready, "Y")
    assert len(problems) == 22
    assert problems[-1] == "  and 5 more"


async def test_an_unknown_token_is_refused_with_a_sentence(ready: Database) -> None:
    (told,) = await refusal(ready, "NOPE")
    assert told.startswith("'NOPE' is no token on any chain of the ledger: give an address, or a symbol")
    (told,) = await refusal(ready, "0x" + "ab" * 20, "made")
    assert told.startswith(f"'0x{'ab' * 20}' is no token on made: ")


async def test_a_hostile_name_is_shown_safely(ready: Database) -> None:
    (told,) = await refusal(ready, "\x1b[31m'; DROP TABLE flow; --\u202e")
    assert told.isascii()
    assert told.isprintable()


async def test_an_unknown_chain_and_a_day_that_is_not_closed_are_refused(ready: Database) -> None:
    assert await refusal(ready, "WETH", "mars") == ["chain 'mars' is not in the ledger; known are made."]
    assert await refusal(ready, "WETH", None, date(2025, 1, 1)) == [
        "2025-01-01 is not closed on made; what is lies between 2026-01-01 and 2026-01-15."
    ]
    await ready.fetch("TRUNCATE deployment_day")
    assert await refusal(ready, "WETH") == ["No day of made is closed yet: prices are told for closed days."]
