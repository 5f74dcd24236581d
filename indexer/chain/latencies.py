"""How long an endpoint's answers take, and from when on one that is under way is late, or lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from indexer.chain.pace import SECOND

SEEN = 32  # answers of one kind remembered
LATE, LOST = 4, 16  # times the slowest of the usual answers
SOONEST_LATE, SOONEST_LOST = SECOND // 2, 2 * SECOND
UNKNOWN_LATE, UNKNOWN_LOST = SECOND, 10 * SECOND  # before the first answer of a kind

Kind = tuple[str, bool]  # method, and whether several were asked at once


@dataclass(slots=True)
class Latencies:
    """The last answers of an endpoint; all times are nanoseconds."""

    _took: dict[Kind, deque[int]] = field(default_factory=dict)

    def saw(self, kind: Kind, took: int) -> None:
        """An answer came after so long."""
        self._took.setdefault(kind, deque(maxlen=SEEN)).append(took)

    def late(self, kind: Kind) -> int:
        """After so long without an octet it is worth asking somebody else too."""
        usual = self._usual(kind)
        return UNKNOWN_LATE if usual is None else max(SOONEST_LATE, LATE * usual)

    def lost(self, kind: Kind, failures: int) -> int:
        """After so long without an octet a request is given up; twice as long for each time its question failed."""
        usual = self._usual(kind)
        return (UNKNOWN_LOST if usual is None else max(SOONEST_LOST, LOST * usual)) << min(failures, 16)

    def _usual(self, kind: Kind) -> int | None:
        """What nineteen of twenty answers keep to."""
        took = sorted(self._took.get(kind, ()))
        return took[len(took) * 19 // 20] if took else None
