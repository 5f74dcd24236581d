"""How many blocks to ask for at once: as many as limits allow, by the density of the answers so far."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from indexer.chain.limits import Limits
from indexer.chain.refusals import RangeTooWide
from indexer.errors import TooMuch

FIRST_BLOCKS = 256  # little enough for the densest question
GLANCE = 1_000  # blocks of the first question where few logs are foreseen; and what most limits on ranges allow
GROWTH = 32  # times as many blocks as the widest answer had: more would fill memory where a protocol wakes up
LOGS_WANTED = 10_000  # enough to make the cost of a request small, few enough for every provider's limit
RANGE_LOGS = 20_000  # small enough to hold several ranges in memory, large enough for COPY
RICH = 500  # logs that tell a density; where so many were foreseen, a refusal without a reason is about logs
RANGE_QUESTIONS = 32  # where an endpoint's ranges are short, one commit still takes many answers

_FEW = 50  # logs: chance alone moves smaller counts by much
_WHOLE = 1000  # permille
_MOST_MISSED = 400  # permille: one surprise is no reason for small questions
_LEAST_MARGIN = 40  # permille of a limit on logs that is left free
_MOST_ADVISED = 200  # the same where a refusal says what would fit, so that a full answer comes next
_AIM = LOGS_WANTED - LOGS_WANTED * _LEAST_MARGIN // _WHOLE  # since many a limit of just LOGS_WANTED is not known yet
_TEMPTING = 1250  # permille of what is answered in any case: more than that is worth a refusal
_STRETCH = 1400  # permille of a question's size that are asked at once rather than in two small questions
_LONGEST = 1250  # permille of a range's size that the last one may have
_CARE = 32  # percent points: how slowly a ceiling rises again after a refusal
_SURE = 16  # a limit that no refusal names is known well enough once a sixteenth lies between answered and refused
_TRUSTED = 48  # full answers after which such a limit is tried anew


@dataclass(slots=True)
class QuestionSize:
    """What the answers to one shape taught. blocks: to ask for next, if no limit says less.

    seen: blocks and logs of the last answers, each weighing half of its successor. missed: permille by which answers
    were lately richer or poorer than foreseen. widest: most blocks answered. richest, spurned: logs of the richest
    answer, and of the poorest question that was refused as too rich without a number; full: answers since that come
    near it. ceiling: most blocks, where such a refusal was not about logs; care: how slowly it rises. advised: whether
    the last refusal said what would fit.
    """

    blocks: int = FIRST_BLOCKS
    seen: tuple[int, int] = (0, 0)
    missed: int = 0
    widest: int = 0
    richest: int = 0
    spurned: int | None = None
    full: int = 0
    ceiling: int | None = None
    care: int = 0
    advised: bool = False

    def part(self, parts: int) -> QuestionSize:
        """What is known of one of several parts of the shape's emitters."""
        blocks, logs = self.seen
        return QuestionSize(self.blocks * (parts if logs else 1), (blocks, logs // parts), widest=self.widest)

    def foreseen(self, blocks: int) -> int:
        """Logs of so many blocks."""
        return blocks * self.seen[1] // max(1, self.seen[0])

    def size(self, limits: Limits, near: tuple[int, int] | None = None) -> int:
        """Blocks of the next question. near: blocks and logs of the answer before it."""
        blocks, free = self._beside(near), self._free(limits)
        return max(1, min([blocks if blocks * _WHOLE > free * _TEMPTING else free, *self._bounds(limits)]))

    def step(self, left: int, limits: Limits, near: tuple[int, int] | None = None) -> int:
        """Blocks of the next question where so many are left: all, or an even part of them, about a size each."""
        size = self.size(limits, near)
        stretched = size * _STRETCH // _WHOLE
        if (cap := self._cap(limits)) is not None:
            safe = self._beside(near) * cap * (_WHOLE - self._margin // 3) // (_WHOLE * self._aim(limits))
            stretched = min(stretched, max(safe, limits.free_blocks or 0))
        most = max(size, min([stretched, *self._bounds(limits)]))
        if left <= most:
            return left
        parts = max(1, (2 * left + size) // (2 * size))
        return -(-left // (parts + (-(-left // parts) > most)))

    def saw(self, asked: int, logs: int, limits: Limits) -> None:
        """Learns from an answer."""
        foreseen = self.foreseen(asked)
        if foreseen > _FEW and logs > _FEW:
            self.missed += (min(_MOST_MISSED, abs(logs - foreseen) * _WHOLE // foreseen) - self.missed) // 4
        other = logs > 2 * foreseen + _FEW or foreseen > 2 * logs + _FEW
        self.seen = (asked, logs) if other else (self.seen[0] // 2 + asked, self.seen[1] // 2 + logs)
        self.widest, self.richest = max(self.widest, asked), max(self.richest, logs)
        self.care = max(0, self.care - 2)
        if self.ceiling is not None:
            risen = self.ceiling + (self.ceiling // (self.care + 2) + 1) * (asked * 8 >= self.ceiling * 7)
            self.ceiling = risen if logs < RICH else None
        if self.spurned is not None:
            self.full += logs * 8 > self.richest * 7
            if self.full == _TRUSTED:
                self.full, self.spurned = 0, self.spurned * 5 // 4
            self.spurned = None if logs >= self.spurned else self.spurned
        self._resize(limits)

    def refuse(self, asked: int, refusal: TooMuch, limits: Limits, times: int = 1) -> int:
        """Learns from a refusal; how many blocks, fewer than asked, to ask for in its place.

        asked: more than one. times: that questions from the same block on were refused.
        """
        offered = refusal.suggested
        fitting = 0 if offered is None else max(asked // 8, offered[1] - offered[0] + 1)  # some offer one block
        if not isinstance(refusal, RangeTooWide):
            learned = refusal.max_logs is None and self._learn(asked, limits, times)
            if 0 < fitting < asked:
                self.advised = fitting > asked // 8
                return fitting
            if not learned:
                return max(1, min(self.size(limits), asked * 3 // 4 if times == 1 else asked >> (times - 1)))
        return max(1, min(self.size(limits), asked - 1))

    def _beside(self, near: tuple[int, int] | None) -> int:
        """Blocks to ask for after an answer, which tells as much of them as all the others do."""
        if near is None or min(near[1], self.seen[1]) < RICH:
            return self.blocks
        every, own = self.seen[1] * near[0], near[1] * self.seen[0]
        return self.blocks * 2 * every // (every + own)

    def _resize(self, limits: Limits) -> None:
        blocks, found = self.seen
        most = self.widest * GROWTH
        self.blocks = max(1, min(most, blocks * self._aim(limits) // found) if found else max(self.blocks, most))

    def _learn(self, asked: int, limits: Limits, times: int) -> bool:
        """Whether a refusal as too rich that names no number tells one: of logs where some were foreseen, of blocks."""
        foreseen = self.foreseen(asked)
        if foreseen < RICH:
            self.ceiling, self.care = max(1, asked * 3 // 4), _CARE
        elif foreseen > self.richest and times == 1:
            self.full, self.spurned = 0, foreseen if self.spurned is None else min(self.spurned, foreseen)
            self._resize(limits)
            return True
        else:  # denser blocks than foreseen, or larger logs
            self.richest -= self.richest // _SURE
        return False

    @property
    def _margin(self) -> int:
        """Permille of a limit on logs to leave free."""
        return max(_LEAST_MARGIN, min(self.missed, _MOST_ADVISED) if self.advised else self.missed * 3 // 2)

    def _cap(self, limits: Limits) -> int | None:
        """Most logs of an answer, or, until it is known, what is worth a trial; None without a limit."""
        if limits.max_logs is not None or self.spurned is None:
            return limits.max_logs
        return _between(min(self.richest, self.spurned), self.spurned)

    def _aim(self, limits: Limits) -> int:
        """Logs that the next answer should have."""
        cap = self._cap(limits)
        return _AIM if cap is None else max(1, min(_AIM, cap * (_WHOLE - self._margin) // _WHOLE))

    def _free(self, limits: Limits) -> int:
        """Blocks that are answered however many logs they hold, as far as we want them."""
        blocks, logs = self.seen
        return min(limits.free_blocks or 0, blocks * LOGS_WANTED // logs) if logs else 0

    def _bounds(self, limits: Limits) -> list[int]:
        refused = limits.refused_blocks
        tried = None if refused is None else max(1, _between(min(self.widest, refused - 1), refused))
        return [bound for bound in (limits.max_blocks, tried, self.ceiling) if bound is not None]


def range_blocks(sizes: Collection[QuestionSize], limits: Limits) -> int:
    """Blocks to read and commit at once: whole questions of the densest, about RANGE_LOGS logs of all."""
    blocks = min(size.size(limits) for size in sizes)
    logs = sum(size.foreseen(blocks) for size in sizes)
    if logs == 0:
        return blocks * (RANGE_QUESTIONS if blocks == limits.max_blocks else 1)
    return blocks * max(1, min(round(RANGE_LOGS / logs), RANGE_QUESTIONS))


def range_end(blocks: int, left: int) -> int:
    """Blocks of a range where so many are left: all of them, rather than a short rest after it."""
    return left if left <= blocks * _LONGEST // _WHOLE else blocks


def glance(known: Iterable[QuestionSize]) -> int:
    """Blocks of the first question about rare events: as many as any other that found nothing would go on to."""
    return max(GLANCE, GROWTH * max((size.widest for size in known), default=0))


def _between(answered: int, refused: int) -> int:
    """What to ask for next where so much was answered and so much refused."""
    return answered if (refused - answered) * _SURE <= refused else (answered + refused) // 2
