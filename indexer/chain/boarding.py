"""Which endpoint a question goes to, and who waits for a place at one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexer.chain.hedge import Asking
from indexer.chain.lane import ANY_METHOD, Lane
from indexer.chain.pace import Pace
from indexer.chain.refusals import HistoryMissing, TagUnsupported
from indexer.chain.rpc import Endpoint
from indexer.errors import EndpointUnusable, IndexerError, NoEndpoint, Retry


@dataclass(slots=True)
class Trip:
    """One question on its way: which endpoints not to ask (again), and why.

    last: what it failed with; lost: how often it was late by then; pause: nanoseconds to wait before it is asked again.
    """

    methods: frozenset[str]
    avoided: Collection[Endpoint] = ()
    skipped: dict[Lane, EndpointUnusable] = field(default_factory=dict)
    last: Retry | None = None
    failures: int = 0
    lost: int = 0
    pause: int = 0

    def failed(self, error: Retry, pause: int, *, late: bool) -> None:
        """An endpoint did not answer it this time."""
        self.last, self.pause = error, pause
        self.failures += 1
        self.lost += late

    async def wait(self, pace: Pace) -> None:
        """Until it may be asked again."""
        pause, self.pause = self.pause, 0
        if pause:
            await pace.sleep(pause)

    def open_to(self, lane: Lane) -> bool:
        """Whether this endpoint may be asked the question at all."""
        return lane.serves(self.methods) and lane.endpoint not in self.avoided

    def may_take(self, lane: Lane) -> bool:
        """Whether this endpoint may be asked now."""
        return self.open_to(lane) and lane not in self.skipped


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
            if trip.may_take(lane):
                del self._places[place]
                lane.load += 1
                place.set_result(lane)
                return

    def wake_all(self) -> None:
        """Let every waiting question look around anew, in its order."""
        for place in self._places:
            place.set_result(None)
        self._places.clear()


class Boarding:
    """The endpoints of a chain, and the questions that wait for one."""

    def __init__(self, chain: str, lanes: Sequence[Lane]) -> None:
        self._chain, self._lanes, self._queue, self._turn = chain, lanes, Queue(), 0

    async def board(self, trip: Trip, pace: Pace) -> Lane:
        """The best endpoint that is free, waiting for one if need be; raises NoEndpoint if none ever will be."""
        while True:
            lanes = self._candidates(trip)
            now = pace.now()
            ready = [lane for lane in lanes if lane.free(now)]
            if ready:
                best = min(ready, key=lambda lane: lane.rank(now))
                best.load += 1
                return self._take(best)
            rests = [lane.health.rest_until - now for lane in lanes if lane.health.rest_until > now]
            lane = await self._queue.wait(trip, pace.sleep(min(rests)) if rests else None)
            if lane is not None:
                return self._take(lane)

    def board_beside(self, trip: Trip, running: Sequence[Asking[Any]], pace: Pace) -> Lane | None:
        """An endpoint to ask the same as those that are late; None if nobody can be bothered.

        Preferably one that is not asked yet. One of them again only where it answered what was sent later, or to see
        whether it does, with one question at a time: else it is just slow. Never one that says too many requests.
        Where it has no place left, a question whose answer it skipped gives up its own.
        """
        now, asked = pace.now(), [one.lane for one in running]
        spare = [lane for lane in self._lanes if trip.may_take(lane) and lane.spare(now)]
        others = [lane for lane in spare if lane not in asked]
        quiet = [one for one in running if trip.may_take(one.lane) and not one.lane.health.busy]
        same = [one.lane for one in quiet if one.lane in spare and (one.overtaken or _untried(one.lane, running))]
        lanes = others or same or _given_up(quiet, now)
        if not lanes:
            return None
        best = min(lanes, key=lambda lane: lane.rank(now))
        best.load += 1
        best.beside += 1
        return self._take(best)

    def leave(self, lane: Lane, pace: Pace, *, beside: bool) -> None:
        """Free a place at an endpoint; if it has to rest now, all who wait look around anew."""
        lane.load -= 1
        lane.beside -= beside
        if lane.health.rest_until > pace.now():
            self.look_anew()
        elif lane.load < lane.health.width:
            self._queue.hand_over(lane)

    def look_anew(self) -> None:
        """Something changed for those who wait."""
        self._queue.wake_all()

    def nobody(self, trip: Trip) -> IndexerError:
        """Why no endpoint is left for a question."""
        tagless = [error for error in trip.skipped.values() if isinstance(error, TagUnsupported)]
        if tagless:
            return tagless[0]
        told = "\n".join(_reason(lane, trip) for lane in self._lanes) or "none is configured"
        return NoEndpoint(f"No endpoint of {self._chain} is left for {', '.join(sorted(trip.methods))}:\n{told}")

    def _candidates(self, trip: Trip) -> list[Lane]:
        lanes = [lane for lane in self._lanes if trip.open_to(lane)]
        if all(lane in trip.skipped for lane in lanes) and any(map(may_catch_up, trip.skipped.values())):
            trip.skipped.clear()
        fresh = [lane for lane in lanes if lane not in trip.skipped]
        if not fresh:
            raise self.nobody(trip)
        return fresh

    def _take(self, lane: Lane) -> Lane:
        self._turn += 1
        lane.turn = self._turn
        for other in self._lanes:  # an endpoint that was slow long ago gets another chance
            other.latency -= 0 if other is lane else other.latency >> 7
        return lane


def may_catch_up(refusal: EndpointUnusable) -> bool:
    """Whether an endpoint that lacks a block may have it later."""
    return isinstance(refusal, HistoryMissing) and refusal.may_be_behind


def _untried(lane: Lane, running: Sequence[Asking[Any]]) -> bool:
    """Whether no other question is asked a second time there."""
    return lane.verified and lane.beside == sum(one.beside and one.lane is lane for one in running)


def _given_up(running: Sequence[Asking[Any]], now: int) -> list[Lane]:
    """The endpoint of a question that is given up here: a late one, where there is one whose answer was skipped."""
    for one in running:
        if one.overtaken and not one.signs.due(now) and one.lane.spare(now, leaving=1):
            one.task.cancel()
            return [one.lane]
    return []


def _reason(lane: Lane, trip: Trip) -> str:
    known = [lane.refused[key] for key in (ANY_METHOD, *sorted(trip.methods)) if key in lane.refused]
    known += [str(trip.skipped[lane])] if lane in trip.skipped else []
    return known[0] if known else f"{lane.endpoint.name}: not to be asked this time"
