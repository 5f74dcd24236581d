"""What accrues with time: every event it follows from is made known, and it is made anew before days are closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from indexer.chain.head import header
from indexer.chain.header import Header
from indexer.chain.questions import ask
from indexer.chain.refusals import HistoryMissing
from indexer.errors import BadInput, EndpointFailed, EndpointUnusable, NoEndpoint
from indexer.families.interface import OPENING, Answer
from indexer.ledger import context, streams
from indexer.ledger.connect import Database
from indexer.ledger.streams import Accruing
from indexer.manifest import Deployment
from indexer.model import Address, Span, Step, Subscription
from indexer.spans import hull
from indexer.together import led
from indexer.work.asking import ask_state
from indexer.work.group import Group, family_of, subscriptions
from indexer.work.history import END_OF_BLOCK, keep_part
from indexer.work.source import next_part


async def ensure_openings(group: Group, target: Span) -> None:
    """Makes known what state the target begins with, for each deployment whose rewards accrue with time.

    That is every event before it or, where the endpoint's limit makes these too dear, the state itself as of the block
    before; what comes later the ranges tell. Raises EndpointUnusable where the state is not to be had either.
    """
    unknown = [(one, await _unknown(group, one, target.first - 1)) for one in group.deployments]
    gaps = [(one, gap) for one, gap in unknown if gap is not None]
    if group.archive is not None and gaps:
        await group.archive.look(hull(gap for _, gap in gaps))
    await led(_ensure_opening(group, one, gap) for one, gap in gaps)


async def _ensure_opening(group: Group, deployment: Deployment, gap: Span) -> None:
    if await _is_open(group, deployment, gap.last):
        await _open(group, deployment, gap.last, [])
    elif not await _read(group, deployment, gap):
        await _open(group, deployment, gap.last, await _state(group, deployment, gap))


async def rebuild(database: Database, chain_id: int, deployments: Iterable[Deployment], last: int) -> None:
    """Stores the streams that the steps up to block `last` make, and marks the closed days whose cut changed.

    Raises BadInput where a contract's events contradict the family's rules.
    """
    for deployment in deployments:
        if family_of(deployment).accrual is not None:
            fold = partial(family_of(deployment).streams, deployment.contracts)
            await streams.rebuild(database, _accruing(chain_id, deployment), last, fold)


async def _unknown(group: Group, deployment: Deployment, last: int) -> Span | None:
    """The blocks up to `last` that keep the state after it unknown; None if it is known."""
    if family_of(deployment).accrual is None or last < deployment.start_block:
        return None
    known = await streams.known_spans(group.database, _accruing(group.chain_id, deployment))
    if any(span.first <= last <= span.last for span in known):
        return None
    ends = [span.last for span in known if span.last < last]
    return Span(max([deployment.start_block, *(end + 1 for end in ends)]), last)


async def _read(group: Group, deployment: Deployment, gap: Span) -> bool:
    """Reads the events of a gap in ever larger parts; False where the endpoint's limit makes that too dear."""
    events, first = accrual_events(deployment), gap.first
    while first <= gap.last:
        part = next_part(group, events, Span(first, gap.last), timed=True)
        if part.dear:
            return False
        await keep_part(group, deployment, events, part.span, timed=True)
        first = part.span.last + 1
    return True


async def _is_open(group: Group, deployment: Deployment, block: int) -> bool:
    """Whether the state after a block is known, though a new manifest or version has retired what was read since."""
    contracts = _contracts(deployment)
    held = await context.steps(group.database, group.chain_id, contracts, block)
    known = {step.contract for steps in held.values() for step in steps if step.name == OPENING and step.block == block}
    return known.issuperset(contracts)


async def _open(group: Group, deployment: Deployment, block: int, steps: Sequence[Step]) -> None:
    await context.put_history(group.database, group.chain_id, [deployment.id], Span(block, block), steps)


async def _state(group: Group, deployment: Deployment, gap: Span) -> list[Step]:
    """The state after the last block of a gap, as the contracts tell it."""
    family, contracts, block = family_of(deployment), _contracts(deployment), gap.last
    functions = () if family.accrual is None else family.accrual.functions
    try:
        answers = await ask(partial(ask_state, group), contracts, functions, block)
    except (HistoryMissing, NoEndpoint, EndpointUnusable) as refusal:
        raise _no_state(group, deployment, gap) from refusal
    top = await header(group.pool, block)
    if top is None:
        raise EndpointFailed(f"{group.pool.chain.name} block {block}: the endpoint does not know this final block.")
    told = {one: [answers[one][text] for text in functions] for one in contracts}
    return [Step(one, OPENING, block, END_OF_BLOCK, _opened(deployment, one, told[one], top)) for one in contracts]


def _opened(deployment: Deployment, contract: Address, answers: Sequence[Answer], top: Header) -> tuple[int, ...]:
    try:
        return family_of(deployment).opened(answers, top.time)
    except BadInput as wrong:
        raise BadInput(f"{deployment.id}: contract 0x{contract.hex()} at block {top.number}: {wrong}") from None


def _no_state(group: Group, deployment: Deployment, gap: Span) -> EndpointUnusable:
    return EndpointUnusable(
        f"{deployment.id} accrues with time, so what block {gap.last} left must be known, but no endpoint of "
        f"{group.pool.chain.name} has the state of that block, and at {group.pool.limits.max_blocks} blocks a request "
        f"it takes too many to read the events of the {len(gap)} blocks before. Start at block "
        f"{deployment.start_block}, or give an archive endpoint or one that allows wider ranges."
    )


def _accruing(chain_id: int, deployment: Deployment) -> Accruing:
    return Accruing(chain_id, deployment.id, deployment.start_block, _contracts(deployment))


def _contracts(deployment: Deployment) -> list[Address]:
    return sorted({emitter for one in accrual_events(deployment) for emitter in one.emitters or ()})


def accrual_events(deployment: Deployment) -> list[Subscription]:
    """The deployment's subscriptions that its streams follow from."""
    accrual = family_of(deployment).accrual
    return [one for one in subscriptions(deployment) if accrual is not None and one.event in accrual.events]
