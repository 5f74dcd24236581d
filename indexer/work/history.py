"""Parameters as of a block: from the events that set them, or, where those are dear to fetch, from the state itself."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.chain.fetch import Fetcher
from indexer.chain.planner import shapes
from indexer.chain.questions import ask
from indexer.chain.refusals import HistoryMissing, Reverted
from indexer.errors import EndpointUnusable, NoEndpoint
from indexer.ledger import context
from indexer.manifest import Deployment
from indexer.model import Address, Span, Step, Subscription
from indexer.spans import missing
from indexer.work.classify import Matcher
from indexer.work.group import Group, family_of, subscriptions

DEAR = 200  # requests: above this the state is asked per range instead of reading all events since the deployment
GLANCE = 1_000  # blocks of the first question: a refusal tells the endpoint's limit before the whole gap is asked
_END_OF_BLOCK = (1 << 24) - 1  # later than any log: what a block's state shows


async def ensure_history(group: Group, target: Span) -> None:
    """Makes every parameter change up to the target's end known, or decides that its ranges ask the state.

    Parameter events are rare, so the question covers as many blocks as the endpoint allows.
    """
    wanting = [one for one in group.deployments if family_of(one).parameters]
    for deployment in wanting if not group.steps_from_state else ():
        read = await context.histories(group.database, group.chain_id, [deployment.id])
        for gap in missing(Span(deployment.start_block, target.last), read[deployment.id]):
            if not await _read(group, deployment, gap, target):
                group.steps_from_state = True
                return


async def _read(group: Group, deployment: Deployment, gap: Span, target: Span) -> bool:
    """Reads the events of a gap in ever larger parts; False where the endpoint's limit makes that too dear."""
    fetcher = Fetcher(group.pool, shapes(parameter_events(deployment)), first_blocks=GLANCE)
    first, stateless = gap.first, False
    while first <= gap.last:
        limit = group.pool.limits.max_blocks
        if limit is not None and (gap.last - first + 1) // limit > DEAR and not stateless:
            stateless = not await _has_state(group, deployment, max(target.first - 1, 0))
            if not stateless:
                return False
        part = Span(first, min(gap.last, first + fetcher.range_blocks - 1))
        logs = await fetcher.read(part, timed=False)
        batches = Matcher(logs).match(deployment).batches
        found = family_of(deployment).steps(batches)
        await context.put_history(group.database, group.chain_id, [deployment.id], part, found)
        first = part.last + 1
    return True


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
    answers = await ask(group.pool, list(contracts), [one.function for one in family.parameters], block)
    return {
        (contract, one.name): [
            Step(contract, one.name, block, _END_OF_BLOCK, family.observed(one.name, answers[contract][one.function]))
        ]
        for contract in contracts
        for one in family.parameters
    }
