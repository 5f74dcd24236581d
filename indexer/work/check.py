"""Whether a run would work, and what it would cost: every problem of a chain and its endpoints at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from indexer.chain.canary import Verdict, canary
from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.errors import IndexerError, NoEndpoint, Refuse
from indexer.manifest import Deployment
from indexer.model import Span
from indexer.settings import Settings
from indexer.work.group import family_of, grouped
from indexer.work.plan import Held, Plan, planned
from indexer.work.probe import WIDEST, final_head, final_tag, has_state, widest_range
from indexer.work.pruned import lacking
from indexer.work.source import DEAR
from indexer.work.target import stamp, target

STALE = 3_600  # seconds a final head may be old before a node is called behind
ATTEMPTS = 3  # per question: check tells of a fault rather than to wait for its end


class State(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. subject: settings, database, or chain and endpoint; code: exit code it alone would mean."""

    subject: str
    about: str
    state: State
    says: str
    code: int = 0


@dataclass(slots=True)
class Wish:
    """What a run is to read of a chain, with what the ledger holds already; plans: filled in by the first endpoint."""

    settings: Settings
    deployments: Sequence[Deployment]
    hull: Span | None = None
    held: Held = field(default_factory=dict)
    known: Held = field(default_factory=dict)
    span: Span | None = None
    plans: list[Plan] = field(default_factory=list)
    old_state: bool = True


Told = tuple[State, str, int]  # how it is, in which words, with which exit code


def faulted(subject: str, about: str, error: IndexerError) -> Finding:
    """An error as a finding, with the exit code it would end a run with."""
    return Finding(subject, about, State.WRONG, str(error), error.exit_code if isinstance(error, Refuse) else 1)


async def check_endpoint(pool: Endpoints, wish: Wish) -> AsyncIterator[Finding]:
    """Findings about the one endpoint of a pool; what else it can do is left out where it does not say where it is."""
    (endpoint,) = pool.endpoints
    subject, about = f"{pool.chain.name} {endpoint.name}", "chain id"
    try:
        await pool.verify()
        yield Finding(subject, about, State.OK, str(pool.chain.chain_id))
        about = "final head"
        final, took = await final_head(pool)
        yield await _head(pool, subject, final)
    except IndexerError as error:
        yield faulted(subject, about, error)
        return
    for about, look in (
        ("software", _software),
        ("log limits", _limits),
        ("from, to", _settle),
        ("old logs", _old_logs),
        ("old state", _old_state),
    ):
        try:
            state, says, code = await look(pool, wish, final)
        except IndexerError as error:
            yield faulted(subject, about, error)
        else:
            if says:
                yield Finding(subject, about, state, says, code)
    yield Finding(subject, "speed", State.OK, _speed(pool, took))


async def _head(pool: Endpoints, subject: str, final: Header) -> Finding:
    late = int(time.time()) - final.time > STALE
    says = f"block {final.number:,} of {stamp(final.time)}"
    says += ", over an hour ago, so the node may be behind" if late else ""
    tagged = await final_tag(pool)
    if not tagged:
        says += f"; it knows no `finalized` tag, so what is {pool.chain.confirmations} blocks deep counts as final"
    return Finding(subject, "final head", State.NOTE if late or not tagged else State.OK, says)


async def _software(pool: Endpoints, _: Wish, __: Header) -> Told:
    """What the node says it runs; many providers do not tell."""
    from indexer.chain.web3_provider import web3  # takes longer to import than all that a run needs

    try:
        return State.OK, await web3(pool.endpoints[0]).client_version, 0
    except (IndexerError, TypeError):
        return State.OK, "", 0


async def _limits(pool: Endpoints, _: Wish, final: Header) -> Told:
    widest, limits = await widest_range(pool, final.number), pool.limits
    more = "at least " if widest == min(WIDEST, final.number + 1) else ""
    said = [f"{more}{widest:,} blocks a question"]
    said += [f"{limits.max_logs:,} logs an answer"] if limits.max_logs is not None else []
    said += [f"{limits.max_addresses:,} addresses"] if limits.max_addresses is not None else []
    return State.OK, ", ".join(said), 0


async def _settle(pool: Endpoints, wish: Wish, final: Header) -> Told:
    """What is to be read, once an endpoint has told how far the chain is; nothing to tell if that is in order."""
    if wish.span is None:
        span = await target(wish.settings, pool, final, wish.hull)
        wish.plans = [planned(members, span, wish.held, wish.known) for members in grouped(wish.deployments)]
        wish.span = span
    return State.OK, "", 0


async def _old_logs(pool: Endpoints, wish: Wish, final: Header) -> Told:
    deepest = min((plan.deepest for plan in wish.plans if plan.deepest is not None), default=None)
    if deepest is None:
        return State.OK, "nothing is missing, so none are needed" if wish.span is not None else "", 0
    seen = await canary(pool.endpoints[0], deepest, final.number)
    if seen.verdict is Verdict.WHOLE:
        return State.OK, f"whole at block {seen.block:,}, the deepest needed", 0
    if seen.verdict is Verdict.UNKNOWN:
        return State.NOTE, f"not known at block {seen.block:,}: {seen.says}", 0
    return State.WRONG, lacking(seen) if seen.verdict is not Verdict.REFUSED else seen.says, NoEndpoint.exit_code


async def _old_state(pool: Endpoints, wish: Wish, final: Header) -> Told:
    """State is needed at the final head, to ask contracts what they are, and deeper where parameter events are dear."""
    contract = next((found for one in wish.deployments if (found := _asked(one)) is not None), None)
    if not await has_state(pool, contract, final.number):
        says = f"none at block {final.number:,}, at which contracts are asked what they are: use another endpoint."
        return State.WRONG, says, NoEndpoint.exit_code
    block = max(0, wish.span.first - 1) if wish.span is not None else 0
    wish.old_state = await has_state(pool, contract, block)
    if wish.old_state:
        return State.OK, f"there at block {block:,}", 0
    most, width = pool.limits.blocks, sum(len(span) for plan in wish.plans for span in plan.history)
    if most is None or width // most <= DEAR:
        return State.OK, f"none at block {block:,}; none is needed", 0
    says = (
        f"none at block {block:,}, and in ranges of at most {most:,} blocks the history of parameters takes "
        f"{-(-width // most):,} requests: use an archive endpoint, or one with wider ranges."
    )
    return State.WRONG, says, NoEndpoint.exit_code


def _asked(deployment: Deployment) -> bytes | None:
    return family_of(deployment).anchor(deployment.contracts)


def _speed(pool: Endpoints, took: int) -> str:
    budget = "no budget is set" if pool.budget is None else f"{pool.budget:,} requests a second are set"
    retried = f", {pool.retries} of its answers had to be asked for again" if pool.retries else ""
    return f"{took // 1_000_000:,} ms for an answer; {budget}{retried}"
