"""The depeg guard: a peg is believed until the day's trades say otherwise, and whom they are held against."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from indexer.ledger.connect import Database
from tests.ledger.made import CHAIN, COIN, OTHER_POOL, USDC, WETH, address, at, flows, reading, store
from tests.ledger.pricing import (
    BLOCKS,
    COINS,
    DAI,
    DOLLARS,
    LAST,
    TIP,
    USDT,
    Market,
    answered,
    closed,
    ether,
    figures,
    pair,
    prepared,
    rules,
    told,
    valued,
    verdicts,
)  # fmt: skip

PEG = ("peg", Decimal(1))
CONTRADICTED = ("peg", "refused: the day's trades contradict the peg")


@pytest.fixture
async def ready(database: Database) -> Database:
    """Three dollars without feeds, and ether."""
    return await prepared(database, pegs=(USDC, USDT, DAI))


async def fed(database: Database, markets: list[Market], *answers: tuple[int, bytes, str]) -> None:
    """Closed days with what feeds answered on them."""
    await closed(database, [], markets)
    for at_, (number, token, mean) in enumerate(answers):
        await answered(database, number, token, mean, contract=address(0xF000 + at_))
    await valued(database)


async def test_a_peg_that_nothing_speaks_of_is_believed(ready: Database) -> None:
    await closed(ready)
    assert [await told(ready, token) for token in (USDC, USDT, DAI)] == [PEG] * 3
    assert await verdicts(ready, USDC) == [("peg", "accepted")]


@pytest.mark.parametrize(("rate", "believed"), [("0.981", True), ("1.019", True), ("0.979", False), ("1.021", False)])
async def test_two_pegs_that_contradict_one_another_alone_are_both_refused(
    ready: Database, rate: str, *, believed: bool
) -> None:
    """Nobody can say which of them it is; unknown is not zero, and not a dollar."""
    await closed(ready, [flows([at(0, 7)], [DOLLARS], label=TIP)], [pair(0, USDC, USDT, rate)])
    assert [await told(ready, token) for token in (USDC, USDT, DAI)] == ([PEG] * 3 if believed else [None, None, PEG])
    assert (await figures(ready))["fees_usd"] == (1 if believed else None)
    if not believed:
        assert await verdicts(ready, USDC) == [
            CONTRADICTED,
            ("pool", "refused: its quote token has no price that may be built on"),
        ]


async def test_one_that_breaks_among_three_takes_nobody_with_it_if_the_others_confirm_more(ready: Database) -> None:
    """With one witness for and one against, nobody knows; that is so for each of the two that agree here."""
    broken = [pair(0, USDC, DAI, "0.9"), pair(0, USDT, DAI, "0.9"), pair(0, USDC, USDT, "1")]
    await closed(ready, [], broken)
    assert [await told(ready, token) for token in (USDC, USDT, DAI)] == [None, None, None]
    fourth = address(0xA6)
    await ready.fetch("INSERT INTO quote_token VALUES ($1, $2, 'FRAX', 6, 1)", CHAIN, fourth)
    await ready.fetch("INSERT INTO token VALUES ($1, $2, 'FRAX', 6, NULL, 0)", CHAIN, fourth)
    friends = [replace(pair(0, one, USDT, "1"), tokens=(one, fourth), pool=one) for one in (USDC, USDT)]
    await closed(ready, [], [*broken, *friends])
    found = [await told(ready, token) for token in (USDC, USDT, fourth, DAI)]
    assert found == [PEG, PEG, PEG, ("pool", Decimal("1.1111111111111111"))]


async def test_a_token_whose_peg_is_refused_is_priced_against_one_that_is_believed(ready: Database) -> None:
    """DAI at 0.9 of dollars that a feed confirms; its own price is then good enough to quote others."""
    coin = Market(0, (COIN, DAI), (COINS, -10 * 10**18), (0, 5000 * 10**18), OTHER_POOL, block=10)
    await fed(ready, [pair(0, USDC, DAI, "1.25"), coin], (0, USDC, "1"))
    assert await told(ready, USDC) == ("feed", Decimal(1))
    assert await told(ready, DAI) == ("pool", Decimal("0.8"))
    assert await told(ready, COIN) == ("pool", Decimal(8))
    assert CONTRADICTED in await verdicts(ready, DAI)


async def test_a_feed_decides_against_any_number_of_pegs(ready: Database) -> None:
    """Two dollars that fall together, as USDC and DAI did in March 2023, and one that stands, with a feed."""
    fallen = [pair(0, USDC, DAI, "1"), pair(0, USDC, USDT, "0.9"), pair(0, DAI, USDT, "0.9")]
    await fed(ready, fallen, (0, USDT, "1.001"))
    found = [await told(ready, token) for token in (USDC, DAI, USDT)]
    assert found == [("pool", Decimal("0.9009")), ("pool", Decimal("0.9009")), ("feed", Decimal("1.001"))]


async def test_a_refuted_peg_has_no_vote(ready: Database) -> None:
    """DAI, refuted by ether's feed, cannot drag USDC down, which it alone contradicts."""
    falling = Market(1, (WETH, DAI), (10**18, -2500 * 10**18), (10 * 10**18, 5000 * 10**18), OTHER_POOL, block=11)
    await fed(ready, [falling, pair(1, USDC, DAI, "1.25")], (0, WETH, "2000"), (1, WETH, "2000"))
    assert await told(ready, DAI, 1) == ("pool", Decimal("0.8"))
    assert await told(ready, USDC, 1) == PEG


async def test_ether_with_a_feed_refutes_a_peg(ready: Database) -> None:
    """An ether that costs 2,000 dollars buys 2,200 USDC: those are worth 0.909 each."""
    await fed(ready, [ether(1, 2200), deep_ether(1, 2200)], (0, WETH, "2000"), (1, WETH, "2000"))
    source, usd = await told(ready, USDC, 1) or ("", Decimal(0))
    assert (source, round(usd, 6)) == ("pool", Decimal("0.909091"))


def deep_ether(number: int, dollars: int) -> Market:
    """The same with ten ether on the other side, so that the pool may speak of dollars too."""
    return replace(ether(number, dollars), depths=(10 * 10**18, 5000 * DOLLARS), pool=OTHER_POOL)


@pytest.mark.parametrize(("before", "source"), [("1990", "pool"), ("2300", "peg"), ("1750", "peg")])
async def test_a_price_that_moved_that_day_widens_the_allowance(ready: Database, before: str, source: str) -> None:
    """A mean of answers and a mean by volume differ by as much as the price itself moved: that is no lost peg."""
    await fed(ready, [deep_ether(1, 2200)], (0, WETH, before), (1, WETH, "2000"))
    assert (await told(ready, USDC, 1) or ("",))[0] == source


async def test_an_unpegged_price_without_the_day_before_refutes_nobody(ready: Database) -> None:
    await fed(ready, [deep_ether(0, 2200)], (0, WETH, "2000"))
    assert await told(ready, USDC) == PEG


async def test_yesterdays_answer_refutes_nobody(ready: Database) -> None:
    """The feed stands still; ether does not."""
    await fed(ready, [deep_ether(2, 2200)], (0, WETH, "2000"), (1, WETH, "2000"))
    assert await told(ready, WETH, 2) == ("feed", Decimal(2000))
    assert await told(ready, USDC, 2) == PEG


async def test_a_pegged_tokens_feed_is_heard_before_ethers(ready: Database) -> None:
    """A dollar's feed hardly moves within a day, ether's does: however deep ether's pool is."""
    shallow = pair(1, USDC, USDT, "1", depth=2000)
    deep = replace(deep_ether(1, 2200), depths=(10**24, 10**12))
    await fed(ready, [deep, shallow], (0, WETH, "2000"), (1, WETH, "2000"), (1, USDT, "1"))
    assert await told(ready, USDC, 1) == PEG


@pytest.mark.parametrize("pool", ["shallow", "young"])
async def test_a_pool_that_may_not_tell_a_price_is_no_witness_either(ready: Database, pool: str) -> None:
    """Anybody can make one that contradicts everything."""
    number = 0 if pool == "young" else 1
    await rules(ready, 1000, age=1)
    lies = pair(number, USDC, USDT, "0.5", depth=999 if pool == "shallow" else 5000)
    await store(ready, 0, LAST * BLOCKS - 1, reading(traded=[lies.swaps()]))
    await valued(ready)
    assert [await told(ready, token, number) for token in (USDC, USDT)] == [PEG, PEG]


@pytest.mark.parametrize(("depth", "believed"), [(4000, True), (14_990, True), (15_001, False)])
async def test_three_quarters_of_the_depth_break_a_peg(ready: Database, depth: int, believed: bool) -> None:
    """One pool that a large trade threw off its price does not, though it be the deepest, nor do trades back and forth."""
    lies = pair(0, USDC, USDT, "1.03", depth=depth, pool=address(0xC1)).pumped(1000)
    await closed(ready, [], [lies, pair(0, USDC, USDT, "1", depth=5000, pool=address(0xC2))])
    assert [await told(ready, token) == PEG for token in (USDC, USDT)] == [believed, believed]


async def test_a_lost_peg_is_believed_again_the_next_day(ready: Database) -> None:
    """The guard looks at one day; a refused peg is not carried over from the day before either."""
    await closed(ready, [flows([at(n, 7) for n in (0, 1, 2)], [DOLLARS] * 3, label=TIP)], [pair(1, USDC, USDT, "0.5")])
    assert [await told(ready, USDC, number) for number in (0, 1, 2)] == [PEG, None, PEG]
    by_flow = await ready.fetch("SELECT day, usd FROM flow_usd ORDER BY day")
    assert [row["usd"] for row in by_flow] == [1, None, 1]
    assert [(await figures(ready, number))["fees_usd"] for number in (0, 1, 2)] == [1, None, 1]


async def test_the_allowance_is_a_setting(ready: Database) -> None:
    await rules(ready, 1000, depeg=500_000)
    await store(ready, 0, LAST * BLOCKS - 1, reading(traded=[pair(0, USDC, USDT, "0.6").swaps()]))
    await valued(ready)
    assert await told(ready, USDC) == PEG
    await rules(ready, 1000, depeg=400_000 - 1)
    await valued(ready)
    assert await told(ready, USDC) is None
