"""The composition root: builds the parts from settings and joins them."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

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
from indexer.ledger.registry import keep_floor, list_quotes, register
from indexer.manifest import Deployment, Protocol, load_protocols, packaged_manifests
from indexer.prices.tokens import QuoteToken, load_quotes, packaged_tokens
from indexer.settings import ChainSettings, Settings
from indexer.work.job import ChainJob
from indexer.work.progress import Progress
from indexer.work.together import together

T = TypeVar("T")


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
    problems: list[str] = []
    chains = _chains(settings, problems)
    files = (*(packaged_manifests() if manifests is None else manifests), *_files(settings.manifests))
    lists = (*(quotes or (packaged_tokens(),)), *_files(settings.tokens))
    protocols = _collected(problems, lambda: load_protocols(files, chains))
    tokens = _collected(problems, lambda: load_quotes(*lists))
    if protocols is not None:
        problems += [
            f"{name}: no such protocol{_meant(name, protocols)}" for name in settings.protocols if name not in protocols
        ]
    if problems or protocols is None or tokens is None:
        raise BadInput(problems)
    return Catalogue(chains, protocols, tokens)


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
    chosen = wanted(settings, known)
    run.protocols += sorted({deployment.protocol for members in chosen.values() for deployment in members})
    await _register(settings, database, known, chosen)
    jobs = []
    for name, members in chosen.items():
        pool, progress = _pool(known.chains[name], settings.chains[name]), Progress(name)
        jobs.append(ChainJob(settings, pool, members, database, progress))
        run.pools[name], run.progress[name] = pool, progress
    async with AsyncExitStack() as stack:
        for job in jobs:
            stack.push_async_callback(job.close)
        finals = await together(job.history() for job in jobs)
        await closing.refresh(database)  # also what an earlier run valued and could not show
        on_close()
        if not once and settings.to is None:
            await together(job.follow(final) for job, final in zip(jobs, finals, strict=True))


def _files(places: Iterable[Path]) -> Iterator[Path]:
    """The files themselves, and the TOML files of folders by name."""
    for place in places:
        yield from sorted(place.glob("*.toml")) if place.is_dir() else [place]


def _pool(chain: Chain, settings: ChainSettings) -> Endpoints:
    endpoints = [Endpoint(rpc.url, timeout_s=rpc.timeout_s, headers=rpc.headers) for rpc in settings.rpc]
    return Endpoints(chain, endpoints, requests_per_second=[rpc.requests_per_second for rpc in settings.rpc])


def wanted(settings: Settings, known: Catalogue) -> dict[str, list[Deployment]]:
    """Deployments to read by chain: those of the wanted protocols on chains that have an endpoint. Raises BadInput."""
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


async def _register(
    settings: Settings, database: Database, known: Catalogue, chosen: Mapping[str, Sequence[Deployment]]
) -> None:
    chains = {name: known.chains[name].chain_id for name in chosen}
    names = {deployment.protocol for members in chosen.values() for deployment in members}
    protocols = [known.protocols[name] for name in sorted(names)]
    versions = {name: family.version for name, family in FAMILIES.items()}
    await register(database, chains, protocols, versions)
    await keep_floor(database, chains.values(), settings.prices.min_liquidity_usd)
    await list_quotes(
        database,
        [
            (chains[quote.chain], quote.address, quote.symbol, quote.decimals, quote.peg_usd)
            for quote in known.quotes
            if quote.chain in chains
        ],
    )


def _collected(problems: list[str], load: Callable[[], T]) -> T | None:
    """What `load` gives; its mistakes join the others, so that all are told at once."""
    try:
        return load()
    except BadInput as fault:
        problems += fault.problems
        return None


def _chains(settings: Settings, problems: list[str]) -> dict[str, Chain]:
    chains = load_chains()
    for name, given in settings.chains.items():
        if name in chains:
            continue
        if given.chain_id is None or given.block_ms is None:
            problems.append(
                f"chains.{name}: no such chain{_meant(name, chains)} A chain of your own needs chain_id and block_ms "
                "in indexer.toml."
            )
            continue
        confirmations = 64 if given.confirmations is None else given.confirmations
        multicall = bytes(20) if given.multicall3 is None else given.multicall3
        at = None if given.multicall3 is None else 0
        chains[name] = Chain(name, given.chain_id, given.block_ms, None, confirmations, multicall, at)
    return chains


def _meant(name: str, known: Collection[str]) -> str:
    """The end of a sentence that says a name is not known."""
    near = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}."
