"""A made-up market for tests of prices: dollars at a peg, ether that pools or feeds price, and coins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from indexer.ledger.closing import close_days, put_day_start, refresh, value_days
from indexer.ledger.connect import Database
from indexer.ledger.context import TokenRow, put_tokens
from indexer.ledger.registry import keep_rules, list_quotes
from indexer.model import Basis, Flows, Kind, Label, Side, Source, Trades
from indexer.settings import PriceSettings
from tests.ledger.made import CHAIN, COIN, POOL, USDC, WETH, address, at, deployment, known, reading, store, trades

FIRST = date(2026, 1, 1)
LAST = 15  # days whose bounds are known
BLOCKS = 8640  # a day
USDT, DAI = address(0xA4), address(0xA5)
MUTE = address(0xA9)  # a token that does not tell its decimals
DECIMALS = {USDC: 6, USDT: 6, DAI: 18, WETH: 18, COIN: 8}
COUNTS = {Kind.FEE: Basis.ACCRUED, Kind.INCENTIVE: Basis.ACCRUED}
TIP = Label(Kind.FEE, Source.FLASH_LOAN, Side.SUPPLY, Basis.ACCRUED)  # a fee that no trade stands beside
DOLLARS = 10**6
ETHER = 10**18
COINS = 10**8
FEED = address(0xF1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


@dataclass(frozen=True)
class Market:
    """A swap of a day in one pool: what came in of either token or, below zero, went out, in raw units.

    depths: raw units of both that are provably there afterwards, None where nobody knows. more: further swaps of the day.
    """

    number: int
    tokens: tuple[bytes, bytes]
    amounts: tuple[int, int]
    depths: tuple[int | None, int | None]
    pool: bytes = POOL
    block: int = 9
    more: tuple[tuple[int, int], ...] = ()

    def swaps(self) -> Trades:
        amounts = [self.amounts, *self.more]
        rows = [at(self.number, self.block, index, contract=self.pool) for index in range(len(amounts))]
        return trades(rows, self.tokens, amounts, self.depths)

    def pumped(self, factor: int) -> Market:
        """The same rate with so many times the volume."""
        return replace(self, amounts=(self.amounts[0] * factor, self.amounts[1] * factor))


def ether(number: int, dollars: int, depth: int = 5000, pool: bytes = POOL, quote: bytes = USDC, **more: Any) -> Market:
    """One ether sold for so many dollars, with so many dollars behind it."""
    unit = 10 ** DECIMALS[quote]
    return Market(number, (WETH, quote), (ETHER, -dollars * unit), (0, depth * unit), pool, **more)


def pair(
    number: int, one: bytes, other: bytes, rate: str, depth: int = 5000, pool: bytes | None = None, **more: Any
) -> Market:
    """A thousand of one token sold for so much of the other each; so many whole tokens of both are there."""
    units = 10 ** DECIMALS[one], 10 ** DECIMALS[other]
    got = int(Decimal(rate) * 1000 * units[1])
    where = pool if pool is not None else bytes(18) + one[-1:] + other[-1:]
    return Market(number, (one, other), (1000 * units[0], -got), (depth * units[0], depth * units[1]), where, **more)


async def prepared(database: Database, pegs: Sequence[bytes] = (USDC,)) -> Database:
    """One deployment that counts fees and incentives; these tokens are held at a dollar, WETH is a quote token too."""
    await known(database, deployment("one", counts=COUNTS), own_tokens=[COIN])
    listed = [(CHAIN, token, f"USD{token[-1]:x}", DECIMALS[token], Decimal(1)) for token in pegs]
    await list_quotes(database, [*listed, (CHAIN, WETH, "WETH", 18, None)])
    rows = [TokenRow(token, "X", decimals, b"X", 0) for token, decimals in DECIMALS.items()]
    await put_tokens(database, CHAIN, [*rows, TokenRow(MUTE, None, None, None, 0)])
    for number in range(LAST + 1):
        await put_day_start(database, CHAIN, day(number), number * BLOCKS)
    return database


async def rules(database: Database, floor: int = 1000, age: int = 0, depeg: int = 20_000) -> None:
    """By which prices are believed from now on."""
    kept = PriceSettings(min_liquidity_usd=floor, min_pool_age_days=age, depeg_ppm=depeg)
    await keep_rules(database, [CHAIN], kept)


async def valued(database: Database) -> None:
    """Closes what is over, values and shows it."""
    await close_days(database, CHAIN, day(LAST))
    await value_days(database, CHAIN)
    await refresh(database)


async def closed(
    database: Database, made: Sequence[Flows] = (), markets: Iterable[Market] = (), depth: int = 1000, age: int = 0
) -> None:
    """Reads fifteen days at once, closes and values them."""
    await rules(database, depth, age)
    await store(database, 0, LAST * BLOCKS - 1, reading(*made, traded=[market.swaps() for market in markets]))
    await valued(database)


async def answered(
    database: Database, number: int, token: bytes, mean: str, close: str | None = None, contract: bytes = FEED
) -> None:
    """What a feed said on a day; to be told after the day was closed and before it is valued."""
    last = mean if close is None else close
    row = (CHAIN, f"feed.{contract.hex()[-2:]}", day(number), token, contract, Decimal(mean), Decimal(last), number)
    await database.fetch("INSERT INTO answer_daily VALUES ($1, $2, $3, $4, $5, 4, $6, $7, $8, 0)", *row)
    await again(database, number)


async def again(database: Database, number: int) -> None:
    """Marks a day and those that its prices reach."""
    await database.fetch(
        "INSERT INTO dirty_value SELECT $1, $2::date + later FROM generate_series(0, 7) AS later ON CONFLICT DO NOTHING",
        CHAIN,
        day(number),
    )


async def prices(database: Database, token: bytes) -> dict[int, tuple[Decimal, int, bytes | None]]:
    """Dollars, age and evidence by day number."""
    rows = await database.fetch("SELECT day, usd, age_days, evidence FROM price_daily WHERE token = $1", token)
    return {(row["day"] - FIRST).days: (row["usd"].normalize(), row["age_days"], row["evidence"]) for row in rows}


async def told(database: Database, token: bytes, number: int = 0) -> tuple[str, Decimal] | None:
    """Source and dollars of a token's price of a day."""
    rows = await database.fetch("SELECT source, usd FROM price_daily WHERE token = $1 AND day = $2", token, day(number))
    return (rows[0]["source"], rows[0]["usd"].normalize()) if rows else None


async def verdicts(database: Database, token: bytes, number: int = 0) -> list[tuple[str, str]]:
    """Source and verdict of every claim of a day, the accepted one first."""
    rows = await database.fetch(
        "SELECT source, verdict FROM price_claim($1, $2) WHERE token = $3 ORDER BY accepted DESC, source, evidence",
        CHAIN,
        day(number),
        token,
    )
    return [tuple(row) for row in rows]


async def figures(database: Database, number: int = 0) -> dict[str, Any]:
    (row,) = await database.fetch("SELECT * FROM yield_daily WHERE day = $1", day(number))
    return dict(row)
