"""A figure of yield_daily walked down to the flows, prices and logs that it stands on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from indexer.errors import BadInput
from indexer.ledger.connect import Database
from indexer.ledger.sql import query
from indexer.publish.explained import Explanation, PartLine
from indexer.publish.origins import Place, Rederived, Row
from indexer.publish.parts import MILLIONTH, parts
from indexer.publish.terms import TERMS


async def explain(
    database: Database,
    protocol: str,
    day: date,
    metric: str = "fees",
    *,
    chain: str | None = None,
    limit: int = 5,
    rederived: Rederived | None = None,
) -> list[Explanation]:
    """What a figure of a protocol's closed day is made of, one tree for each chain it is on. Raises BadInput.

    metric: a dollar column of yield_daily, with or without `_usd`. limit: sums listed a deployment and flows listed a
    sum, the largest first; the totals are of all. rederived: a deployment's flows of a day whose month was dropped.
    """
    formulas = {row["metric"]: row["words"] for row in await database.fetch(query("dollar_columns"))}
    name = _metric(metric, formulas)
    shown = await database.fetch(query("explained_days"), protocol, day, chain, name)
    if not shown:
        raise BadInput(await _why_not(database, protocol, day, chain))
    trees = []
    for row in map(dict, shown):
        place = Place(row["chain_id"], protocol, day, limit)
        made = await parts(database, place, TERMS[name], rederived)
        usd = None if row["usd"] is None else Decimal(row["usd"])
        told = {each: row[each] for each in ("chain", "unpriced", "coverage", "exactness")}
        remarks = tuple(_remarks(row, usd, made))
        trees.append(
            Explanation(
                protocol, day=day, metric=name, usd=usd, formula=formulas[name], parts=made, remarks=remarks, **told
            )
        )
    return trees


def parse_day(written: str) -> date:
    """Read '2026-01-31'. Raises BadInput."""
    try:
        return datetime.strptime(written, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise BadInput(f"{written[:40]!a} is no UTC day: write one as 2026-01-31.") from None


def _metric(written: str, known: Iterable[str]) -> str:
    name = written if written.endswith("_usd") else f"{written}_usd"
    if name in known:
        return name
    short = [one.removesuffix("_usd") for one in known]
    near = difflib.get_close_matches(name.removesuffix("_usd"), short, n=1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(short)}."
    raise BadInput(f"--metric {written}: yield_daily has no such figure in dollars: {meant}")


async def _why_not(database: Database, protocol: str, day: date, chain: str | None) -> str:
    """Why there is nothing to explain, and what could be."""
    closed = await database.fetch(query("closed_days"), None, day)
    known = sorted({row["protocol"] for row in closed})
    if not closed:
        return "No day is closed yet: run `indexer up` until the first one is."
    if protocol not in known:
        near = difflib.get_close_matches(protocol, known, n=1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
        return f"{protocol}: no day of such a protocol is closed: {meant}"
    rows = [row for row in closed if row["protocol"] == protocol]
    there = [row for row in rows if chain in (None, row["chain"])]
    if not there:
        return f"--chain {chain}: {protocol} has closed days on {', '.join(row['chain'] for row in rows)} only."
    said = "; ".join(
        f"on {row['chain']} days from {row['first']} to {row['last']} are, the nearest is {row['nearest']}"
        for row in there
    )
    return f"{day} of {protocol} is not closed: {said}. A day is closed by `indexer up` once it is over and final."


def _remarks(row: Row, usd: Decimal | None, made: Sequence[PartLine]) -> Iterable[str]:
    if not made:
        yield "nothing that the ledger reads tells this figure yet"
    if row["coverage"] is not None and row["coverage"] < 1:
        yield f"{row['coverage'] * 100:.2f} % of the day's blocks were read"
    if row["touched"]:
        yield "the day was touched since: `indexer up` closes and values it again"
    summed = sum((part.sign * part.usd for part in made if part.usd is not None), Decimal(0))
    if usd is not None and abs(usd - summed) > MILLIONTH * len(made):
        yield f"the parts now come to {summed:f}: yield_daily shows what was closed before"
