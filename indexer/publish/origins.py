"""Where sums come from: the largest flows and pieces of streams of each, and what all of them come to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from indexer.decode import wide
from indexer.errors import Refuse
from indexer.ledger.connect import Database
from indexer.ledger.sql import query
from indexer.model import Flows

Key: TypeAlias = tuple[Any, ...]  # deployment, contract, token, kind, source, side, basis
Row: TypeAlias = Mapping[str, Any]
Rederived: TypeAlias = Callable[[str, date], Awaitable[Sequence[Flows]]]  # a deployment's flows of a day

_KEY = ("deployment", "contract", "token", "kind", "source", "side", "basis")


@dataclass(frozen=True, slots=True)
class Place:
    """Whose sums they are, and how many of each one's flows are wanted."""

    chain_id: int
    protocol: str
    day: date
    limit: int


@dataclass(slots=True)
class Origins:
    """The largest flows and pieces of a sum; number and raw amount of all. lost: why its flows are not there."""

    flows: list[Row] = field(default_factory=list)
    pieces: list[Row] = field(default_factory=list)
    count: int = 0
    amount: Decimal = Decimal(0)
    lost: str | None = None


def key_of(row: Row) -> Key:
    """The columns that tell a sum of a day from others."""
    return tuple(row[name] for name in _KEY)


async def origins(
    database: Database, place: Place, sums: Sequence[Row], dropped: Iterable[str], rederived: Rederived | None
) -> dict[Key, Origins]:
    """The origins of each sum.

    dropped: deployments whose flows of the day the ledger no longer has: `rederived` makes them again, if given.
    """
    found = {key_of(row): Origins() for row in sums}
    gone = set(dropped)
    await _add_held(database, place, [row for row in sums if row["deployment"] not in gone], found)
    for deployment in sorted(gone & {row["deployment"] for row in sums}):
        await _add_dropped(deployment, place, rederived, found)
    await _add_pieces(database, place, found)
    return found


async def _add_held(database: Database, place: Place, sums: Sequence[Row], found: Mapping[Key, Origins]) -> None:
    if not sums:
        return
    columns = [[row[name] for row in sums] for name in _KEY]
    at = (place.chain_id, place.protocol, place.day, max(place.limit, 1))
    for row in map(dict, await database.fetch(query("explained_flows"), *at, *columns)):
        origin = found[key_of(sums[row["number"] - 1])]
        origin.count, origin.amount = row["flows"], row["total"]
        if len(origin.flows) < place.limit:
            origin.flows.append(row)


async def _add_dropped(
    deployment: str, place: Place, rederived: Rederived | None, found: Mapping[Key, Origins]
) -> None:
    """Flows made again; where that cannot be, why: the sums still stand, and the rest of the tree with them."""
    why = "the archive they were kept in is not at hand"
    if rederived is not None:
        try:
            made = await rederived(deployment, place.day)
        except Refuse as error:
            why = str(error).rstrip(".")
        else:
            _add_made(made, deployment, place.limit, found)
            return
    for key, origin in found.items():
        if key[0] == deployment:
            origin.lost = why


def _add_made(made: Sequence[Flows], deployment: str, limit: int, found: Mapping[Key, Origins]) -> None:
    for flows in made:
        for key, row in _rows(flows, deployment):
            if key in found:
                found[key].flows.append(row)
    for key, origin in found.items():
        if key[0] == deployment:
            origin.count, origin.amount = len(origin.flows), sum((row["amount"] for row in origin.flows), Decimal(0))
            origin.flows = sorted(origin.flows, key=_largest_first)[:limit]


def _largest_first(row: Row) -> tuple[Any, ...]:
    return (-row["amount"], row["block"], row["log_index"], row["leg"])


def _rows(flows: Flows, deployment: str) -> Iterable[tuple[Key, Row]]:
    label = (flows.label.kind.value, flows.label.source.value, flows.label.side.value, flows.label.basis.value)
    where = flows.where
    contracts = where.contract
    for at, amount in enumerate(wide.to_ints(flows.amount)):
        contract = contracts[at].tobytes()
        row = {
            "block": int(where.block[at]),
            "time": datetime.fromtimestamp(int(where.time[at]), UTC),
            "tx_hash": where.tx_hash[at].tobytes(),
            "log_index": int(where.log_index[at]),
            "leg": flows.leg,
            "contract": contract,
            "amount": Decimal(amount),
        }
        yield (deployment, contract, flows.token[at].tobytes(), *label), row


async def _add_pieces(database: Database, place: Place, found: Mapping[Key, Origins]) -> None:
    for row in map(dict, await database.fetch(query("explained_pieces"), place.chain_id, place.protocol, place.day)):
        origin = found.get(key_of(row))
        if origin is not None:
            origin.count, origin.amount = origin.count + 1, origin.amount + row["amount"]
            if len(origin.pieces) < place.limit:
                origin.pieces.append(row)
