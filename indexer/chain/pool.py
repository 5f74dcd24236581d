"""The endpoints of one chain as one: fail-over, back-off, budgets, and the limits they taught us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from indexer.chain.boarding import Boarding, Trip, may_catch_up
from indexer.chain.chains import Chain
from indexer.chain.header import Header
from indexer.chain.health import Health, backoff, obeyed
from indexer.chain.hedge import Asking, Moderation, raced
from indexer.chain.lane import ANY_METHOD, BATCH, CONCURRENCY, Lane, Request, kind_of
from indexer.chain.limits import Limits, tightest
from indexer.chain.pace import SECOND, Pace
from indexer.chain.refusals import HistoryMissing, TagUnsupported
from indexer.chain.rpc import Endpoint, Signs
from indexer.errors import EndpointBusy, EndpointFailed, EndpointUnusable, IndexerError, Retry, TooMuch

ATTEMPTS = 12  # per question

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
        concurrency: int = CONCURRENCY,
        attempts: int = ATTEMPTS,
    ) -> None:
        budgets: Sequence[int | None]
        if requests_per_second is None or isinstance(requests_per_second, int):
            budgets = [requests_per_second] * len(endpoints)
        else:
            budgets = requests_per_second
        self.chain, self.pace, self.retries = chain, Pace(), 0
        self._lanes = [
            Lane(endpoint, 0 if budget is None else SECOND // budget, health=Health(concurrency))
            for endpoint, budget in zip(endpoints, budgets, strict=True)
        ]
        self._concurrency, self._attempts = concurrency, attempts
        self.final_seen: tuple[int, bytes] | None = None  # number and hash of the last final block, see head.py
        self.headers: dict[int, Header] = {}  # of final blocks, see head.py
        self._boarding, self._moderation = Boarding(chain.name, self._lanes), Moderation()

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

    def share_budget(self, processes: int) -> None:
        """So many processes ask the endpoints now, each within its part of their budgets."""
        for lane in self._lanes:
            lane.sharers = processes

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
    def refused_by_fingerprint(self) -> dict[str, dict[str, str]]:
        """Why each endpoint is not asked some methods, by its fingerprint."""
        return {lane.endpoint.fingerprint: dict(lane.refused) for lane in self._lanes}

    def refuse(self, known: Mapping[str, Mapping[str, str]]) -> None:
        """Take over what another process found out."""
        for lane in self._lanes:
            lane.refused.update(known.get(lane.endpoint.fingerprint, {}))

    @property
    def requests(self) -> int:
        """Calls made so far, each item of a batch counted as one."""
        return sum(lane.endpoint.requests.total() for lane in self._lanes)

    @property
    def hedges(self) -> int:
        """Of these calls, those asked a second time because the first answer was late."""
        return self._moderation.used

    async def _travel(
        self, requests: Sequence[Request], read: Callable[[Answers], T], avoid: Collection[Endpoint]
    ) -> tuple[T, Endpoint]:
        trip = Trip(frozenset(method for method, _ in requests), avoid)
        for attempt in range(self._attempts):
            await trip.wait(self.pace)
            lane = await self._boarding.board(trip, self.pace)
            self.retries += attempt > 0
            found = await self._raced(trip, lane, requests, read)
            if found is not None:
                return found
        raise trip.last if trip.last is not None else self._boarding.nobody(trip)

    async def _raced(
        self, trip: Trip, lane: Lane, requests: Sequence[Request], read: Callable[[Answers], T]
    ) -> tuple[T, Endpoint] | None:
        """The answer of an endpoint or, while it is late, of whoever answers first; None if all failed."""

        def start(chosen: Lane, *, beside: bool) -> Asking[tuple[T, Endpoint]]:
            signs = chosen.patience(kind_of(requests), trip.lost)
            task = asyncio.create_task(self._attempt(trip, chosen, requests, read, signs))
            task.add_done_callback(lambda _: self._boarding.leave(chosen, self.pace, beside=beside))
            return Asking(task, chosen, signs, beside)

        def again(running: Sequence[Asking[tuple[T, Endpoint]]]) -> Asking[tuple[T, Endpoint]] | None:
            if not self._moderation.allows():
                return None
            other = self._boarding.board_beside(trip, running, self.pace)
            if other is None:
                return None
            self._moderation.asked_again(len(requests))
            return start(other, beside=True)

        self._moderation.asked(len(requests))
        return await raced(start(lane, beside=False), again, self.pace)

    async def _attempt(
        self, trip: Trip, lane: Lane, requests: Sequence[Request], read: Callable[[Answers], T], signs: Signs
    ) -> tuple[T, Endpoint] | None:
        asked_at = self.pace.now()
        try:
            found = read(await self._answers(lane, requests, signs))
        except EndpointUnusable as refusal:
            trip.skipped[lane] = refusal
            if may_catch_up(refusal):
                lane.struck(Retry(str(refusal)), asked_at, self.pace)
            if not lane.serves(trip.methods):
                self._boarding.look_anew()
        except Retry as error:
            lane.struck(error, asked_at, self.pace)
            late = self.pace.now() - asked_at >= signs.late
            trip.failed(error, self._pause(trip, lane, error), late=late)
        except asyncio.CancelledError:
            if not signs.due(self.pace.now()):  # somebody else was faster
                lane.struck(EndpointFailed(f"{lane.endpoint.name} is late."), asked_at, self.pace)
            raise
        else:
            lane.succeeded(self.pace.now() - asked_at)
            return found, lane.endpoint
        return None

    def _pause(self, trip: Trip, lane: Lane, error: Retry) -> int:
        """Nanoseconds before a question that failed is asked again: at once, while there is a chance it was one fault.

        An endpoint that has to rest is waited for anyway.
        """
        tried = trip.failures - sum(trip.open_to(other) for other in self._lanes) + isinstance(error, EndpointBusy)
        if tried < 0 or lane.health.rest_until > self.pace.now():
            return 0
        return max(self.pace.dice.randint(0, backoff(tried)), obeyed(error, self.pace))

    async def _answers(self, lane: Lane, requests: Sequence[Request], signs: Signs) -> Answers:
        signs.sent_at = self.pace.now()  # it may be late for want of the chain id, though not for want of a slot
        await lane.check_chain(self.chain, self.pace)
        signs.sent_at = None
        try:
            answers = await lane.send(requests, self.pace, signs)
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

    async def _fault(self, lane: Lane) -> IndexerError | None:
        asked_at = self.pace.now()
        try:
            await lane.check_chain(self.chain, self.pace)
        except IndexerError as error:
            if isinstance(error, Retry):
                lane.struck(error, asked_at, self.pace)
            return error
        return None


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
