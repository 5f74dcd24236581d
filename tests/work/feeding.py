"""A made-up chain with price feeds: proxies that change their aggregators, behind a node on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from indexer.chain.header import Header
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.families import FAMILIES
from indexer.families.chainlink_feed import AGGREGATOR_CONFIRMED, ANSWER_UPDATED, FeedOptions
from indexer.ledger.connect import Database
from indexer.ledger.registry import register
from indexer.manifest import Category, Deployment, Protocol, digest
from indexer.work.feeds import Feeds
from tests.fakes.node import Blocks, Node
from tests.work.world import DECIMALS, ETHEREUM, HEAD, START, World, address, selector, word

PHASE_ID = selector("phaseId() returns (uint16)")
PHASE_AGGREGATOR = selector("phaseAggregators(uint16) returns (address)")
TOKEN, OTHER_TOKEN = address("priced token"), address("another priced token")
PROXY = address("proxy")
PROTOCOL = Protocol("feeds", "Feeds", Category.PRICE_FEED, "None.", (), ())
MIDNIGHT = START + 533  # the first block of 2023-11-15


def aggregator(number: int) -> bytes:
    return address(f"aggregator {number}")


def time_of(block: int) -> int:
    return 1_700_000_000 + 12 * (block - START)


@dataclass
class FeedWorld(World):
    """A world with headers. changes: of each proxy, from which block on it pointed to which aggregator."""

    changes: dict[bytes, list[tuple[int, bytes]]] = field(default_factory=dict)
    finalized: int = HEAD

    def __call__(self, method: str, params: Any) -> Any:
        if method == "eth_getBlockByNumber":
            return Blocks(time_of, HEAD, self.finalized)(method, params)
        return super().__call__(method, params)

    def proxy(self, *begun: int, contract: bytes = PROXY, decimals: int = 8) -> None:
        """A proxy that pointed to aggregators 1, 2, ... from these blocks on."""
        for block in begun:
            self.point(block, aggregator(len(self.changes.get(contract, ())) + 1), contract, decimals=decimals)

    def point(
        self, block: int, to: bytes, contract: bytes = PROXY, *, decimals: int | None = 8, loud: bool = False
    ) -> None:
        """The proxy points to an aggregator from a block on; loud: it emits AggregatorConfirmed. decimals None: a revert."""
        held = self.changes.setdefault(contract, [])
        if loud:
            self.emit(contract, AGGREGATOR_CONFIRMED, block, 9, previous=held[-1][1], latest=to)
        held.append((block, to))

        def phase(at: int) -> bytes:
            number = sum(start <= at for start, _ in held)
            return word(number) if number else b""

        self.answers[contract, PHASE_ID] = phase
        self.answers[contract, PHASE_AGGREGATOR + word(len(held))] = word(to)
        self.answers[to, DECIMALS] = None if decimals is None else word(decimals)

    def answer(self, contract: bytes, block: int, value: int, index: int = 0) -> None:
        """An aggregator answers."""
        self.emit(contract, ANSWER_UPDATED, block, index, current=value, roundId=block, updatedAt=time_of(block))

    def asked_phase(self, contract: bytes = PROXY) -> int:
        """How often the proxy was asked for its phase."""
        return self.asked[contract, PHASE_ID]


def feed(
    name: str = "feeds.ethereum.eth", proxy: bytes = PROXY, token: bytes = TOKEN, start: int = START
) -> Deployment:
    """A manifest's feed."""
    contracts = {"proxy": (proxy,)}
    decided = digest("ethereum", "chainlink_feed", start, contracts, {"token": token.hex()})
    options = FeedOptions.model_construct(token=token)
    return Deployment(name, "feeds", "ethereum", "chainlink_feed", start, contracts, {}, "exact", decided, options)


def head(block: int) -> Header:
    return Header(block, block.to_bytes(32, "big"), (block - 1).to_bytes(32, "big"), time_of(block))


async def made_known(database: Database) -> None:
    """The chain and the feeds' protocol, as a run makes them known before it asks anybody."""
    await register(database, {"ethereum": 1}, [PROTOCOL], {name: one.version for name, one in FAMILIES.items()})


@asynccontextmanager
async def feeds_over(world: World, database: Database, deployments: Sequence[Deployment]) -> AsyncIterator[Feeds]:
    """Feeds over this world's node, with nothing remembered but what the database holds."""
    await made_known(database)
    async with Node(world) as node:
        pool = Endpoints(ETHEREUM, [Endpoint(SecretStr(node.url))], attempts=2)
        try:
            yield Feeds(pool, database, deployments)
        finally:
            await pool.close()
