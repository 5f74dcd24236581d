"""Dollars: which prices are believed, and that every formula of yield_daily holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.ledger.closing import close_days, put_day_start, refresh, value_days
from indexer.ledger.connect import Database
from indexer.ledger.context import TokenRow, put_tokens
from indexer.ledger.registry import list_quotes
from indexer.model import Basis, Flows, Kind, Label, Side, Source, Trades
from tests.ledger.made import (
    CHAIN,
    COIN,
    CUT,
    FEE,
    MINT,
    OTHER_POOL,
    POOL,
    SWEPT,
    USDC,
    WETH,
    address,
    at,
    deployment,
    flows,
    known,
    reading,
    store,
    trades,
)  # fmt: skip

FIRST = date(2026, 1, 1)
LAST = 15  # days whose bounds are known
DECIMALS = {USDC: 6, WETH: 18, COIN: 8}
ONE = 1 << 96
MUTE = address(0xA9)  # a token that does not tell its decimals
COUNTS = {Kind.FEE: Basis.ACCRUED, Kind.INCENTIVE: Basis.ACCRUED}


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


@pytest.fixture
async def ready(database: Database) -> Database:
    """One deployment that counts fees and incentives; USDC is a dollar, WETH is priced by pools, so is COIN."""
    await known(database, deployment("one", counts=COUNTS), own_tokens=[COIN])
    await list_quotes(database, [(CHAIN, USDC, "USDC", 6, Decimal(1)), (CHAIN, WETH, "WETH", 18, None)])
    rows = [TokenRow(token, "X", decimals, b"X", 0) for token, decimals in DECIMALS.items()]
    await put_tokens(database, CHAIN, [*rows, TokenRow(MUTE, None, None, None, 0)])
    for number in range(LAST + 1):
        await put_day_start(database, CHAIN, day(number), number * 8640)
    return database


@dataclass(frozen=True)
class Market:
    """Swaps of a day in one pool. sold, bought: raw units; depth: raw units of tokens[1] at a price of one."""

    number: int
    tokens: tuple[bytes, bytes]
    sold: int
    bought: int
    depth: int
    pool: bytes = POOL
    sqrt_price: int = ONE
    block: int = 9

    def swaps(self) -> Trades:
        rows = [at(self.number, self.block, contract=self.pool)]
        return trades(rows, self.tokens, [(self.sold, self.bought)], self.sqrt_price, self.depth)


async def closed(database: Database, made: Sequence[Flows], markets: Sequence[Market] = (), depth: int = 1000) -> None:
    """Reads fifteen days at once, closes and values them."""
    await store(database, 0, LAST * 8640 - 1, reading(*made, traded=[market.swaps() for market in markets]))
    await close_days(database, CHAIN, day(LAST))
    await value_days(database, CHAIN, depth)
    await refresh(database)


async def prices(database: Database, token: bytes) -> dict[int, tuple[Decimal, int, bytes | None]]:
    """Dollars, age and evidence by day number."""
    rows = await database.fetch("SELECT day, usd, age_days, evidence FROM price_daily WHERE token = $1", token)
    return {(row["day"] - FIRST).days: (row["usd"].normalize(), row["age_days"], row["evidence"]) for row in rows}


async def figures(database: Database, number: int = 0) -> dict[str, Any]:
    (row,) = await database.fetch("SELECT * FROM yield_daily WHERE day = $1", day(number))
    return dict(row)


DOLLARS = 10**6
ETHER = 10**18
COINS = 10**8


def weth_market(number: int, dollars: int, depth: int = 5000, pool: bytes = POOL, **more: Any) -> Market:
    """One WETH for so many dollars, with so many dollars behind it."""
    return Market(number, (WETH, USDC), ETHER, dollars * DOLLARS, depth * DOLLARS, pool, **more)


async def test_a_pegged_token_has_its_peg_on_every_day(ready: Database) -> None:
    await closed(ready, [flows([at(0, 5), at(3, 5)], [5 * DOLLARS, 7 * DOLLARS])])
    assert await prices(ready, USDC) == {number: (Decimal(1), 0, None) for number in range(LAST)}
    assert (await figures(ready, 0))["fees_usd"] == 5
    assert (await figures(ready, 3))["fees_usd"] == 7


async def test_a_pool_against_a_peg_tells_the_volume_weighted_price(ready: Database) -> None:
    busier = replace(weth_market(0, 7600), sold=3 * ETHER, block=11)
    await closed(ready, [flows([at(0, 7)], [ETHER // 2], token=WETH)], [weth_market(0, 2000)])
    assert (await prices(ready, WETH))[0] == (Decimal(2000), 0, POOL)
    both = trades(
        [at(0, 9), at(0, 11)], (WETH, USDC), [(ETHER, 2000 * DOLLARS), (busier.sold, busier.bought)], ONE, busier.depth
    )
    await store(ready, 0, LAST * 8640 - 1, reading(flows([at(0, 7)], [ETHER // 2], token=WETH), traded=[both]))
    await close_days(ready, CHAIN, day(LAST))
    await value_days(ready, CHAIN, 1000)
    assert (await prices(ready, WETH))[0] == (Decimal(2400), 0, POOL)


@pytest.mark.parametrize(("depth", "told"), [(999, False), (1000, True), (1001, True)])
async def test_a_pool_below_the_floor_tells_no_price(ready: Database, depth: int, *, told: bool) -> None:
    await closed(ready, [flows([at(0, 7)], [ETHER], token=WETH)], [weth_market(0, 2000, depth)], depth=1000)
    assert (await prices(ready, WETH)).get(0) == ((Decimal(2000), 0, POOL) if told else None)
    shown = await figures(ready)
    assert (shown["fees_usd"], shown["unpriced"]) == ((2000, 0) if told else (None, 1))


@pytest.mark.parametrize("token_first", [True, False])
async def test_depth_is_the_quote_side_at_the_last_price(ready: Database, *, token_first: bool) -> None:
    """In-range liquidity L at the root price s holds L x s of token1 and L / s of token0."""
    root = 3 * ONE
    liquidity = 600 * DOLLARS
    tokens, sums = ((WETH, USDC), (ETHER, 9 * DOLLARS)) if token_first else ((USDC, WETH), (9 * DOLLARS, ETHER))
    market = Market(0, tokens, *sums, liquidity, sqrt_price=root)
    await closed(ready, [flows([at(0, 7)], [1])], [market], depth=0)
    rows = await ready.fetch("SELECT depth_usd FROM price_daily WHERE token = $1 AND day = $2", WETH, FIRST)
    assert [row["depth_usd"] for row in rows] == [1800 if token_first else 200]


async def test_the_deepest_pool_of_the_day_wins_however_much_another_trades(ready: Database) -> None:
    busy = replace(weth_market(0, 9999, 4000, OTHER_POOL), sold=100 * ETHER, bought=999_900 * DOLLARS)
    await closed(ready, [flows([at(0, 7)], [1])], [weth_market(0, 2000, 5000), busy])
    assert (await prices(ready, WETH))[0] == (Decimal(2000), 0, POOL)


async def test_a_price_is_carried_seven_days_and_no_further(ready: Database) -> None:
    made = [flows([at(number, 7) for number in range(10)], [ETHER] * 10, token=WETH)]
    await closed(ready, made, [weth_market(1, 2000)])
    assert await prices(ready, WETH) == {number: (Decimal(2000), number - 1, POOL) for number in range(1, 9)}
    for number, (fees, unpriced) in {0: (None, 1), 1: (2000, 0), 8: (2000, 0), 9: (None, 1)}.items():
        shown = await figures(ready, number)
        assert (shown["fees_usd"], shown["unpriced"]) == (fees, unpriced), number
        assert shown["priced_share"] == (0 if unpriced else 1)


async def test_a_newer_day_beats_a_deeper_pool(ready: Database) -> None:
    await closed(ready, [flows([at(0, 7)], [1])], [weth_market(0, 2000, 9000), weth_market(2, 2100, 4000, OTHER_POOL)])
    found = await prices(ready, WETH)
    assert [found[number][0] for number in (0, 1, 2, 3)] == [2000, 2000, 2100, 2100]


def coin_market(number: int, ether: int, **more: Any) -> Market:
    """Ten coins for so many WETH, with a hundred WETH behind them."""
    return Market(number, (COIN, WETH), 10 * COINS, ether * ETHER, 100 * ETHER, OTHER_POOL, block=10, **more)


async def test_a_token_is_priced_in_two_steps_through_a_quote_token(ready: Database) -> None:
    made = [flows([at(0, 7)], [4 * COINS], token=COIN)]
    await closed(ready, made, [weth_market(0, 2000), coin_market(0, 5)])
    assert (await prices(ready, COIN))[0] == (Decimal(1000), 0, OTHER_POOL)
    assert (await figures(ready))["fees_usd"] == 4000


async def test_a_quote_token_is_priced_against_pegs_only(ready: Database) -> None:
    """Else two unpegged tokens could hold each other up."""
    await closed(ready, [flows([at(0, 7)], [1])], [coin_market(0, 5)], depth=0)
    assert await prices(ready, WETH) == {}
    assert await prices(ready, COIN) == {}


async def test_the_age_of_both_steps_together_is_seven_days_at_most(ready: Database) -> None:
    await closed(ready, [flows([at(0, 7)], [1])], [weth_market(0, 2000), coin_market(5, 5)])
    assert await prices(ready, COIN) == {number: (Decimal(1000), number, OTHER_POOL) for number in (5, 6, 7)}


async def test_prices_do_not_depend_on_the_order_in_which_days_were_read(ready: Database) -> None:
    """The trades of the first day come last: all that was priced by them is valued again, as far as they reach."""
    whole = [(number, [weth_market(number, 2000 + number)] if number in (0, 6) else []) for number in range(LAST)]
    whole[5][1].append(coin_market(5, 5))
    found = []
    for order in (range(LAST), reversed(range(LAST))):
        await ready.fetch("TRUNCATE price_daily, protocol_day, protocol_part, deployment_day, flow_daily, trade_daily")
        await ready.fetch("TRUNCATE flow, range_deployment, range_day, range_trade, dirty_day, dirty_value")
        for number in order:
            _, markets = whole[number]
            made = flows([at(number, 7), at(number, 8)], [COINS, 10**6], token=COIN)
            await store(
                ready, number * 8640, number * 8640 + 8639, reading(made, traded=[one.swaps() for one in markets])
            )
            await close_days(ready, CHAIN, day(LAST))
            await value_days(ready, CHAIN, 1000)
        await refresh(ready)
        rows = await ready.fetch("SELECT * FROM yield_daily ORDER BY day")
        dollars = await ready.fetch("SELECT token, day, usd, age_days FROM price_daily ORDER BY token, day")
        found.append(([tuple(row) for row in rows], [tuple(row) for row in dollars]))
    assert found[0] == found[1]


async def test_a_token_without_decimals_has_no_dollars(ready: Database) -> None:
    await closed(ready, [flows([at(0, 7)], [5], token=MUTE), flows([at(0, 8)], [DOLLARS])])
    shown = await figures(ready)
    assert (shown["fees_usd"], shown["unpriced"], shown["priced_share"]) == (1, 1, Decimal("0.5"))


async def test_unknown_is_not_zero(ready: Database) -> None:
    """Nobody counts production here: NULL. Incentives are counted and there were none: 0."""
    await closed(ready, [flows([at(0, 7)], [DOLLARS])])
    shown = await figures(ready)
    nobody = (
        "production_usd",
        "issuance_usd",
        "external_usd",
        "distribution_usd",
        "loss_usd",
        "capital_usd",
        "real_apr",
    )
    assert {name: shown[name] for name in nobody} == dict.fromkeys(nobody)
    assert (shown["incentives_usd"], shown["issued_usd"], shown["earnings_usd"]) == (0, 0, 0)
    assert (shown["real_share"], shown["holders_usd"], shown["protocol_usd"]) == (1, 0, 0)


async def test_a_kind_known_not_to_occur_is_zero(ready: Database) -> None:
    await known(ready, deployment("one", counts={Kind.FEE: Basis.ACCRUED, Kind.PRODUCTION: None, Kind.ISSUANCE: None}))
    await closed(ready, [flows([at(0, 7)], [DOLLARS])])
    shown = await figures(ready)
    assert (shown["production_usd"], shown["issuance_usd"], shown["issued_usd"]) == (0, 0, 0)
    assert (shown["incentives_usd"], shown["earnings_usd"]) == (None, None)


async def test_a_deployment_that_counts_nothing_shows_nothing(ready: Database) -> None:
    await known(ready, deployment("one", counts={}))
    await closed(ready, [flows([at(0, 7)], [DOLLARS])])
    shown = await figures(ready)
    assert (shown["fees_usd"], shown["incentives_usd"], shown["unpriced"]) == (None, None, 0)


async def test_only_the_counted_basis_is_counted(ready: Database) -> None:
    made = [flows([at(0, 7)], [3 * DOLLARS], label=CUT), flows([at(0, 8)], [3 * DOLLARS], label=SWEPT)]
    await closed(ready, made)
    assert (await figures(ready))["protocol_usd"] == 3


async def test_other_peoples_tokens_are_not_issued(ready: Database) -> None:
    """COIN is the protocol's own, USDC is not; both are incentives here."""
    made = [flows([at(0, 7)], [2 * COINS], token=COIN, label=MINT), flows([at(0, 8)], [5 * DOLLARS], label=MINT)]
    await closed(ready, made, [weth_market(0, 2000), coin_market(0, 5)])
    shown = await figures(ready)
    assert (shown["incentives_usd"], shown["issued_usd"], shown["synthetic_usd"]) == (2005, 2000, 2005)


KINDS = dict.fromkeys(Kind, Basis.ACCRUED)
labels = st.builds(
    Label,
    st.sampled_from(Kind),
    st.sampled_from([Source.SWAP, Source.BLOCK_SUBSIDY]),
    st.sampled_from(Side),
    st.just(Basis.ACCRUED),
)
lines = st.tuples(labels, st.sampled_from([USDC, WETH, COIN, MUTE]), st.integers(1, 10**24))


def rounded(value: Fraction | None) -> Decimal | None:
    """Six decimals, halves away from zero, as Postgres rounds numeric."""
    return None if value is None else Decimal(int(value * 10**6 + Fraction(1, 2))) / 10**6


def dollars(made: list[tuple[Label, bytes, int]], **wanted: Any) -> Decimal | None:
    """The sum of priced flows with these labels; None if there are flows and none of them has a price."""
    usd = {USDC: Fraction(1, 10**6), WETH: Fraction(2000, 10**18), COIN: Fraction(1000, 10**8)}
    chosen = [
        (token, amount)
        for label, token, amount in made
        if all(getattr(label, name) in is_ for name, is_ in wanted.items())
    ]
    if not chosen:
        return Decimal(0)
    priced = [usd[token] * amount for token, amount in chosen if token in usd]
    return rounded(sum(priced, Fraction(0))) if priced else None


def close_to(shown: Decimal | None, told: Decimal | None, parts: int = 1) -> bool:
    """Equal, but for the last digit of as many rounded parts."""
    return shown == told if shown is None or told is None else abs(shown - told) <= parts * Decimal("0.000001")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines, max_size=12))
async def test_every_figure_is_what_its_comment_says(ready: Database, made: list[tuple[Label, bytes, int]]) -> None:
    """Against sums of fractions: dollar sums per kind and side, and what is derived from them."""
    await known(ready, deployment("one", counts=KINDS), own_tokens=[COIN])
    batches = [flows([at(0, 7, number)], [amount], token, label) for number, (label, token, amount) in enumerate(made)]
    await closed(ready, batches, [weth_market(0, 2000), coin_market(0, 5)])
    shown = await figures(ready)
    every = {kind: dollars(made, kind=[kind]) for kind in Kind}
    for kind in set(Kind) - {Kind.FEE}:
        name = "incentives" if kind is Kind.INCENTIVE else kind.value
        assert shown[f"{name}_usd"] == every[kind], name
    sides = {side: dollars(made, kind=[Kind.FEE], side=[side]) for side in Side}
    for side, name in ((Side.SUPPLY, "supply_side"), (Side.PROTOCOL, "protocol"), (Side.HOLDERS, "holders")):
        assert shown[f"{name}_usd"] == sides[side], name
    assert close_to(shown["fees_usd"], every[Kind.FEE], 3)
    assert shown["real_usd"] == shown["fees_usd"]
    assert shown["revenue_usd"] == total(sides[Side.PROTOCOL], sides[Side.HOLDERS])
    if None not in sides.values():
        assert shown["fees_usd"] == shown["supply_side_usd"] + shown["revenue_usd"]
    assert shown["earnings_usd"] == total(shown["revenue_usd"], negative(shown["incentives_usd"]))
    assert shown["synthetic_usd"] == total(every[Kind.INCENTIVE], every[Kind.ISSUANCE])
    subsidy = dollars(made, kind=[Kind.PRODUCTION], source=[Source.BLOCK_SUBSIDY])
    own = dollars([line for line in made if line[1] == COIN], kind=[Kind.INCENTIVE])
    assert shown["issued_usd"] == total(own, every[Kind.ISSUANCE], subsidy)
    printed = [dollars(made, kind=[kind], side=[Side.SUPPLY]) for kind in (Kind.INCENTIVE, Kind.ISSUANCE)]
    assert shown["real_share"] == share(sides[Side.SUPPLY], total(*printed))
    assert shown["unpriced"] == sum(token == MUTE for _, token, _ in made)
    assert shown["priced_share"] == (None if not made else rounded(1 - Fraction(int(shown["unpriced"]), len(made))))


def total(*parts: Decimal | None) -> Decimal | None:
    return None if None in parts else sum((part for part in parts if part is not None), Decimal(0))


def negative(value: Decimal | None) -> Decimal | None:
    return None if value is None else -value


def share(real: Decimal | None, printed: Decimal | None) -> Decimal | None:
    if real is None or printed is None or real + printed == 0:
        return None
    return rounded(Fraction(real) / Fraction(real + printed))


async def test_flow_by_flow_dollars_add_up_to_the_days(ready: Database) -> None:
    """flow_usd and yield_daily are two ways to the same figures, also where prices are carried or missing."""
    rows = [at(number, 7, log) for number in range(12) for log in range(2)]
    made = [flows(rows[::2], [ETHER] * 12, WETH), flows(rows[1::2], [COINS] * 12, COIN)]
    await closed(ready, made, [weth_market(0, 2000), coin_market(1, 5)])
    by_flow = await ready.fetch(
        "SELECT day, sum(usd) AS usd, count(*) FILTER (WHERE usd IS NULL) AS unpriced "
        "FROM flow_usd WHERE counted GROUP BY day ORDER BY day"
    )
    shown = [await figures(ready, number) for number in range(12)]
    assert [row["unpriced"] for row in by_flow] == [one["unpriced"] for one in shown]
    assert [row["usd"] for row in by_flow] == [one["fees_usd"] for one in shown]
    assert [row["unpriced"] for row in by_flow] == [1, *[0] * 7, *[2] * 4]


async def test_an_open_day_is_live_at_the_last_price(ready: Database) -> None:
    await closed(ready, [flows([at(0, 7)], [ETHER], token=WETH)], [weth_market(LAST - 1, 2000)])
    await store(ready, LAST * 8640, LAST * 8640 + 99, reading(flows([at(LAST, 7)], [3 * ETHER], token=WETH)))
    rows = await ready.fetch("SELECT fees_usd, closed FROM yield_live WHERE day = $1", day(LAST))
    assert [tuple(row) for row in rows] == [(6000, False)]


async def test_a_lens_of_ones_own_sorts_flows_anew(ready: Database) -> None:
    """The most particular rule of a lens wins."""
    await ready.fetch(
        "INSERT INTO lens (lens, kind, side, bucket) "
        "VALUES ('mine', 'fee', NULL, 'real'), ('mine', 'fee', 'protocol', 'synthetic')"
    )
    await closed(ready, [flows([at(0, 7)], [DOLLARS]), flows([at(0, 8)], [3 * DOLLARS], label=CUT, leg=1)])
    rows = await ready.fetch(
        "SELECT lens, real_usd, synthetic_usd FROM yield_lens_daily WHERE day = $1 ORDER BY lens", FIRST
    )
    assert [tuple(row) for row in rows] == [("mine", 1, 3), ("production", 4, None), ("strict", 4, None)]


def test_the_fixtures_label_is_a_fee_to_the_supply_side() -> None:
    """What the expectations above lean on."""
    assert Label(Kind.FEE, Source.SWAP, Side.SUPPLY, Basis.ACCRUED) == FEE
