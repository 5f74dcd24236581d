"""Dollars: which prices are believed, and that every formula of yield_daily holds."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.ledger.connect import Database
from indexer.model import Basis, Kind, Label, Side, Source
from tests.ledger.made import (
    COIN,
    CUT,
    FEE,
    MINT,
    OTHER_POOL,
    SWEPT,
    USDC,
    WETH,
    at,
    deployment,
    flows,
    known,
    reading,
    store,
)
from tests.ledger.pricing import (
    COINS,
    DOLLARS,
    ETHER,
    FIRST,
    LAST,
    MUTE,
    Market,
    closed,
    day,
    ether,
    figures,
    prepared,
)


@pytest.fixture
async def ready(database: Database) -> Database:
    """One deployment that counts fees and incentives; USDC is a dollar, WETH is priced by pools, so is COIN."""
    return await prepared(database)


def coins(number: int, amount: int) -> Market:
    """Ten coins for so many WETH, with a hundred WETH behind them."""
    return Market(number, (COIN, WETH), (10 * COINS, -amount * ETHER), (0, 100 * ETHER), OTHER_POOL, block=10)


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


async def test_a_deployment_whose_family_makes_no_flows_has_no_figures(ready: Database) -> None:
    """A price feed neither earns nor prints: a row of unknowns would say that it might."""
    await ready.fetch("UPDATE deployment SET has_flows = false")
    await closed(ready, [flows([at(0, 7)], [DOLLARS])])
    assert await ready.fetch("SELECT FROM yield_daily") == []
    assert await ready.fetch("SELECT FROM deployment_day"), "it is closed all the same"


async def test_only_the_counted_basis_is_counted(ready: Database) -> None:
    made = [flows([at(0, 7)], [3 * DOLLARS], label=CUT), flows([at(0, 8)], [3 * DOLLARS], label=SWEPT)]
    await closed(ready, made)
    assert (await figures(ready))["protocol_usd"] == 3


async def test_other_peoples_tokens_are_not_issued(ready: Database) -> None:
    """COIN is the protocol's own, USDC is not; both are incentives here."""
    made = [flows([at(0, 7)], [2 * COINS], token=COIN, label=MINT), flows([at(0, 8)], [5 * DOLLARS], label=MINT)]
    await closed(ready, made, [ether(0, 2000), coins(0, 5)])
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
    await closed(ready, batches, [ether(0, 2000), coins(0, 5)])
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
    await closed(ready, made, [ether(0, 2000), coins(1, 5)])
    by_flow = await ready.fetch(
        "SELECT day, sum(usd) AS usd, count(*) FILTER (WHERE usd IS NULL) AS unpriced "
        "FROM flow_usd WHERE counted GROUP BY day ORDER BY day"
    )
    shown = [await figures(ready, number) for number in range(12)]
    assert [row["unpriced"] for row in by_flow] == [one["unpriced"] for one in shown]
    assert [row["usd"] for row in by_flow] == [one["fees_usd"] for one in shown]
    assert [row["unpriced"] for row in by_flow] == [1, *[0] * 7, *[2] * 4]


async def test_an_open_day_is_live_at_the_last_price(ready: Database) -> None:
    await closed(ready, [flows([at(0, 7)], [ETHER], token=WETH)], [ether(LAST - 1, 2000)])
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
