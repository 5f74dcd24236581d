"""Makes what the manifests say known to the ledger; what another version or manifest had read is read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from indexer.ledger.connect import Connection, Database
from indexer.ledger.sql import query
from indexer.manifest import Deployment, Protocol

_RETIRE = ("retire_contracts", "retire_history", "retire_range_days", "retire_range_trades", "retire_ranges")


async def register(
    database: Database, chains: Mapping[str, int], protocols: Iterable[Protocol], versions: Mapping[str, int]
) -> list[str]:
    """Records chains, protocols and deployments; ids of deployments whose coverage was retired.

    versions: the present version of each family. A deployment whose manifest or family changed is dirty as a whole.
    """

    async def work(connection: Connection) -> list[str]:
        for name, chain_id in sorted(chains.items()):
            await connection.execute(query("put_chain"), chain_id, name)
        retired = []
        for protocol in protocols:
            await _put_protocol(connection, protocol, chains)
            here = [one for one in protocol.deployments if one.chain in chains]
            retired += [one.id for one in here if await _put(connection, one, chains[one.chain], versions[one.family])]
        return retired

    return await database.transaction(work)


async def list_quotes(database: Database, quotes: Iterable[tuple[int, bytes, str, int, Decimal | None]]) -> None:
    """Records listed tokens: chain id, address, symbol, decimals, dollars they are held at (None: priced by pools)."""

    async def work(connection: Connection) -> None:
        await connection.executemany(query("put_quote_token"), sorted(quotes, key=lambda quote: (quote[0], quote[1])))

    await database.transaction(work)


async def _put_protocol(connection: Connection, protocol: Protocol, chains: Mapping[str, int]) -> None:
    await connection.execute(query("put_protocol"), protocol.id, protocol.name, protocol.category, protocol.methodology)
    for chain, token in protocol.own_tokens:
        if chain in chains:
            await connection.execute(query("put_own_token"), chains[chain], protocol.id, token)


async def _put(connection: Connection, deployment: Deployment, chain_id: int, version: int) -> bool:
    """Records one deployment; whether it replaced another version or manifest."""
    stored = await connection.fetchrow(query("stored_deployment"), deployment.id)
    changed = stored is not None and (stored["family_version"], stored["manifest_digest"]) != (
        version,
        deployment.digest,
    )
    for statement in _RETIRE if changed else ():
        await connection.execute(query(statement), chain_id, deployment.id)
    await connection.execute(
        query("put_deployment"), deployment.id, deployment.protocol, chain_id, deployment.family, version,
        deployment.digest, deployment.start_block, deployment.exactness,
    )  # fmt: skip
    await connection.execute(query("drop_counted"), deployment.id)
    for kind, basis in sorted(deployment.counts.items()):
        value = None if basis is None else basis.value
        await connection.execute(query("put_counted"), deployment.id, kind.value, value)
    return changed
