"""Reclassifying: flows made again from the archive by the rules that are in force now, with no request or few."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date

from indexer import app
from indexer.app import Catalogue, Run
from indexer.archive.store import Store, open_store
from indexer.chain.head import finalized
from indexer.chain.pool import Endpoints
from indexer.errors import BadInput
from indexer.families import FAMILIES
from indexer.ledger import archive, closing, registry
from indexer.ledger.connect import Database
from indexer.manifest import Deployment
from indexer.model import Flows, Span
from indexer.settings import Settings
from indexer.work.close import close_known
from indexer.work.feeds import Feeds, is_feed
from indexer.work.gaps import Gaps
from indexer.work.group import Group
from indexer.work.progress import Progress
from indexer.work.reclassify import Again, Rehearsed, rehearse, reread, spans_again
from indexer.work.rederive import flows_of
from indexer.work.retain import drop_old_months, restore

_ALL = Span(0, (1 << 62) - 1)
_NEVER = date(9999, 12, 31)  # whatever day's bounds are known is over
_REASON = "read again on request"


@dataclass(frozen=True, slots=True)
class Reclassified:
    """What was made again: ids of deployments, and the days that were valued again."""

    deployments: list[str] = field(default_factory=list)
    days: list[date] = field(default_factory=list)


def archive_of(settings: Settings) -> Store:
    """The archive of the settings. Raises BadInput where it is switched off or its URL, never shown, is wrong."""
    place = settings.archive_place
    if place is None:
        raise BadInput('archive: there is none ("none"), so nothing can be made again without asking: run indexer up.')
    return open_store(place)


async def reclassify(
    settings: Settings,
    known: Catalogue,
    database: Database,
    run: Run,
    protocols: Sequence[str] = (),
    *,
    fetch: bool = False,
    everything: bool = False,
) -> Reclassified:
    """Makes the flows again that another version or manifest had made, and those that an earlier run left undone.

    protocols: those whose deployments are made again, changed or not; none: all that changed, or `everything`. fetch:
    what the archive never asked for is asked, and only that. Raises ArchiveUnusable with all that is missing before
    anything is changed, and BadInput.
    """
    unknown = [name for name in protocols if name not in known.protocols]
    if unknown:
        raise BadInput([f"{name}: no such protocol{app.meant(name, known.protocols)}" for name in unknown])
    plan = _Plan(settings, known, database, archive_of(settings), tuple(protocols), everything)
    async with AsyncExitStack() as stack:
        parts = [part for name in known.chains if (part := await _part(plan, name, fetch=fetch)) is not None]
        for part in parts:
            stack.push_async_callback(part.again.pool.close)
            run.pools[part.chain], run.progress[part.chain] = part.again.pool, part.progress
        return await _made(plan, parts, fetch=fetch)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked for."""

    settings: Settings
    known: Catalogue
    database: Database
    store: Store
    protocols: tuple[str, ...]
    everything: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """One chain's part. written: the deployments of its protocols, as manifests have them."""

    chain: str
    again: Again
    written: Sequence[Deployment]
    on_request: Sequence[str]
    progress: Progress


async def _part(plan: _Plan, name: str, *, fetch: bool) -> _Part | None:
    """What is to be made again on one chain; None if nothing is."""
    chain, database = plan.known.chains[name], plan.database
    written = _written(plan, name)
    pool = Endpoints(chain, [])
    phases = await Feeds(pool, database, written).known(_ALL)
    members = [one for one in (*written, *phases) if not is_feed(one)]
    stored = await archive.stored_versions(database, [one.id for one in members])
    members = [one for one in members if one.id in stored]
    changed = [one.id for one in members if stored[one.id] != (one.family, FAMILIES[one.family].version, one.digest)]
    on_request = [one.id for one in members if plan.protocols or plan.everything]
    retiring = list(dict.fromkeys([*changed, *on_request]))
    spans = await spans_again(database, chain.chain_id, [one.id for one in members], retiring)
    members = [one for one in members if spans[one.id]]
    if not members:
        return None
    if fetch:
        pool = await _online(plan, name)
    again = Again(pool, database, plan.store, members, written, [one for one in retiring if spans[one]], spans)
    protocols = {one.protocol for one in members}
    requested = [one for one in again.retiring if one not in changed]
    return _Part(name, again, [one for one in written if one.protocol in protocols], requested, Progress(name))


def _written(plan: _Plan, chain: str) -> list[Deployment]:
    protocols = plan.known.protocols
    names = plan.protocols or tuple(protocols)
    return [one for name in names for one in protocols[name].deployments if one.chain == chain]


async def _online(plan: _Plan, name: str) -> Endpoints:
    given = plan.settings.chains.get(name)
    if given is None or not given.rpc:
        raise BadInput(f"--fetch needs an endpoint of {name}: add --rpc {name}=https://..., or leave --fetch out.")
    pool = app.pool_of(plan.known.chains[name], given)
    await pool.verify()
    return pool


async def _made(plan: _Plan, parts: Sequence[_Part], *, fetch: bool) -> Reclassified:
    rehearsed = [await rehearse(one.again, one.progress, mend=fetch) for one in parts]
    lacking = Gaps()
    for found in rehearsed:
        lacking.take(found.gaps)
    if lacking and not fetch:
        raise lacking.refusal()
    done = Reclassified()
    if parts:
        chosen = {one.chain: one.written for one in parts}
        await app.register_chosen(plan.settings, plan.database, plan.known, chosen)
    for one, found in zip(parts, rehearsed, strict=True):
        done.days.extend(await _make(plan, one, found, fetch=fetch))
        done.deployments.extend(deployment.id for deployment in one.again.deployments)
    if done.days:
        await closing.refresh(plan.database)
    return done


async def _make(plan: _Plan, one: _Part, rehearsed: Rehearsed, *, fetch: bool) -> list[date]:
    again, chain_id = one.again, one.again.pool.chain.chain_id
    await registry.retire(plan.database, chain_id, one.on_request, _REASON)
    await Feeds(again.pool, plan.database, one.written).adopt(_ALL)
    final = (await finalized(again.pool)).number if fetch else again.last
    groups = await reread(again, rehearsed, final, one.progress, fetch=fetch)
    one.progress.stage = "closing days"
    valued = await _close(again, groups)
    if await restore(groups, final):
        valued += await _close(again, groups)
    if plan.settings.keep_flows is not None:
        days = await closing.day_starts(plan.database, chain_id)
        await drop_old_months(plan.database, plan.settings.keep_flows, max(days, default=date.min))
    one.progress.stage = "done"
    return valued


async def _close(again: Again, groups: Sequence[Group]) -> list[date]:
    deployments = [one for group in groups for one in group.deployments]
    return await close_known(again.database, again.pool.chain.chain_id, deployments, (again.last, _NEVER))


async def rederived(
    settings: Settings, known: Catalogue, database: Database, deployment: str, day: date
) -> Sequence[Flows]:
    """A deployment's flows of a closed UTC day, made again from the archive to be looked at.

    It asks nobody and writes nothing. Raises as work.rederive.flows_of, BadInput for a deployment without a manifest.
    """
    store = archive_of(settings)
    found = [one for protocol in known.protocols.values() for one in protocol.deployments if one.id == deployment]
    if not found:
        raise BadInput(f"{deployment}: no manifest has it any more, so its flows cannot be made again.")
    return await flows_of(store, database, known.chains[found[0].chain], found[0], day)
