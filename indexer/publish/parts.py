"""The terms of a figure, each with the sums of the day's flows that it is added up from."""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from indexer.ledger.connect import Database
from indexer.ledger.sql import query
from indexer.publish.explained import DeploymentLine, FlowLine, PartLine, PieceLine, PriceLine, Rest, SumLine
from indexer.publish.origins import Key, Origins, Place, Rederived, Row, key_of, origins
from indexer.publish.terms import Term

_EXACT = decimal.Context(prec=1_000, rounding=decimal.ROUND_HALF_UP)  # halves away from zero, as Postgres rounds
MILLIONTH = Decimal("0.000001")  # of a dollar: what yield_daily is rounded to
_SUM = ("contract", "token", "symbol", "decimals", "kind", "source", "side", "basis", "own", "amount", "flows")
_FLOW = ("block", "time", "tx_hash", "log_index", "leg", "contract", "amount")
_PIECE = ("begins", "ends", "numerator", "denominator", "block", "tx_hash", "log_index", "contract", "amount")


async def parts(
    database: Database, place: Place, terms: Sequence[Term], rederived: Rederived | None
) -> tuple[PartLine, ...]:
    """A line for each term of a figure; sums and flows beyond the place's limit in one rest a level."""
    at = (place.chain_id, place.protocol, place.day)
    deployments = [dict(row) for row in await database.fetch(query("explained_deployments"), *at)]
    sums = [_valued(row) for row in map(dict, await database.fetch(query("explained_sums"), *at))]
    chosen = [_chosen(term, sums) for term in terms]
    wanted = [row for found in chosen for rows in found.values() for row in rows[: place.limit]]
    dropped = [row["deployment"] for row in deployments if row["dropped"]]
    origin = await origins(database, place, wanted, dropped, rederived)
    told: dict[str, Row] = {row["deployment"]: row for row in deployments}
    return tuple(_part(term, found, told, origin, place.limit) for term, found in zip(terms, chosen, strict=True))


def _chosen(term: Term, sums: Iterable[Row]) -> dict[str, list[Row]]:
    """The sums of a term by deployment, the most dollars first, then those without."""
    found: dict[str, list[Row]] = {}
    for row in sums:
        if (
            row["kind"] == term.kind
            and term.side in (None, row["side"])
            and term.source in (None, row["source"])
            and (row["own"] or not term.own)
        ):
            found.setdefault(row["deployment"], []).append(row)
    return {name: sorted(rows, key=_most_first) for name, rows in sorted(found.items())}


def _most_first(row: Row) -> tuple[bool, Decimal, bytes, bytes]:
    usd = row["usd"]
    return (usd is None, Decimal(0) if usd is None else -usd, row["contract"], row["token"])


def _part(
    term: Term,
    found: Mapping[str, list[Row]],
    deployments: Mapping[str, Row],
    origin: Mapping[Key, Origins],
    limit: int,
) -> PartLine:
    lines = tuple(_deployment(deployments[name], rows, origin, limit) for name, rows in found.items())
    remark: str | None
    if not any(term.kind in row["kinds"] for row in deployments.values()):
        remark, usd = f"unknown: no deployment of it counts flows of kind {term.kind}", None
    elif not lines:
        remark, usd = "none on this day", Decimal(0)
    else:
        exact, unpriced = _total(line.usd for line in lines), sum(line.unpriced for line in lines)
        usd = None if exact is None else exact.quantize(MILLIONTH, context=_EXACT)
        remark = f"{unpriced:,} flows without a price are in no sum of dollars" if unpriced else None
    return PartLine(term.name, term.words, term.sign, usd, lines, remark)


def _deployment(told: Row, rows: Sequence[Row], origin: Mapping[Key, Origins], limit: int) -> DeploymentLine:
    dollars = [row["usd"] for row in rows]
    hidden = len(rows) - limit
    return DeploymentLine(
        told["deployment"],
        told["family"],
        told["family_version"],
        _total(dollars),
        sum(row["flows"] for row in rows),
        sum(row["flows"] for row, usd in zip(rows, dollars, strict=True) if usd is None),
        tuple(_sum(row, origin[key_of(row)]) for row in rows[:limit]),
        Rest(hidden, None, _total(dollars[limit:])) if hidden > 0 else None,
    )


def _sum(row: Row, origin: Origins) -> SumLine:
    flows = tuple(_flow(row, one) for one in origin.flows)
    pieces = tuple(_piece(row, one) for one in origin.pieces)
    more = origin.count - len(flows) - len(pieces)
    left = origin.amount - sum((one["amount"] for one in (*origin.flows, *origin.pieces)), Decimal(0))
    return SumLine(
        usd=row["usd"],
        price=_price(row),
        listed=flows,
        pieces=pieces,
        rest=Rest(more, left, _dollars(row, left)) if more else None,
        remark=_remark(row, origin),
        **{name: row[name] for name in _SUM},
    )


def _remark(row: Row, origin: Origins) -> str | None:
    if (origin.count, origin.amount) != (row["flows"], row["amount"]):
        if origin.lost is not None:
            return f"the flows of this month were dropped (keep_flows): {origin.lost}"
        return f"{origin.count:,} flows with {origin.amount:f} raw units are there now: `indexer up` sums them again"
    if row["priced"]:
        return None
    if row["decimals"] is None:
        return "no dollars: the token does not tell its decimals"
    return "no dollars: nothing trusted tells a price"


def _flow(of: Row, row: Row) -> FlowLine:
    return FlowLine(usd=_dollars(of, row["amount"]), **{name: row[name] for name in _FLOW})


def _piece(of: Row, row: Row) -> PieceLine:
    seconds = (row["ends"] - row["begins"]) // timedelta(seconds=1)
    return PieceLine(seconds=seconds, usd=_dollars(of, row["amount"]), **{name: row[name] for name in _PIECE})


def _valued(row: Row) -> Row:
    """A sum with the exact dollars of a raw unit and of its amount; None without a price."""
    if not row["priced"]:
        return {**row, "unit": None, "usd": None}
    counter = row["price_source"] == "trade"
    unit = row["unit_usd"] if counter else _EXACT.scaleb(row["price_usd"], -row["decimals"])
    return {**row, "unit": unit, "usd": _EXACT.multiply(row["amount"], unit)}


def _price(row: Row) -> PriceLine | None:
    if row["unit"] is None:
        return None
    whole = None if row["decimals"] is None else _EXACT.scaleb(row["unit"], row["decimals"])
    evidence = row["contract"] if row["price_source"] == "trade" else row["evidence"]
    return PriceLine(row["unit"], whole, row["price_source"], row["age_days"], evidence, _words(row))


def _words(row: Row) -> str:
    match row["price_source"]:
        case "file":
            return f"your file, {row['told_by']}"
        case "feed":
            of = "mean of the day's answers" if row["age_days"] == 0 else "last answer of an earlier day"
            return f"{of} of the feed {row['told_by']}, aggregator"
        case "peg":
            return "a listed token, held at its peg"
        case "pool":
            return "volume-weighted price of a day's trades in the pool"
        case "trade":
            return f"the {row['quote']} that went out for it, at its {row['quote_source']} price, in the pool"
        case other:
            return str(other)


def _dollars(of: Row, amount: Decimal) -> Decimal | None:
    """Exact dollars of raw units at the price of a sum; None without a price."""
    return None if of["unit"] is None else _EXACT.multiply(amount, of["unit"])


def _total(dollars: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of what is known; None if nothing is."""
    known = [usd for usd in dollars if usd is not None]
    total = Decimal(0)
    for usd in known:
        total = _EXACT.add(total, usd)
    return total if known else None
