"""Pool prices: only what quote tokens in the pool stand behind, only from pools that have stood, two steps at most."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from indexer.ledger.connect import Database
from indexer.model import Evidence, Member
from tests.ledger.made import COIN, MINT, ONE, OTHER_POOL, POOL, USDC, WETH, at, flows, reading, store, trades
from tests.ledger.pricing import (
    BLOCKS,
    COINS,
    DOLLARS,
    ETHER,
    FIRST,
    LAST,
    TIP,
    Market,
    closed,
    day,
    ether,
    figures,
    prepared,
    prices,
    rules,
    valued,
    verdicts,
)  # fmt: skip


@pytest.fixture
async def ready(database: Database) -> Database:
    """USDC is a dollar, WETH is priced by pools, so is COIN."""
    return await prepared(database)


def coins(number: int, amount: int, **more: Any) -> Market:
    """Ten coins for so many WETH, with a hundred WETH behind them."""
    return Market(number, (COIN, WETH), (10 * COINS, -amount * ETHER), (0, 100 * ETHER), OTHER_POOL, block=10, **more)


async def test_a_pegged_token_has_its_peg_on_every_day(ready: Database) -> None:
    await closed(ready, [flows([at(0, 5), at(3, 5)], [5 * DOLLARS, 7 * DOLLARS])])
    assert await prices(ready, USDC) == {number: (Decimal(1), 0, None) for number in range(LAST)}
    assert (await figures(ready, 0))["fees_usd"] == 5
    assert (await figures(ready, 3))["fees_usd"] == 7


async def test_a_pool_against_a_peg_tells_the_price_of_both_directions(ready: Database) -> None:
    """Weighted by volume: one ether for 2,000, then three bought back for 7,600."""
    await closed(ready, [], [ether(0, 2000)])
    assert (await prices(ready, WETH))[0] == (Decimal(2000), 0, POOL)
    amounts = [(ETHER, -2000 * DOLLARS), (-3 * ETHER, 7600 * DOLLARS)]
    both = trades([at(0, 9), at(0, 11)], (WETH, USDC), amounts, (0, 5000 * DOLLARS))
    await store(ready, 0, LAST * BLOCKS - 1, reading(traded=[both]))
    await valued(ready)
    assert (await prices(ready, WETH))[0] == (Decimal(2400), 0, POOL)


@pytest.mark.parametrize(("depth", "told"), [(999, False), (1000, True), (1001, True)])
async def test_a_pool_below_the_floor_tells_no_price(ready: Database, depth: int, *, told: bool) -> None:
    await closed(ready, [flows([at(0, 7)], [ETHER], WETH, TIP)], [ether(0, 2000, depth)], depth=1000)
    assert (await prices(ready, WETH)).get(0) == ((Decimal(2000), 0, POOL) if told else None)
    shown = await figures(ready)
    assert (shown["fees_usd"], shown["unpriced"]) == ((2000, 0) if told else (None, 1))
    said = "refused: 999 dollars of the quote token are provably in the pool, 1000 are needed"
    assert await verdicts(ready, WETH) == [("pool", "accepted" if told else said)]


async def test_a_depth_that_nobody_can_know_is_none(ready: Database) -> None:
    """Not even a floor of nothing lets such a pool tell a price."""
    await closed(ready, [], [replace(ether(0, 2000), depths=(None, None))], depth=0)
    assert await prices(ready, WETH) == {}
    assert await verdicts(ready, WETH) == [
        ("pool", "refused: nothing tells how much of the quote token is in the pool")
    ]


@pytest.mark.parametrize("token_first", [True, False])
async def test_depth_is_the_quote_tokens_in_the_pool(ready: Database, *, token_first: bool) -> None:
    """However much of the token itself is there: that is worth nothing until it has a price."""
    tokens, sums = ((WETH, USDC), (ETHER, -9 * DOLLARS)) if token_first else ((USDC, WETH), (-9 * DOLLARS, ETHER))
    held = (10**30, 1800 * DOLLARS) if token_first else (1800 * DOLLARS, 10**30)
    await closed(ready, [], [Market(0, tokens, sums, held)], depth=0)
    rows = await ready.fetch("SELECT depth_usd FROM price_daily WHERE token = $1 AND day = $2", WETH, FIRST)
    assert [row["depth_usd"] for row in rows] == [1800]


async def test_volume_is_no_depth(ready: Database) -> None:
    """Who trades with himself a thousand times over does not lift a shallow pool over the floor, nor over another."""
    washed = ether(0, 9999, 999, OTHER_POOL).pumped(1000)
    await closed(ready, [], [washed], depth=1000)
    assert await prices(ready, WETH) == {}
    await closed(ready, [], [ether(0, 2000, 1001), washed], depth=0)
    assert (await prices(ready, WETH))[0] == (Decimal(2000), 0, POOL)


async def test_a_worthless_token_pumped_in_its_own_pool_stays_unpriced(ready: Database) -> None:
    """What a protocol prints of it has no dollars, whatever its pool says."""
    pumped = Market(0, (COIN, USDC), (COINS, -(10**6) * DOLLARS), (10**20, 999 * DOLLARS), OTHER_POOL).pumped(50)
    await closed(ready, [flows([at(0, 7)], [10**12], COIN, MINT)], [pumped])
    assert await prices(ready, COIN) == {}
    shown = await figures(ready)
    assert (shown["incentives_usd"], shown["issued_usd"], shown["unpriced"]) == (None, None, 1)


@pytest.mark.parametrize(("deep", "busy"), [(POOL, OTHER_POOL), (OTHER_POOL, POOL)], ids=["first", "second"])
async def test_the_deepest_pool_of_the_day_wins_however_much_another_trades(
    ready: Database, deep: bytes, busy: bytes
) -> None:
    await closed(ready, [], [ether(0, 2000, 5000, deep), ether(0, 9999, 4000, busy).pumped(100)])
    assert (await prices(ready, WETH))[0] == (Decimal(2000), 0, deep)
    assert await verdicts(ready, WETH) == [
        ("pool", "accepted"),
        ("pool", "not needed: a pool of a newer day or of more depth tells the price"),
    ]


async def test_a_price_is_carried_seven_days_and_no_further(ready: Database) -> None:
    """Never back: the day before the trades has none."""
    made = [flows([at(number, 7) for number in range(10)], [ETHER] * 10, WETH, TIP)]
    await closed(ready, made, [ether(1, 2000)])
    assert await prices(ready, WETH) == {number: (Decimal(2000), number - 1, POOL) for number in range(1, 9)}
    for number, (fees, unpriced) in {0: (None, 1), 1: (2000, 0), 8: (2000, 0), 9: (None, 1)}.items():
        shown = await figures(ready, number)
        assert (shown["fees_usd"], shown["unpriced"]) == (fees, unpriced), number
        assert shown["priced_share"] == (0 if unpriced else 1)


async def test_a_newer_day_beats_a_deeper_pool(ready: Database) -> None:
    await closed(ready, [], [ether(0, 2000, 9000), ether(2, 2100, 4000, OTHER_POOL)])
    found = await prices(ready, WETH)
    assert [found[number][0] for number in (0, 1, 2, 3)] == [2000, 2000, 2100, 2100]


async def test_a_token_is_priced_in_two_steps_through_a_quote_token(ready: Database) -> None:
    await closed(ready, [flows([at(0, 7)], [4 * COINS], COIN, TIP)], [ether(0, 2000), coins(0, 5)])
    assert (await prices(ready, COIN))[0] == (Decimal(1000), 0, OTHER_POOL)
    assert (await figures(ready))["fees_usd"] == 4000


async def test_a_quote_token_is_priced_against_pegs_only(ready: Database) -> None:
    """Else two unpegged tokens could hold each other up, and three steps could be made."""
    await closed(ready, [], [coins(0, 5)], depth=0)
    assert await prices(ready, WETH) == {}
    assert await prices(ready, COIN) == {}
    assert await verdicts(ready, COIN) == [("pool", "refused: its quote token has no price that may be built on")]


async def test_the_age_of_both_steps_together_is_seven_days_at_most(ready: Database) -> None:
    await closed(ready, [], [ether(0, 2000), coins(5, 5)])
    assert await prices(ready, COIN) == {number: (Decimal(1000), number, OTHER_POOL) for number in (5, 6, 7)}
    assert ("pool", "refused: the price of its quote token is too old") in await verdicts(ready, COIN, 8)


# ---------------------------------------------------------------- how long a pool has stood


async def spans(database: Database, markets: list[Market], held: list[tuple[int, int]], **members: Any) -> None:
    """Reads these runs of blocks only, in this order."""
    for first, last in held:
        inside = [market for market in markets if first <= market.number * BLOCKS + market.block <= last]
        told = [Member(one.contract, {}, one.evidence) for one in members.get("made", [])]
        mine = [one for one in told if first <= one.evidence.block <= last or one.evidence.tx_hash is None]
        what = reading(traded=[market.swaps() for market in inside])
        await store(database, first, last, replace(what, members={ONE.deployment: mine}))
        await valued(database)


def created(block: int) -> Member:
    """The pool's creation log."""
    return Member(POOL, {}, Evidence(block, b"\1" * 32, 0))


def whole_days(first: int, last: int) -> tuple[int, int]:
    return first * BLOCKS, (last + 1) * BLOCKS - 1


async def test_a_pool_created_the_same_day_tells_no_price(ready: Database) -> None:
    """On the next one it does; what its first day said is not carried either."""
    await rules(ready, age=1)
    await spans(ready, [ether(2, 9999), ether(4, 2000)], [whole_days(0, 9)], made=[created(2 * BLOCKS + 5)])
    assert await prices(ready, WETH) == {number: (Decimal(2000), number - 4, POOL) for number in range(4, 10)}
    assert await verdicts(ready, WETH, 2) == [("pool", "refused: the pool is not known to have stood for 1 days")]


@pytest.mark.parametrize(("age", "first"), [(0, 2), (1, 3), (2, 4), (3, 5)])
async def test_a_pool_tells_prices_from_its_minimum_age_on(ready: Database, age: int, first: int) -> None:
    await rules(ready, age=age)
    markets = [ether(number, 2000 + number) for number in range(2, 8)]
    await spans(ready, markets, [whole_days(0, 9)], made=[created(3 * BLOCKS - 1)])
    found = {number for number, (_, days, _) in (await prices(ready, WETH)).items() if days == 0}
    assert found == set(range(first, 8))


@pytest.mark.parametrize(("age", "first"), [(0, 4), (1, 5), (2, 6)])
async def test_a_pool_whose_creation_was_not_seen_is_as_old_as_what_was_read_before(
    ready: Database, age: int, first: int
) -> None:
    """A creation among the blocks held would have been seen; the first day held could be the pool's own."""
    await rules(ready, age=age)
    await spans(ready, [ether(number, 2000 + number) for number in range(4, 9)], [whole_days(4, 9)])
    found = {number for number, (_, days, _) in (await prices(ready, WETH)).items() if days == 0}
    assert found == set(range(first, 9))


async def test_a_gap_in_what_was_read_may_hide_a_creation(ready: Database) -> None:
    """The day after the gap is as good as a first day; filling the gap makes it good."""
    await rules(ready, age=1)
    markets = [ether(number, 2000 + number) for number in range(10)]
    hole = (5 * BLOCKS + 100, 5 * BLOCKS + 199)
    await spans(ready, markets, [(0, hole[0] - 1), (hole[1] + 1, 10 * BLOCKS - 1)])
    ages = {number: days for number, (_, days, _) in (await prices(ready, WETH)).items()}
    assert {number: ages[number] for number in (4, 5, 6, 7)} == {4: 0, 5: 1, 6: 2, 7: 0}
    await spans(ready, markets, [hole])
    ages = {number: days for number, (_, days, _) in (await prices(ready, WETH)).items()}
    assert {number: ages[number] for number in (4, 5, 6, 7)} == {4: 0, 5: 0, 6: 0, 7: 0}


async def test_a_creation_read_later_tells_the_age_of_days_far_behind_it(ready: Database) -> None:
    """The day of the log is further from the trades than any price is carried, and nothing in between is held."""
    await rules(ready, age=1)
    markets = [ether(13, 2000)]
    await spans(ready, markets, [whole_days(13, 13)])
    assert await prices(ready, WETH) == {}
    await spans(ready, markets, [whole_days(1, 1)], made=[created(BLOCKS + 7)])
    assert await prices(ready, WETH) == {13: (Decimal(2000), 0, POOL)}


async def test_a_pool_that_was_only_asked_about_is_not_thereby_known_to_be_old(ready: Database) -> None:
    """An eth_call at the head tells facts, not since when."""
    await rules(ready, age=1)
    await spans(ready, [ether(3, 2000)], [whole_days(3, 4)], made=[Member(POOL, {}, Evidence(0))])
    assert await prices(ready, WETH) == {}


# ---------------------------------------------------------------- the order of reading


@pytest.mark.parametrize("age", [0, 1, 2])
async def test_prices_do_not_depend_on_the_order_in_which_days_were_read(ready: Database, age: int) -> None:
    """The trades of the first day come last: all that was priced by them is valued again, as far as they reach."""
    await rules(ready, age=age)
    whole = [(number, [ether(number, 2000 + number)] if number in (1, 6) else []) for number in range(10)]
    whole[6][1].append(coins(6, 5))
    found = []
    for order in ([*range(10)], [*reversed(range(10))], [7, 1, 6, 0, 9, 3, 2, 5, 4, 8]):
        await ready.fetch("TRUNCATE price_daily, protocol_day, protocol_part, deployment_day, flow_daily, trade_daily")
        await ready.fetch("TRUNCATE flow, range_deployment, range_day, range_trade, dirty_day, dirty_value")
        for number in order:
            made = flows([at(number, 7), at(number, 8)], [COINS, 10**6], token=COIN)
            swaps = [one.swaps() for one in whole[number][1]]
            await store(ready, *whole_days(number, number), reading(made, traded=swaps))
            await valued(ready)
        rows = await ready.fetch("SELECT * FROM yield_daily ORDER BY day")
        dollars = await ready.fetch("SELECT token, day, usd, age_days FROM price_daily ORDER BY token, day")
        found.append(([tuple(row) for row in rows], [tuple(row) for row in dollars]))
    assert found[0] == found[1] == found[2]
    assert {row[0] for row in found[0][1]} == {USDC, WETH, COIN}
    assert min((row[1] - day(0)).days for row in found[0][1] if row[0] == WETH) == (1 if age < 2 else 6)
