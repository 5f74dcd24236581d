"""The mixed benchmark: a tiny run is right, every family takes part, and wrong sums are found."""

from __future__ import annotations

from functools import cache

import pytest

from indexer.ledger.embedded import EmbeddedPostgres

from . import mixed
from .blocks import Size
from .endtoend import Wrong
from .mixed_chain import MixedChain
from .mixed_world import address, deployments
from .truth import WEEK, FarmBook, fee_shares
from .useful import alone

SMALL = Size(swaps=3000, blocks=7300, pools=10, seed=3)  # a day has 7,200 blocks


@cache
def chain() -> MixedChain:
    return MixedChain(SMALL)


def test_a_tiny_run_is_right(server: EmbeddedPostgres) -> None:
    """All sums are checked on the way; what is told of them adds up."""
    sizes = [f"--logs={SMALL.swaps}", f"--blocks={SMALL.blocks}", f"--pools={SMALL.pools}", f"--seed={SMALL.seed}"]
    report = mixed.main([*sizes, "--runs=1"], server)
    rows = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in report.splitlines() if row.startswith("|")}
    assert float(rows["useful / received, %"]) >= 90
    assert int(rows["logs received in ranges"].replace(",", "")) > SMALL.swaps * 0.9
    assert "**all, read together**" in rows


def test_every_deployment_has_logs_and_every_kind_of_sum_is_there() -> None:
    """What has no flow by a log accrues with time or answers."""
    told = {key[0] for key in chain().flows}
    feeds = {name for name, one in deployments().items() if one["family"] == "chainlink_feed"}
    assert told == deployments().keys() - feeds
    assert all(one.useful for one in alone(chain()).values())
    accruing = {name for name, one in deployments().items() if one["family"] == "staking_rewards"}
    assert {key[0] for key in chain().accrued()} == accruing
    assert chain().answers
    assert {key[3] for key in chain().flows if key[0] == "uniswap_v2.ethereum"} == {"supply", "protocol"}


def test_pairs_are_where_their_factory_puts_them() -> None:
    """Against a pair of the real chain: Sushi's own, which tells a price."""
    (real,) = deployments()["sushiswap.ethereum.v2"]["contracts"]["price_pairs"]
    (sushi,) = (venue for venue in chain().two if venue.deployment == "sushiswap.ethereum.v2")
    assert address(real) in {pair.address for pair in sushi.pools}


def test_what_a_farm_owes() -> None:
    """By hand: 10 a second for a day; then what is left of the week and as much again, until the week is over."""
    book, key = FarmBook(), ("farm", "incentive", "staking_reward", "supply", "accrued", b"")
    book.add(key, 1000, 10 * WEEK + 5)
    day = 86_400
    assert book.accrued(1000) == {}
    assert book.accrued(1000 + day) == {key: 10 * day}
    assert book.accrued(1000 + 9 * day) == {key: 10 * WEEK}
    book.add(key, 1000 + day, 10 * WEEK)
    rate = (10 * WEEK + (WEEK - day) * 10) // WEEK
    assert book.accrued(1000 + 3 * day) == {key: 10 * day + 2 * day * rate}


def test_shares_of_a_fee_add_up() -> None:
    assert [fee_shares(13, denominator) for denominator in (0, 4, 6)] == [(13, 0), (10, 3), (11, 2)]


def test_wrong_sums_are_refused() -> None:
    mixed._same("sums", {"a": 1}, {"a": 1})
    for held in ({"a": 2}, {}, {"a": 1, "b": 0}):
        with pytest.raises(Wrong, match="sums differ"):
            mixed._same("sums", held, {"a": 1})
