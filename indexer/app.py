"""The composition root: builds the parts from settings and joins them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from indexer.chain.chains import Chain, load_chains
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.documents import File
from indexer.errors import BadInput
from indexer.families import FAMILIES
from indexer.ledger import closing
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.ledger.migrate import migrate
from indexer.ledger.registry import list_quotes, register
from indexer.manifest import Deployment, Protocol, load_protocols, packaged_manifests
from indexer.prices.tokens import QuoteToken, load_quotes, packaged_tokens
from indexer.settings import ChainSettings, Settings
from indexer.work.job import ChainJob
from indexer.work.progress import Progress
from indexer.work.together import together


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What may be indexed: chains, protocols on them, and tokens that prices start from."""

    chains: Mapping[str, Chain]
    protocols: Mapping[str, Protocol]
    quotes: Sequence[QuoteToken]


@dataclass(slots=True)
class Run:
    """A run in progress, for whoever shows it."""

    protocols: list[str] = field(default_factory=list)
    progress: dict[str, Progress] = field(default_factory=dict)
    pools: dict[str, Endpoints] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Calls made so far."""
        return sum(pool.requests for pool in self.pools.values())


def catalogue(settings: Settings, manifests: Iterable[File] | None = None, quotes: Sequence[File] = ()) -> Catalogue:
    """Everything the settings with their files, and the packaged ones (or those given), describe. Raises BadInput."""
    chains = _chains(settings)
    files = (*(packaged_manifests() if manifests is None else manifests), *_files(settings.manifests))
    lists = (*(quotes or (packaged_tokens(),)), *_files(settings.tokens))
    return Catalogue(chains, load_protocols(files, chains), load_quotes(*lists))


@asynccontextmanager
async def ledger(settings: Settings, name: str = "indexer", *, fresh: bool = False) -> AsyncIterator[Database]:
    """The database of the settings, migrated; without one the embedded Postgres' database `name`.

    fresh: begin that embedded database anew.
    """
    async with AsyncExitStack() as stack:
        if settings.database is not None:
            url = settings.database.get_secret_value()
        else:
            server = await asyncio.to_thread(EmbeddedPostgres, settings.data_dir)
            stack.callback(server.close)
            if fresh:
                server.forget(name)
            url = server.url(name)
        database = await Database.open(url)
        stack.push_async_callback(database.close)
        await migrate(database)
        yield database


async def up(
    settings: Settings, known: Catalogue, database: Database, run: Run, *, once: bool, on_close: Callable[[], None]
) -> None:
    """Reads, closes and shows every wanted deployment of every chain with an endpoint.

    It goes on with newly final blocks for ever, unless `once` or the settings' `to` end it.

    on_close: called when the history is read and yield_daily shows it. Raises BadInput, NoEndpoint, ...
    """
    wanted = _wanted(settings, known)
    run.protocols += sorted({deployment.protocol for members in wanted.values() for deployment in members})
    await _register(database, known, wanted)
    jobs = []
    for name, members in wanted.items():
        pool, progress = _pool(known.chains[name], settings.chains[name]), Progress(name)
        jobs.append(ChainJob(settings, pool, members, database, progress))
        run.pools[name], run.progress[name] = pool, progress
    async with AsyncExitStack() as stack:
        for job in jobs:
            stack.push_async_callback(job.close)
        finals = await together(job.history() for job in jobs)
        await closing.refresh(database)
        on_close()
        if not once and settings.to is None:
            await together(job.follow(final) for job, final in zip(jobs, finals, strict=True))


def _files(places: Iterable[Path]) -> Iterator[Path]:
    """The files themselves, and the TOML files of folders by name."""
    for place in places:
        yield from sorted(place.glob("*.toml")) if place.is_dir() else [place]


def _pool(chain: Chain, settings: ChainSettings) -> Endpoints:
    endpoints = [Endpoint(rpc.url, timeout_s=rpc.timeout_s, headers=rpc.headers) for rpc in settings.rpc]
    budgets = [rpc.requests_per_second for rpc in settings.rpc if rpc.requests_per_second is not None]
    return Endpoints(chain, endpoints, requests_per_second=min(budgets, default=None))


def _wanted(settings: Settings, known: Catalogue) -> dict[str, list[Deployment]]:
    """Deployments to read by chain: those of the wanted protocols on chains that have an endpoint."""
    unknown = sorted(set(settings.protocols) - set(known.protocols))
    if unknown:
        raise BadInput([f"{name}: no such protocol; known are {', '.join(known.protocols)}." for name in unknown])
    chains = [name for name, chain in settings.chains.items() if chain.rpc]
    if not chains:
        raise BadInput(
            "No endpoint is given: add --rpc ethereum=https://..., or a [chains.ethereum] table to indexer.toml."
        )
    protocols = settings.protocols or tuple(known.protocols)
    members = [deployment for name in protocols for deployment in known.protocols[name].deployments]
    found = {chain: [one for one in members if one.chain == chain] for chain in chains}
    empty = [name for name, deployments in found.items() if not deployments]
    if empty:
        raise BadInput([f"{name}: none of the protocols {', '.join(protocols)} is deployed there." for name in empty])
    return found


async def _register(database: Database, known: Catalogue, wanted: Mapping[str, Sequence[Deployment]]) -> None:
    chains = {name: known.chains[name].chain_id for name in wanted}
    names = {deployment.protocol for members in wanted.values() for deployment in members}
    protocols = [known.protocols[name] for name in sorted(names)]
    versions = {name: family.version for name, family in FAMILIES.items()}
    await register(database, chains, protocols, versions)
    await list_quotes(
        database,
        [
            (chains[quote.chain], quote.address, quote.symbol, quote.decimals, quote.peg_usd)
            for quote in known.quotes
            if quote.chain in chains
        ],
    )


def _chains(settings: Settings) -> dict[str, Chain]:
    chains = load_chains()
    problems = []
    for name, given in settings.chains.items():
        if name in chains:
            continue
        if given.chain_id is None or given.block_ms is None:
            problems.append(
                f"indexer.toml: chains.{name}: this chain is not known, so chain_id and block_ms are needed; "
                f"known are {', '.join(sorted(chains))}."
            )
            continue
        confirmations = 64 if given.confirmations is None else given.confirmations
        multicall = bytes(20) if given.multicall3 is None else given.multicall3
        at = None if given.multicall3 is None else 0
        chains[name] = Chain(name, given.chain_id, given.block_ms, None, confirmations, multicall, at)
    if problems:
        raise BadInput(problems)
    return chains
