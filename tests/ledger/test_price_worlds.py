"""Any market at all: the prices of the ledger are those of the rules told in plain Python, and so are the dollars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.ledger.connect import Database
from indexer.ledger.prices import PriceRow, put_file_prices
from indexer.model import Evidence, Flows, Member
from tests.ledger.believing import Answers, Price, Rules, Trade, World
from tests.ledger.made import CHAIN, COIN, ONE, USDC, WETH, address, at, flows, reading, store
from tests.ledger.pricing import BLOCKS, DAI, DECIMALS, FIRST, USDT, Market, day, prepared, rules, valued

DAYS = 10
UNLISTED = address(0xA7)
TOKENS = {**DECIMALS, UNLISTED: 18}
PEGS = {USDC: Fraction(1), USDT: Fraction(1), DAI: Fraction(1), WETH: None}
FAIR = {USDC: 1, USDT: 1, DAI: 1, WETH: 2000, COIN: 5, UNLISTED: Fraction(1, 1000)}
EVERYTHING = (
    "price_daily, protocol_day, protocol_part, deployment_day, flow_daily, trade_daily, answer_daily, price_file, flow, "
    "range_deployment, range_day, range_trade, dirty_day, dirty_value, contract"
)


@pytest.fixture
async def ready(database: Database) -> Database:
    """Three dollars, ether and two coins, of which nothing is known yet."""
    await prepared(database, pegs=(USDC, USDT, DAI))
    await database.fetch("INSERT INTO token VALUES ($1, $2, 'U', 18, NULL, 0)", CHAIN, UNLISTED)
    return database


@dataclass(frozen=True)
class Life:
    """A made-up market. held: days of which all blocks are read, half: those of which half are."""

    rules: Rules
    markets: list[Market]
    fees: list[tuple[Market, int, int]]
    births: dict[bytes, int]
    answers: list[Answers]
    files: list[PriceRow]
    held: frozenset[int]
    half: frozenset[int]


Rate = st.sampled_from((1.0, 1.0, 1.0, 1.005, 0.99, 1.03, 0.9, 1.2, 3.0))


Day = st.sampled_from((3, 3, 3, 4)) | st.integers(0, DAYS - 1)  # days that many things fall on, and others
PAIRS = [(one, two) for one in TOKENS for two in TOKENS if one < two]
AMONG_QUOTES = [both for both in PAIRS if set(both) <= set(PEGS)]


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Swaps near the tokens' fair prices, in either direction or both, with any depth."""
    number = draw(Day)
    tokens = draw(st.sampled_from(AMONG_QUOTES) | st.sampled_from(PAIRS))
    first, *more = (swapped(draw, tokens) for _ in range(draw(st.sampled_from((1, 1, 2)))))
    depth = st.none() | st.sampled_from((0, 999, 1000, 1001, 5000, 70_000))
    held = [
        None if deep is None else int(deep / Fraction(FAIR[token]) * 10 ** TOKENS[token])
        for token, deep in zip(tokens, (draw(depth), draw(depth)), strict=True)
    ]
    pool = bytes(17) + tokens[0][-1:] + tokens[1][-1:] + bytes([draw(st.integers(1, 2))])
    return Market(number, tokens, first, (held[0], held[1]), pool, more=tuple(more))


def swapped(draw: st.DrawFn, tokens: tuple[bytes, bytes]) -> tuple[int, int]:
    """What came in and went out of so many dollars, in either direction."""
    dollars, off = draw(st.integers(1, 10**7)), Fraction(draw(Rate)).limit_denominator(1000)
    sign = draw(st.sampled_from((1, -1)))
    first = Fraction(dollars) / FAIR[tokens[0]] * 10 ** TOKENS[tokens[0]]
    other = Fraction(dollars) * off / FAIR[tokens[1]] * 10 ** TOKENS[tokens[1]]
    return sign * int(first), -sign * int(other)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    made = draw(st.lists(markets(), max_size=20, unique_by=lambda one: (one.number, one.pool)))
    placed = [replace(one, block=10 + at_) for at_, one in enumerate(made)]
    half = frozenset(draw(st.lists(st.integers(0, DAYS - 1), max_size=2)))
    held = frozenset(range(DAYS)) - half - frozenset(draw(st.lists(st.integers(0, DAYS - 1), max_size=2)))
    pools = sorted({one.pool for one in placed})
    births = draw(st.dictionaries(st.sampled_from(pools), st.integers(0, DAYS - 1), max_size=4)) if pools else {}
    seen = {pool: born for pool, born in births.items() if born in held}
    return Life(
        Rules(
            draw(st.sampled_from((0, 1000))), draw(st.sampled_from((0, 1, 2))), draw(st.sampled_from((20_000, 150_000)))
        ),
        placed,
        [(one, side, draw(st.integers(1, 10**20))) for one in placed for side in (0, 1)],
        seen,
        [draw(answers(number)) for number in range(draw(st.integers(0, 8)))],
        draw(st.lists(filed(), max_size=3, unique_by=lambda row: row[1:3])),
        held,
        half,
    )


@st.composite
def answers(draw: st.DrawFn, number: int) -> Answers:
    """An aggregator's day near a fair price; each has an address of its own."""
    token = draw(st.sampled_from((USDC, USDT, WETH, WETH, COIN)))
    usd = [Fraction(FAIR[token]) * Fraction(draw(Rate)).limit_denominator(1000) for _ in (0, 1)]
    return Answers(
        draw(st.sampled_from((2, 3, 4)) | Day), token, address(0xF000 + number), draw(st.integers(1, 9)), *usd, number
    )


@st.composite
def filed(draw: st.DrawFn) -> PriceRow:
    token, number = draw(st.sampled_from(sorted(TOKENS))), draw(Day)
    usd = Decimal(draw(st.integers(1, 10**8))) / 10**4
    return CHAIN, day(number), token, 2, usd, "Made up."


def spans(life: Life) -> Iterator[tuple[int, int]]:
    """The runs of blocks that are read."""
    for number in range(DAYS):
        if number in life.held or number in life.half:
            yield number * BLOCKS, number * BLOCKS + (BLOCKS if number in life.held else BLOCKS // 2) - 1


def fees(life: Life) -> list[tuple[Market, int, int]]:
    """Of each pool's day the sides that came in."""
    return [(one, side, amount) for one, side, amount in life.fees if came_in(one, side)]


def came_in(market: Market, side: int) -> int:
    return sum(max(amounts[side], 0) for amounts in (market.amounts, *market.more))


def went_out(market: Market, side: int) -> int:
    return sum(max(-amounts[side], 0) for amounts in (market.amounts, *market.more))


async def live(database: Database, life: Life) -> None:
    """Reads the life in the order of its days and values it."""
    await database.fetch(f"TRUNCATE {EVERYTHING}")
    await rules(database, life.rules.floor, life.rules.age, life.rules.depeg)
    births = {pool: born * BLOCKS + 5 for pool, born in life.births.items()}
    for first, last in spans(life):
        inside = [one for one in life.markets if first <= one.number * BLOCKS + one.block <= last]
        made = [fee_flows(one, side, amount) for one, side, amount in fees(life) if one in inside]
        members = [
            Member(pool, {}, Evidence(block, b"\1" * 32, 0)) for pool, block in births.items() if first <= block <= last
        ]
        what = reading(*made, traded=[one.swaps() for one in inside])
        await store(database, first, last, replace(what, members={ONE.deployment: members}))
    for one in life.answers:
        row = (CHAIN, f"feed.{one.contract.hex()[-4:]}", day(one.day), one.token, one.contract, one.count)
        await database.fetch(
            "INSERT INTO answer_daily VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)", *row, exact(one.mean), exact(one.close),
            one.block,
        )  # fmt: skip
    await put_file_prices(database, "mine.csv", life.files)
    await valued(database)


def fee_flows(market: Market, side: int, amount: int) -> Flows:
    return flows([at(market.number, market.block, contract=market.pool)], [amount], market.tokens[side], leg=side)


def exact(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def plain(life: Life) -> World:
    """The same for the rules in plain Python."""
    closed = sorted(life.held | life.half)
    made = [
        Trade(
            one.number,
            one.pool,
            one.tokens,
            (came_in(one, 0), came_in(one, 1)),
            (went_out(one, 0), went_out(one, 1)),
            one.depths,
        )
        for one in life.markets
        if one.number in closed
    ]
    files = {(row[2], (row[1] - FIRST).days): Fraction(row[4]) for row in life.files}
    return World(life.rules, TOKENS, PEGS, made, life.answers, files, life.births, closed, life.held)


def near(shown: Decimal, told: Fraction) -> bool:
    return abs(Fraction(shown) - told) <= told / 10**12


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(lives())
async def test_prices_are_those_of_the_rules(ready: Database, life: Life) -> None:
    """Source, age and dollars of every token and day; each accepted claim is the price; each fee is valued by it."""
    await live(ready, life)
    world = plain(life)
    wanted = world.value()
    rows = await ready.fetch("SELECT token, day, usd, source, age_days FROM price_daily")
    found = {(row["token"], (row["day"] - FIRST).days): row for row in rows}
    assert {key: (row["source"], row["age_days"]) for key, row in found.items()} == {
        key: (price.source, price.age) for key, price in wanted.items()
    }
    assert all(near(row["usd"], wanted[key].usd) for key, row in found.items())
    claims = await ready.fetch(
        "SELECT c.token, d.day, c.usd, c.source, c.age_days FROM (SELECT DISTINCT day FROM deployment_day) AS d "
        "CROSS JOIN LATERAL price_claim($1, d.day) AS c WHERE c.accepted",
        CHAIN,
    )
    assert sorted(map(tuple, claims)) == sorted(map(tuple, rows))
    await fees_are_valued(ready, life, wanted)


async def fees_are_valued(database: Database, life: Life, wanted: dict[tuple[bytes, int], Price]) -> None:
    """By the token's own trusted price, then the other side of the trade, then a pool."""
    told = {}
    for one, side, amount in fees(life):
        if one.number not in life.held | life.half:
            continue
        token, quote = one.tokens[side], one.tokens[1 - side]
        own, other = wanted.get((token, one.number)), wanted.get((quote, one.number))
        usd = None if own is None else own.usd * Fraction(amount, 10 ** TOKENS[token])
        source = None if own is None else own.source
        got = went_out(one, 1 - side)
        if (own is None or (own.source == "pool" and token not in PEGS)) and other and quote in PEGS and got > 0:
            share = Fraction(amount * got, came_in(one, side))
            usd, source = share / 10 ** TOKENS[quote] * other.usd, "trade"
        told[one.number, one.pool, token] = (source, usd)
    for view in ("flow_usd", "flow_daily_usd"):
        rows = await database.fetch(f"SELECT day, contract, token, usd, price_source FROM {view}")
        found = {((row["day"] - FIRST).days, row["contract"], row["token"]): row for row in rows}
        assert {key: row["price_source"] for key, row in found.items()} == {key: pair[0] for key, pair in told.items()}
        for key, row in found.items():
            usd = told[key][1]
            assert (row["usd"] is None) == (usd is None)
            assert usd is None or near(row["usd"], usd)
