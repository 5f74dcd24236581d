"""Deployments, flows, trades and readings made up for tests of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from indexer.decode import wide
from indexer.ledger import ranges
from indexer.ledger.connect import Database
from indexer.ledger.ranges import Lease, Reading
from indexer.ledger.registry import register
from indexer.ledger.rows import Owner
from indexer.manifest import Category, Deployment, Protocol
from indexer.model import Basis, Classified, Flows, Kind, Label, Side, Source, Span, Trades, Where

CHAIN = 7
CHAINS = {"made": CHAIN}
VERSIONS = {"uniswap_v3": 1, "masterchef": 1}
ONE = Owner(CHAIN, "made", "made.one")
TWO = Owner(CHAIN, "made", "made.two")
FEE = Label(Kind.FEE, Source.SWAP, Side.SUPPLY, Basis.ACCRUED)
CUT = replace(FEE, side=Side.PROTOCOL)
SWEPT = replace(CUT, basis=Basis.PAID)
MINT = Label(Kind.INCENTIVE, Source.LIQUIDITY_MINING, Side.SUPPLY, Basis.ACCRUED)
DAY = 86_400
JANUARY = 1_767_225_600  # 2026-01-01T00:00Z


def address(number: int) -> bytes:
    return number.to_bytes(20, "big")


USDC, WETH, COIN, POOL, OTHER_POOL = map(address, (0xA1, 0xA2, 0xA3, 0xB1, 0xB2))


@dataclass(frozen=True)
class Row:
    """Where a made-up log stood. time: UTC seconds."""

    block: int
    time: int
    log_index: int = 0
    contract: bytes = POOL
    tx_hash: bytes = bytes(32)


def at(day: int, block: int, log_index: int = 0, **more: Any) -> Row:
    """A log of a block, ten seconds a block, on a day counted from 2026-01-01; blocks count from the day's start."""
    return Row(day * 8640 + block, JANUARY + day * DAY + block * 10, log_index, **more)


def where(rows: Sequence[Row]) -> Where:
    table = sorted({row.contract for row in rows})
    return Where(
        np.array([row.block for row in rows], np.int64),
        np.array([row.time for row in rows], np.int64),
        np.array([row.log_index for row in rows], np.int64),
        octets([row.tx_hash for row in rows], 32),
        np.array([table.index(row.contract) for row in rows], np.int64),
        octets(table, 20),
    )


def octets(values: Sequence[bytes], width: int) -> np.ndarray:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), width)


def flows(rows: Sequence[Row], amounts: Sequence[int], token: bytes = USDC, label: Label = FEE, leg: int = 0) -> Flows:
    return Flows(label, leg, where(rows), octets([token] * len(rows), 20), wide.from_ints(amounts))


def trades(
    rows: Sequence[Row],
    tokens: tuple[bytes, bytes],
    amounts: Sequence[tuple[int, int]],
    depths: tuple[int | None, int | None] = (0, 0),
) -> Trades:
    """Swaps of one pair. amounts: of both tokens, above zero what came in, below what went out; depths: after each."""
    count = len(rows)
    sides = [[pair[number] for pair in amounts] for number in (0, 1)]
    return Trades(
        where(rows),
        octets([tokens[0]] * count, 20),
        octets([tokens[1]] * count, 20),
        *(wide.from_ints([max(amount, 0) for amount in side]) for side in sides),
        *(wide.from_ints([max(-amount, 0) for amount in side]) for side in sides),
        *(None if depth is None else wide.from_ints([depth] * count) for depth in depths),
    )


def reading(
    *made: Flows, owner: Owner = ONE, traded: Sequence[Trades] = (), others: Mapping[Owner, Classified] | None = None
) -> Reading:
    return Reading({owner: Classified(made, traded), **(others or {})}, endpoint="http://made")


def deployment(name: str = "one", **changes: Any) -> Deployment:
    plain = Deployment(
        f"made.{name}", "made", "made", "uniswap_v3", 0, {}, {Kind.FEE: Basis.ACCRUED}, "exact", bytes(32)
    )
    return replace(plain, **changes)


def protocol(*deployments: Deployment, own_tokens: Sequence[bytes] = ()) -> Protocol:
    own = tuple(("made", token) for token in own_tokens)
    return Protocol("made", "Made up", Category.DEX, "Counts what the tests make.", own, deployments)


async def known(
    database: Database, *deployments: Deployment, own_tokens: Sequence[bytes] = (), **versions: int
) -> list[str]:
    """Registers the protocol with these deployments (`one` if none); ids of those that were retired."""
    members = deployments if deployments else (deployment(),)
    return await register(database, CHAINS, [protocol(*members, own_tokens=own_tokens)], VERSIONS | versions)


async def lease(database: Database, first: int, last: int, *names: str) -> Lease:
    """Exactly these blocks for exactly these deployments, held by others or not."""
    deployments = names or (ONE.deployment,)
    fence = await database.fetch(
        ranges.query("take_lease"), CHAIN, first, last, list(deployments), ranges.holder(), ranges.LEASE_SECONDS, None
    )
    return Lease(CHAIN, fence[0]["fence"], Span(first, last), tuple(deployments))


async def store(database: Database, first: int, last: int, what: Reading) -> None:
    """Commits a reading as the range first..last of its deployments."""
    names = [owner.deployment for owner in what.classified]
    await ranges.commit(database, await lease(database, first, last, *names), what)


async def stored(database: Database) -> list[tuple[Any, ...]]:
    """Every flow, in chain order."""
    rows = await database.fetch(
        "SELECT chain_id, block_number, block_time, log_index, kind, source, side, basis, leg, tx_hash, contract, "
        "protocol, deployment, token, amount FROM flow ORDER BY block_number, log_index, leg, contract"
    )
    return [tuple(row) for row in rows]


async def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """What a commit writes, without the numbers that tell one commit from another."""
    found = {"flow": await stored(database)}
    for table, columns in (
        ("range", "first_block, last_block, flows, endpoint"),
        ("range_deployment", "deployment, first_block, last_block"),
        ("range_day", "deployment, day, first_block, last_block, flows, digest"),
        ("range_trade", "deployment, day, pool, swaps, in0, in1, out0, out1, close_block, close_log_index"),
        ("quarantine", "block_number, log_index, deployment, reason"),
        ("dirty_day", "deployment, day"),
        ("contract", "deployment, contract, facts"),
        ("parameter", "contract, name, block_number, log_index"),
        ("lease", "first_block, last_block"),
    ):
        rows = await database.fetch(f"SELECT {columns} FROM {table} ORDER BY {columns}")
        found[table] = [tuple(row) for row in rows]
    return found


def utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
