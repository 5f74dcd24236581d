"""The tree that `indexer explain` shows: a figure, its parts, the sums and prices they stand on, flows and logs.

Raw amounts and dollars are exact Decimals; None where something is not known. `rest` holds what a limit leaves out, so
that at every level the lines and the rest add up to the line above.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Rest:
    """What is not listed: how many lines, their raw amount (None over several tokens) and dollars."""

    lines: int
    amount: Decimal | None
    usd: Decimal | None


@dataclass(frozen=True, slots=True)
class FlowLine:
    """One flow, with the log it came from. amount: raw units."""

    block: int
    time: datetime
    tx_hash: bytes | None
    log_index: int
    leg: int
    contract: bytes
    amount: Decimal
    usd: Decimal | None


@dataclass(frozen=True, slots=True)
class PieceLine:
    """What a stream accrued: numerator / denominator raw units a second from `begins` to before `ends`.

    block, tx_hash, log_index: the log that set the rate; the last two are None where an eth_call told it.
    """

    begins: datetime
    ends: datetime
    seconds: int
    numerator: Decimal
    denominator: Decimal
    block: int
    tx_hash: bytes | None
    log_index: int | None
    contract: bytes
    amount: Decimal
    usd: Decimal | None


@dataclass(frozen=True, slots=True)
class PriceLine:
    """What a token is valued at, and what says so.

    unit_usd: dollars per raw unit, exact; usd: per whole token, None where decimals are not told. source: as in
    price_daily, or trade. evidence: a contract, where there is one.
    """

    unit_usd: Decimal
    usd: Decimal | None
    source: str
    age_days: int
    evidence: bytes | None
    words: str


@dataclass(frozen=True, slots=True)
class SumLine:
    """What one contract moved of one token under one label on the day. amount: raw units; flows: pieces included."""

    contract: bytes
    token: bytes
    symbol: str | None
    decimals: int | None
    kind: str
    source: str
    side: str
    basis: str
    own: bool
    amount: Decimal
    flows: int
    usd: Decimal | None
    price: PriceLine | None
    listed: tuple[FlowLine, ...]
    pieces: tuple[PieceLine, ...]
    rest: Rest | None
    remark: str | None


@dataclass(frozen=True, slots=True)
class DeploymentLine:
    """What one deployment has in a part. usd: of its priced sums; unpriced: flows without a price."""

    deployment: str
    family: str
    family_version: int
    usd: Decimal | None
    flows: int
    unpriced: int
    sums: tuple[SumLine, ...]
    rest: Rest | None


@dataclass(frozen=True, slots=True)
class PartLine:
    """A term of the figure's formula. sign: 1 or -1. usd: rounded to six decimals, as yield_daily rounds it."""

    name: str
    words: str
    sign: int
    usd: Decimal | None
    deployments: tuple[DeploymentLine, ...]
    remark: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A figure of yield_daily. usd: as the view shows it; formula: the words of its column's comment."""

    protocol: str
    chain: str
    day: date
    metric: str
    usd: Decimal | None
    formula: str
    unpriced: int
    coverage: Decimal | None
    exactness: str
    parts: tuple[PartLine, ...]
    remarks: tuple[str, ...]
