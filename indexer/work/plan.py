"""What is left to read: missing blocks and missing parameter history, as questions that will be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from indexer.chain.planner import Shape, shapes
from indexer.ledger import context, ranges
from indexer.manifest import Deployment
from indexer.model import Span
from indexer.spans import merged, missing
from indexer.work.group import Group, family_of, subscriptions
from indexer.work.history import parameter_events
from indexer.work.source import unarchived
from indexer.work.streams import accrual_events

Held = Mapping[str, Sequence[Span]]  # by deployment


@dataclass(frozen=True, slots=True)
class Plan:
    """One group's work. blocks: spans to read with `questions`; history: spans to read with `events`."""

    questions: tuple[Shape, ...]
    blocks: tuple[Span, ...]
    events: tuple[Shape, ...] = ()
    history: tuple[Span, ...] = ()

    @property
    def deepest(self) -> int | None:
        """The lowest block whose logs are needed; None if nothing is."""
        return min((span.first for span in (*self.blocks, *self.history)), default=None)


async def remaining(group: Group, target: Span) -> Plan:
    """What a group's deployments still lack of the target, as the ledger and the archive know it."""
    held = await ranges.held(group.database, group.chain_id, group.ids)
    known = await context.histories(group.database, group.chain_id, group.ids)
    plan = planned(group.deployments, target, held, known)
    if group.archive is None:
        return plan
    blocks: list[Span] = []
    history: list[Span] = []
    for one in group.deployments:
        own = planned([one], target, held, known)
        events = [*parameter_events(one), *accrual_events(one)]
        blocks += await unarchived(group, subscriptions(one), own.blocks, timed=True)
        history += await unarchived(group, events, own.history, timed=False)
    return replace(plan, blocks=tuple(merged(blocks)), history=tuple(merged(history)))


def planned(deployments: Sequence[Deployment], target: Span, held: Held, known: Held) -> Plan:
    """The same from spans held and spans whose parameter history is known; a deployment not in them holds none."""
    gaps = {
        one.id: missing(Span(max(target.first, one.start_block), target.last), held.get(one.id, ()))
        for one in deployments
        if one.start_block <= target.last
    }
    lacking = [one for one in deployments if gaps.get(one.id)]
    wanting = [one for one in lacking if family_of(one).parameters]
    history = [gap for one in wanting for gap in missing(Span(one.start_block, target.last), known.get(one.id, ()))]
    accruing = [one for one in lacking if family_of(one).accrual is not None]
    for one in accruing:
        history += _before(target, one, (*known.get(one.id, ()), *held.get(one.id, ())))
    events = [event for one in wanting for event in parameter_events(one)]
    events += [event for one in accruing for event in accrual_events(one)]
    return Plan(
        tuple(shapes(event for one in deployments for event in subscriptions(one))) if lacking else (),
        tuple(merged(gap for spans in gaps.values() for gap in spans)),
        tuple(shapes(events)),
        tuple(merged(history)),
    )


def _before(target: Span, accruing: Deployment, read: Sequence[Span]) -> list[Span]:
    """What is to be read of the blocks before the target, so that it is known what accrues when it begins."""
    last = target.first - 1
    if last < accruing.start_block or any(span.first <= last <= span.last for span in read):
        return []
    return missing(Span(accruing.start_block, last), read)
