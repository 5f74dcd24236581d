"""A provider within the process: the product's own reading core asks it, and no octet of JSON is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from indexer.chain.fetch import Fetcher
from indexer.chain.limits import Limits
from indexer.chain.logs import Answer
from indexer.chain.planner import Shape
from indexer.chain.refusals import translate
from indexer.chain.sizing import range_end
from indexer.decode.columns import Raw
from indexer.errors import TooMuch
from indexer.model import Span, Where
from indexer.work.estimate import estimate
from indexer.work.plan import Plan

from .terms import Refused, Terms, fewest
from .world import Ints

OCTETS = 750  # of a log in JSON
READERS = 4  # as indexer.work.backfill has them
LOGS_A_TURN = 2_000  # by which an answer comes later


@dataclass(frozen=True, slots=True)
class Stream:
    """The logs that one topic finds. blocks: ascending; emitter: which contract made each."""

    topic: bytes
    blocks: Ints
    emitter: Ints
    contracts: Sequence[bytes]

    def of(self, addresses: set[bytes] | None, first: int, last: int) -> Ints:
        """Blocks of the logs that a question finds."""
        low, high = np.searchsorted(self.blocks, [first, last + 1]).tolist()
        if addresses is None:
            return self.blocks[low:high]
        mine = np.array([one in addresses for one in self.contracts], bool)
        found: Ints = self.blocks[low:high][mine[self.emitter[low:high]]]
        return found


@dataclass(slots=True)
class Desk:
    """What a Fetcher takes for the endpoints of a chain. answered: blocks and logs of each answer."""

    terms: Terms
    streams: Mapping[bytes, Stream]
    limits: Limits = field(default_factory=Limits)
    answered: list[tuple[Span, int]] = field(default_factory=list)
    refused: int = 0
    chain: Any = field(default_factory=lambda: SimpleNamespace(name="made-up", block_ms=12_000, slot_timed_from=None))
    endpoints: Sequence[Any] = ()
    budget: None = None

    @property
    def requests(self) -> int:
        """Asked so far, refused ones too."""
        return self.refused + len(self.answered)

    async def ask(
        self, method: str, params: Sequence[Any], read: Callable[[bytes], object]
    ) -> tuple[Answer, SimpleNamespace]:
        """As chain.pool.Endpoints.ask with one endpoint; `read` would check JSON, which is not made."""
        assert method == "eth_getLogs"
        (question,) = params
        span = Span(int(question["fromBlock"], 16), int(question["toBlock"], 16))
        named = question.get("address")
        addresses = None if named is None else {bytes.fromhex(one[2:]) for one in named}
        (topic,) = (bytes.fromhex(one[2:]) for one in question["topics"][0])
        found = self.streams[topic].of(addresses, span.first, span.last)
        for _ in range(1 + len(found) // LOGS_A_TURN):
            await asyncio.sleep(0)
        try:
            self.terms.check(span.first, span.last, len(addresses or ()), found, OCTETS)
        except Refused as refused:
            self.refused += 1
            error = translate(method, refused.error, 200)
            assert isinstance(error, TooMuch)
            self.limits.learn(error, len(span), len(addresses or ()))
            raise error from None
        self.answered.append((span, len(found)))
        return _answer(topic, found), SimpleNamespace(name="desk")


def _answer(topic: bytes, blocks: Ints) -> Answer:
    count = len(blocks)
    if not count:
        return Answer({}, 0, 2, blocks, np.zeros((0, 32), np.uint8))
    index, none = np.arange(count), np.zeros(count, np.int64)
    octets = np.zeros((count, 32), np.uint8)
    where = Where(blocks, blocks, index, octets, none, np.zeros((1, 20), np.uint8))
    raw = Raw(where, np.zeros((count, 0, 32), np.uint8), b"", np.zeros(count + 1, np.int64))
    return Answer(
        {(topic, 1): raw}, count, OCTETS * count, np.unique(blocks), np.zeros((len(np.unique(blocks)), 32), np.uint8)
    )


async def read_all(fetcher: Fetcher, span: Span) -> int:
    """Ranges claimed in order and read side by side, sized by the fetcher, as indexer.work.job does it; the logs."""
    await estimate(fetcher.pool, [Plan(fetcher.questions, (span,))], span, sizes=fetcher.sizes)
    at, received = [span.first], [0]

    async def reader() -> None:
        while at[0] <= span.last:
            left = span.last - at[0] + 1
            part = Span(at[0], at[0] + min(left, range_end(fetcher.range_blocks, left)) - 1)
            at[0] = part.last + 1
            logs = await fetcher.read(part, until=span.last)
            received[0] += logs.received
            for _ in range(1 + logs.received // LOGS_A_TURN):  # what is made of them
                await asyncio.sleep(0)

    await asyncio.gather(*(reader() for _ in range(READERS)))
    return received[0]


def best(terms: Terms, stream: Stream, shape: Shape, span: Span, most_logs: int) -> int:
    """The fewest questions that bring all of a shape's logs."""
    contracts = shape.emitters
    if contracts is None:
        return fewest(terms, stream.blocks, span.first, span.last, OCTETS, most_logs)
    size = min(terms.max_addresses, len(contracts))
    parts = [set(contracts[at : at + size]) for at in range(0, len(contracts), size)]
    return sum(
        fewest(terms, stream.of(part, span.first, span.last), span.first, span.last, OCTETS, most_logs)
        for part in parts
    )
