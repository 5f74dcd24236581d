"""The demo's price feed: what the proxy showed is what WETH is worth, and nothing that it did not show."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from tests.golden.demo import ask
from tests.golden.recorded import logs, state

STATE = state()
ANSWERED = "0x0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f"


def shown() -> dict[int, list[Fraction]]:
    """Dollars that the proxy itself showed, by day: asked after every block."""
    last = {day["day"]: day["last_block"] for day in STATE["days"]}
    found: dict[int, list[Fraction]] = defaultdict(list)
    for block, _, _, answer in STATE["feed"]["shown"]:
        day = min((day for day, end in last.items() if block <= end), default=15)
        found[day].append(Fraction(answer, 10**8))
    return found


def test_the_days_price_is_the_mean_of_what_the_proxy_showed(demo_url: str) -> None:
    weth = bytes.fromhex(STATE["contracts"]["tokens"]["weth"][2:])
    rows = ask(
        demo_url,
        "SELECT day - date '2025-12-31' AS day, usd, source, age_days FROM price_daily WHERE token = $1 ORDER BY day",
        weth,
    )
    told = shown()
    assert [row["day"] for row in rows] == list(range(1, 15))
    for row in rows:
        mean = sum(told[row["day"]], Fraction(0)) / len(told[row["day"]])
        assert (row["source"], row["age_days"]) == ("feed", 0)
        assert abs(Fraction(row["usd"]) - mean) < Fraction(1, 10**8)


def test_rounds_of_an_aggregator_that_the_proxy_does_not_point_to_are_no_price() -> None:
    """There are such rounds: tests before the change at a dollar, and one of the first aggregator long after it."""
    of_feed = [log for log in logs() if log.address in STATE["feed"]["aggregators"] and log.topics[0] == ANSWERED]
    answers = [int(log.topics[1], 16) for log in of_feed]
    assert 10**8 in answers
    assert 12_345 * 10**8 in answers
    listened = [answer for *_, answer in STATE["feed"]["shown"]]
    assert not {10**8, 12_345 * 10**8} & set(listened)
    assert len(answers) == len(listened) + 3


def test_the_feed_is_no_protocol_of_the_view(demo_url: str) -> None:
    assert not ask(demo_url, "SELECT 1 FROM yield_daily WHERE protocol = 'demo_feed'")
