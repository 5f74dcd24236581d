"""What a pool remembers of one endpoint: health, budget, limits, refusals, and how long its answers take."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from indexer.chain.chains import Chain
from indexer.chain.health import Health
from indexer.chain.insist import SOON, insist
from indexer.chain.latencies import Kind, Latencies
from indexer.chain.limits import Limits
from indexer.chain.pace import SECOND, Pace
from indexer.chain.rpc import BatchRefused, Endpoint, Signs, quantity
from indexer.errors import EndpointBusy, EndpointUnusable, IndexerError, Retry, TooMuch

TOLD_ABOVE = 10 * SECOND  # a rest longer than this would look like a hang
BATCH = 100  # items of a JSON-RPC batch; what public endpoints commonly take
SINGLES = 4  # calls at once in place of a batch
CONCURRENCY = 8  # requests at once

Request = tuple[str, Sequence[object]]
ANY_METHOD = "*"

log = structlog.get_logger()


def kind_of(requests: Sequence[Request]) -> Kind:
    """Requests that take about as long as one another."""
    return requests[0][0], len(requests) > 1


@dataclass(slots=True, eq=False)
class Lane:
    """One endpoint of a pool. gap: nanoseconds between requests (0: no budget); load: questions under way.

    beside: of these, those asked because another was late; newest: when the newest request that was answered was sent.
    """

    endpoint: Endpoint
    gap: int = 0
    sharers: int = 1  # processes that share the budget
    health: Health = field(default_factory=lambda: Health(CONCURRENCY))
    latencies: Latencies = field(default_factory=Latencies)
    limits: Limits = field(default_factory=Limits)
    refused: dict[str, str] = field(default_factory=dict)  # method -> why
    verified: bool = False
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    load: int = 0
    beside: int = 0
    turn: int = 0
    latency: int = 0  # nanoseconds, smoothed
    newest: int = -1
    next_slot: int = 0
    max_batch: int = BATCH

    def serves(self, methods: Collection[str]) -> bool:
        """Whether nothing is known against asking it these methods."""
        return ANY_METHOD not in self.refused and not any(method in self.refused for method in methods)

    def free(self, now: int, leaving: int = 0) -> bool:
        """Whether it may be asked something now. leaving: of its questions, those that will be given up for it."""
        return self.health.rest_until <= now and self.load - leaving < self.health.width

    def spare(self, now: int, leaving: int = 0) -> bool:
        """Whether it may be asked something more, without anybody waiting for a slot."""
        return self.free(now, leaving) and self.next_slot <= now

    def rank(self, now: int) -> tuple[int, ...]:
        """The lower the better: budget, failures, latency (by powers of two), load, and whose turn it is."""
        return (max(0, self.next_slot - now), self.health.strikes, self.latency.bit_length(), self.load, self.turn)

    def succeeded(self, took: int) -> None:
        """An answer came after so many nanoseconds."""
        self.health.succeeded()
        self.latency = took if self.latency == 0 else self.latency + (took - self.latency) // 4

    def struck(self, error: Retry, asked_at: int, pace: Pace) -> None:
        """A failure of a question asked at some time: see Health."""
        self.health.struck(error, asked_at, pace)
        told = error.retry_after if isinstance(error, EndpointBusy) else None
        if told is not None and told * SECOND > TOLD_ABOVE:
            log.warning("endpoint asks for a rest", endpoint=self.endpoint.name, seconds=told)

    async def check_chain(self, chain: Chain, pace: Pace) -> None:
        """Asks for the chain id once; raises EndpointUnusable, for good, where it is another chain's."""
        async with self.verifying:
            if self.verified:
                return
            try:
                await self._expect(chain, pace)
            except EndpointUnusable as refusal:
                self.refused[ANY_METHOD] = str(refusal)
                raise
            self.verified = True

    async def _expect(self, chain: Chain, pace: Pace) -> None:
        method, began, name = "eth_chainId", pace.now(), self.endpoint.name
        answer = await insist(self.endpoint, method, [], SOON << min(self.health.strikes, 16))
        self.latencies.saw((method, False), pace.now() - began)
        found = quantity(msgspec.json.decode(answer), f"{name}: eth_chainId")
        if found != chain.chain_id:
            expected = f"but {chain.name} is {chain.chain_id}: correct its URL in the settings."
            raise EndpointUnusable(f"{name} serves chain id {found}, {expected}")

    def patience(self, kind: Kind, lost: int) -> Signs:
        """What is expected of requests for a question that was lost so often."""
        return Signs(self.latencies.lost(kind, lost), self.latencies.late(kind))

    def learn(self, refusal: TooMuch, params: Sequence[object]) -> None:
        """Take over the limits an eth_getLogs refusal teaches, where the question was a range of numbers."""
        question = params[0] if params else None
        if not isinstance(question, Mapping):
            return
        try:
            asked = int(str(question["toBlock"]), 16) - int(str(question["fromBlock"]), 16) + 1
        except (KeyError, ValueError):
            return
        address = question.get("address")
        self.limits.learn(refusal, asked, len(address) if isinstance(address, list | tuple) else 1)

    async def send(self, requests: Sequence[Request], pace: Pace, signs: Signs) -> list[bytes | IndexerError]:
        """One answer or error per request; learns how large a batch the endpoint takes.

        Raises IndexerError where a whole batch, or a whole group of single calls, failed.
        """
        answers: list[bytes | IndexerError] = []
        while len(answers) < len(requests):
            rest = requests[len(answers) :]
            size = min(self.max_batch, len(rest))
            if size == 1:
                answers += await self._singly(rest[:SINGLES] if self.max_batch == 1 else rest, pace, signs)
                continue
            try:
                sent_at = await self._pay(size, pace, signs)
                answers += await self.endpoint.batch(rest[:size], signs)
                self._answered(kind_of(requests), sent_at, pace)
            except BatchRefused as refusal:
                named = refusal.max_items
                self.max_batch = named if named is not None and 0 < named < size else size // 2
        return answers

    async def _singly(self, requests: Sequence[Request], pace: Pace, signs: Signs) -> list[bytes | IndexerError]:
        answers = await asyncio.gather(*(self._one(request, pace, signs) for request in requests))
        faults = [answer for answer in answers if isinstance(answer, Retry)]
        if len(faults) == len(answers):
            raise faults[0]
        return list(answers)

    async def _one(self, request: Request, pace: Pace, signs: Signs) -> bytes | IndexerError:
        sent_at = await self._pay(1, pace, signs)
        try:
            answer = await self.endpoint.call(*request, signs)
        except IndexerError as error:
            return error
        self._answered(kind_of([request]), sent_at, pace)
        return answer

    def _answered(self, kind: Kind, sent_at: int, pace: Pace) -> None:
        self.latencies.saw(kind, pace.now() - sent_at)
        self.newest = max(self.newest, sent_at)

    async def _pay(self, items: int, pace: Pace, signs: Signs) -> int:
        """Wait for this endpoint's next slot; each item of a batch costs one, as providers bill it. When it came."""
        now = pace.now()
        slot = max(self.next_slot, now)
        self.next_slot = slot + items * self.gap * self.sharers
        if slot > now:
            await pace.sleep(slot - now)
        signs.sent_at, signs.heard = pace.now(), False
        return signs.sent_at
