"""A swap's fee is worth what the quote tokens on the other side of its pool's trades are, where its token is none."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.ledger.connect import Database
from indexer.ledger.prices import put_file_prices
from indexer.model import Flows, Label
from tests.ledger.made import CHAIN, COIN, CUT, FEE, MINT, OTHER_POOL, POOL, SWEPT, USDC, WETH, address, at, flows
from tests.ledger.pricing import (
    COINS,
    DOLLARS,
    ETHER,
    MUTE,
    TIP,
    Market,
    closed,
    day,
    ether,
    figures,
    prepared,
    prices,
    told,
    valued,
)  # fmt: skip


@pytest.fixture
async def ready(database: Database) -> Database:
    """USDC is a dollar; WETH is a quote token too; COIN is the protocol's own and no quote token."""
    return await prepared(database)


def swap(number: int, came_in: int, dollars: int, pool: bytes = OTHER_POOL, token: bytes = COIN) -> Market:
    """Some of a token sold for dollars in a pool that is too shallow to tell a price."""
    return Market(number, (token, USDC), (came_in, -dollars * DOLLARS), (0, DOLLARS), pool)


def fee(number: int, amount: int, token: bytes = COIN, label: Label = FEE, block: int = 9) -> Flows:
    return flows([at(number, block, contract=OTHER_POOL)], [amount], token, label)


async def dollars(database: Database, number: int = 0) -> tuple[Decimal | None, int]:
    shown = await figures(database, number)
    return shown["fees_usd"], shown["unpriced"]


async def test_a_fee_in_a_token_without_a_price_is_worth_its_share_of_what_went_out(ready: Database) -> None:
    """1,000 coins came in for 5,000 dollars; three of them are the fee: fifteen dollars."""
    await closed(ready, [fee(0, 3 * COINS)], [swap(0, 1000 * COINS, 5000)])
    assert await prices(ready, COIN) == {}, "the pool is too shallow to price anything else"
    assert await dollars(ready) == (15, 0)
    rows = await ready.fetch("SELECT usd, price_source, price_age_days FROM flow_usd")
    assert [tuple(row) for row in rows] == [(15, "trade", 0)]
    rows = await ready.fetch("SELECT usd, price_source, price_age_days FROM flow_daily_usd")
    assert [tuple(row) for row in rows] == [(15, "trade", 0)]


async def test_only_what_came_in_counts_not_what_went_out(ready: Database) -> None:
    """Coins were bought at another price in the same pool: the fee of those swaps is in dollars."""
    both = replace(swap(0, 1000 * COINS, 5000), more=((-1000 * COINS, 9000 * DOLLARS),))
    made = [fee(0, 3 * COINS), fee(0, 27 * DOLLARS, USDC, block=10)]
    await closed(ready, made, [both])
    assert await dollars(ready) == (15 + 27, 0)


async def test_the_protocols_part_is_valued_alike(ready: Database) -> None:
    parts = [fee(0, 2 * COINS), flows([at(0, 9, contract=OTHER_POOL)], [COINS], COIN, CUT, leg=1)]
    await closed(ready, parts, [swap(0, 1000 * COINS, 5000)])
    shown = await figures(ready)
    assert (shown["supply_side_usd"], shown["protocol_usd"]) == (10, 5)


@pytest.mark.parametrize("label", [TIP, MINT, SWEPT], ids=["flash loan", "incentive", "collected"])
async def test_nothing_but_a_swaps_accruing_fee_is_valued_so(ready: Database, label: Label) -> None:
    """What is printed, lent or collected later did not go through this day's trades."""
    await closed(ready, [fee(0, 3 * COINS, label=label)], [swap(0, 1000 * COINS, 5000)])
    assert [row["usd"] for row in await ready.fetch("SELECT usd FROM flow_usd")] == [None]
    shown = await figures(ready)
    assert shown["fees_usd"] == shown["incentives_usd"] or None in (shown["fees_usd"], shown["incentives_usd"])
    assert shown["unpriced"] == (0 if label is SWEPT else 1)


async def test_another_pools_trades_are_no_evidence(ready: Database) -> None:
    await closed(ready, [fee(0, 3 * COINS)], [swap(0, 1000 * COINS, 5000, POOL)])
    assert await dollars(ready) == (None, 1)


async def test_another_days_trades_are_no_evidence(ready: Database) -> None:
    await closed(ready, [fee(0, 3 * COINS)], [swap(1, 1000 * COINS, 5000)])
    assert await dollars(ready) == (None, 1)


async def test_a_trade_that_gave_nothing_is_no_evidence(ready: Database) -> None:
    await closed(ready, [fee(0, 3 * COINS)], [swap(0, 1000 * COINS, 0)])
    assert await dollars(ready) == (None, 1)


async def test_the_trade_comes_before_what_a_pool_says(ready: Database) -> None:
    """A deep pool prices coins at seven dollars; this pool's traders got five."""
    deep = Market(0, (COIN, USDC), (COINS, -7 * DOLLARS), (0, 5000 * DOLLARS), POOL, block=11)
    await closed(
        ready, [fee(0, 3 * COINS), fee(0, 2 * COINS, label=TIP, block=12)], [swap(0, 1000 * COINS, 5000), deep]
    )
    assert await told(ready, COIN) == ("pool", Decimal(7))
    assert await dollars(ready) == (15 + 14, 0)


async def test_a_file_or_a_feed_comes_before_the_trade(ready: Database) -> None:
    await closed(ready, [fee(0, 3 * COINS)], [swap(0, 1000 * COINS, 5000)])
    await put_file_prices(ready, "mine.csv", [(CHAIN, day(0), COIN, 2, Decimal(2), "An exchange's closing price.")])
    await valued(ready)
    assert await dollars(ready) == (6, 0)


async def test_a_quote_tokens_own_price_comes_before_the_trade(ready: Database) -> None:
    """Ether is 2,000 in the deep pool; in the shallow one it went for 1,900."""
    made = [fee(0, ETHER, WETH)]
    shallow = swap(0, ETHER, 1900, token=WETH)
    await closed(ready, made, [ether(0, 2000, block=10), shallow])
    assert await dollars(ready) == (2000, 0)


async def test_a_quote_token_without_a_price_takes_the_trades(ready: Database) -> None:
    """On a first day no pool is known to be old enough; dollars changed hands all the same."""
    await closed(
        ready, [fee(0, ETHER, WETH), fee(0, ETHER, WETH, TIP, block=8)], [swap(0, ETHER, 1900, token=WETH)], age=1
    )
    assert await prices(ready, WETH) == {}
    assert await dollars(ready) == (1900, 1)


async def test_the_quote_may_itself_be_priced_by_a_pool_of_some_days_ago(ready: Database) -> None:
    """Its age is told."""
    sold = Market(3, (COIN, WETH), (1000 * COINS, -2 * ETHER), (None, None), OTHER_POOL)
    await closed(ready, [fee(3, 3 * COINS)], [ether(0, 2000), sold])
    assert await dollars(ready, 3) == (12, 0)
    assert [tuple(row) for row in await ready.fetch("SELECT price_source, price_age_days FROM flow_usd")] == [
        ("trade", 3)
    ]


async def test_a_quote_without_a_price_values_nothing(ready: Database) -> None:
    sold = Market(0, (COIN, WETH), (1000 * COINS, -2 * ETHER), (None, None), OTHER_POOL)
    await closed(ready, [fee(0, 3 * COINS)], [sold])
    assert await dollars(ready) == (None, 1)


async def test_a_token_that_hides_its_decimals_is_valued_by_its_trades(ready: Database) -> None:
    """Only its share of what came in matters."""
    await closed(ready, [fee(0, 3, MUTE)], [swap(0, 1000, 5000, token=MUTE)])
    assert await dollars(ready) == (15, 0)


async def test_a_pool_of_two_quote_tokens_values_each_by_itself(ready: Database) -> None:
    made = [fee(0, 3 * DOLLARS, USDC), fee(0, ETHER, WETH, block=10)]
    await closed(ready, made, [ether(0, 2000, pool=OTHER_POOL)])
    assert await dollars(ready) == (2003, 0)


async def test_what_is_pumped_is_worth_no_more_than_what_was_paid(ready: Database) -> None:
    """A worthless token at a million dollars each, for one dollar in all: its fee is three tenths of a cent."""
    await closed(ready, [fee(0, 3), fee(0, 10**9, label=MINT, block=11)], [swap(0, 1000, 1)])
    shown = await figures(ready)
    assert (shown["fees_usd"], shown["incentives_usd"], shown["unpriced"]) == (Decimal("0.003"), None, 1)


Amount = st.integers(1, 10**30)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(Amount, st.integers(1, 10**15), st.integers(1, 999_999)), min_size=1, max_size=6))
async def test_fees_are_the_same_share_of_both_sides(ready: Database, pools: list[tuple[int, int, int]]) -> None:
    """Whatever the amounts: floor(in x tier) of coins is worth that share of the dollars that went out."""
    await ready.fetch(
        "TRUNCATE flow, range_deployment, range_day, range_trade, deployment_day, flow_daily, trade_daily"
    )
    made, markets, wanted = [], [], Fraction(0)
    for number, (came_in, out, tier) in enumerate(pools):
        pool, amount = address(0xE000 + number), came_in * tier // 10**6
        markets.append(Market(0, (COIN, USDC), (came_in, -out), (None, None), pool, block=number))
        if amount:
            made.append(flows([at(0, number, contract=pool)], [amount], COIN))
            wanted += Fraction(amount * out, came_in * DOLLARS)
    await closed(ready, made, markets)
    usd, unpriced = await dollars(ready)
    assert unpriced == 0
    assert abs(Fraction(usd or 0) - wanted) <= Fraction(1, 10**6) + wanted / 10**12
    (row,) = await ready.fetch("SELECT coalesce(sum(usd), 0) AS usd FROM flow_usd")
    assert abs(Fraction(row["usd"]) - wanted) <= wanted / 10**12
