"""Reading the logs of a span: question sizes follow the answers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from indexer.chain.logs import NO_TIME, Answer, LogKey, merge, parse, take
from indexer.chain.planner import Shape
from indexer.chain.pool import Endpoints
from indexer.chain.refusals import RangeTooWide
from indexer.chain.sizing import FIRST_BLOCKS, GLANCE, RICH, QuestionSize, range_blocks
from indexer.chain.times import block_times
from indexer.decode.columns import Raw
from indexer.errors import EndpointFailed, EndpointLied, EndpointUnusable, IndexerError, TooMuch
from indexer.model import Span
from indexer.together import together

FUTURE = 86_400  # seconds that a node's clock, or ours, may be wrong
AHEAD = 2  # ranges' worth of blocks from which on a question goes on beyond its range
KEPT_AHEAD = 2  # such answers, of LOGS_WANTED logs or so each


@dataclass(slots=True)
class Logs:
    """All logs of a span that some shapes asked for. endpoint: host that answered last."""

    groups: dict[LogKey, Raw] = field(default_factory=dict)
    received: int = 0
    anchor: tuple[int, bytes] | None = None
    endpoint: str = ""


@dataclass(slots=True)
class Asking:
    """What one shape is asked with. ahead: answers that reach beyond the range they were asked for, the newest last.

    turn: held by whoever asks ahead, so that ranges side by side do not ask the same.
    """

    size: QuestionSize
    ahead: deque[tuple[Span, Answer]] = field(default_factory=lambda: deque(maxlen=KEPT_AHEAD))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def holds(self, first: int) -> tuple[Span, Answer] | None:
        """The answer that has this block."""
        return next(((span, answer) for span, answer in self.ahead if span.first <= first <= span.last), None)

    def begin(self, first: int, most: int) -> int:
        """After the answer before a block, if that is at most so many blocks away: others wait for what is between."""
        last = max((span.last for span, _ in self.ahead if span.last < first), default=first - 1)
        return last + 1 if first - last <= most and self.holds(first) is None else first

    def free(self, first: int, last: int) -> int:
        """The last block up to `last` before one that an answer has."""
        return min([last, *(span.first - 1 for span, _ in self.ahead if span.first > first)])


class Fetcher:
    """Reads spans for a fixed set of shapes of one chain: its questions. known: what others learned of some shapes."""

    def __init__(
        self, pool: Endpoints, wanted: Sequence[Shape], known: Mapping[Shape, QuestionSize] = MappingProxyType({})
    ) -> None:
        self.pool, self.questions = pool, tuple(wanted)
        self._asking = {shape: Asking(known.get(shape, first_size(shape))) for shape in wanted}

    @property
    def sizes(self) -> dict[Shape, QuestionSize]:
        """What is known of each shape: whoever learns more may add to it."""
        return {shape: self._asking[shape].size for shape in self.questions}

    @property
    def range_blocks(self) -> int:
        """How many blocks to read and commit at once."""
        asking = [one for shape in self.questions for one in self._parts(shape, self._asking[shape]).values()]
        return range_blocks([one.size for one in asking], self.pool.limits)

    async def read(self, span: Span, *, timed: bool = True, until: int = 0) -> Logs:
        """Every log of the span, with its time if wanted. Raises what the endpoints raise once they are exhausted.

        until: a final block. Sparse questions go on up to there, and what they find is kept for later spans.
        """
        logs = Logs()
        parts: dict[LogKey, list[Raw]] = {}
        where = (span, until)
        await together(self._read_shape(shape, self._asking[shape], where, logs, parts) for shape in self.questions)
        groups = {key: merge(raws) for key, raws in parts.items()}
        if timed:
            groups = await self._timed(groups)
        logs.groups = {key: in_order(raw) for key, raw in groups.items()}
        return logs

    def _parts(self, shape: Shape, asking: Asking) -> dict[Shape, Asking]:
        """What the shape is asked as, given how many emitters a question may name."""
        parts = shape.split(self.pool.limits.max_addresses or max(1, len(shape.emitters or ())))
        if len(parts) == 1:
            return {shape: asking}
        return {part: self._asking.setdefault(part, Asking(asking.size.part(len(parts)))) for part in parts}

    async def _read_shape(
        self, shape: Shape, asking: Asking, where: tuple[Span, int], logs: Logs, parts: dict[LogKey, list[Raw]]
    ) -> None:
        span, until = where
        parted = self._parts(shape, asking)
        if len(parted) > 1:
            await together(self._read_shape(part, own, where, logs, parts) for part, own in parted.items())
        elif until > span.last and asking.size.size(self.pool.limits) >= AHEAD * len(span):
            async with asking.turn:
                await self._read_part(shape, asking, where, logs, parts)
        else:
            await self._read_part(shape, asking, (span, span.last), logs, parts)

    async def _read_part(
        self, shape: Shape, asking: Asking, where: tuple[Span, int], logs: Logs, parts: dict[LogKey, list[Raw]]
    ) -> None:
        span, until = where
        instead = refused = easy = 0
        near: tuple[int, int] | None = None
        first = asking.begin(span.first, asking.size.size(self.pool.limits)) if until > span.last else span.first
        while first <= span.last:
            if (held := asking.holds(first)) is None:
                left = asking.free(first, max(span.last, until)) - first + 1
                blocks = min(left, instead or asking.size.step(left, self.pool.limits, near), easy or left)
                asked = Span(first, first + blocks - 1)
                try:
                    answer, logs.endpoint = await self._ask(shape, asked)
                except TooMuch as refusal:
                    if refusal.too_many_addresses and len(self._parts(shape, asking)) > 1:
                        rest = Span(max(first, span.first), span.last)
                        await self._read_shape(shape, asking, (rest, until), logs, parts)
                        return
                    if blocks == 1:
                        raise self._no_less(first, refusal) from refusal
                    refused += 1
                    instead = asking.size.refuse(blocks, refusal, self.pool.limits, refused)
                    continue
                asking.size.saw(blocks, answer.logs, self.pool.limits)
                held, instead, near = (asked, answer), 0, (blocks, answer.logs)
                refused = max(0, refused - 1) if answer.logs < RICH else 0
                easy = 2 * blocks * (refused > 0)  # what was too rich still lies ahead
                if asked.first < span.first or asked.last > span.last:
                    asking.ahead.append(held)
            _add(logs, parts, *held, Span(max(first, span.first), span.last))
            first = held[0].last + 1

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


def first_size(shape: Shape) -> QuestionSize:
    """What a shape is asked with while nothing is known of it."""
    return QuestionSize(GLANCE if shape.narrow else FIRST_BLOCKS)


def _past(answer: Answer) -> Answer:
    """The answer, if none of its times lies ahead: one absurd time would be a day, and a partition, of its own."""
    latest = int(time.time()) + FUTURE
    for raw in answer.groups.values():
        if len(raw.where) and int(raw.where.time.max()) > latest:
            block = int(raw.where.block[int(raw.where.time.argmax())])
            raise EndpointLied(
                f"Block {block}: its logs claim to be of the future; ask another endpoint, or set this machine's clock."
            )
    return answer


def _add(logs: Logs, parts: dict[LogKey, list[Raw]], asked: Span, answer: Answer, wanted: Span) -> None:
    """Adds what an answer has of the wanted blocks."""
    if (anchor := answer.anchor(wanted)) is not None:
        logs.anchor = max(logs.anchor or anchor, anchor)
    whole = wanted.first <= asked.first and asked.last <= wanted.last
    for key, raw in answer.groups.items():
        part = raw if whole else within(raw, wanted)
        if len(part.where):
            logs.received += len(part.where)
            parts.setdefault(key, []).append(part)


def within(raw: Raw, span: Span) -> Raw:
    """The logs of a span, of logs in chain order."""
    first, last = np.searchsorted(raw.where.block, [span.first, span.last + 1]).tolist()
    return raw if first == 0 and last == len(raw.where) else take(raw, np.arange(first, last))


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
