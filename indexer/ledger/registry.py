"""Makes what the manifests say known to the ledger; what another version or manifest had read is read again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from indexer.families import FAMILIES
from indexer.ledger.connect import Connection, Database
from indexer.ledger.sql import query
from indexer.manifest import Deployment, Protocol
from indexer.settings import PriceSettings

_CONTEXT = ("retire_contracts", "retire_history", "retire_ranges")
_REMEMBER = ("remember_reason", "remember_days")
_RETIRE = (
    "remember_sums",
    "retire_spans",
    "retire_leases",
    "retire_contracts",
    "retire_history",
    "retire_range_days",
    "retire_range_trades",
    "retire_range_answers",
    "retire_streams",
    "retire_stream_spans",
    "retire_ranges",
    "retire_quarantine",
    "retire_flows",
)


async def register(
    database: Database,
    chains: Mapping[str, int],
    protocols: Iterable[Protocol],
    versions: Mapping[str, int],
) -> list[str]:
    """Records chains, protocols and deployments; ids of deployments whose coverage was retired.

    versions: the present version of each family. A deployment whose manifest or family changed is dirty as a whole,
    and its figures are remembered as old ones; where only its counts or own tokens changed, the closed days are valued
    again.
    """

    async def work(connection: Connection) -> list[str]:
        await connection.execute(query("lock_registry"))
        for name, chain_id in sorted(chains.items()):
            await connection.execute(query("put_chain"), chain_id, name)
        retired = []
        for protocol in protocols:
            await _put_protocol(connection, protocol, chains)
            here = [one for one in protocol.deployments if one.chain in chains]
            retired += [one.id for one in here if await _put(connection, one, chains[one.chain], versions[one.family])]
        return retired

    return await database.transaction(work)


async def retire(database: Database, chain_id: int, deployments: Iterable[str], reason: str) -> None:
    """What was read for these deployments counts no longer; their figures are remembered as old ones."""

    async def work(connection: Connection) -> None:
        for deployment in sorted(deployments):
            await _retire(connection, chain_id, deployment, reason)

    await database.transaction(work)


async def forget_context(database: Database, chain_id: int, deployments: Iterable[str]) -> None:
    """What deployments know of their contracts and parameters is to be learned again."""

    async def work(connection: Connection) -> None:
        for deployment in sorted(deployments):
            for statement in _CONTEXT:
                await connection.execute(query(statement), chain_id, deployment)

    await database.transaction(work)


async def adopt(
    database: Database, chain_id: int, found: Iterable[Deployment], wanted: Collection[str], version: int
) -> None:
    """Records deployments of one family that a run found out, such as the phases of a feed.

    wanted: ids of those that the run reads; of the others only those that the ledger holds already are looked after.
    version: the family's present one.
    """

    async def work(connection: Connection) -> None:
        for one in found:
            if one.id in wanted or await connection.fetchrow(query("stored_deployment"), one.id) is not None:
                await _put(connection, one, chain_id, version)

    await database.transaction(work)


async def keep_rules(database: Database, chain_ids: Iterable[int], rules: PriceSettings) -> None:
    """Records by which rules prices are believed; where one changed, closed days are to be valued again."""
    kept = (rules.min_liquidity_usd, rules.min_pool_age_days, rules.depeg_ppm)

    async def work(connection: Connection) -> None:
        for chain_id in sorted(chain_ids):
            if await connection.fetchval(query("keep_rules"), chain_id, *kept) is not None:
                await connection.execute(query("revalue"), chain_id)

    await database.transaction(work)


async def list_quotes(database: Database, quotes: Iterable[tuple[int, bytes, str, int, Decimal | None]]) -> None:
    """Makes these the listed tokens of their chains; where that changes something, closed days are valued again.

    quotes: chain id, address, symbol, decimals, dollars they are held at (None: priced by pools).
    """
    listed: dict[int, list[tuple[int, bytes, str, int, Decimal | None]]] = {}
    for quote in sorted(quotes, key=lambda quote: (quote[0], quote[1])):
        listed.setdefault(quote[0], []).append(quote)

    async def work(connection: Connection) -> None:
        for chain_id, rows in listed.items():
            stored = [tuple(row) for row in await connection.fetch(query("stored_quote_tokens"), chain_id)]
            if stored != rows:
                await connection.execute(query("drop_quote_tokens"), chain_id)
                await connection.executemany(query("put_quote_token"), rows)
                await connection.execute(query("revalue"), chain_id)

    await database.transaction(work)


async def _put_protocol(connection: Connection, protocol: Protocol, chains: Mapping[str, int]) -> None:
    await connection.execute(query("put_protocol"), protocol.id, protocol.name, protocol.category, protocol.methodology)
    for name, chain_id in sorted(chains.items()):
        own = sorted(token for chain, token in protocol.own_tokens if chain == name)
        stored = [row["token"] for row in await connection.fetch(query("stored_own_tokens"), chain_id, protocol.id)]
        if stored != own:
            await connection.execute(query("drop_own_tokens"), chain_id, protocol.id)
            await connection.executemany(query("put_own_token"), [(chain_id, protocol.id, token) for token in own])
            await connection.execute(query("revalue"), chain_id)


async def _retire(connection: Connection, chain_id: int, deployment: str, reason: str) -> None:
    for statement in _REMEMBER:
        await connection.execute(query(statement), chain_id, deployment, reason)
    for statement in _RETIRE:
        await connection.execute(query(statement), chain_id, deployment)


async def _changes(connection: Connection, deployment: Deployment, version: int) -> list[str]:
    """Why what was read for a deployment counts no longer; nothing if it does, or if nothing was."""
    stored = await connection.fetchrow(query("stored_deployment"), deployment.id)
    if stored is None:
        return []
    reasons = []
    if stored["family_version"] != version:
        reasons.append(f"family {deployment.family} version {stored['family_version']} -> {version}")
    if stored["manifest_digest"] != deployment.digest:
        reasons.append("manifest changed")
    return reasons


async def _put(connection: Connection, deployment: Deployment, chain_id: int, version: int) -> bool:
    """Records one deployment; whether it replaced another version or manifest."""
    changes = await _changes(connection, deployment, version)
    if changes:
        await _retire(connection, chain_id, deployment.id, "; ".join(changes))
    await connection.execute(
        query("put_deployment"), deployment.id, deployment.protocol, chain_id, deployment.family, version,
        deployment.digest, deployment.start_block, deployment.exactness,
        bool(FAMILIES[deployment.family].configured(deployment.options).kinds),
    )  # fmt: skip
    await _put_counts(connection, deployment, chain_id)
    return bool(changes)


async def _put_counts(connection: Connection, deployment: Deployment, chain_id: int) -> None:
    counts = {kind.value: None if basis is None else basis.value for kind, basis in sorted(deployment.counts.items())}
    stored = {row["kind"]: row["basis"] for row in await connection.fetch(query("stored_counted"), deployment.id)}
    if stored != counts:
        await connection.execute(query("drop_counted"), deployment.id)
        rows = [(deployment.id, kind, basis) for kind, basis in counts.items()]
        await connection.executemany(query("put_counted"), rows)
        await connection.execute(query("revalue"), chain_id)
