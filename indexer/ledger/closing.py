"""Closing: dirty days that are over are summed into flow_daily, valued, and shown by yield_daily."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain, product

from indexer.ledger.connect import Connection, Database
from indexer.ledger.rows import add_digests
from indexer.ledger.sql import query
from indexer.model import Span
from indexer.together import together

CLOSERS = 4  # days summed side by side, each by one process of Postgres
CARRIED = timedelta(days=7)  # how long a price is carried to days without one, see pool_claim

_REFRESH = (
    "see_one_moment", "lock_refresh", "find_written", "keep_shown", "refresh", "tell_refreshed", "forget_shown",
    "put_shown",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Blocks with flows nearest to a midnight; None where the ledger has none on the days beside it."""

    before: int | None
    after: int | None


async def undated_blocks(database: Database, chain_id: int) -> list[Span]:
    """Merged spans that were ever read on the chain, but for what lies within days whose bounds are known."""
    rows = await database.fetch(query("undated_blocks"), chain_id)
    return [Span(row["first_block"], row["last_block"]) for row in rows]


async def day_starts(database: Database, chain_id: int) -> dict[date, int]:
    """First blocks of days, where known."""
    return {row["day"]: row["block_number"] for row in await database.fetch(query("day_starts"), chain_id)}


async def neighbours(database: Database, chain_id: int, day: date) -> Neighbours:
    """The flows nearest to the start of a day."""
    row = (await database.fetch(query("day_neighbours"), chain_id, day))[0]
    return Neighbours(row["before"], row["after"])


async def last_day(database: Database, chain_id: int, span: Span) -> date | None:
    """The newest day that a flow in these blocks is of; None where there is none."""
    found: date | None = (await database.fetch(query("last_day"), chain_id, span.first, span.last))[0]["day"]
    return found


async def put_day_start(database: Database, chain_id: int, day: date, block: int) -> None:
    """Records the first block of a day."""
    await database.fetch(query("put_day_start"), chain_id, day, block)


async def dirty_days(database: Database, chain_id: int, today: date) -> list[date]:
    """Days before `today` that closing would look at, those among them that were never closed."""
    await database.fetch(query("mark_unclosed"), chain_id)
    return [row["day"] for row in await database.fetch(query("dirty_days"), chain_id, today)]


async def close_days(database: Database, chain_id: int, today: date, side_by_side: int = CLOSERS) -> list[date]:
    """Sums every dirty day before `today` whose bounds are known, some side by side; the days closed."""
    await database.fetch(query("mark_unclosed"), chain_id)
    dirty = iter(await database.fetch(query("dirty_days"), chain_id, today))

    async def work() -> list[date]:
        return [row["day"] for row in dirty if await _close_day(database, chain_id, row["day"], row["deployments"])]

    return sorted(chain.from_iterable(await together(work() for _ in range(side_by_side))))


async def value_days(database: Database, chain_id: int) -> list[date]:
    """Prices, by the rules kept with the chain, and protocol figures of every day that was marked; the days valued."""
    days = [row["day"] for row in await database.fetch(query("dirty_values"), chain_id)]
    for day in days:  # oldest first: a price is carried from an earlier day
        await _value_day(database, chain_id, day)
    if days:
        await database.fetch(query("learn_statistics"))
    return days


async def refresh(database: Database) -> None:
    """Shows the closed days in yield_daily, and tells who listens to the channel of that name what changed.

    The payload is JSON: days (how many differ), first, last (ISO dates, null without any), chains (their names).
    """

    async def work(connection: Connection) -> None:
        for statement in _REFRESH:
            await connection.execute(query(statement))

    await database.transaction(work)


async def _close_day(database: Database, chain_id: int, day: date, deployments: Sequence[str]) -> bool:
    async def work(connection: Connection) -> bool:
        await connection.execute(query("lock_day"), chain_id, day)
        bounds = [row["block_number"] for row in await connection.fetch(query("day_bounds"), chain_id, day)]
        if len(bounds) < 2:
            return False
        first, following = sorted(bounds)
        place = (chain_id, day, list(deployments))
        await connection.execute(query("clear_dirty_days"), *place)
        await connection.execute(query("drop_flow_daily"), *place)
        await connection.execute(query("avoid_sorting"))
        await connection.execute(query("sum_flow_daily"), *place, first, following)
        await connection.execute(query("allow_sorting"))
        await connection.execute(query("drop_trade_daily"), *place)
        await connection.execute(query("sum_trade_daily"), *place)
        await connection.execute(query("drop_answer_daily"), *place)
        await connection.execute(query("sum_answer_daily"), *place)
        await _put_deployment_days(connection, place, first, following)
        await connection.execute(query("close_streams"), *place)  # after the day's coverage, which it asks for
        for statement in ("restate_sums", "restate_vanished", "close_restated"):
            await connection.execute(query(statement), *place)
        await connection.execute(query("lock_marking"), chain_id)
        await connection.execute(query("mark_dirty_value"), chain_id, day)
        await connection.execute(query("mark_dirty_births"), *place, first, following)
        return True

    return await database.transaction(work)


async def _put_deployment_days(
    connection: Connection, place: tuple[int, date, list[str]], first: int, following: int
) -> None:
    parts: dict[str, list[tuple[int, bytes]]] = {name: [] for name in place[2]}
    for row in await connection.fetch(query("range_digests"), *place):
        parts[row["deployment"]].append((row["flows"], row["digest"]))
    flows = [sum(count for count, _ in found) for found in parts.values()]
    digests = [add_digests(digest for _, digest in found) for found in parts.values()]
    chain_id, day, names = place[0], place[1], list(parts)
    await connection.execute(query("put_deployment_days"), chain_id, names, day, flows, digests, first, following)


async def _value_day(database: Database, chain_id: int, day: date) -> None:
    # Earlier days only for tokens that the day itself does not price: most are traded on it.
    traded = ((day, day), (day - CARRIED, day - timedelta(days=1)))

    async def work(connection: Connection) -> None:
        await connection.execute(query("lock_closing"), chain_id)
        await connection.execute(query("clear_dirty_value"), chain_id, day)  # first, so that a mark made now stays
        for setting in ("avoid_nested_loops", "sort_in_memory"):
            await connection.execute(query(setting))
        for statement in ("drop_prices", "put_outside_prices", "put_pegs"):
            await connection.execute(query(statement), chain_id, day)
        for quotes, (first, last) in product((True, False), traded):
            await connection.execute(query("put_pool_prices"), chain_id, day, quotes, first, last)
        await connection.execute(query("allow_nested_loops"))
        for statement in ("drop_protocol_parts", "put_protocol_parts", "drop_protocol_days", "put_protocol_days"):
            await connection.execute(query(statement), chain_id, day)

    await database.transaction(work)
