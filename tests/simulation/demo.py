"""Whole runs over the demo chain: `index` is `indexer up --once`, `outcome` what must be the same whatever happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from indexer import app, demo
from indexer.demo.run import MULTICALL3
from indexer.families import uniswap_v3
from indexer.families.uniswap_v3 import UniswapV3
from indexer.ledger.connect import Database
from indexer.ledger.sql import texts
from indexer.reclassify import Reclassified, reclassify
from indexer.settings import Settings, load_settings
from tests.simulation import oracle

FOLDER = Path(demo.__file__).parent
CHAIN = {"chain_id": 31337, "block_ms": 1_000_000, "multicall3": MULTICALL3}

OUTCOMES = {
    "days": "SELECT deployment, day, flows, digest, blocks_held, blocks FROM deployment_day ORDER BY 1, 2",
    "yield": "SELECT * FROM yield_daily ORDER BY day, protocol",
    "sums": "SELECT * FROM flow_daily ORDER BY deployment, day, contract, token, kind, source, side, basis",
    "prices": "SELECT token, day, usd, source, age_days, evidence, depth_usd FROM price_daily ORDER BY token, day",
    "trades": "SELECT * FROM trade_daily ORDER BY deployment, day, pool",
    "tokens": "SELECT token, symbol, decimals FROM token ORDER BY token",
    "facts": "SELECT deployment, contract, facts FROM contract WHERE facts IS NOT NULL ORDER BY 1, 2",
    "steps": 'SELECT contract, name, block_number, log_index, "values" FROM parameter ORDER BY 1, 2, 3, 4',
    "flows": "SELECT deployment, count(*), "
    "uint256_octets(mod(sum(octets_uint256(sha256(flow_octets(f)))), 2::numeric ^ 256)) FROM flow AS f GROUP BY deployment ORDER BY deployment",
    "open": "SELECT deployment, d.day FROM dirty_day AS d JOIN day_start AS s USING (chain_id, day) "
    "JOIN day_start AS next ON next.chain_id = s.chain_id AND next.day = d.day + 1 ORDER BY 1, 2",
    "leases": "SELECT first_block, last_block FROM lease",
}  # fmt: skip

BOOKED = """
SELECT '0x' || encode(contract, 'hex'), '0x' || encode(token, 'hex'), kind::text, side::text, basis::text, count(*), sum(amount)
FROM flow GROUP BY 1, 2, 3, 4, 5
"""
_TOLD: dict[tuple[int, int, int], dict[oracle.Key, tuple[int, int]]] = {}


def settings(rpc: str | Sequence[str], **changes: Any) -> Settings:
    """The demo chain at these endpoints, from its first block; changes: settings by name."""
    endpoints = [rpc] if isinstance(rpc, str) else list(rpc)
    plain: dict[str, Any] = {
        "manifests": [str(FOLDER / "protocols")],
        "tokens": [str(FOLDER / "tokens.toml")],
        "start": 0,
        "archive": "none",
        "chains": {"demo": CHAIN | {"rpc": [{"url": url, "timeout_s": 10} for url in endpoints]}},
    }
    return load_settings(None, plain | changes)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """One more connection pool to a database."""
    database = await Database.open(url)
    try:
        yield database
    finally:
        await database.close()


async def index(database: Database, rpc: str | Sequence[str], **changes: Any) -> app.Run:
    """One run to its end."""
    chosen, run = settings(rpc, **changes), app.Run()
    await app.up(chosen, app.catalogue(chosen), database, run, once=True, on_close=lambda: None)
    return run


async def redo(database: Database, archive: str, *protocols: str, rpc: str | None = None, **how: bool) -> Reclassified:
    """Flows made again from an archive: without an endpoint unless one is given. how: fetch, everything."""
    chosen = settings(() if rpc is None else rpc, archive=archive)
    return await reclassify(chosen, app.catalogue(chosen), database, app.Run(), protocols, **how)


def change_rule() -> None:
    """From now on, in this process, a swap's fee is half of what it was, as a new version of the family has it."""
    uniswap_v3.PPM, UniswapV3.version = 2 * 10**6, 99  # type: ignore[misc]


async def outcome(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that must not depend on how the blocks were read."""
    return {name: [tuple(row) for row in await database.fetch(text)] for name, text in OUTCOMES.items()}


async def complaints(database: Database) -> dict[str, int]:
    """Rows of each check of sql/checks that has any."""
    found = {name: len(await database.fetch(text)) for name, text in texts("checks")}
    return {name: rows for name, rows in found.items() if rows}


async def booked(database: Database) -> dict[oracle.Key, tuple[int, int]]:
    """Number and sum of the flows in the ledger, as the oracle tells them."""
    rows = [tuple(row) for row in await database.fetch(BOOKED)]
    return {row[:5]: (row[5], int(row[6])) for row in rows}  # type: ignore[misc]


async def told(rpc: str, first: int, last: int, per: int = 10**6) -> dict[oracle.Key, tuple[int, int]]:
    """What the oracle makes of these blocks of the demo chain."""
    if (first, last, per) not in _TOLD:
        manifests = [path.read_text("utf-8") for path in sorted((FOLDER / "protocols").glob("*.toml"))]
        logs = await asyncio.to_thread(lambda: list(oracle.read(rpc, last)))
        _TOLD[first, last, per] = oracle.flows(logs, manifests, first, per)
    return _TOLD[first, last, per]
