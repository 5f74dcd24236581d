"""The endpoints of one chain as one: fail-over, back-off, budgets, and the limits they taught us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import msgspec

from indexer.chain.chains import Chain
from indexer.chain.lane import ANY_METHOD, ATTEMPTS, BATCH, SECOND, Lane, Pace, Queue, Request, Trip
from indexer.chain.limits import Limits, tightest
from indexer.chain.refusals import HistoryMissing, TagUnsupported
from indexer.chain.rpc import Endpoint, quantity
from indexer.errors import EndpointUnusable, IndexerError, NoEndpoint, Retry, TooMuch

T = TypeVar("T")
Answers = list[bytes | IndexerError]


class Endpoints:
    """A chain's endpoints. requests_per_second (one for all, or one each) and concurrency hold per endpoint.

    attempts: per question.

    Each endpoint's chain id is checked before its first use. pace: replace it before the first request to steer
    time in tests.
    """

    def __init__(
        self,
        chain: Chain,
        endpoints: Sequence[Endpoint],
        *,
        requests_per_second: int | Sequence[int | None] | None = None,
        concurrency: int = 8,
        attempts: int = ATTEMPTS,
    ) -> None:
        budgets: Sequence[int | None]
        if requests_per_second is None or isinstance(requests_per_second, int):
            budgets = [requests_per_second] * len(endpoints)
        else:
            budgets = requests_per_second
        self.chain, self.pace, self.retries = chain, Pace(), 0
        self._lanes = [
            Lane(endpoint, 0 if budget is None else SECOND // budget)
            for endpoint, budget in zip(endpoints, budgets, strict=True)
        ]
        self._concurrency, self._attempts = concurrency, attempts
        self.final_seen: tuple[int, bytes] | None = None  # number and hash of the last final block, see head.py
        self._turn = 0
        self._queue = Queue()

    async def call(self, method: str, params: Sequence[object]) -> bytes:
        """The JSON text of `result` (null is b"null") from whichever endpoint gives it.

        Raises TooMuch, Reverted, NoEndpoint, and after the last attempt the last Retry.
        """
        answer, _ = await self.ask(method, params, _as_it_is)
        return answer

    async def ask(
        self, method: str, params: Sequence[object], read: Callable[[bytes], T], *, avoid: Collection[Endpoint] = ()
    ) -> tuple[T, Endpoint]:
        """What `read` makes of the answer, and who gave it; a Retry raised by `read` is that endpoint's failure.

        avoid: endpoints not to ask, for a second witness. Raises as `call`.
        """
        return await self.together([(method, params)], lambda answers: read(answers[0]), avoid=avoid)

    async def together(
        self, requests: Sequence[Request], read: Callable[[list[bytes]], T], *, avoid: Collection[Endpoint] = ()
    ) -> tuple[T, Endpoint]:
        """As `ask`, for several requests that one and the same endpoint must answer, in one batch."""
        return await self._travel(requests, lambda answers: read(_all_good(answers)), avoid)

    async def batch(self, requests: Sequence[Request]) -> Answers:
        """One answer or error per request, in order, in batches of at most 100; items that fail are asked again.

        Raises NoEndpoint where nobody is left to ask.
        """
        parts = [requests[start : start + BATCH] for start in range(0, len(requests), BATCH)]
        done: list[Answers] = [[] for _ in parts]
        numbers = iter(range(len(parts)))

        async def work() -> None:
            for number in numbers:
                done[number] = await self._part(parts[number])

        await asyncio.gather(*(work() for _ in range(min(len(parts), self._concurrency * len(self._lanes)))))
        return [answer for part in done for answer in part]

    async def verify(self) -> None:
        """Ask each endpoint for its chain id; those of another chain are never used.

        Raises EndpointUnusable naming each wrong one; if nobody answers, what the last one failed with.
        """
        faults = [fault for fault in await asyncio.gather(*map(self._fault, self._lanes)) if fault is not None]
        wrong = [str(fault) for fault in faults if isinstance(fault, EndpointUnusable)]
        if wrong:
            raise EndpointUnusable("\n".join(wrong))
        if faults and len(faults) == len(self._lanes):
            await self.call("eth_chainId", [])  # with the patience of any other question

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(lane.endpoint.close() for lane in self._lanes))

    @property
    def endpoints(self) -> list[Endpoint]:
        """The endpoints that may still be asked something."""
        return [lane.endpoint for lane in self._lanes if ANY_METHOD not in lane.refused]

    @property
    def limits(self) -> Limits:
        """The tightest eth_getLogs limits of the endpoints that serve it."""
        return tightest(lane.limits for lane in self._lanes if lane.serves(("eth_getLogs",)))

    @property
    def limits_by_fingerprint(self) -> dict[str, Limits]:
        """What was learnt from each endpoint, by its fingerprint."""
        return {lane.endpoint.fingerprint: lane.limits for lane in self._lanes}

    @property
    def budget(self) -> int | None:
        """Requests a second that the endpoints may be asked together; None if one of them has no budget."""
        gaps = [lane.gap for lane in self._lanes if ANY_METHOD not in lane.refused]
        return sum(SECOND // gap for gap in gaps) if gaps and all(gaps) else None

    def exclude(self, endpoint: Endpoint, method: str, reason: str) -> None:
        """Never ask an endpoint a method from now on; reason: a sentence that names the endpoint."""
        for lane in self._lanes:
            if lane.endpoint is endpoint:
                lane.refused[method] = reason

    def restore(self, kept: Mapping[str, Limits]) -> None:
        """Take over limits kept from an earlier run."""
        for lane in self._lanes:
            lane.limits = kept.get(lane.endpoint.fingerprint, lane.limits)

    @property
    def requests(self) -> int:
        """Calls made so far, each item of a batch counted as one."""
        return sum(lane.endpoint.requests.total() for lane in self._lanes)

    async def _travel(
        self, requests: Sequence[Request], read: Callable[[Answers], T], avoid: Collection[Endpoint]
    ) -> tuple[T, Endpoint]:
        trip = Trip(frozenset(method for method, _ in requests), avoid)
        for attempt in range(self._attempts):
            lane = await self._board(trip)
            self.retries += attempt > 0
            asked_at = self.pace.now()
            try:
                found = read(await self._answers(lane, requests))
            except EndpointUnusable as refusal:
                trip.skipped[lane] = refusal
                if _may_catch_up(refusal):
                    lane.struck(Retry(str(refusal)), asked_at, self.pace)
                if not lane.serves(trip.methods):
                    self._queue.wake_all()
            except Retry as error:
                trip.last = error
                lane.struck(error, asked_at, self.pace)
            else:
                lane.succeeded(self.pace.now() - asked_at)
                return found, lane.endpoint
            finally:
                self._leave(lane)
        raise trip.last if trip.last is not None else self._nobody(trip)

    async def _board(self, trip: Trip) -> Lane:
        """The best endpoint that is free, waiting for one if need be; raises NoEndpoint if none ever will be."""
        while True:
            lanes = self._candidates(trip)
            now = self.pace.now()
            ready = [lane for lane in lanes if lane.rest_until <= now and lane.load < self._concurrency]
            if ready:
                best = min(ready, key=lambda lane: lane.rank(now))
                best.load += 1
                return self._take(best)
            rests = [lane.rest_until - now for lane in lanes if lane.rest_until > now]
            lane = await self._queue.wait(trip, self.pace.sleep(min(rests)) if rests else None)
            if lane is not None:
                return self._take(lane)

    def _leave(self, lane: Lane) -> None:
        """Free a place at an endpoint; if it has to rest now, all who wait look around anew."""
        lane.load -= 1
        if lane.rest_until > self.pace.now():
            self._queue.wake_all()
        elif lane.load < self._concurrency:
            self._queue.hand_over(lane)

    def _candidates(self, trip: Trip) -> list[Lane]:
        lanes = [lane for lane in self._lanes if trip.open_to(lane)]
        if all(lane in trip.skipped for lane in lanes) and any(map(_may_catch_up, trip.skipped.values())):
            trip.skipped.clear()
        fresh = [lane for lane in lanes if lane not in trip.skipped]
        if not fresh:
            raise self._nobody(trip)
        return fresh

    def _take(self, lane: Lane) -> Lane:
        self._turn += 1
        lane.turn = self._turn
        for other in self._lanes:  # an endpoint that was slow long ago gets another chance
            other.latency -= 0 if other is lane else other.latency >> 7
        return lane

    async def _answers(self, lane: Lane, requests: Sequence[Request]) -> Answers:
        await self._check_chain(lane)
        try:
            answers = await lane.send(requests, self.pace)
        except EndpointUnusable as refusal:
            answers = [refusal] * len(requests)
        for (method, params), answer in zip(requests, answers, strict=True):
            if isinstance(answer, TooMuch):
                lane.learn(answer, params)
            if isinstance(answer, HistoryMissing | TagUnsupported):
                raise answer
            if isinstance(answer, EndpointUnusable):
                lane.refused[method] = str(answer)
                raise answer
        return answers

    async def _part(self, requests: Sequence[Request]) -> Answers:
        answers: Answers = [Retry("Not asked yet.")] * len(requests)
        for _ in range(self._attempts):
            pending = [number for number, answer in enumerate(answers) if isinstance(answer, Retry)]
            if not pending:
                break
            try:
                got, _ = await self._travel([requests[number] for number in pending], _some_good, ())
            except Retry as error:
                got = [error] * len(pending)
            for number, answer in zip(pending, got, strict=True):
                answers[number] = answer
        return answers

    async def _check_chain(self, lane: Lane) -> None:
        async with lane.verifying:
            if lane.verified:
                return
            try:
                await self._expect_chain(lane.endpoint)
            except EndpointUnusable as refusal:
                lane.refused[ANY_METHOD] = str(refusal)
                raise
            lane.verified = True

    async def _expect_chain(self, endpoint: Endpoint) -> None:
        answer = await endpoint.call("eth_chainId", [])
        found = quantity(msgspec.json.decode(answer), f"{endpoint.name}: eth_chainId")
        if found != self.chain.chain_id:
            expected = f"but {self.chain.name} is {self.chain.chain_id}: correct its URL in the settings."
            raise EndpointUnusable(f"{endpoint.name} serves chain id {found}, {expected}")

    async def _fault(self, lane: Lane) -> IndexerError | None:
        try:
            await self._check_chain(lane)
        except IndexerError as error:
            return error
        return None

    def _nobody(self, trip: Trip) -> IndexerError:
        tagless = [error for error in trip.skipped.values() if isinstance(error, TagUnsupported)]
        if tagless:
            return tagless[0]
        reasons = [self._reason(lane, trip) for lane in self._lanes]
        told = "\n".join(reasons) or "none is configured"
        return NoEndpoint(f"No endpoint of {self.chain.name} is left for {', '.join(sorted(trip.methods))}:\n{told}")

    def _reason(self, lane: Lane, trip: Trip) -> str:
        known = [lane.refused[key] for key in (ANY_METHOD, *sorted(trip.methods)) if key in lane.refused]
        known += [str(trip.skipped[lane])] if lane in trip.skipped else []
        return known[0] if known else f"{lane.endpoint.name}: not to be asked this time"


def _may_catch_up(refusal: EndpointUnusable) -> bool:
    return isinstance(refusal, HistoryMissing) and refusal.may_be_behind


def _as_it_is(answer: bytes) -> bytes:
    return answer


def _all_good(answers: Answers) -> list[bytes]:
    good = [answer for answer in answers if isinstance(answer, bytes)]
    if len(good) < len(answers):
        raise next(answer for answer in answers if isinstance(answer, IndexerError))
    return good


def _some_good(answers: Answers) -> Answers:
    if all(isinstance(answer, Retry) for answer in answers):
        _all_good(answers)
    return answers
