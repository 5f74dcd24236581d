"""Where logs come from: the archive for what it holds, the endpoints for the rest, which the archive then keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from indexer.archive.files import LogFile, LogKey
from indexer.archive.filters import Filter, Wanted
from indexer.chain.fetch import Logs, in_order, within
from indexer.chain.logs import merge
from indexer.chain.planner import shapes
from indexer.chain.sizing import RANGE_LOGS, range_end
from indexer.decode.columns import Raw
from indexer.decode.signature import parse_event
from indexer.errors import ArchiveUnusable
from indexer.ledger.archive import Kept
from indexer.model import Span, Subscription
from indexer.spans import hull, merged
from indexer.work.archived import HISTORY, LOGS, Archive, Piece
from indexer.work.group import Group, subscriptions

DEAR = 200  # requests: above this the state is asked instead of reading all events since the deployment
_FAR = 1 << 62  # no block is as high


@dataclass(frozen=True, slots=True)
class Part:
    """Blocks of a gap to read at once; archived: without asking. dear: the whole gap would take too many requests."""

    span: Span
    archived: bool
    dear: bool = False


@dataclass(slots=True)
class Gathered:
    """Logs, the archive files they come from, and those written now that the index does not list yet.

    holds: which files answer. until: as Fetcher.read.
    """

    holds: Collection[str] = LOGS
    until: int = 0
    logs: Logs = field(default_factory=Logs)
    files: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    parts: dict[LogKey, list[Raw]] = field(default_factory=dict)


def events_of(group: Group, names: Iterable[str]) -> list[Subscription]:
    """What these deployments of the group want."""
    chosen = set(names)
    return [event for one in group.deployments if one.id in chosen for event in subscriptions(one)]


def range_blocks(group: Group, first: int, names: tuple[str, ...]) -> int:
    """Blocks of a range from `first` on: whole files where the archive has all, else what endpoints like best."""
    archive = group.archive
    if archive is None:
        return _endpoints_like(group, first, names)
    wanted, at, logs = group.wanted(names, lambda: events_of(group, names)), first, 0
    while (piece := archive.piece(wanted, Span(at, _FAR), LOGS)).answered == wanted.all:
        logs += sum(one.logs for one in piece.files)
        if at > first and logs > RANGE_LOGS:
            break
        at = piece.span.last + 1
        if at > _FAR or group.steps_from_state:  # state was asked at the beginning of each range that made a file
            break
    if at > first:
        return at - first
    return len(piece.span) if group.gaps is not None else min(_endpoints_like(group, first, names), len(piece.span))


def _endpoints_like(group: Group, first: int, names: tuple[str, ...]) -> int:
    left = group.until(names, Span(first, first)) - first + 1
    return range_end(group.range_blocks, left) if left > 0 else group.range_blocks


async def read_logs(group: Group, names: tuple[str, ...], span: Span) -> Gathered:
    """All logs of a span that some deployments want, with their times."""
    asked = events_of(group, names)
    found = Gathered(until=group.until(names, span))
    return await _gathered(group, asked, group.wanted(names, lambda: asked), span, found)


async def read_events(group: Group, asked: Sequence[Subscription], span: Span, *, timed: bool) -> Gathered:
    """All logs of a few rare events in a span."""
    return await _gathered(group, asked, Wanted(asked), span, Gathered(holds=LOGS if timed else HISTORY))


def next_part(group: Group, asked: Sequence[Subscription], gap: Span, *, timed: bool) -> Part:
    """The first blocks of a gap to read rare events of at once: those that the archive has, or as many as one asks."""
    lacking, span = list(asked), gap
    if group.archive is not None:
        wanted = Wanted(asked)
        piece = group.archive.piece(wanted, gap, LOGS if timed else HISTORY)
        lacking, span = wanted.lacking(piece.answered), piece.span
    if not lacking or group.gaps is not None:
        return Part(span, archived=not lacking)
    size = group.fetcher_for(tuple(shapes(lacking)), rare=True).range_blocks
    limit = group.pool.limits.blocks
    dear = limit is not None and len(gap) // limit > DEAR
    return Part(Span(span.first, min(span.last, span.first + size - 1)), archived=False, dear=dear)


async def unarchived(
    group: Group, asked: Sequence[Subscription], spans: Sequence[Span], *, timed: bool
) -> Sequence[Span]:
    """The blocks of some spans for which endpoints must be asked these events."""
    if group.archive is None or not spans:
        return spans
    await group.archive.look(hull(spans))
    wanted, left = Wanted(asked), []
    for span in spans:
        at = span.first
        while at <= span.last:
            piece = group.archive.piece(wanted, Span(at, span.last), LOGS if timed else HISTORY)
            left += [piece.span] if piece.answered != wanted.all else []
            at = piece.span.last + 1
    return merged(left)


async def _gathered(
    group: Group, asked: Sequence[Subscription], wanted: Wanted, span: Span, found: Gathered
) -> Gathered:
    if group.archive is None:
        await _fetch(group, asked, span, found, found.until)
    else:
        at = span.first
        while at <= span.last:
            piece = group.archive.piece(wanted, Span(at, span.last), found.holds)
            if not await _take(group.archive, piece, asked, found):
                continue
            lacking = wanted.lacking(piece.answered)
            if lacking and group.gaps is not None:
                group.gaps.note_logs(wanted.outside(piece.answered), [one.event for one in asked], piece.span)
            elif lacking:
                await _fetch(group, lacking, piece.span, found, _lacked_until(group.archive, wanted, piece, found))
            at = piece.span.last + 1
    found.logs.groups = {key: in_order(merge(raws)) for key, raws in found.parts.items()}
    found.parts = {}
    return found


async def _take(archive: Archive, piece: Piece, asked: Iterable[Subscription], found: Gathered) -> bool:
    """Adds a piece's logs from their files; False if one of them cannot be used and counts as never written."""
    keys = {(event.topic0, event.topic_count) for event in (parse_event(one.event) for one in asked)}
    files = []
    for one in piece.files:
        try:
            files.append(await archive.read(one, keys))
        except ArchiveUnusable:
            if not archive.mend:
                raise
            await archive.forget(one)
            return False
    for file in files:
        _add(found, {key: within(raw, piece.span) for key, raw in file.groups.items()})
        if file.anchor is not None and file.anchor[0] <= piece.span.last:
            found.logs.anchor = max(found.logs.anchor or file.anchor, file.anchor)
        found.logs.endpoint = file.endpoint
    found.files += [one.file for one in piece.files]
    return True


def _lacked_until(archive: Archive, wanted: Wanted, piece: Piece, found: Gathered) -> int:
    """How far beyond a piece its questions may go: not into blocks that the archive has."""
    last = piece.span.last
    return archive.piece(wanted, Span(last, max(last, found.until)), found.holds).span.last


async def _fetch(group: Group, asked: Iterable[Subscription], span: Span, found: Gathered, until: int) -> None:
    """Adds what the endpoints answer, once the archive has it. until: as Fetcher.read."""
    questions, timed = tuple(shapes(asked)), found.holds == LOGS
    if not questions:
        return
    logs = await (fetcher := group.fetcher_for(questions)).read(span, timed=timed, until=until)
    if timed:
        group.sizing = fetcher
    _add(found, logs.groups, logs.received)
    found.logs.endpoint = logs.endpoint
    if logs.anchor is not None:
        found.logs.anchor = max(found.logs.anchor or logs.anchor, logs.anchor)
    if group.archive is not None:
        filters = [Filter(shape.emitters, shape.topics) for shape in questions]
        file = LogFile(group.chain_id, span, filters, logs.groups, logs.received, logs.anchor, logs.endpoint, timed)
        found.kept.append(await group.archive.keep_logs(file))


def _add(found: Gathered, groups: dict[LogKey, Raw], received: int | None = None) -> None:
    found.logs.received += sum(len(raw.where) for raw in groups.values()) if received is None else received
    for key, raw in groups.items():
        if len(raw.where):
            found.parts.setdefault(key, []).append(raw)
