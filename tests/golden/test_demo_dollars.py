"""Prices and yield_daily's figures of the indexed demo against an oracle of our own in exact fractions."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest

from tests.golden.demo import ask
from tests.golden.figures import (
    CARRIED,
    exact,
    fees,
    figures,
    mints,
    prices,
    rounded,
    staked,
    tokens,
    trades,
    whole,
    worth,
)
from tests.golden.recorded import state

DAYS = range(1, 15)
PROTOCOLS = ("demo_dex", "demo_farm", "demo_pairs")


@pytest.fixture(scope="module")
def rows(demo_url: str) -> dict[tuple[int, str], dict[str, Any]]:
    """yield_daily by day number and protocol."""
    found = ask(demo_url, "SELECT day - date '2025-12-31' AS number, * FROM yield_daily")
    return {(row["number"], row["protocol"]): row for row in found}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("day", DAYS)
def test_a_days_figures_are_the_oracles_to_six_decimals(
    rows: dict[tuple[int, str], dict[str, Any]], day: int, protocol: str
) -> None:
    expected = figures(day, protocol)
    assert {name: exact(rows[day, protocol][name]) for name in expected} == expected


def test_there_is_one_row_a_closed_day_and_protocol(rows: dict[tuple[int, str], dict[str, Any]]) -> None:
    assert set(rows) == {(day, protocol) for day in DAYS for protocol in PROTOCOLS}


def test_prices_are_volume_weighted_over_the_deepest_pool_of_the_day(demo_url: str) -> None:
    found = ask(
        demo_url,
        "SELECT day - date '2025-12-31' AS day, '0x' || encode(token, 'hex') AS token, usd, age_days,"
        " CASE WHEN source = 'pool' THEN '0x' || encode(evidence, 'hex') END AS pool FROM price_daily",
    )
    told = {(row["day"], row["token"]): (rounded(Fraction(row["usd"])), row["age_days"], row["pool"]) for row in found}
    assert told == {key: (rounded(price.usd), price.age, price.pool) for key, price in prices().items()}


def test_the_quiet_day_has_the_pool_prices_of_the_day_before(demo_url: str) -> None:
    """Nobody traded on the seventh day: what pools tell is of the sixth, and says so; the feed went on."""
    assert not [day for day, _ in trades() if day == 7]
    carried = ask(
        demo_url,
        "SELECT now.token FROM price_daily AS now JOIN price_daily AS was ON was.token = now.token"
        " AND was.day = now.day - 1 AND was.usd = now.usd"
        " WHERE now.day = '2026-01-07' AND now.age_days = 1 AND now.source = 'pool'",
    )
    assert len(carried) == sum(day == 7 and price.age == 1 for (day, _), price in prices().items()) == 2


def test_a_tokens_price_never_comes_from_a_pool_below_the_floor(demo_url: str) -> None:
    """The pool of EVIL has a few dollars: it trades against USDC every day and prices nothing."""
    evil = state()["contracts"]["tokens"]["evil"]
    assert [day for (day, _), trade in trades().items() if evil in trade.tokens]
    (row,) = ask(demo_url, "SELECT count(*) AS prices, min(depth_usd) AS least FROM price_daily WHERE source = 'pool'")
    assert row["least"] >= 10_000
    assert not ask(demo_url, "SELECT 1 FROM price_daily WHERE token = $1", bytes.fromhex(evil[2:]))


def test_fees_in_a_token_without_a_price_are_worth_what_went_out_for_it(demo_url: str) -> None:
    """EVIL's fees are valued from the dollars of the same swaps, and say so."""
    evil = state()["contracts"]["tokens"]["evil"]
    found = ask(
        demo_url,
        "SELECT day - date '2025-12-31' AS day, sum(usd) AS usd, array_agg(DISTINCT price_source) AS told"
        " FROM flow_usd WHERE token = $1 AND counted GROUP BY 1",
        bytes.fromhex(evil[2:]),
    )
    expected: Counter[int] = Counter()
    for fee in fees():
        if fee.token == evil:
            expected[fee.day] += worth(fee)  # type: ignore[assignment, operator]
    assert {row["day"]: rounded(Fraction(row["usd"])) for row in found} == {
        day: rounded(usd) for day, usd in expected.items()
    }
    assert all(row["told"] == ["trade"] for row in found)


@pytest.mark.parametrize("symbol", ["nope", "junk"])
def test_flows_of_unpriced_tokens_have_no_dollars_and_are_counted(demo_url: str, symbol: str) -> None:
    token = state()["contracts"]["tokens"][symbol]
    found = ask(
        demo_url,
        "SELECT day - date '2025-12-31' AS day, usd, price_source FROM flow_usd WHERE token = $1 AND counted",
        bytes.fromhex(token[2:]),
    )
    expected = Counter(fee.day for fee in fees() if fee.token == token)
    assert Counter(row["day"] for row in found) == expected
    assert expected
    assert all(row["usd"] is None and row["price_source"] is None for row in found)


def test_unpriced_flows_are_those_of_the_two_tokens_and_no_others(
    rows: dict[tuple[int, str], dict[str, Any]],
) -> None:
    nameless = {address for address, name in tokens().items() if name in ("nope", "junk")}
    expected = Counter(fee.day for fee in fees() if fee.token in nameless)
    assert {day: rows[day, "demo_dex"]["unpriced"] for day in DAYS} == {day: expected[day] for day in DAYS}
    assert all(rows[day, protocol]["unpriced"] == 0 for day in DAYS for protocol in PROTOCOLS[1:])


def test_a_figure_is_the_sum_of_its_flows(demo_url: str) -> None:
    """flow_usd added up by day and side, and what accrued with time, gives yield_daily's figures."""
    found = ask(
        demo_url,
        "SELECT y.day - date '2025-12-31' AS number, y.protocol, y.supply_side_usd, y.protocol_usd, y.incentives_usd,"
        " coalesce(round(sum(f.usd) FILTER (WHERE f.kind = 'fee' AND f.side = 'supply'), 6), 0) AS supply,"
        " coalesce(round(sum(f.usd) FILTER (WHERE f.kind = 'fee' AND f.side = 'protocol'), 6), 0) AS kept,"
        " coalesce(sum(f.usd) FILTER (WHERE f.kind = 'incentive'), 0) AS incentives"
        " FROM yield_daily AS y LEFT JOIN flow_usd AS f"
        " ON f.day = y.day AND f.protocol = y.protocol AND f.chain = y.chain AND f.counted"
        " GROUP BY 1, 2, 3, 4, 5",
    )
    assert len(found) == 14 * len(PROTOCOLS)
    farm = state()["contracts"]["farm_token"]
    for row in found:
        streamed = Fraction(0)
        if row["protocol"] == "demo_farm" and row["number"] in staked():
            streamed = whole(farm, staked()[row["number"]].amount) * prices()[row["number"], farm].usd
        assert (row["supply"], row["kept"]) == (row["supply_side_usd"], row["protocol_usd"])
        assert rounded(Fraction(row["incentives"]) + streamed) == Fraction(row["incentives_usd"])


def test_the_oracle_has_something_to_say() -> None:
    """Guards the oracle itself: an empty one would agree with an empty ledger."""
    assert len(fees()) > 10_000
    assert len(mints()) > 200
    assert {tokens()[token] for _, token in prices()} == {"usdc", "weth", "wbtc", "farm", "old"}
    assert {tokens()[fee.token] for fee in fees() if worth(fee) is None} == {"nope", "junk"}
    assert max(price.age for price in prices().values()) <= CARRIED
