"""What files and feeds say comes before what pools and pegs do: files first, feeds next, at most seven days old."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from indexer.ledger.connect import Database
from indexer.ledger.prices import PriceRow, put_file_prices
from tests.ledger.made import CHAIN, COIN, OTHER_POOL, USDC, WETH, address, at, flows
from tests.ledger.pricing import (
    COINS,
    DOLLARS,
    ETHER,
    FEED,
    FIRST,
    TIP,
    Market,
    answered,
    closed,
    day,
    ether,
    figures,
    prepared,
    prices,
    told,
    valued,
    verdicts,
)  # fmt: skip


@pytest.fixture
async def ready(database: Database) -> Database:
    """USDC is a dollar, WETH is priced by pools or feeds."""
    return await prepared(database)


def row(number: int, token: bytes, usd: str, line: int = 2) -> PriceRow:
    return CHAIN, day(number), token, line, Decimal(usd), "An exchange's closing price."


async def filed(database: Database, *rows: PriceRow, file: str = "mine.csv") -> None:
    await put_file_prices(database, file, rows)
    await valued(database)


async def test_a_feed_says_the_mean_of_the_days_answers(ready: Database) -> None:
    """The evidence is the aggregator; its age is none."""
    await closed(ready)
    await answered(ready, 3, WETH, "2000.5", "2100")
    await valued(ready)
    found = await prices(ready, WETH)
    assert found[3] == (Decimal("2000.5"), 0, FEED)
    assert await told(ready, WETH, 3) == ("feed", Decimal("2000.5"))


async def test_a_day_without_answers_takes_the_last_one_before_it_for_seven_days(ready: Database) -> None:
    """Its close, not its mean; and never one of a later day."""
    await closed(ready)
    await answered(ready, 1, WETH, "1900", "1950")
    await answered(ready, 3, WETH, "2000", "2100")
    await valued(ready)
    found = {number: (usd, age) for number, (usd, age, _) in (await prices(ready, WETH)).items()}
    assert found == {1: (1900, 0), 2: (1950, 1), 3: (2000, 0)} | {3 + age: (2100, age) for age in range(1, 8)}


async def test_answers_of_two_phases_on_one_day_are_one_mean(ready: Database) -> None:
    """Four answers of 2,000 and four of 3,000; the later phase's aggregator is named."""
    await closed(ready)
    later = address(0xF2)
    await answered(ready, 0, WETH, "2000")
    await answered(ready, 0, WETH, "3000", contract=later)
    await ready.fetch("UPDATE answer_daily SET close_block = 7, answers = 12 WHERE contract = $1", later)
    await valued(ready)
    assert (await prices(ready, WETH))[0] == (Decimal(2750), 0, later)
    assert (await prices(ready, WETH))[1] == (Decimal(3000), 1, later)


async def test_a_feed_comes_before_a_peg_and_a_pool(ready: Database) -> None:
    """However deep the pool; the peg need not be refuted for it."""
    await closed(ready, [], [ether(0, 1999, 10**6)])
    await answered(ready, 0, WETH, "2000")
    await answered(ready, 0, USDC, "0.9995", contract=address(0xF2))
    await valued(ready)
    assert await told(ready, WETH) == ("feed", Decimal(2000))
    assert await told(ready, USDC) == ("feed", Decimal("0.9995"))
    assert await verdicts(ready, WETH) == [("feed", "accepted"), ("pool", "not needed: a feed tells the price")]
    assert await verdicts(ready, USDC) == [
        ("feed", "accepted"),
        ("peg", "not needed: a feed tells the price"),
        ("pool", "refused: 0 dollars of the quote token are provably in the pool, 1000 are needed"),
    ]


async def test_a_feed_prices_the_quote_of_others(ready: Database) -> None:
    """Coins in ether that only a feed prices: one step from a trusted price."""
    coins = Market(0, (COIN, WETH), (10 * COINS, -5 * ETHER), (0, 100 * ETHER), OTHER_POOL, block=10)
    await closed(ready, [], [coins])
    assert await told(ready, COIN) is None
    await answered(ready, 0, WETH, "2000")
    await valued(ready)
    assert await told(ready, COIN) == ("pool", Decimal(1000))


async def test_a_file_comes_before_everything(ready: Database) -> None:
    await closed(ready, [flows([at(0, 7)], [ETHER], WETH, TIP)], [ether(0, 1999)])
    await answered(ready, 0, WETH, "2000")
    await filed(ready, row(0, WETH, "1234.5678901234567890123"), row(0, USDC, "0.5", 3))
    assert await told(ready, WETH) == ("file", Decimal("1234.5678901234567890123"))
    assert await told(ready, USDC) == ("file", Decimal("0.5"))
    assert await verdicts(ready, WETH) == [
        ("file", "accepted"),
        ("feed", "not needed: a file tells the price"),
        ("pool", "not needed: a file tells the price"),
    ]
    assert (await figures(ready))["fees_usd"] == Decimal("1234.567890")


async def test_a_files_price_holds_for_seven_days_unless_it_says_more(ready: Database) -> None:
    await closed(ready)
    await filed(ready, row(1, COIN, "5"), row(3, COIN, "7"))
    found = {number: (usd, age) for number, (usd, age, _) in (await prices(ready, COIN)).items()}
    assert found == {1: (5, 0), 2: (5, 1)} | {3 + age: (7, age) for age in range(8)}


async def test_loading_a_file_again_replaces_what_it_said(ready: Database) -> None:
    """Also what only its carried prices had told; another file's rows stay."""
    await closed(ready)
    await filed(ready, row(1, COIN, "5"), row(9, WETH, "2000"))
    await filed(ready, row(1, WETH, "1900"), file="other.csv")
    await filed(ready, row(2, COIN, "6"), row(9, WETH, "2000"))
    assert set(await prices(ready, COIN)) == set(range(2, 10))
    assert {usd for usd, _, _ in (await prices(ready, COIN)).values()} == {6}
    assert {number for number, (usd, _, _) in (await prices(ready, WETH)).items() if usd == 1900} == set(range(1, 9))
    await filed(ready)
    assert await prices(ready, COIN) == {}


async def test_of_two_files_the_one_loaded_later_counts(ready: Database) -> None:
    await closed(ready)
    await filed(ready, row(0, COIN, "5"), file="b.csv")
    await filed(ready, row(0, COIN, "6"), file="a.csv")
    assert await told(ready, COIN) == ("file", Decimal(6))
    await filed(ready, row(0, COIN, "5"), file="b.csv")
    assert await told(ready, COIN) == ("file", Decimal(5)), "loaded again, it is the later one"


async def test_only_days_that_a_file_changes_are_valued_again(ready: Database) -> None:
    await closed(ready)
    await filed(ready, *(row(number, COIN, "5") for number in range(3)))
    touched = await put_file_prices(ready, "mine.csv", [row(number, COIN, "5", 9) for number in range(4)])
    assert touched == [CHAIN]
    marked = await ready.fetch("SELECT day FROM dirty_value ORDER BY day")
    assert [one["day"] for one in marked] == [day(number) for number in range(3, 11)]
    await valued(ready)
    assert await put_file_prices(ready, "mine.csv", [row(number, COIN, "5") for number in range(4)]) == []


async def test_a_file_of_days_that_nobody_read_marks_nothing(ready: Database) -> None:
    await closed(ready)
    old = (CHAIN, date(2020, 1, 1), COIN, 2, Decimal(5), "Long ago.")
    assert await put_file_prices(ready, "mine.csv", [old]) == []
    assert await ready.fetch("SELECT FROM price_file") != []
    assert old[1] < FIRST


async def test_a_token_without_decimals_has_a_price_and_no_dollars(ready: Database) -> None:
    """A file may price it; how much a raw unit is, nobody knows."""
    await ready.fetch("UPDATE token SET decimals = NULL WHERE token = $1", COIN)
    await closed(ready, [flows([at(0, 7)], [COINS], COIN, TIP), flows([at(0, 8)], [DOLLARS], label=TIP)])
    await filed(ready, row(0, COIN, "5"))
    assert await told(ready, COIN) == ("file", Decimal(5))
    shown = await figures(ready)
    assert (shown["fees_usd"], shown["unpriced"]) == (1, 1)
