"""What a run will cost, before it starts: from a few questions and the sizes that the fetcher would choose."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from indexer.chain.fetch import AHEAD, first_size
from indexer.chain.lane import BATCH
from indexer.chain.limits import Limits
from indexer.chain.logs import NO_TIME, Answer, parse
from indexer.chain.pace import SECOND
from indexer.chain.planner import Shape
from indexer.chain.pool import Endpoints
from indexer.chain.providers import tariff
from indexer.chain.sizing import GROWTH, LOGS_WANTED, QuestionSize, glance, range_blocks
from indexer.errors import TooMuch
from indexer.model import Span
from indexer.together import led, together
from indexer.work.backfill import READERS
from indexer.work.plan import Plan
from indexer.work.progress import Estimate
from indexer.work.source import DEAR

SAMPLE = 5  # questions, about, that a run spends on knowing its cost
ALONGSIDE = 8  # questions an endpoint is asked at once, see chain.pool
BOOKED_PER_SECOND = 90_000  # logs that one process decodes and books: measured, see families/README.md
HEADERS_PER_DAY = 3  # to find where a day begins: none where flows tell it, up to nine else, see chain.times
MISSED = 14  # blocks with logs per header where blocks are slot-timed: Ethereum misses about one slot in a hundred
DAY_MS = 86_400_000

Sizes = Mapping[Shape, QuestionSize]


@dataclass(slots=True)
class Density:
    """What the answers to one shape were like. took: nanoseconds; quickest: of one answer."""

    question: QuestionSize
    answers: int = 0
    blocks: int = 0
    logs: int = 0
    octets: int = 0
    took: int = 0
    quickest: int = 0
    blocks_with_logs: int = 0
    untimed: bool = False

    def saw(self, blocks: int, answer: Answer, took: int) -> None:
        """One more answer."""
        self.quickest = min(self.quickest, took) if self.answers else took
        self.answers += 1
        self.blocks += blocks
        self.logs += answer.logs
        self.octets += answer.octets
        self.took += took
        for raw in answer.groups.values():
            self.blocks_with_logs += len(set(raw.where.block.tolist()))
            self.untimed = self.untimed or bool((raw.where.time == NO_TIME).any())

    def of(self, figure: int, blocks: int) -> int:
        """What so many blocks hold of something that the sample held `figure` of."""
        return -(-figure * blocks // self.blocks)

    def steady(self, blocks: int, limits: Limits) -> QuestionSize:
        """What the fetcher asks for once it knows the density; where nothing is found it asks for ever more."""
        wanted = LOGS_WANTED if limits.max_logs is None else min(LOGS_WANTED, limits.max_logs * 9 // 10)
        size = self.blocks * wanted // self.logs if self.logs else blocks // 4
        return QuestionSize(max(1, size), (self.blocks, self.logs))


@dataclass(slots=True)
class Cost:
    """Adds up. questions: eth_getLogs; others: calls of other kinds; nanoseconds: if asked one after the other."""

    blocks: int = 0
    logs: int = 0
    questions: int = 0
    others: int = 0
    octets: int = 0
    nanoseconds: int = 0


async def estimate(
    pool: Endpoints,
    plans: Sequence[Plan],
    target: Span,
    sample: int = SAMPLE,
    *,
    old_state: bool = True,
    sizes: Sizes | None = None,
) -> Estimate:
    """The cost of what the plans hold. old_state: whether the endpoint has state at old blocks, as far as is known.

    sizes: take over what the sample teaches of their shapes.

    Asks about `sample` eth_getLogs, at least one per question; raises what the endpoints raise.
    """
    before, cost = pool.requests, Cost()
    count = max(1, sample // max(1, sum(len(plan.questions) for plan in plans)))
    asked = [(plan, shape, (sizes or {}).get(shape, first_size(shape))) for plan in plans for shape in plan.questions]
    seen = iter(await together(_density(pool, shape, size, plan.blocks, count) for plan, shape, size in asked))
    for plan in plans:
        _add(cost, pool, plan, {shape: next(seen) for shape in plan.questions}, old_state=old_state)
    if cost.blocks:
        cost.others += HEADERS_PER_DAY * max(1, len(target) * pool.chain.block_ms // DAY_MS)
    listed = tariff([endpoint.name for endpoint in pool.endpoints])
    return Estimate(
        pool.chain.name, target.first, target.last, cost.blocks, cost.logs, cost.questions + cost.others, cost.octets,
        _seconds(cost, pool, len(plans)), None if listed is None else listed.logs * cost.questions,
        "" if listed is None else listed.unit, pool.requests - before,
    )  # fmt: skip


async def _density(pool: Endpoints, shape: Shape, question: QuestionSize, spans: Sequence[Span], count: int) -> Density:
    """Asks `count` times, evenly over the spans, each time for as much as the fetcher would ask for by then.

    Side by side, but for the first two: one tells how dense the logs are, the next one meets the limits by that.
    """
    found = Density(question)
    await led((_sample(pool, shape, first, most, found) for first, most in _places(spans, count)), leaders=2)
    return found


async def _sample(pool: Endpoints, shape: Shape, first: int, most: int, found: Density) -> None:
    size = min(found.question.size(pool.limits), most)
    times = 0
    while size:
        times += 1
        size = await _look(pool, shape, Span(first, first + size - 1), found, times)


async def _look(pool: Endpoints, shape: Shape, asked: Span, found: Density, times: int) -> int:
    """Asks for the so-manieth time; 0, or how many blocks to ask for instead where that was too much."""
    parts = shape.split(pool.limits.max_addresses or len(shape.emitters or ()) or 1)
    began = time.monotonic_ns()
    try:
        answer, _ = await pool.ask("eth_getLogs", [parts[0].filter(asked)], lambda body: parse(body, asked))
    except TooMuch as refusal:
        if len(asked) == 1:
            raise
        return (
            len(asked) if refusal.too_many_addresses else found.question.refuse(len(asked), refusal, pool.limits, times)
        )
    found.saw(len(asked), answer, time.monotonic_ns() - began)
    found.question.saw(len(asked), answer.logs * len(parts), pool.limits)
    return 0


def _places(spans: Sequence[Span], count: int) -> Iterator[tuple[int, int]]:
    """First blocks of a sample evenly over the spans, with how many blocks there are from each on in its span."""
    width = sum(map(len, spans))
    for number in range(count):
        at = width * (2 * number + 1) // (2 * count)
        for span in spans:
            if at < len(span):
                yield span.first + at, len(span) - at
                break
            at -= len(span)


def _add(cost: Cost, pool: Endpoints, plan: Plan, found: Mapping[Shape, Density], *, old_state: bool) -> None:
    blocks, limits = sum(map(len, plan.blocks)), pool.limits
    cost.blocks += blocks
    sizes = {shape: seen.steady(blocks, limits) for shape, seen in found.items()}
    width = min(blocks, range_blocks(sizes.values(), limits)) if sizes else 0
    ranges = -(-blocks // width) if width else 0
    for shape, seen in found.items():
        most = limits.max_addresses
        parts = 1 if most is None else len(shape.split(most))
        size = sizes[shape].size(limits)
        questions = parts * (-(-blocks // size) if size >= AHEAD * width else ranges * -(-width // size))
        headers = seen.of(seen.blocks_with_logs, blocks) if seen.untimed else 0
        if pool.chain.slot_timed_from is not None:
            headers = -(-headers // MISSED)
        octets = parts * seen.of(seen.octets, blocks)
        cost.logs += parts * seen.of(seen.logs, blocks)
        cost.questions += questions
        cost.others += headers
        cost.octets += octets
        late = max(0, seen.took - seen.answers * seen.quickest) * octets // max(1, seen.octets)
        cost.nanoseconds += seen.quickest * (questions + headers // BATCH) + late
    first = glance(seen.question for seen in found.values())
    _add_history(cost, plan, limits.max_blocks, ranges if old_state else None, first)


def _add_history(cost: Cost, plan: Plan, most: int | None, ranges: int | None, size: int) -> None:
    """Parameter events, or the state as of each range where their history is dear and there is such state.

    most: blocks of a question, where that is known; size: of the first one.
    """
    width, questions = sum(map(len, plan.history)), 0
    if most is not None and width // most > DEAR:
        questions = -(-width // most)
        if ranges is not None:
            cost.others += ranges
            return
    while most is None and width > 0:
        width, size, questions = width - size, size * GROWTH, questions + 1
    cost.questions += questions if most is None else -(-sum(map(len, plan.history)) // most)


def _seconds(cost: Cost, pool: Endpoints, groups: int) -> int:
    """As long as the endpoint's answers take, its budget allows, or this machine needs to book the logs."""
    alongside = max(1, min(READERS * groups, ALONGSIDE * len(pool.endpoints)))
    budget = pool.budget
    waits = [cost.nanoseconds // alongside // SECOND, cost.logs // BOOKED_PER_SECOND]
    return max(*waits, 0 if budget is None else (cost.questions + cost.others) // budget)
