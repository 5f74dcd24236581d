"""The composition root: builds the parts from settings and joins them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from indexer.chain.chains import Chain, load_chains
from indexer.chain.pool import ATTEMPTS, Endpoints
from indexer.chain.rpc import Endpoint
from indexer.documents import File
from indexer.errors import BadInput
from indexer.families import FAMILIES
from indexer.ledger import closing
from indexer.ledger.connect import Database
from indexer.ledger.registry import keep_rules, list_quotes, register
from indexer.manifest import Category, Deployment, Protocol, load_protocols, packaged_manifests
from indexer.prices.tokens import QuoteToken, load_quotes, packaged_tokens
from indexer.settings import ChainSettings, Settings
from indexer.storage import ledger
from indexer.together import together
from indexer.work.feeds import is_feed, read_along
from indexer.work.job import ChainJob
from indexer.work.progress import Estimate, Progress
from indexer.work.share import Share

__all__ = [
    "Catalogue",
    "Run",
    "catalogue",
    "chains_of",
    "ledger",
    "meant",
    "pool_of",
    "register_chosen",
    "up",
    "wanted",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What may be indexed: chains, protocols on them, and tokens that prices start from."""

    chains: Mapping[str, Chain]
    protocols: Mapping[str, Protocol]
    quotes: Sequence[QuoteToken]


@dataclass(slots=True)
class Run:
    """A run in progress, for whoever shows it. tell: who wants to know each chain's cost before it is read.

    share: who lets other processes read along; helped: calls that these made so far.
    """

    protocols: list[str] = field(default_factory=list)
    progress: dict[str, Progress] = field(default_factory=dict)
    pools: dict[str, Endpoints] = field(default_factory=dict)
    tell: Callable[[Estimate], None] | None = None
    share: Callable[[Share], None] | None = None
    helped: int = 0

    @property
    def requests(self) -> int:
        """Calls made so far."""
        return self.helped + sum(pool.requests for pool in self.pools.values())


def catalogue(settings: Settings, manifests: Iterable[File] | None = None, quotes: Sequence[File] = ()) -> Catalogue:
    """Everything the settings with their files, and the packaged ones (or those given), describe. Raises BadInput."""
    problems: list[str] = []
    chains = chains_of(settings, problems)
    files = (*(packaged_manifests() if manifests is None else manifests), *_files(settings.manifests))
    lists = (*(quotes or (packaged_tokens(),)), *_files(settings.tokens))
    protocols = _collected(problems, lambda: load_protocols(files, chains))
    tokens = _collected(problems, lambda: load_quotes(*lists))
    if protocols is not None:
        problems += [
            f"{name}: no such protocol{meant(name, protocols)}" for name in settings.protocols if name not in protocols
        ]
    if problems or protocols is None or tokens is None:
        raise BadInput(problems)
    return Catalogue(chains, protocols, tokens)


async def up(
    settings: Settings, known: Catalogue, database: Database, run: Run, *, once: bool, on_close: Callable[[], None]
) -> None:
    """Reads, closes and shows every wanted deployment of every chain with an endpoint.

    It goes on with newly final blocks for ever, unless `once` or the settings' `to` end it.

    on_close: called when the history is read and yield_daily shows it. Raises BadInput, NoEndpoint, ...
    """
    chosen = wanted(settings, known)
    run.protocols += sorted({one.protocol for members in chosen.values() for one in members if not is_feed(one)})
    await register_chosen(settings, database, known, chosen)
    jobs = []
    for name, members in chosen.items():
        pool = pool_of(known.chains[name], settings.chains[name])
        progress = Progress(name, tell=run.tell, share=run.share)
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


def pool_of(chain: Chain, settings: ChainSettings, *, attempts: int = ATTEMPTS) -> Endpoints:
    """The endpoints that the settings give for a chain. attempts: per question."""
    endpoints = [Endpoint(rpc.url, timeout_s=rpc.timeout_s, headers=rpc.headers) for rpc in settings.rpc]
    budgets = [rpc.requests_per_second for rpc in settings.rpc]
    return Endpoints(chain, endpoints, requests_per_second=budgets, attempts=attempts)


def wanted(settings: Settings, known: Catalogue) -> dict[str, list[Deployment]]:
    """Deployments to read by chain: those of the wanted protocols on chains that have an endpoint. Raises BadInput.

    Unless the settings leave feeds out, those that price a listed token or a wanted protocol's own are read along.
    """
    chains = [name for name, chain in settings.chains.items() if chain.rpc]
    if not chains:
        raise BadInput(
            "No endpoint is given: add --rpc ethereum=https://..., or a [chains.ethereum] table to indexer.toml."
        )
    along = [one for one in known.protocols.values() if one.category is Category.PRICE_FEED]
    protocols = settings.protocols or tuple(name for name in known.protocols if known.protocols[name] not in along)
    members = [deployment for name in protocols for deployment in known.protocols[name].deployments]
    found = {chain: [one for one in members if one.chain == chain] for chain in chains}
    empty = [name for name, deployments in found.items() if not deployments]
    if empty:
        raise BadInput([f"{name}: none of the protocols {', '.join(protocols)} is deployed there." for name in empty])
    for chain in chains if settings.prices.feeds else ():
        own = {token for name in protocols for place, token in known.protocols[name].own_tokens if place == chain}
        tokens = own | {quote.address for quote in known.quotes if quote.chain == chain}
        offered = [one for protocol in along for one in protocol.deployments if one.chain == chain]
        found[chain] += read_along(offered, found[chain], tokens)
    return found


async def register_chosen(
    settings: Settings, database: Database, known: Catalogue, chosen: Mapping[str, Sequence[Deployment]]
) -> None:
    """Makes the protocols of these deployments known to the ledger, and by which rules it prices. chosen: by chain."""
    chains = {name: known.chains[name].chain_id for name in chosen}
    names = {deployment.protocol for members in chosen.values() for deployment in members}
    protocols = [_without_feeds(known.protocols[name]) for name in sorted(names)]
    versions = {name: family.version for name, family in FAMILIES.items()}
    await register(database, chains, protocols, versions)
    await keep_rules(database, chains.values(), settings.prices)
    await list_quotes(
        database,
        [
            (chains[quote.chain], quote.address, quote.symbol, quote.decimals, quote.peg_usd)
            for quote in known.quotes
            if quote.chain in chains
        ],
    )


def _without_feeds(protocol: Protocol) -> Protocol:
    """A proxy is never read itself: its phases are made known once it was asked for them."""
    return replace(protocol, deployments=tuple(one for one in protocol.deployments if not is_feed(one)))


def _collected(problems: list[str], load: Callable[[], T]) -> T | None:
    """What `load` gives; its mistakes join the others, so that all are told at once."""
    try:
        return load()
    except BadInput as fault:
        problems += fault.problems
        return None


def chains_of(settings: Settings, problems: list[str]) -> dict[str, Chain]:
    """The chains that come with the program and those of the settings; what is wrong with these joins the problems."""
    chains = load_chains()
    for name, given in settings.chains.items():
        if name in chains:
            continue
        if given.chain_id is None or given.block_ms is None:
            problems.append(
                f"chains.{name}: no such chain{meant(name, chains)} A chain of your own needs chain_id and block_ms "
                "in indexer.toml."
            )
            continue
        confirmations = 64 if given.confirmations is None else given.confirmations
        multicall = bytes(20) if given.multicall3 is None else given.multicall3
        at = None if given.multicall3 is None else 0
        chains[name] = Chain(name, given.chain_id, given.block_ms, None, confirmations, multicall, at)
    return chains


def meant(name: str, known: Collection[str]) -> str:
    """The end of a sentence that says a name is not known."""
    near = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}."
