"""Deployments of one chain that are read with the same questions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from indexer.chain.fetch import Fetcher
from indexer.chain.planner import shapes
from indexer.chain.pool import Endpoints
from indexer.families import FAMILIES, Family
from indexer.ledger.connect import Database
from indexer.ledger.rows import Owner
from indexer.manifest import Deployment
from indexer.model import Address, Subscription

Facts = Mapping[str, int | bytes] | None


@dataclass(slots=True)
class Group:
    """Deployments read together, with what was learned of their contracts so far.

    members: per deployment the contracts met, None for those that are not its own. tokens: those described already.
    asking: held while strangers are asked, so that readers side by side do not ask the same ones.
    """

    pool: Endpoints
    database: Database
    deployments: Sequence[Deployment]
    fetcher: Fetcher
    members: dict[str, dict[Address, Facts]] = field(default_factory=dict)
    tokens: set[Address] = field(default_factory=set)
    steps_from_state: bool = False
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def chain_id(self) -> int:
        """Of the chain all of them live on."""
        return self.pool.chain.chain_id

    @property
    def ids(self) -> list[str]:
        """Ids of the deployments."""
        return [deployment.id for deployment in self.deployments]

    def owner(self, deployment: Deployment) -> Owner:
        """Whose flows a deployment's are."""
        return Owner(self.chain_id, deployment.protocol, deployment.id)


def family_of(deployment: Deployment) -> Family:
    """The rules of a deployment."""
    return FAMILIES[deployment.family].configured(deployment.options)


def subscriptions(deployment: Deployment) -> tuple[Subscription, ...]:
    """The events a deployment wants."""
    return family_of(deployment).subscriptions(deployment.contracts)


def is_open(deployment: Deployment) -> bool:
    """Whether any contract may emit its events, so that its answers are dense and its members must be asked."""
    return any(one.emitters is None for one in subscriptions(deployment))


def groups(pool: Endpoints, database: Database, deployments: Sequence[Deployment]) -> list[Group]:
    """Open deployments together and bound ones together: dense and sparse questions need ranges of their own."""
    found = []
    for wanted in (True, False):
        members = [deployment for deployment in deployments if is_open(deployment) is wanted]
        if members:
            questions = shapes(one for deployment in members for one in subscriptions(deployment))
            found.append(Group(pool, database, members, Fetcher(pool, questions)))
    return found
