"""A made-up provider of logs: any density, any limits, any manner of refusing; it counts what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from indexer.chain.limits import Limits
from indexer.chain.logs import Answer
from indexer.chain.planner import Shape
from indexer.chain.refusals import RangeTooWide, TooRich
from indexer.decode.columns import Raw
from indexer.errors import TooMuch
from indexer.model import Span, Where

KEY = (b"\xee" * 32, 1)
EMITTER = b"\x0a" * 20
ANYONE = Shape(None, ((KEY[0],),))

Suggest = Callable[[int, int], tuple[int, int]]  # first block asked, last block whose logs would fit -> what is offered


@dataclass
class Provider:
    """counts: logs per block from block 0 on. max_*: its limits, named in refusals if `named`; either: a question is
    refused only where it breaks both limits. emitters: addresses that emit in turn.
    """

    counts: Sequence[int]
    max_blocks: int | None = None
    max_logs: int | None = None
    max_addresses: int | None = None
    named: bool = True
    either: bool = False
    suggest: Suggest | None = None
    emitters: Sequence[bytes] = (EMITTER,)
    limits: Limits = field(default_factory=Limits)
    sizes: list[int] = field(default_factory=list)  # of all questions, in blocks
    answered: list[tuple[Span, int, int]] = field(default_factory=list)  # span, addresses, logs
    refusals: int = 0
    allowed: int = 100_000  # questions
    chain: Any = field(default_factory=lambda: SimpleNamespace(name="made"))

    def __post_init__(self) -> None:
        self.before = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts)])

    @property
    def blocks(self) -> Span:
        return Span(0, len(self.counts) - 1)

    def logs(self, span: Span) -> int:
        return int(self.before[span.last + 1] - self.before[span.first])

    async def ask(self, method: str, params: Sequence[Any], read: object) -> tuple[Answer, Any]:
        """As Endpoints.ask of one endpoint that is always there; the answer's columns are made without JSON."""
        assert method == "eth_getLogs"
        (question,) = params
        span = Span(int(question["fromBlock"], 16), int(question["toBlock"], 16))
        asked = question.get("address")
        self.sizes.append(len(span))
        assert 0 <= span.first <= span.last < len(self.counts), "only what was wanted is asked"
        assert len(self.sizes) <= self.allowed, "it asks for ever"
        await asyncio.sleep(0)
        refusal = self.refusal(span, 1 if asked is None else len(asked))
        if refusal is not None:
            self.refusals += 1
            self.limits.learn(refusal, len(span), 1 if asked is None else len(asked))
            raise refusal
        answer = self.answer(span, None if asked is None else {bytes.fromhex(text[2:]) for text in asked})
        self.answered.append((span, 1 if asked is None else len(asked), answer.logs))
        return answer, SimpleNamespace(name="made")

    def refusal(self, span: Span, addresses: int) -> TooMuch | None:
        if self.max_addresses is not None and addresses > self.max_addresses:
            return TooMuch(
                "addresses", too_many_addresses=True, max_addresses=self.max_addresses if self.named else None
            )
        wide = self.max_blocks is not None and len(span) > self.max_blocks
        rich = self.max_logs is not None and self.logs(span) > self.max_logs
        if self.either and not (wide and rich):
            return None
        if wide and not self.either:
            return RangeTooWide("range", max_blocks=self.max_blocks if self.named else None)
        if not rich:
            return None
        refusal = TooRich("logs", max_logs=self.max_logs if self.named else None, suggested=self.offer(span))
        refusal.free_blocks = self.max_blocks if self.either and self.max_blocks is not None else 0
        return refusal

    def offer(self, span: Span) -> tuple[int, int] | None:
        if self.suggest is None:
            return None
        assert self.max_logs is not None
        fits = int(np.searchsorted(self.before, self.before[span.first] + self.max_logs, "right")) - 2
        return self.suggest(span.first, max(span.first, fits))

    def answer(self, span: Span, wanted: set[bytes] | None) -> Answer:
        counts = np.asarray(self.counts[span.first : span.last + 1], np.int64)
        block = np.repeat(np.arange(span.first, span.last + 1, dtype=np.int64), counts)
        index = np.arange(len(block), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        emitter = index % len(self.emitters)
        if wanted is not None:
            mine = np.array([one in wanted for one in self.emitters], bool)[emitter]
            block, index, emitter = block[mine], index[mine], emitter[mine]
        return _answer(block, index, emitter, self.emitters)


def _answer(block: Any, index: Any, emitter: Any, emitters: Sequence[bytes]) -> Answer:
    count = len(block)
    if count == 0:
        return Answer({}, 0, 2, block, np.zeros((0, 32), np.uint8))
    table = np.frombuffer(b"".join(emitters), np.uint8).reshape(-1, 20)
    where = Where(block, 1_700_000_000 + 12 * block, index, np.zeros((count, 32), np.uint8), emitter, table)
    raw = Raw(where, np.zeros((count, 0, 32), np.uint8), b"", np.zeros(count + 1, np.int64))
    blocks = np.unique(block)
    hashes = np.frombuffer(b"".join(number.to_bytes(32, "big") for number in blocks.tolist()), np.uint8)
    return Answer({KEY: raw}, count, 700 * count, blocks, hashes.reshape(-1, 32))


def fewest(counts: Sequence[int], most_logs: int, max_blocks: int | None = None) -> int:
    """How many questions somebody needs who knows every block beforehand and takes as many as fit each time."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    at = questions = 0
    while at < len(counts):
        until = int(np.searchsorted(before, before[at] + most_logs, "right")) - 1
        at = max(at + 1, until if max_blocks is None else min(until, at + max_blocks))
        questions += 1
    return questions
