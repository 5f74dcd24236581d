"""How long an endpoint's answers take, and from when on one that is under way is late, or lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from indexer.chain.pace import SECOND

SEEN = 32  # answers of one kind remembered
LATE, LOST = 4, 16  # times the slowest of the usual answers
SOONEST_LATE, SOONEST_LOST = SECOND // 5, 2 * SECOND
UNKNOWN_LATE, UNKNOWN_LOST = SECOND, 10 * SECOND  # before the first answer of a kind; late perhaps sooner

Kind = tuple[str, bool]  # method, and whether several were asked at once


@dataclass(slots=True)
class Latencies:
    """The last answers of an endpoint; all times are nanoseconds."""

    _took: dict[Kind, deque[int]] = field(default_factory=dict)

    def saw(self, kind: Kind, took: int) -> None:
        """An answer came after so long."""
        self._took.setdefault(kind, deque(maxlen=SEEN)).append(took)

    def late(self, kind: Kind) -> int:
        """After so long without an octet it is worth asking somebody else too.

        Before the first answer of a kind, the quickest other kind tells how near the endpoint is.
        """
        if (usual := self._usual(kind)) is not None:
            return max(SOONEST_LATE, LATE * usual)
        others = [usual for usual in map(self._usual, self._took) if usual is not None]
        return min(UNKNOWN_LATE, max(SOONEST_LATE, LOST * min(others))) if others else UNKNOWN_LATE

    def lost(self, kind: Kind, times: int) -> int:
        """After so long without an octet a request is given up; twice as long for each time its question was lost."""
        usual = self._usual(kind)
        return (UNKNOWN_LOST if usual is None else max(SOONEST_LOST, LOST * usual)) << min(times, 16)

    def _usual(self, kind: Kind) -> int | None:
        """What nineteen of twenty answers keep to."""
        took = sorted(self._took.get(kind, ()))
        return took[len(took) * 19 // 20] if took else None
