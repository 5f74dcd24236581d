"""What providers charge for a call, where they publish it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Tariff:
    """A provider's price list. logs: units for one eth_getLogs, the call that most of a run consists of."""

    provider: str
    unit: str
    logs: int
    source: str


# By the end of the host name.
TARIFFS: Mapping[str, Tariff] = {
    ".alchemy.com": Tariff("Alchemy", "compute units", 60, "https://www.alchemy.com/docs/reference/compute-unit-costs"),
    ".quiknode.pro": Tariff("QuickNode", "API credits", 20, "https://www.quicknode.com/api-credits"),
}


def tariff(names: Collection[str]) -> Tariff | None:
    """The one price list that holds for all these endpoints (scheme://host[:port]); None if there is none known."""
    found = {_of(name) for name in names}
    return found.pop() if len(found) == 1 else None


def _of(name: str) -> Tariff | None:
    host = urlsplit(name).hostname or ""
    return next((listed for end, listed in TARIFFS.items() if host.endswith(end)), None)
