"""What a run will cost and what it has done so far, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexer.work.share import Share  # what speaks to nodes takes long to import


@dataclass(frozen=True, slots=True)
class Estimate:
    """A run on one chain. blocks count once per group that reads them; credits: units of a provider's price list.

    first, last: blocks. logs, requests, octets and seconds are rounded guesses. sampled: requests spent on knowing.
    """

    chain: str
    first: int
    last: int
    blocks: int = 0
    logs: int = 0
    requests: int = 0
    octets: int = 0
    seconds: int = 0
    credits: int | None = None
    unit: str = ""
    sampled: int = 0


@dataclass(slots=True)
class Progress:
    """Counters of one chain's run; blocks count once per group of deployments that reads them.

    tell: who wants to know the cost before the run begins; None: it is not estimated. share: who lets other processes
    read along.
    """

    chain: str
    blocks_wanted: int = 0
    blocks_done: int = 0
    logs: int = 0
    flows: int = 0
    stage: str = "starting"
    tell: Callable[[Estimate], None] | None = None
    share: Callable[[Share], None] | None = None
