"""Reading again what was read by another version or manifest, from the archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from indexer.archive.store import Store
from indexer.chain.pool import Endpoints
from indexer.ledger import archive, registry
from indexer.ledger.connect import Database
from indexer.ledger.rehearsal import rehearsal
from indexer.manifest import Deployment
from indexer.model import Span
from indexer.spans import merged, missing
from indexer.together import together
from indexer.work.backfill import refill
from indexer.work.feeds import Feeds
from indexer.work.gaps import Gaps
from indexer.work.group import Facts, Group, groups
from indexer.work.history import ensure_history
from indexer.work.progress import Progress
from indexer.work.reading import read_range
from indexer.work.source import range_blocks
from indexer.work.streams import ensure_openings

Spans = Mapping[str, Sequence[Span]]  # by deployment


@dataclass(frozen=True, slots=True)
class Again:
    """What is to be read again on one chain.

    written: all deployments of their protocols as manifests have them, where a feed is one. retiring: those of the
    deployments that count as read until then.
    """

    pool: Endpoints
    database: Database
    store: Store
    deployments: Sequence[Deployment]
    written: Sequence[Deployment]
    retiring: Sequence[str]
    spans: Spans

    @property
    def last(self) -> int:
        """The last block of all."""
        return max(span.last for spans in self.spans.values() for span in spans)


@dataclass(slots=True)
class Rehearsed:
    """What the archive lacks, and members that logs announce: a later range may be read before the one that does."""

    gaps: Gaps = field(default_factory=Gaps)
    announced: dict[str, dict[bytes, Facts]] = field(default_factory=dict)


async def spans_again(database: Database, chain_id: int, ids: Sequence[str], retiring: Sequence[str]) -> Spans:
    """What each deployment is to read again: all that it holds if it is retired, and what it held before and lacks."""
    once = await archive.to_read_again(database, chain_id, ids)
    held = await archive.read_spans(database, chain_id, ids)
    return {
        name: merged([*once[name], *held[name]])
        if name in retiring
        else [gap for span in merged(once[name]) for gap in missing(span, held[name])]
        for name in ids
    }


async def rehearse(again: Again, progress: Progress, *, mend: bool) -> Rehearsed:
    """Classifies all of it once, writing nothing. mend: unusable files count as never written, instead of refusing.

    Raises ArchiveUnusable and what classification raises.
    """
    found = Rehearsed()
    async with rehearsal(again.database) as forgetful:
        await registry.forget_context(forgetful, again.pool.chain.chain_id, again.retiring)
        await Feeds(again.pool, forgetful, again.written).adopt(Span(0, again.last))
        for group in groups(again.pool, forgetful, again.deployments, again.store, found.gaps):
            _mend(group, mend=mend)
            for span, names in segments(_of(group, again.spans)):
                await _rehearse(group, span, names, progress, found)
    return found


async def reread(again: Again, rehearsed: Rehearsed, final: int, progress: Progress, *, fetch: bool) -> list[Group]:
    """Reads the spans again into the ledger; the groups that did. fetch: the endpoints are asked what is lacking."""
    found = groups(again.pool, again.database, again.deployments, again.store, None if fetch else Gaps(strict=True))
    for group in found:
        _mend(group, mend=fetch)
        for name, members in rehearsed.announced.items():
            if name in group.ids:
                group.members.setdefault(name, {}).update(members)
    await together(_reread(group, _of(group, again.spans), final, progress) for group in found)
    return found


def segments(spans: Spans) -> list[tuple[Span, tuple[str, ...]]]:
    """The same blocks as runs for which the same deployments want them, in order."""
    ends = sorted({end for wanted in spans.values() for span in wanted for end in (span.first, span.last + 1)})
    found: list[tuple[Span, tuple[str, ...]]] = []
    for first, after in pairwise(ends):
        part = Span(first, after - 1)
        names = tuple(
            sorted(name for name, wanted in spans.items() if any(one.first <= first <= one.last for one in wanted))
        )
        if names:
            found.append((part, names))
    return found


async def _reread(group: Group, spans: Spans, final: int, progress: Progress) -> None:
    for span, names in segments(spans):
        await refill(group, dict.fromkeys(names, span), final, progress)


async def _rehearse(group: Group, span: Span, names: tuple[str, ...], progress: Progress, found: Rehearsed) -> None:
    await ensure_history(group, span)
    await ensure_openings(group, span)
    assert group.archive is not None
    await group.archive.look(span)
    at = span.first
    while at <= span.last:
        part = Span(at, min(span.last, at + range_blocks(group, at, names) - 1))
        progress.stage = f"looking through the archive, block {at}"
        reading = await read_range(group, part, names, span.last)
        for name, members in reading.members.items():
            known = found.announced.setdefault(name, {})
            known.update({member.contract: member.facts for member in members})
        at = part.last + 1


def _of(group: Group, spans: Spans) -> Spans:
    """Of a group's deployments, none before its start."""
    return {
        one.id: [Span(max(at.first, one.start_block), at.last) for at in spans[one.id] if at.last >= one.start_block]
        for one in group.deployments
    }


def _mend(group: Group, *, mend: bool) -> None:
    if group.archive is not None:
        group.archive.mend = mend
