"""One range from question to Reading."""

from __future__ import annotations

import numpy as np

from indexer.ledger.ranges import Reading
from indexer.ledger.rows import Owner
from indexer.manifest import Deployment
from indexer.model import Address, Batch, Classified, Context, Quarantined, Span, Step
from indexer.work.classify import Matched, Matcher, present, refuse_doubles
from indexer.work.group import Group, family_of, is_open
from indexer.work.history import refuse_undecodable, steps_for
from indexer.work.members import learn, own
from indexer.work.source import read_logs
from indexer.work.tokens import describe


async def read_range(group: Group, span: Span, deployments: tuple[str, ...], final: int) -> Reading:
    """Everything that a range of blocks makes for some deployments of a group. final: a final block to ask state at."""
    found = await read_logs(group, deployments, span)
    logs, matcher = found.logs, Matcher(found.logs)
    wanted = [one for one in group.deployments if one.id in deployments]
    matched = {one.id: matcher.match(one) for one in wanted}
    announced = await learn(group, matched, final)
    steps: list[Step] = []
    made: dict[Owner, Classified] = {}
    quarantined: dict[str, list[Quarantined]] = {}
    for deployment in wanted:
        refuse_undecodable(deployment, matched[deployment.id])
        seen = family_of(deployment).steps(matched[deployment.id].batches)
        steps += seen
        made[group.owner(deployment)] = await _classify(group, deployment, matched[deployment.id], span, seen)
        quarantined[deployment.id] = _quarantined(group, deployment, matched[deployment.id])
    _check(made)
    await describe(group, made.values(), final)
    return Reading(
        classified=made,
        members={name: members for name, members in announced.items() if members},
        steps=steps,
        quarantined=quarantined,
        logs_received=logs.received,
        logs_used=sum(_used(group, one, matched[one.id]) for one in wanted),
        anchor=logs.anchor,
        endpoint=logs.endpoint,
        files=found.files,
        kept=found.kept,
    )


async def _classify(group: Group, deployment: Deployment, matched: Matched, span: Span, seen: list[Step]) -> Classified:
    members = own(group, deployment, matched.emitters())
    steps = await steps_for(group, deployment, sorted(members), span, seen)
    return family_of(deployment).classify(deployment.contracts, matched.batches, Context(members, steps))


def _quarantined(group: Group, deployment: Deployment, matched: Matched) -> list[Quarantined]:
    return matched.quarantined(_own_contracts(group, deployment) if is_open(deployment) else None)


def _used(group: Group, deployment: Deployment, matched: Matched) -> int:
    """Logs of the deployment's own contracts."""
    if not is_open(deployment):
        return sum(len(batch) for batch in matched.batches.values())
    mine = _own_contracts(group, deployment)
    return sum(_emitted_by(mine, batch) for batch in matched.batches.values())


def _own_contracts(group: Group, deployment: Deployment) -> set[Address]:
    """The members met so far, and the contract that decides who is one."""
    members = {contract for contract, facts in group.members.get(deployment.id, {}).items() if facts is not None}
    anchor = family_of(deployment).anchor(deployment.contracts)
    return members | ({anchor} if anchor is not None else set())


def _emitted_by(contracts: set[Address], batch: Batch) -> int:
    mine = np.array([emitter.tobytes() in contracts for emitter in batch.where.emitters], bool)
    return int(mine[batch.where.emitter].sum())


def _check(made: dict[Owner, Classified]) -> None:
    """A log has one emitter: only deployments that share one can both book it."""
    emitters = {owner: _emitters(classified) for owner, classified in made.items()}
    shared = [
        owner
        for owner, mine in emitters.items()
        if any(mine & theirs for other, theirs in emitters.items() if other != owner)
    ]
    refuse_doubles(
        {
            owner.deployment: [(flows.where.block << 24) + flows.where.log_index for flows in made[owner].flows]
            for owner in shared
        }
    )


def _emitters(classified: Classified) -> set[Address]:
    return set().union(*(present(flows.where) for flows in classified.flows))
