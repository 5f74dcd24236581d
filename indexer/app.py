"""The composition root: builds the parts from settings and joins them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from indexer.chain.chains import Chain, load_chains
from indexer.chain.head import Header, finalized
from indexer.chain.limits import Limits
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.chain.times import first_block_at
from indexer.documents import File
from indexer.errors import BadInput
from indexer.families import FAMILIES
from indexer.ledger import closing, context
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.ledger.migrate import migrate
from indexer.ledger.registry import list_quotes, register
from indexer.ledger.sql import query
from indexer.manifest import Deployment, Protocol, load_protocols, packaged_manifests
from indexer.model import Span
from indexer.prices.tokens import QuoteToken, load_quotes, packaged_tokens
from indexer.settings import ChainSettings, Settings, parse_moment
from indexer.work.backfill import backfill
from indexer.work.close import close_chain
from indexer.work.follow import follow
from indexer.work.group import groups
from indexer.work.progress import Progress
from indexer.work.together import together

DEFAULT_START = "7d"  # a first run shows something within minutes, whatever the endpoint costs


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
    """Reads, closes and shows every wanted deployment of every chain with an endpoint; for ever unless `once`.

    on_close: called when the history is read and yield_daily shows it. Raises BadInput, NoEndpoint, ...
    """
    wanted = _wanted(settings, known)
    run.protocols += sorted({deployment.protocol for members in wanted.values() for deployment in members})
    await _register(database, known, wanted)
    jobs = [_Job(settings, known.chains[name], members, database, run) for name, members in wanted.items()]
    async with AsyncExitStack() as stack:
        for job in jobs:
            stack.push_async_callback(job.close)
        finals = await together(job.history() for job in jobs)
        await closing.refresh(database)
        on_close()
        if not once:
            await together(job.follow(final) for job, final in zip(jobs, finals, strict=True))


class _Job:
    """One chain's part of a run."""

    def __init__(
        self, settings: Settings, chain: Chain, deployments: Sequence[Deployment], database: Database, run: Run
    ) -> None:
        self._settings, self._chain, self._deployments, self._database = settings, chain, deployments, database
        self._pool = _pool(chain, settings.chains[chain.name])
        self._groups = groups(self._pool, database, deployments)
        self._progress = Progress(chain.name)
        self._first = 0
        run.progress[chain.name], run.pools[chain.name] = self._progress, self._pool

    async def history(self) -> Header:
        """Reads the settings' span, or up to the final head, and closes its days; the final head."""
        self._progress.stage = "connecting"
        await self._pool.verify()
        await self._restore_limits()
        final = await finalized(self._pool)
        target = await self._target(final)
        self._first = target.first
        if len(target):
            await together(backfill(group, target, final.number, self._progress) for group in self._groups)
        await self._close(final)
        return final

    async def follow(self, final: Header) -> None:
        """Goes on with newly final blocks, for ever."""

        async def close(head: Header) -> None:
            await self._close(head)
            await closing.refresh(self._database)

        await follow(self._pool, self._groups, self._first, final, self._progress, close)

    async def close(self) -> None:
        """Remembers what was learned of the endpoints and closes their connections."""
        try:
            for fingerprint, limits in self._pool.limits_by_fingerprint.items():
                await context.put_endpoint_limit(self._database, fingerprint, limits.as_dict())
        finally:
            await self._pool.close()

    async def _close(self, final: Header) -> None:
        self._progress.stage = "closing days"
        await close_chain(self._pool, self._database, final, self._settings.prices.min_liquidity_usd)
        self._progress.stage = "done"

    async def _restore_limits(self) -> None:
        names = list(self._pool.limits_by_fingerprint)
        kept = await context.endpoint_limits(self._database, names)
        self._pool.restore({name: Limits.from_dict(limits) for name, limits in kept.items()})

    async def _target(self, final: Header) -> Span:
        """From the settings' start, or from what is held already, to their end or the final head."""
        last = await self._block(self._settings.to, final, end=True) if self._settings.to is not None else final.number
        row = (
            await self._database.fetch(query("held_range"), self._chain.chain_id, [one.id for one in self._deployments])
        )[0]
        if self._settings.start is None and row["first_block"] is not None:
            return Span(row["first_block"], last)
        first = await self._block(DEFAULT_START if self._settings.start is None else self._settings.start, final)
        if row["last_block"] is not None:
            first = min(first, row["last_block"] + 1)
        return Span(first, last)

    async def _block(self, written: str | int, final: Header, *, end: bool = False) -> int:
        """A moment as a block number: the first block at or after it, for an end the last one before it."""
        moment = parse_moment(written, int(time.time()))
        if moment.block is not None:
            number = moment.block
        elif moment.time is not None and moment.time > final.time:
            if not end:
                raise BadInput(
                    f"{written} is after {self._chain.name}'s last final block, {final.number}: start earlier."
                )
            return final.number
        else:
            number = (await first_block_at(self._pool, moment.time or 0, 0, final)).number - end
        if number > final.number and not end:
            raise BadInput(
                f"Block {number} is not final on {self._chain.name} yet: the last final one is {final.number}."
            )
        return min(number, final.number)


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
