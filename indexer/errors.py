"""The errors the indexer raises on purpose; modules that need to tell more apart refine them.

IndexerError
├── Retry                  the same request may succeed later or elsewhere
│   ├── EndpointBusy       rate limited: wait (retry_after seconds, if told)
│   ├── EndpointFailed     network fault, HTTP 5xx, truncated or malformed answer
│   ├── EndpointLied       an answer that contradicts the question (order, range, filter)
│   ├── LeaseLost          another worker took the range over: drop the work
│   └── ArchiveFailed      the archive's storage did not answer this time
├── TooMuch                an eth_getLogs answer too large, or a range too wide: ask for less
└── Refuse                 nothing will change until somebody acts
    ├── BadInput           settings, manifests, arguments: one problem a line
    ├── EndpointUnusable   wrong chain, method disabled, plan exhausted, history missing
    ├── DatabaseUnusable   unreachable, too old, not ours, newer than this program
    ├── NoEndpoint         every endpoint of a chain is unusable
    └── ArchiveUnusable    a file of the archive is damaged or gone, or it never held what is needed

A message is a sentence: what happened, where, and what to do next.
"""

from __future__ import annotations


class IndexerError(Exception):
    """Root of all errors raised on purpose."""


class Retry(IndexerError):
    """The same request may succeed later or at another endpoint."""


class EndpointBusy(Retry):
    """The endpoint asked us to slow down."""

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds


class EndpointFailed(Retry):
    """The endpoint did not give a usable answer this time."""


class EndpointLied(Retry):
    """The answer contradicts the question."""


class LeaseLost(Retry):
    """The range was taken over by another worker: nothing of it may be written."""


class ArchiveFailed(Retry):
    """The archive's storage did not take or give a file this time."""


class TooMuch(IndexerError):
    """The endpoint will not answer so wide or so rich a question.

    suggested: inclusive block range the endpoint offered; max_blocks, max_logs, max_addresses: limits it named.
    """

    def __init__(
        self,
        message: str,
        *,
        suggested: tuple[int, int] | None = None,
        max_blocks: int | None = None,
        max_logs: int | None = None,
        max_addresses: int | None = None,
        too_many_addresses: bool = False,
    ) -> None:
        super().__init__(message)
        self.suggested = suggested
        self.max_blocks = max_blocks
        self.max_logs = max_logs
        self.max_addresses = max_addresses
        self.too_many_addresses = too_many_addresses


class Refuse(IndexerError):
    """Nothing will change until somebody acts; exit_code is what the process ends with."""

    exit_code = 1


class BadInput(Refuse):
    """Settings, manifests or arguments with mistakes: all of them, one a line."""

    exit_code = 2

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class EndpointUnusable(Refuse):
    """This endpoint cannot serve the job, now or later."""

    exit_code = 3


class NoEndpoint(Refuse):
    """Every endpoint of a chain is unusable."""

    exit_code = 3


class DatabaseUnusable(Refuse):
    """The database cannot hold this ledger."""

    exit_code = 4


class ArchiveUnusable(Refuse):
    """The archive cannot give what is needed: a damaged file, or one that was never written."""

    exit_code = 5
