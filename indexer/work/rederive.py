"""Flows of a day made from the archive to be looked at; nothing is written and nobody is asked."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from indexer.archive.store import Store
from indexer.chain.chains import Chain
from indexer.chain.pool import Endpoints
from indexer.errors import BadInput
from indexer.families import FAMILIES
from indexer.ledger import archive, closing
from indexer.ledger.connect import Database
from indexer.ledger.rehearsal import rehearsal
from indexer.manifest import Deployment
from indexer.model import Flows, Span
from indexer.work.close import DAY, start_of
from indexer.work.gaps import Gaps
from indexer.work.group import Group, groups
from indexer.work.history import ensure_history
from indexer.work.reading import read_range


async def flows_of(store: Store, database: Database, chain: Chain, deployment: Deployment, day: date) -> list[Flows]:
    """A deployment's flows of a closed UTC day, as its ranges made them.

    Raises BadInput where the day's bounds are not known or the deployment was read by other rules than those in force,
    ArchiveUnusable.
    """
    starts = await closing.day_starts(database, chain.chain_id)
    if day not in starts or day + timedelta(days=1) not in starts:
        raise BadInput(f"{deployment.id}: {day} is not closed: see indexer status.")
    await _refuse_other_rules(database, deployment)
    blocks = Span(starts[day], starts[day + timedelta(days=1)] - 1)
    spans = await archive.ranges_between(database, chain.chain_id, deployment.id, blocks)
    async with rehearsal(database) as forgetful:
        (group,) = groups(Endpoints(chain, []), forgetful, [deployment], store, Gaps(strict=True))
        return [flows for span in spans for flows in await _made(group, deployment, span, day)]


async def _refuse_other_rules(database: Database, deployment: Deployment) -> None:
    stored = (await archive.stored_versions(database, [deployment.id])).get(deployment.id)
    if stored != (deployment.family, FAMILIES[deployment.family].version, deployment.digest):
        raise BadInput(
            f"{deployment.id}: its family or manifest has changed since its flows were made: run indexer reclassify "
            "first."
        )


async def _made(group: Group, deployment: Deployment, span: Span, day: date) -> list[Flows]:
    """A range's flows that lie in the day."""
    await ensure_history(group, span)
    assert group.archive is not None
    await group.archive.look(span)
    reading = await read_range(group, span, (deployment.id,), span.last)
    (classified,) = reading.classified.values()
    found = [_of_day(flows, day) for flows in classified.flows]
    return [flows for flows in found if len(flows)]


def _of_day(flows: Flows, day: date) -> Flows:
    rows = np.flatnonzero(flows.where.time // DAY == start_of(day) // DAY)
    return Flows(flows.label, flows.leg, flows.where.take(rows), flows.token[rows], flows.amount[rows])
