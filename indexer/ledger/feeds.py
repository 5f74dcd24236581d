"""Phases of price feeds: which aggregators a proxy pointed to, and the evidence of when it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from indexer.ledger.connect import Connection, Database
from indexer.ledger.sql import query
from indexer.model import Address, Evidence, Span

_LAST = (1 << 63) - 1  # no block is above it
Bounds = tuple[int | None, int | None, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a proxy; number 0, without aggregator, is the time before the proxy was made.

    decimals: of the aggregator, None if it tells nobody. seen: from the oldest to the newest block at whose end the
    proxy is known to have pointed to it, None if it was never seen to. asked: block of the eth_call that named the
    aggregator. log: the log with which the proxy said that it points to it now, if it has such logs.
    """

    number: int
    aggregator: Address | None
    decimals: int | None
    asked: int
    seen: Span | None = None
    log: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed of a chain by its deployment in the manifest, and the proxy it stands for."""

    chain_id: int
    id: str
    proxy: Address

    def deployment(self, phase: int) -> str:
        """Id of the deployment that reads a phase."""
        return f"{self.id}.p{phase}"


async def phases(database: Database, chain_id: int, feeds: Sequence[Feed]) -> dict[str, list[Phase]]:
    """Known phases of each feed of a chain, by its id, oldest first; those of another proxy are not."""
    found: dict[str, list[Phase]] = {feed.id: [] for feed in feeds}
    rows = await database.fetch(
        query("feed_phases"), chain_id, [feed.id for feed in feeds], [feed.proxy for feed in feeds]
    )
    for row in rows:
        seen = None if row["seen_first"] is None else Span(row["seen_first"], row["seen_last"])
        log = None if row["tx_hash"] is None else Evidence(row["seen_first"], row["tx_hash"], row["log_index"])
        phase = Phase(row["phase"], row["aggregator"], row["decimals"], row["asked_block"], seen, log)
        found[row["feed"]].append(phase)
    return found


async def keep(database: Database, feed: Feed, found: Iterable[Phase]) -> None:
    """Adds evidence to what is known of a feed; days of which the answers may now count otherwise become dirty.

    Phases of another proxy, which an earlier manifest named, are forgotten with all that was read of them.
    """
    rows = [_row(feed, phase) for phase in sorted(found, key=lambda phase: phase.number)]

    async def work(connection: Connection) -> None:
        await connection.fetch(query("forget_other_proxies"), feed.chain_id, feed.id, feed.proxy)
        await connection.execute(query("drop_other_proxies"), feed.chain_id, feed.id, feed.proxy)
        before = await _bounds(connection, feed)
        await connection.executemany(query("put_feed_phase"), rows)
        changed = _changed(before, await _bounds(connection, feed))
        if changed is not None:
            await connection.execute(query("mark_feed_days"), feed.chain_id, feed.id, changed.first, changed.last)

    await database.transaction(work)


async def deployments(database: Database, chain_id: int, feeds: Sequence[str]) -> list[str]:
    """Ids of the deployments that read phases of these feeds, as far as they hold blocks."""
    return [row["deployment"] for row in await database.fetch(query("feed_deployments"), chain_id, list(feeds))]


async def _bounds(connection: Connection, feed: Feed) -> dict[int, Bounds]:
    rows = await connection.fetch(query("feed_bounds"), feed.chain_id, feed.id)
    return {row[0]: (row[1], row[2], row[3], row[4]) for row in rows}


def _changed(before: Mapping[int, Bounds], after: Mapping[int, Bounds]) -> Span | None:
    """The blocks whose answers may count otherwise; None if there are none."""
    unknown = (None,) * 4
    moved: list[int] = []
    for phase in before.keys() | after.keys():
        for at, (was, now) in enumerate(zip(before.get(phase, unknown), after.get(phase, unknown), strict=True)):
            if was != now:
                moved += [_LAST * (at > 1) if bound is None else bound for bound in (was, now)]
    return Span(min(moved), max(moved)) if moved else None


def _row(feed: Feed, phase: Phase) -> tuple[object, ...]:
    return (
        feed.chain_id, feed.id, phase.number, feed.deployment(phase.number), feed.proxy, phase.aggregator,
        phase.decimals, None if phase.seen is None else phase.seen.first,
        None if phase.seen is None else phase.seen.last, phase.asked,
        None if phase.log is None else phase.log.tx_hash, None if phase.log is None else phase.log.log_index,
    )  # fmt: skip
