"""What a run has done so far: counters that a bar, a log line or a metric may show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """Counters of one chain's run; blocks count once per group of deployments that reads them."""

    chain: str
    blocks_wanted: int = 0
    blocks_done: int = 0
    logs: int = 0
    flows: int = 0
    stage: str = "starting"
