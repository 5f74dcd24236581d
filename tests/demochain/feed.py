"""A price feed of the wrapped coin: told when it moved, and moved to another aggregator once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.demochain.artifacts import own
from tests.demochain.cast import Stage

DEVIATION = 0.005  # a new answer when the price moved by half a percent, and with every day's third block
TESTED = (8, (10, 20))  # day and blocks of test rounds of the second aggregator, at a price of one dollar
CONFIRMED = (9, 5)  # from here on the proxy points to the second
LATE = (9, 12)  # the first aggregator answers once more, when nobody should listen
LATEST = "latestRoundData()->(uint80,int256,uint256,uint256,uint80)"


@dataclass(slots=True)
class Feed:
    """Proxy and aggregators, the last answer told, and the answers that the proxy showed: block, phase, round, value."""

    proxy: str
    aggregators: list[str]
    told: float = 0.0
    shown: list[list[int]] = field(default_factory=list)
    _last: int = 0

    def look(self, stage: Stage, block: int) -> None:
        """Asks the proxy after a block; a new round of the phase it already pointed to is an answer."""
        known, answer, *_ = stage.node.call(self.proxy, LATEST)
        if known != self._last and known >> 64 == self._last >> 64:
            self.shown.append([block, known >> 64, known % 2**64, answer])
        self._last = known


def open_feed(stage: Stage) -> Feed:
    """Both aggregators and the proxy, which points to the first."""
    node, owner = stage.node, stage.owner
    aggregators = [node.deploy(owner, own("Feed")) for _ in range(2)]
    proxy = node.deploy(owner, own("FeedProxy"), aggregators[0])
    stage.created |= dict.fromkeys([*aggregators, proxy], node.mine())
    feed = Feed(proxy, aggregators)
    feed.look(stage, 0)
    return feed


def tell(stage: Stage, feed: Feed, day: int, index: int) -> None:
    """What the feed says in this block of a day, if anything."""
    node, owner, at = stage.node, stage.owner, (day, index)
    current = feed.aggregators[at >= CONFIRMED]
    usd = stage.usd["weth"]
    if day == TESTED[0] and index in TESTED[1]:
        node.transact(owner, feed.aggregators[1], "tell(int256)", 10**8)
    if at == CONFIRMED:
        node.transact(owner, feed.proxy, "confirmAggregator(address)", feed.aggregators[1])
        feed.told = 0.0
    elif at == LATE:
        node.transact(owner, feed.aggregators[0], "tell(int256)", 12_345 * 10**8)
    elif index == 2 or abs(usd - feed.told) > DEVIATION * feed.told:
        node.transact(owner, current, "tell(int256)", int(usd * 10**8))
        feed.told = usd


def feed_state(feed: Feed) -> dict[str, Any]:
    """Who is who, and what the proxy showed."""
    return {"proxy": feed.proxy, "aggregators": feed.aggregators, "shown": feed.shown}
