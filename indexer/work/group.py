"""Deployments of one chain that are read with the same questions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from indexer.archive.filters import Wanted
from indexer.archive.store import Store
from indexer.chain.fetch import Fetcher, first_size
from indexer.chain.limits import Limits
from indexer.chain.planner import Shape, shapes
from indexer.chain.pool import Endpoints
from indexer.chain.sizing import QuestionSize, glance
from indexer.families import FAMILIES, Family
from indexer.ledger.connect import Database
from indexer.ledger.context import put_endpoint_limit
from indexer.ledger.outlook import Outlook
from indexer.ledger.rows import Owner
from indexer.manifest import Deployment
from indexer.model import Address, Span, Subscription
from indexer.work.archived import Archive
from indexer.work.gaps import Gaps

Facts = Mapping[str, int | bytes] | None


@dataclass(slots=True)
class Group:
    """Deployments read together, with what was learned of their contracts so far.

    members: per deployment the contracts met, None for those that are not its own. tokens: those described already.
    asking: held while strangers are asked, so that readers side by side do not ask the same ones. archive: what is
    looked up before the endpoints are asked, and kept of what they say. gaps: takes what the archive lacks, in a group
    that asks no endpoint. told_at: the block at which a contract told what the archive has of it. outlook: what is held
    and being read. missing: what was not when reading began, by deployment.
    """

    pool: Endpoints
    database: Database
    deployments: Sequence[Deployment]
    fetcher: Fetcher
    members: dict[str, dict[Address, Facts]] = field(default_factory=dict)
    tokens: set[Address] = field(default_factory=set)
    steps_from_state: bool = False
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    archive: Archive | None = None
    gaps: Gaps | None = None
    told_at: dict[Address, int] = field(default_factory=dict)
    sizing: Fetcher | None = None
    outlook: Outlook = field(init=False)
    missing: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    _fetchers: dict[tuple[Shape, ...], Fetcher] = field(default_factory=dict)
    _wanted: dict[tuple[str, ...], Wanted] = field(default_factory=dict)
    _limits: dict[str, dict[str, int | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.look_anew()

    def look_anew(self) -> None:
        """What is held is read whole at the next look: others may have taken something out of the ledger."""
        self.outlook = Outlook(self.ids)

    async def keep_limits(self) -> None:
        """Remembers what was learned of the endpoints since, so that a killed run need not learn it again."""
        for endpoint, limits in self.pool.limits_by_fingerprint.items():
            learned = limits.as_dict()
            if learned != self._limits.setdefault(endpoint, Limits().as_dict()):
                await put_endpoint_limit(self.database, endpoint, learned)
                self._limits[endpoint] = learned

    def until(self, names: tuple[str, ...], span: Span) -> int:
        """The block up to which just these deployments lack what comes after a span they lack; below it if none do."""
        own = [gap.last for name in names for gap in self.missing.get(name, ()) if gap.first <= span.last <= gap.last]
        others = [gap.first - 1 for name, gaps in self.missing.items() if name not in names for gap in gaps]
        return min([*own, *(last for last in others if last >= span.last)]) if len(own) == len(names) else 0

    @property
    def chain_id(self) -> int:
        """Of the chain all of them live on."""
        return self.pool.chain.chain_id

    @property
    def ids(self) -> list[str]:
        """Ids of the deployments."""
        return [deployment.id for deployment in self.deployments]

    @property
    def range_blocks(self) -> int:
        """How many blocks to read and commit at once, by the questions that were asked last."""
        return (self.fetcher if self.sizing is None else self.sizing).range_blocks

    def fetcher_for(self, questions: tuple[Shape, ...], *, rare: bool = False) -> Fetcher:
        """What asks these questions, with what was learned of their density. rare: whether their events are."""
        if questions == self.fetcher.questions:
            return self.fetcher
        if questions not in self._fetchers:
            known = self.fetcher.sizes
            begun = {shape: QuestionSize(self._first_blocks(shape, rare=rare)) for shape in questions}
            self._fetchers[questions] = Fetcher(self.pool, questions, begun | known)
        return self._fetchers[questions]

    def _first_blocks(self, shape: Shape, *, rare: bool) -> int:
        """As many as a question that finds no less is asked, at least."""
        known = self.fetcher.sizes
        wider = [size.blocks for other, size in known.items() if shape.within(other)]
        return max([first_size(shape).blocks, *wider, *[glance(known.values())] * rare])

    def wanted(self, names: tuple[str, ...], events: Callable[[], Iterable[Subscription]]) -> Wanted:
        """What some deployments want, taken apart once."""
        if names not in self._wanted:
            self._wanted[names] = Wanted(events())
        return self._wanted[names]

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


def grouped(deployments: Sequence[Deployment]) -> list[list[Deployment]]:
    """Open deployments together and bound ones together: dense and sparse questions need ranges of their own."""
    parted = ([one for one in deployments if is_open(one) is wanted] for wanted in (True, False))
    return [members for members in parted if members]


def groups(
    pool: Endpoints,
    database: Database,
    deployments: Sequence[Deployment],
    store: Store | None = None,
    gaps: Gaps | None = None,
) -> list[Group]:
    """Deployments as they are read together, each group with its questions. store: where the archive lies, if any."""
    found = [group_of(pool, database, members, store) for members in grouped(deployments)]
    for group in found:
        group.gaps = gaps
    return found


def group_of(
    pool: Endpoints, database: Database, deployments: Sequence[Deployment], store: Store | None = None
) -> Group:
    """Deployments that are read together."""
    questions = shapes(event for one in deployments for event in subscriptions(one))
    archive = None if store is None else Archive(store, database, pool.chain.chain_id)
    return Group(pool, database, deployments, Fetcher(pool, questions), archive=archive)
