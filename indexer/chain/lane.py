"""What a pool remembers of one endpoint (health, budget, limits, refusals), and who waits for a place at one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import structlog

from indexer.chain.limits import Limits
from indexer.chain.rpc import BatchRefused, Endpoint
from indexer.errors import EndpointBusy, EndpointUnusable, IndexerError, Retry, TooMuch

SECOND = 1_000_000_000  # nanoseconds
FIRST_REST = SECOND // 4
LONGEST_REST = 60 * SECOND
LONGEST_OBEYED = 3600 * SECOND  # of a Retry-After
TOLD_ABOVE = 10 * SECOND  # a rest longer than this would look like a hang
CIRCUIT = 3  # from so many strikes in a row on, an endpoint rests at least half of the span
BATCH = 100  # items of a JSON-RPC batch; what public endpoints commonly take
ATTEMPTS = 12  # per question
SINGLES = 4  # calls at once in place of a batch

Request = tuple[str, Sequence[object]]
ANY_METHOD = "*"


async def _sleep(nanoseconds: int) -> None:
    await asyncio.sleep(nanoseconds / SECOND)


log = structlog.get_logger()


@dataclass(slots=True)
class Pace:
    """Clock (nanoseconds), sleep (nanoseconds) and dice: replaced in tests and simulations."""

    now: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[int], Awaitable[None]] = _sleep
    dice: Random = field(default_factory=Random)


@dataclass(slots=True, eq=False)
class Lane:
    """One endpoint of a pool. gap: nanoseconds between requests (0: no budget)."""

    endpoint: Endpoint
    gap: int = 0
    limits: Limits = field(default_factory=Limits)
    refused: dict[str, str] = field(default_factory=dict)  # method -> why
    verified: bool = False
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    load: int = 0
    turn: int = 0
    latency: int = 0  # nanoseconds, smoothed
    strikes: int = 0  # failures in a row
    struck_at: int = 0
    rest_until: int = 0
    next_slot: int = 0
    max_batch: int = BATCH

    def serves(self, methods: Collection[str]) -> bool:
        """Whether nothing is known against asking it these methods."""
        return ANY_METHOD not in self.refused and not any(method in self.refused for method in methods)

    def rank(self, now: int) -> tuple[int, ...]:
        """The lower the better: budget, failures, latency (by powers of two), load, and whose turn it is."""
        return (max(0, self.next_slot - now), self.strikes, self.latency.bit_length(), self.load, self.turn)

    def succeeded(self, took: int) -> None:
        """An answer came after so many nanoseconds."""
        self.strikes = 0
        self.latency = took if self.latency == 0 else self.latency + (took - self.latency) // 4

    def struck(self, error: Retry, asked_at: int, pace: Pace) -> None:
        """A failure: rest, with full jitter, twice as long each time, and as long as a Retry-After says.

        Failures of requests that were under way at the last one count with it.
        """
        now = pace.now()
        if asked_at >= self.struck_at:
            self.strikes, self.struck_at = self.strikes + 1, now
            span = min(LONGEST_REST, FIRST_REST << min(self.strikes - 1, 16))
            least = span // 2 if self.strikes >= CIRCUIT else 0
            self.rest_until = max(self.rest_until, now + pace.dice.randint(least, span))
        if isinstance(error, EndpointBusy) and error.retry_after is not None:
            told = min(error.retry_after * SECOND, LONGEST_OBEYED)
            if told > TOLD_ABOVE:
                log.warning("endpoint asks for a rest", endpoint=self.endpoint.name, seconds=told // SECOND)
            self.rest_until = max(self.rest_until, now + told + pace.dice.randint(0, FIRST_REST))

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

    async def send(self, requests: Sequence[Request], pace: Pace) -> list[bytes | IndexerError]:
        """One answer or error per request; learns how large a batch the endpoint takes.

        Raises IndexerError where a whole batch, or a whole group of single calls, failed.
        """
        answers: list[bytes | IndexerError] = []
        while len(answers) < len(requests):
            rest = requests[len(answers) :]
            size = min(self.max_batch, len(rest))
            if size == 1:
                answers += await self._singly(rest[:SINGLES] if self.max_batch == 1 else rest, pace)
                continue
            try:
                await self._pay(size, pace)
                answers += await self.endpoint.batch(rest[:size])
            except BatchRefused as refusal:
                named = refusal.max_items
                self.max_batch = named if named is not None and 0 < named < size else size // 2
        return answers

    async def _singly(self, requests: Sequence[Request], pace: Pace) -> list[bytes | IndexerError]:
        answers = await asyncio.gather(*(self._one(method, params, pace) for method, params in requests))
        faults = [answer for answer in answers if isinstance(answer, Retry)]
        if len(faults) == len(answers):
            raise faults[0]
        return list(answers)

    async def _one(self, method: str, params: Sequence[object], pace: Pace) -> bytes | IndexerError:
        await self._pay(1, pace)
        try:
            return await self.endpoint.call(method, params)
        except IndexerError as error:
            return error

    async def _pay(self, items: int, pace: Pace) -> None:
        """Wait for this endpoint's next slot; each item of a batch costs one, as providers bill it."""
        now = pace.now()
        slot = max(self.next_slot, now)
        self.next_slot = slot + items * self.gap
        if slot > now:
            await pace.sleep(slot - now)


@dataclass(slots=True)
class Trip:
    """One question on its way: which endpoints not to ask (again), and why."""

    methods: frozenset[str]
    avoided: Collection[Endpoint] = ()
    skipped: dict[Lane, EndpointUnusable] = field(default_factory=dict)
    last: Retry | None = None

    def open_to(self, lane: Lane) -> bool:
        """Whether this endpoint may be asked the question at all."""
        return lane.serves(self.methods) and lane.endpoint not in self.avoided


class Queue:
    """Questions that wait for an endpoint, first come first served."""

    def __init__(self) -> None:
        self._places: dict[asyncio.Future[Lane | None], Trip] = {}

    async def wait(self, trip: Trip, pause: Awaitable[None] | None) -> Lane | None:
        """The endpoint where a place was handed over; None: look around anew."""
        place: asyncio.Future[Lane | None] = asyncio.get_running_loop().create_future()
        self._places[place] = trip
        timer = None if pause is None else asyncio.ensure_future(pause)
        try:
            waits: list[asyncio.Future[Any]] = [place] if timer is None else [place, timer]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return place.result() if place.done() else None
        except asyncio.CancelledError:
            handed = place.result() if place.done() else None
            if handed is not None:
                handed.load -= 1
                self.hand_over(handed)
            raise
        finally:
            self._places.pop(place, None)
            if timer is not None:
                timer.cancel()

    def hand_over(self, lane: Lane) -> None:
        """Give a free place to the first question that may go there."""
        for place, trip in self._places.items():
            if trip.open_to(lane) and lane not in trip.skipped:
                del self._places[place]
                lane.load += 1
                place.set_result(lane)
                return

    def wake_all(self) -> None:
        """Let every waiting question look around anew, in its order."""
        for place in self._places:
            place.set_result(None)
        self._places.clear()
