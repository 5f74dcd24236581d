"""A group's blocks shared out: what other processes need to know to read along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from indexer.archive.store import Store
from indexer.chain.chains import Chain
from indexer.chain.limits import Limits
from indexer.chain.pool import Endpoints
from indexer.ledger.connect import Database
from indexer.manifest import Deployment
from indexer.model import Span
from indexer.work.group import Group, group_of


@dataclass(frozen=True, slots=True)
class Share:
    """What there is to read of a group. wanted: by deployment. final: a final block.

    seen: the head as `Endpoints.final_seen` has it. limits, refused: what is known of endpoints, by fingerprint.
    """

    chain: Chain
    deployments: Sequence[Deployment]
    wanted: Mapping[str, Span]
    final: int
    seen: tuple[int, bytes] | None
    steps_from_state: bool
    limits: Mapping[str, Limits]
    refused: Mapping[str, Mapping[str, str]]


def share_of(group: Group, wanted: Mapping[str, Span], final: int) -> Share:
    """A group's blocks as they are told to others."""
    pool = group.pool
    return Share(
        pool.chain,
        group.deployments,
        wanted,
        final,
        pool.final_seen,
        group.steps_from_state,
        pool.limits_by_fingerprint,
        pool.refused_by_fingerprint,
    )


def group_for(share: Share, pool: Endpoints, database: Database, store: Store | None) -> Group:
    """The group as another process reads it, with endpoints and connections of its own."""
    group = group_of(pool, database, share.deployments, store)
    group.steps_from_state = share.steps_from_state
    pool.final_seen = share.seen
    pool.restore(share.limits)
    pool.refuse(share.refused)
    return group
