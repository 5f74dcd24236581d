"""Reading the logs of a span: question sizes follow the answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from indexer.chain.limits import Limits
from indexer.chain.logs import NO_TIME, Answer, LogKey, merge, parse, take
from indexer.chain.planner import Shape
from indexer.chain.pool import Endpoints
from indexer.chain.refusals import RangeTooWide
from indexer.chain.times import block_times
from indexer.decode.columns import Raw
from indexer.errors import EndpointFailed, EndpointLied, EndpointUnusable, IndexerError, TooMuch
from indexer.model import Span

AHEAD = 86_400  # seconds that a node's clock, or ours, may be wrong
FIRST_BLOCKS = 256  # little enough for the densest question; fourfold at a time it is soon right for any
LOGS_WANTED = 10_000  # enough to make the cost of a request small, few enough for every provider's limit
RANGE_LOGS = 20_000  # small enough to hold several ranges in memory, large enough for COPY
CARE = 32  # percent points: with it, one question in ten is refused where density swings by half within an answer
RANGE_QUESTIONS = 32  # where an endpoint's ranges are short, one commit still takes many answers


@dataclass(slots=True)
class QuestionSize:
    """How many blocks to ask for next, learned from the answers to one shape.

    seen: blocks and logs of the last answers, each weighing half of its successor. ceiling: where a refusal told no
    limit, the most to ask for. care: how far to keep away from a limit, most after a refusal, less with each answer.
    """

    blocks: int = FIRST_BLOCKS
    seen: tuple[int, int] = (0, 0)
    ceiling: int | None = None
    care: int = 0

    def range_blocks(self, limits: Limits) -> int:
        """Blocks of a range to commit at once: whole questions, about RANGE_LOGS logs, at most RANGE_QUESTIONS."""
        blocks, logs = self.seen
        size = self.size(limits)
        if logs == 0:
            return size * (RANGE_QUESTIONS if size == limits.max_blocks else 1)
        return size * max(1, min(round(blocks * RANGE_LOGS / (logs * size)), RANGE_QUESTIONS))

    def size(self, limits: Limits) -> int:
        """Blocks of the next question."""
        return max(1, min(self.blocks, limits.max_blocks if limits.max_blocks is not None else self.blocks))

    def step(self, left: int, limits: Limits) -> int:
        """Blocks of the next question where so many are left: a tenth more rather than a small question after it."""
        size = self.size(limits)
        most = [size + size // 10, limits.max_blocks, self.ceiling]
        return left if left <= min(bound for bound in most if bound is not None) else min(size, left)

    def saw(self, asked: int, logs: int, limits: Limits) -> None:
        """Aim at LOGS_WANTED, or up to nine tenths of the endpoint's limit, from the density seen; at most fourfold."""
        self.seen = (self.seen[0] // 2 + asked, self.seen[1] // 2 + logs)
        self.care = max(0, self.care - 2)
        blocks, found = self.seen
        most, wanted = max(self.blocks, asked * 4), LOGS_WANTED
        if limits.max_logs is not None:
            self.ceiling, wanted = None, min(LOGS_WANTED, limits.max_logs * (90 - self.care) // 100)
        elif self.ceiling is not None:
            self.ceiling += (self.ceiling // (self.care + 2) + 1) * (asked >= self.blocks)
            most = min(most, self.ceiling)
        self.blocks = max(1, most if found == 0 else min(most, blocks * wanted // found))

    def refused(self, asked: int, refusal: TooMuch) -> None:
        """Ask for less: what the endpoint offered, unless that is next to nothing, or half."""
        offered = refusal.suggested
        fitting = max(asked // 8, offered[1] - offered[0] + 1) if offered is not None else asked // 2
        self.blocks = max(1, fitting if fitting < asked else asked // 2)
        named = isinstance(refusal, RangeTooWide) or refusal.max_blocks is not None or refusal.max_logs is not None
        self.ceiling = max(1, asked - 1 if named else asked * 3 // 4)
        self.care = 0 if isinstance(refusal, RangeTooWide) else CARE


@dataclass(slots=True)
class Logs:
    """All logs of a span that some shapes asked for. endpoint: host that answered last."""

    groups: dict[LogKey, Raw] = field(default_factory=dict)
    received: int = 0
    anchor: tuple[int, bytes] | None = None
    endpoint: str = ""


class Fetcher:
    """Reads spans for a fixed set of shapes of one chain: its questions."""

    def __init__(self, pool: Endpoints, wanted: Sequence[Shape], first_blocks: int = FIRST_BLOCKS) -> None:
        self.pool, self.questions = pool, tuple(wanted)
        self._questions = {shape: QuestionSize(first_blocks) for shape in wanted}

    @property
    def blocks(self) -> int:
        """How many blocks the densest shape would ask for next."""
        return min(question.size(self.pool.limits) for question in self._questions.values())

    @property
    def range_blocks(self) -> int:
        """How many blocks to read and commit at once."""
        return min(question.range_blocks(self.pool.limits) for question in self._questions.values())

    async def read(self, span: Span, *, timed: bool = True) -> Logs:
        """Every log of the span, with its time if wanted. Raises what the endpoints raise once they are exhausted."""
        logs = Logs()
        parts: dict[LogKey, list[Raw]] = {}
        for shape, question in self._questions.items():
            most = self.pool.limits.max_addresses
            for part in [shape] if most is None else shape.split(most):
                await self._read_shape(part, question, span, logs, parts)
        groups = {key: merge(raws) for key, raws in parts.items()}
        if timed:
            groups = await self._timed(groups)
        logs.groups = {key: in_order(raw) for key, raw in groups.items()}
        return logs

    async def _read_shape(
        self, shape: Shape, question: QuestionSize, span: Span, logs: Logs, parts: dict[LogKey, list[Raw]]
    ) -> None:
        first = span.first
        while first <= span.last:
            asked = Span(first, first + question.step(span.last - first + 1, self.pool.limits) - 1)
            try:
                answer, logs.endpoint = await self._ask(shape, asked)
            except TooMuch as refusal:
                if refusal.too_many_addresses and shape.emitters is not None and len(shape.emitters) > 1:
                    for half in shape.split((len(shape.emitters) + 1) // 2):
                        await self._read_shape(half, question, Span(first, span.last), logs, parts)
                    return
                if len(asked) == 1:
                    raise self._no_less(first, refusal) from refusal
                question.refused(len(asked), refusal)
                continue
            question.saw(len(asked), answer.logs, self.pool.limits)
            first = asked.last + 1
            _add(logs, parts, answer)

    def _no_less(self, block: int, refusal: TooMuch) -> IndexerError:
        """What it means that even one block is refused: for good by a limit, for now by an overloaded node."""
        sentence = f"{self.pool.chain.name} block {block}: the endpoint refuses even one block ({refusal}). "
        limited = isinstance(refusal, RangeTooWide) or refusal.max_logs is not None or refusal.too_many_addresses
        kind = EndpointUnusable if limited else EndpointFailed
        return kind(sentence + "Use another endpoint.")

    async def _ask(self, shape: Shape, span: Span) -> tuple[Answer, str]:
        answer, endpoint = await self.pool.ask(
            "eth_getLogs", [shape.filter(span)], lambda body: _past(parse(body, span))
        )
        return answer, endpoint.name

    async def _timed(self, groups: dict[LogKey, Raw]) -> dict[LogKey, Raw]:
        """Fills in the times that the endpoint's logs did not carry."""
        lacking = [raw.where.block[raw.where.time == NO_TIME] for raw in groups.values()]
        blocks = np.unique(np.concatenate(lacking)) if lacking else np.zeros(0, np.int64)
        if not len(blocks):
            return groups
        times = await block_times(self.pool, blocks)
        return {key: _with_times(raw, blocks, times) for key, raw in groups.items()}


def _past(answer: Answer) -> Answer:
    """The answer, if none of its times lies ahead: one absurd time would be a day, and a partition, of its own."""
    latest = int(time.time()) + AHEAD
    for raw in answer.groups.values():
        if len(raw.where) and int(raw.where.time.max()) > latest:
            block = int(raw.where.block[int(raw.where.time.argmax())])
            raise EndpointLied(f"Block {block}: its logs claim to be of the future; ask another endpoint.")
    return answer


def _add(logs: Logs, parts: dict[LogKey, list[Raw]], answer: Answer) -> None:
    logs.received += answer.logs
    if answer.anchor is not None and (logs.anchor is None or answer.anchor[0] >= logs.anchor[0]):
        logs.anchor = answer.anchor
    for key, raw in answer.groups.items():
        parts.setdefault(key, []).append(raw)


def _with_times(raw: Raw, blocks: np.ndarray, times: np.ndarray) -> Raw:
    known = raw.where.time != NO_TIME
    at = np.minimum(np.searchsorted(blocks, raw.where.block), len(blocks) - 1)
    return replace(raw, where=replace(raw.where, time=np.where(known, raw.where.time, times[at])))


def in_order(raw: Raw) -> Raw:
    """Chain order without doubles: two shapes, or two address lists, may have asked for the same log."""
    place = (raw.where.block << 24) + raw.where.log_index
    if (np.diff(place) > 0).all():
        return raw
    _, order = np.unique(place, return_index=True)
    return take(raw, order)
