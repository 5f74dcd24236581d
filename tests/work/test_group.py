"""Which deployments are read together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from indexer.families.uniswap_v3 import POOL_CREATED, SWAP
from indexer.model import Basis, Kind
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
    (shape,) = group.fetcher._questions
    assert shape.emitters is None
    assert len(shape.topics[0] or ()) == len({one.event for one in subscriptions(OPEN)})


def test_a_named_deployment_asks_its_own_contracts_only() -> None:
    """The factory and the pools."""
    (group,) = groups(POOL, None, [NAMED])  # type: ignore[arg-type]
    (shape,) = group.fetcher._questions
    assert shape.emitters == tuple(sorted([FACTORY, address("a pool")]))


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
