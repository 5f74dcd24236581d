"""Price feeds: a proxy's phases asked and dated, each of them read as a deployment of its own.

A phase's answers count while the proxy pointed to it. What tells when that was, best first: the log with which newer
proxies say so (read along, free), phaseId() at old blocks where an endpoint has their state (halving), and else only
that phases go up and that the proxy is asked once a run and once a day. Where that leaves a day open, closing takes the
answers of one phase only, see sum_answer_daily in sql/queries/closing.sql.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import structlog

from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.chain.questions import ask, ask_at, ask_numbered
from indexer.errors import BadInput, EndpointUnusable, NoEndpoint
from indexer.families.chainlink_feed import CONFIRMED, DECIMALS, ChainlinkFeed, FeedOptions
from indexer.ledger import context, feeds
from indexer.ledger.connect import Database
from indexer.ledger.feeds import Feed, Phase
from indexer.ledger.registry import adopt
from indexer.manifest import Deployment
from indexer.model import Address, Evidence, Member, Span
from indexer.work.phases import Timeline

PHASE_ID = "phaseId() returns (uint16)"
PHASE_AGGREGATOR = "phaseAggregators(uint16) returns (address)"
_MOST_PHASES = 1_000  # the busiest proxies have about ten

log = structlog.get_logger()


def is_feed(deployment: Deployment) -> bool:
    """Whether a manifest's deployment stands for a proxy whose phases are read in its place."""
    return deployment.family == ChainlinkFeed.name and "aggregator" not in deployment.contracts


def priced_by(deployment: Deployment) -> Address | None:
    """The token that a feed prices; None where the deployment is no feed."""
    return deployment.options.token if is_feed(deployment) and isinstance(deployment.options, FeedOptions) else None


def read_along(
    offered: Iterable[Deployment], wanted: Sequence[Deployment], tokens: Collection[Address]
) -> list[Deployment]:
    """Of the feeds offered those that price one of the tokens that no wanted feed prices.

    Raises BadInput where several do: a day's price comes from one feed.
    """
    named = {priced_by(one) for one in wanted}
    found: dict[Address, Deployment] = {}
    problems = []
    for one in offered:
        token = priced_by(one)
        if token is None or token in named or token not in tokens:
            continue
        if found.setdefault(token, one) is not one:
            other = found[token].id
            problems.append(
                f"{one.id}: prices the same token as {other}: name the protocol of the one you want under protocols."
            )
    if problems:
        raise BadInput(problems)
    return list(found.values())


class Feeds:
    """The feeds of one chain that a run reads."""

    def __init__(self, pool: Endpoints, database: Database, deployments: Iterable[Deployment]) -> None:
        self._pool, self._database, self._chain_id = pool, database, pool.chain.chain_id
        self._manifests = {one.id: one for one in deployments if is_feed(one)}
        self._feeds = [Feed(self._chain_id, name, one.contracts["proxy"][0]) for name, one in self._manifests.items()]

    async def held(self) -> list[str]:
        """Ids of the deployments under which phases were read before."""
        return await feeds.deployments(self._database, self._chain_id, list(self._manifests))

    async def resolve(self, target: Span, final: Header) -> list[Deployment]:
        """The phases that may have counted in the target, asked anew of their proxies at the final head.

        Raises BadInput where a proxy is none, EndpointLied for an answer that contradicts an earlier one.
        """
        begun = [feed for feed in self._feeds if self._manifests[feed.id].start_block <= final.number]
        if not begun:
            return []
        timelines = await self._ask_now(await self._timelines(begun), final.number)
        await self._confirm(timelines)
        await self._look_back(timelines, target.first)
        await self._keep(timelines)
        return await self._adopted(timelines, target)

    async def refine(self) -> None:
        """Dates phases by what logs of the proxies have said since they were asked; asks nobody."""
        timelines = await self._timelines(self._feeds)
        await self._confirm(timelines)
        await self._keep(timelines)

    async def known(self, target: Span) -> list[Deployment]:
        """The phases that may have counted in the target, as the ledger knows them; asks nobody."""
        return [one for timeline in await self._timelines(self._feeds) for one in self._wanted(timeline, target)]

    async def adopt(self, target: Span) -> list[Deployment]:
        """The same, which the ledger holds from now on by the family's present version; asks nobody."""
        return await self._adopted(await self._timelines(self._feeds), target)

    async def _timelines(self, wanted: Sequence[Feed]) -> list[Timeline]:
        known = await feeds.phases(self._database, self._chain_id, wanted)
        return [Timeline(feed, known[feed.id]) for feed in wanted]

    async def _keep(self, timelines: Iterable[Timeline]) -> None:
        for one in timelines:
            if one.learned:
                await feeds.keep(self._database, one.feed, one.phases)

    async def _ask_now(self, timelines: Sequence[Timeline], block: int) -> list[Timeline]:
        """Makes all phases known that the proxies have by now, with the decimals of their aggregators; who answered."""
        answers = await ask(self._pool, _proxies(timelines), (PHASE_ID,), block)
        present = {one.feed.id: _number(answers[one.feed.proxy][PHASE_ID]) for one in timelines}
        timelines = self._answering(timelines, present, block)
        lacking = [
            (one, number) for one in timelines for number in range(1, present[one.feed.id] + 1) if _lacks(one, number)
        ]
        proxies = [(one.feed.proxy, number) for one, number in lacking]
        told = await ask_numbered(self._pool, PHASE_AGGREGATOR, proxies, block) if lacking else []
        aggregators = [bytes(20) if answer is None else answer[0] for answer in told]
        decimals = await self._decimals(aggregators, block)
        for (one, number), aggregator in zip(lacking, aggregators, strict=True):
            one.name(Phase(number, aggregator, decimals[aggregator], block))
            if decimals[aggregator] is None:
                log.warning(
                    "phase of a feed left out",
                    chain=self._pool.chain.name,
                    feed=one.feed.id,
                    phase=number,
                    reason=f"aggregator 0x{aggregator.hex()} tells nobody its decimals: its logs may be of other feeds",
                )
        for one in timelines:
            one.see(present[one.feed.id], block)
        return timelines

    def _answering(self, timelines: Iterable[Timeline], present: Mapping[str, int], block: int) -> list[Timeline]:
        """Those that tell phases; too many of them are the manifest's mistake.

        A contract that tells none is left out with a warning: what it would price has other prices then, or none.
        """
        found = []
        for one in timelines:
            if present[one.feed.id] or one.phases:
                found.append(one)
                continue
            log.warning(
                "price feed left out",
                chain=self._pool.chain.name,
                feed=one.feed.id,
                reason=f"contract 0x{one.feed.proxy.hex()} answers nothing to phaseId() at block {block}: correct it "
                "in the manifest, or read no feeds with feeds = false under [prices]",
            )
        wrong = [one.feed for one in found if not 0 < present[one.feed.id] <= _MOST_PHASES]
        if wrong:
            raise BadInput(
                [
                    f"{feed.id}: contract 0x{feed.proxy.hex()} answers {present[feed.id] or 'nothing'} to phaseId() at "
                    f"block {block} of {self._pool.chain.name}, so it is not the proxy of a price feed. Correct it in "
                    "the manifest, or read no feeds: feeds = false under [prices]."
                    for feed in wrong
                ]
            )
        return found

    async def _decimals(self, aggregators: Iterable[Address], block: int) -> dict[Address, int | None]:
        family, asked = ChainlinkFeed(), sorted(set(aggregators))
        answers = await ask(self._pool, asked, (DECIMALS,), block) if asked else {}
        claims = {one: family.admit({}, one, [answers[one][DECIMALS]]) for one in asked}
        return {one: None if claim is None else int(claim.facts["decimals"]) for one, claim in claims.items()}

    async def _confirm(self, timelines: Sequence[Timeline]) -> None:
        """Dates phases by logs of the proxies, as far as these were read."""
        steps = await context.steps(self._database, self._chain_id, _proxies(timelines), (1 << 63) - 1)
        for one in timelines:
            one.confirm(steps.get((one.feed.proxy, CONFIRMED), []))

    async def _look_back(self, timelines: Sequence[Timeline], first: int) -> None:
        """Dates the changes of phase from `first` on by halving, as far as endpoints still have the state."""
        starts = {one.feed.id: max(first, self._manifests[one.feed.id].start_block) for one in timelines}
        try:
            for block in sorted(set(starts.values())):
                unseen = [one for one in timelines if starts[one.feed.id] == block and not one.covers(block)]
                answers = await ask(self._pool, _proxies(unseen), (PHASE_ID,), block) if unseen else {}
                for one in unseen:
                    one.see(_number(answers[one.feed.proxy][PHASE_ID]), block)
            while places := [
                (one, middle) for one in timelines for middle in sorted(one.unsettled(starts[one.feed.id]))
            ]:
                asked = list(dict.fromkeys((one.feed.proxy, middle) for one, middle in places))
                told = dict(zip(asked, await ask_at(self._pool, PHASE_ID, asked), strict=True))
                for one, middle in places:
                    one.see(_number(told[one.feed.proxy, middle]), middle)
        except (NoEndpoint, EndpointUnusable) as error:
            log.info("phases of feeds cannot be dated by state", chain=self._pool.chain.name, reason=str(error))

    async def _adopted(self, timelines: Iterable[Timeline], target: Span) -> list[Deployment]:
        """The wanted phases, known to the ledger with their facts."""
        wanted, found, members = [], [], {}
        for one in timelines:
            wanted += self._wanted(one, target)
            for phase in one.phases:
                if phase.aggregator is not None and phase.decimals is not None:
                    found.append(self._deployment(one, phase))
                    facts = {"decimals": phase.decimals, "phase": phase.number}
                    members[found[-1].id] = Member(phase.aggregator, facts, Evidence(phase.asked))
        await adopt(self._database, self._chain_id, found, {one.id for one in wanted}, ChainlinkFeed.version)
        for deployment in wanted:
            await context.put_contracts(self._database, self._chain_id, deployment.id, [members[deployment.id]])
        return wanted

    def _wanted(self, timeline: Timeline, target: Span) -> list[Deployment]:
        return [
            self._deployment(timeline, phase)
            for phase in timeline.phases
            if phase.aggregator is not None and phase.decimals is not None and timeline.possible(phase.number, target)
        ]

    def _deployment(self, timeline: Timeline, phase: Phase) -> Deployment:
        """What reads a phase; when it began is no part of its digest, so that better evidence costs no reading."""
        feed, (before, _) = self._manifests[timeline.feed.id], timeline.entry(phase.number)
        aggregator = bytes(20) if phase.aggregator is None else phase.aggregator
        return replace(
            feed,
            id=timeline.feed.deployment(phase.number),
            start_block=feed.start_block if before is None else max(feed.start_block, before + 1),
            contracts={**feed.contracts, "aggregator": (aggregator,)},
            digest=sha256(feed.digest + phase.number.to_bytes(4, "big") + aggregator).digest(),
        )


def _lacks(timeline: Timeline, number: int) -> bool:
    known = timeline.get(number)
    return known is None or known.decimals is None


def _proxies(timelines: Iterable[Timeline]) -> list[Address]:
    return list(dict.fromkeys(one.feed.proxy for one in timelines))


def _number(answer: tuple[int, ...] | None) -> int:
    """phaseId() as answered; 0 where nothing answers, as before the proxy was made."""
    return 0 if answer is None else answer[0]
