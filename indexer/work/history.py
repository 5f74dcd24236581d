"""Parameters as of a block: from the events that set them, or, where those are dear to fetch, from the state itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from indexer.chain.questions import ask
from indexer.chain.refusals import HistoryMissing, Reverted
from indexer.decode.signature import parse_event
from indexer.errors import BadInput, EndpointUnusable, NoEndpoint
from indexer.ledger import context
from indexer.manifest import Deployment
from indexer.model import Address, Span, Step, Subscription
from indexer.spans import hull, missing
from indexer.together import led
from indexer.work.asking import ask_state
from indexer.work.classify import Matched, Matcher
from indexer.work.group import Group, family_of, subscriptions
from indexer.work.source import next_part, read_events

END_OF_BLOCK = (1 << 24) - 1  # later than any log: what a block's state shows


async def ensure_history(group: Group, target: Span) -> None:
    """Makes every parameter change up to the target's end known, or decides that its ranges ask the state.

    Parameter events are rare, so the question covers as many blocks as the endpoint allows.
    """
    if group.steps_from_state:
        return
    wanting = [one for one in group.deployments if family_of(one).parameters]
    read = await context.histories(group.database, group.chain_id, [one.id for one in wanting])
    gaps = [(one, gap) for one in wanting for gap in missing(Span(one.start_block, target.last), read[one.id])]
    if group.archive is not None and gaps:
        await group.archive.look(hull(gap for _, gap in gaps))
    await led(_read(group, one, gap, target) for one, gap in gaps)


async def _read(group: Group, deployment: Deployment, gap: Span, target: Span) -> None:
    """Reads the events of a gap in ever larger parts, unless the endpoint's limit makes that too dear."""
    events, first, stateless = parameter_events(deployment), gap.first, False
    while first <= gap.last and not group.steps_from_state:
        part = next_part(group, events, Span(first, gap.last), timed=False)
        if not part.archived and group.gaps is not None and await _kept_state(group):
            group.steps_from_state = True
            return
        if part.dear and not stateless:
            stateless = not await _has_state(group, deployment, max(target.first - 1, 0))
            if not stateless:
                group.steps_from_state = True
                return
        await keep_part(group, deployment, events, part.span, timed=False)
        first = part.span.last + 1


async def keep_part(
    group: Group, deployment: Deployment, events: Sequence[Subscription], part: Span, *, timed: bool
) -> None:
    """Records what the logs of a part tell of a deployment's parameters. timed: whether steps hold block times."""
    read = await read_events(group, events, part, timed=timed)
    matched = Matcher(read.logs).match(deployment)
    refuse_undecodable(deployment, matched)
    found = family_of(deployment).steps(matched.batches)
    if group.archive is not None:
        await group.archive.list_files(read.kept)
    await context.put_history(group.database, group.chain_id, [deployment.id], part, found)


async def _kept_state(group: Group) -> bool:
    """Whether the archive has answers about the state, since its ranges were read with those."""
    return group.archive is not None and await group.archive.holds_state()


def refuse_undecodable(deployment: Deployment, matched: Matched) -> None:
    """Raises BadInput where a contract that the manifest names tells of its parameters in logs that cannot be read.

    Left out they would change figures silently; those of other contracts are quarantined.
    """
    family = family_of(deployment)
    events = {parameter.event for parameter in family.parameters}
    events |= set() if family.accrual is None else set(family.accrual.events)
    named = [one for one in subscriptions(deployment) if one.emitters is not None and one.event in events]
    topics = {parse_event(one.event).topic0 for one in named}
    wrong = [log for log in matched.quarantined(None) if log.topic0 in topics]
    if wrong:
        raise BadInput(
            [
                f"{deployment.id}: block {log.block}, log {log.log_index}: a log of contract 0x{log.contract.hex()} "
                f"{log.reason}. So it is none of family {deployment.family}: correct the manifest, or leave it out."
                for log in wrong
            ]
        )


async def _has_state(group: Group, deployment: Deployment, block: int) -> bool:
    """Whether the endpoint still answers eth_call at old blocks; a revert is such an answer."""
    anchor = family_of(deployment).anchor(deployment.contracts)
    contract = anchor if anchor is not None else bytes(20)
    try:
        await group.pool.call("eth_call", [{"to": "0x" + contract.hex(), "data": "0x"}, hex(block)])
    except Reverted:
        return True
    except (HistoryMissing, NoEndpoint, EndpointUnusable):
        return False
    return True


def parameter_events(deployment: Deployment) -> list[Subscription]:
    """The deployment's subscriptions that set parameters."""
    events = {parameter.event for parameter in family_of(deployment).parameters}
    return [one for one in subscriptions(deployment) if one.event in events]


async def steps_for(
    group: Group, deployment: Deployment, contracts: Sequence[Address], span: Span, seen: Sequence[Step]
) -> dict[tuple[Address, str], list[Step]]:
    """All steps that matter for logs of `contracts` in a span. seen: those that the span's own logs told."""
    if not contracts or not family_of(deployment).parameters:
        return {}
    if group.steps_from_state:
        known = await _from_state(group, deployment, contracts, max(span.first - 1, 0))
    else:
        known = await context.steps(group.database, group.chain_id, contracts, span.last)
    for step in seen:
        steps = known.setdefault((step.contract, step.name), [])
        if step not in steps:
            steps.append(step)
    return {key: sorted(steps, key=lambda step: (step.block, step.log_index)) for key, steps in known.items()}


async def _from_state(
    group: Group, deployment: Deployment, contracts: Sequence[Address], block: int
) -> dict[tuple[Address, str], list[Step]]:
    """What the state at the end of a block says; a contract that was not there yet has the initial values."""
    family = family_of(deployment)
    functions = [one.function for one in family.parameters]
    answers = await ask(partial(ask_state, group), list(contracts), functions, block)
    return {
        (contract, one.name): [
            Step(contract, one.name, block, END_OF_BLOCK, family.observed(one.name, answers[contract][one.function]))
        ]
        for contract in contracts
        for one in family.parameters
    }
