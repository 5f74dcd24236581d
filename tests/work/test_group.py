"""Which deployments are read together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from indexer.chain.limits import Limits
from indexer.chain.planner import Shape
from indexer.chain.sizing import GLANCE, GROWTH
from indexer.families.uniswap_v3 import POOL_CREATED, SWAP
from indexer.model import Basis, Kind, Span
from indexer.work.group import family_of, groups, is_open, subscriptions
from tests.work.world import ETHEREUM, FACTORY, OTHER_FACTORY, address, deployment

OPEN, FORK = deployment("dex.open"), deployment("fork.open", factory=[OTHER_FACTORY])
NAMED = deployment("dex.named", pools=[address("a pool")])
POOL: Any = SimpleNamespace(chain=ETHEREUM)


def test_open_deployments_are_read_together_and_bound_ones_together() -> None:
    """Answers to a question of any contract are dense, of named ones sparse: their ranges differ in length."""
    both = groups(POOL, None, [NAMED, OPEN, FORK])  # type: ignore[arg-type]
    assert [group.ids for group in both] == [["dex.open", "fork.open"], ["dex.named"]]
    assert [is_open(one) for one in (OPEN, FORK, NAMED)] == [True, True, False]


def test_forks_of_one_family_ask_one_question() -> None:
    """Swap of any contract, and PoolCreated of both factories with it."""
    (group,) = groups(POOL, None, [OPEN, FORK])  # type: ignore[arg-type]
    (shape,) = group.fetcher.questions
    assert shape.emitters is None
    assert len(shape.topics[0] or ()) == len({one.event for one in subscriptions(OPEN)})


def test_a_named_deployment_asks_its_own_contracts_only() -> None:
    """The factory and the pools."""
    (group,) = groups(POOL, None, [NAMED])  # type: ignore[arg-type]
    (shape,) = group.fetcher.questions
    assert shape.emitters == tuple(sorted([FACTORY, address("a pool")]))


def test_what_was_learned_of_a_question_holds_for_narrower_ones() -> None:
    """A part of the deployments begins where all of them stand; what is known of the same question is shared."""
    (group,) = groups(POOL, None, [NAMED])  # type: ignore[arg-type]
    (shape,) = group.fetcher.questions
    group.fetcher.sizes[shape].saw(1000, 0, Limits())
    part = Shape((shape.emitters or ())[:1], shape.topics)
    beside = Shape((address("another"),), shape.topics)
    assert group.fetcher_for((part,)).sizes[part].blocks == 1000 * GROWTH
    assert group.fetcher_for((beside,)).sizes[beside].blocks == GLANCE
    assert group.fetcher_for((shape, part)).sizes[shape] is group.fetcher.sizes[shape]


def test_rare_events_begin_where_a_question_that_found_nothing_goes_on() -> None:
    """A first glance only where nothing was answered yet, even beside a dense question for the same event."""
    for answered, first in ((0, GLANCE), (256, 256 * GROWTH)):
        (group,) = groups(POOL, None, [OPEN])  # type: ignore[arg-type]
        (shape,) = group.fetcher.questions
        rare = Shape(None, ((shape.topics[0] or ())[:1],))
        if answered:
            group.fetcher.sizes[shape].saw(answered, 8000, Limits())
        assert group.fetcher_for((rare,), rare=True).sizes[rare].blocks == first


def test_no_deployment_is_no_group() -> None:
    """Nothing to read."""
    assert groups(POOL, None, []) == []  # type: ignore[arg-type]


def test_a_group_knows_its_chain_its_members_and_whose_flows_are_whose() -> None:
    """Owner: chain, protocol, deployment."""
    (group,) = groups(POOL, None, [OPEN])  # type: ignore[arg-type]
    owner = group.owner(OPEN)
    assert (owner.chain_id, owner.protocol, owner.deployment) == (1, "dex", "dex.open")
    assert group.chain_id == 1
    assert family_of(OPEN).name == "uniswap_v3"
    assert [one.event for one in subscriptions(OPEN)][:2] == [POOL_CREATED, SWAP]
    assert OPEN.counts == {Kind.FEE: Basis.ACCRUED}


async def test_limits_are_remembered_as_soon_as_they_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each change, and not at all while nothing is known."""
    limits, kept = Limits(), []

    async def put(_: object, endpoint: str, learned: object) -> None:
        kept.append((endpoint, learned))

    monkeypatch.setattr("indexer.work.group.put_endpoint_limit", put)
    pool: Any = SimpleNamespace(chain=ETHEREUM, limits_by_fingerprint={"abc": limits})
    (group,) = groups(pool, None, [OPEN])  # type: ignore[arg-type]
    await group.keep_limits()
    assert kept == []
    limits.max_logs = 10_000
    await group.keep_limits()
    await group.keep_limits()
    assert kept == [("abc", Limits(max_logs=10_000).as_dict())]


def test_questions_go_on_as_long_as_the_same_deployments_lack_blocks() -> None:
    """Not into what is held, nor to where another deployment joins and asks with them."""
    (group,) = groups(POOL, None, [OPEN, FORK])  # type: ignore[arg-type]
    assert group.until(("dex.open",), Span(0, 9)) == 0, "nothing is known"
    group.missing = {"dex.open": [Span(0, 99), Span(200, 299)], "fork.open": [Span(50, 299)]}
    assert group.until(("dex.open",), Span(0, 9)) == 49
    assert group.until(("dex.open", "fork.open"), Span(50, 59)) == 99
    assert group.until(("fork.open",), Span(100, 109)) == 199
    assert group.until(("dex.open", "fork.open"), Span(200, 209)) == 299
