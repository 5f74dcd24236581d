"""How well an endpoint does: when it has to rest, and how many requests at once it gets."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from indexer.chain.pace import SECOND, Pace
from indexer.errors import EndpointBusy, EndpointLied, Retry

FIRST_REST = SECOND // 4
LONGEST_REST = 60 * SECOND
LONGEST_OBEYED = 3600 * SECOND  # of a Retry-After
CIRCUIT = 3  # from so many strikes in a row on, an endpoint rests, at least half of the span
WINDOW = 20  # answers that tell single faults from an endpoint in trouble
PROBED = 2  # seconds of a Retry-After that, the first time among good answers, only its question waits for


@dataclass(slots=True)
class Health:
    """most: requests at once that the endpoint may get; width: that it gets now; rest_until: nanoseconds.

    A fault among good answers is met by asking again, and too many requests by fewer at once. An endpoint rests where
    it lies, fails time after time or more often than it answers, and where it tells us to: after a short Retry-After
    only if what was asked since was refused too.
    """

    most: int
    width: int = field(init=False)
    strikes: int = 0  # failures in a row
    struck_at: int = -1
    busy: bool = False  # since its last answer it said that requests are too many
    rest_until: int = 0
    _good_since: int = 0  # answers since the width changed
    _outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def __post_init__(self) -> None:
        self.width = self.most

    def succeeded(self) -> None:
        """An answer came: after as many of them as are asked at once, one more is."""
        self.strikes, self.busy = 0, False
        self._outcomes.append(True)
        self._good_since += 1
        if self._good_since >= self.width < self.most:
            self.width, self._good_since = self.width + 1, 0

    def struck(self, error: Retry, asked_at: int, pace: Pace) -> None:
        """A failure: perhaps a rest, with full jitter, twice as long each time, and as long as a Retry-After says.

        Failures of requests that were under way at the last one count with it.
        """
        now, again = pace.now(), asked_at > self.struck_at
        self._outcomes.append(False)
        self.busy = self.busy or isinstance(error, EndpointBusy)
        if again:
            self.strikes, self.struck_at = self.strikes + 1, now
            if isinstance(error, EndpointBusy):
                self.width, self._good_since = max(1, self.width // 2), 0
        if self._passing(error):
            return
        if again:
            span = backoff(self.strikes - 1)
            least = span // 2 if self.strikes >= CIRCUIT else 0
            self.rest_until = max(self.rest_until, now + pace.dice.randint(least, span))
        self.rest_until = max(self.rest_until, now + obeyed(error, pace))

    def _passing(self, error: Retry) -> bool:
        """Whether a failure is one of few among good answers."""
        told = error.retry_after if isinstance(error, EndpointBusy) else None
        most = CIRCUIT - 1 if told is None else 1 if told <= PROBED else 0
        good = self._outcomes.count(True) * 2 >= len(self._outcomes)
        return good and self.strikes <= most and not isinstance(error, EndpointLied)


def obeyed(error: Retry, pace: Pace) -> int:
    """Nanoseconds to wait after a failure because the endpoint said so; 0 if it said nothing."""
    told = error.retry_after if isinstance(error, EndpointBusy) else None
    return 0 if told is None else min(told * SECOND, LONGEST_OBEYED) + pace.dice.randint(0, FIRST_REST)


def backoff(failures: int) -> int:
    """Nanoseconds to wait at most after so many failures before this one."""
    return min(LONGEST_REST, FIRST_REST << min(failures, 16))
