"""What each dollar figure of yield_daily is added up from, in the same words as the view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from indexer.model import Kind, Side, Source


@dataclass(frozen=True, slots=True)
class Term:
    """Flows of a kind, and of one side, one source, an own token where that is said."""

    name: str
    words: str
    kind: Kind
    side: Side | None = None
    source: Source | None = None
    own: bool = False
    sign: int = 1


_SUPPLY = Term("supply_side_usd", "fees passed on to LPs and lenders", Kind.FEE, Side.SUPPLY)
_PROTOCOL = Term("protocol_usd", "fees kept by the treasury", Kind.FEE, Side.PROTOCOL)
_HOLDERS = Term("holders_usd", "fees that the contracts split to token holders", Kind.FEE, Side.HOLDERS)
_INCENTIVES = Term("incentives_usd", "own tokens given away", Kind.INCENTIVE)
_GIVEN = Term("incentives_usd", "own tokens given away, to be taken off", Kind.INCENTIVE, sign=-1)
_PRINTED = Term("incentives_usd", "incentives in an own token", Kind.INCENTIVE, own=True)
_PRODUCTION = Term("production_usd", "output of work", Kind.PRODUCTION)
_SUBSIDY = Term("production_usd", "block subsidy", Kind.PRODUCTION, source=Source.BLOCK_SUBSIDY)
_ISSUANCE = Term("issuance_usd", "the chain's own coin minted to validators", Kind.ISSUANCE)
_EXTERNAL = Term("external_usd", "someone else's tokens given away", Kind.EXTERNAL)
_DISTRIBUTION = Term("distribution_usd", "uses of revenue already booked", Kind.DISTRIBUTION)
_LOSS = Term("loss_usd", "bad debt and slashing", Kind.LOSS)

TERMS: Mapping[str, tuple[Term, ...]] = {
    "fees_usd": (_SUPPLY, _PROTOCOL, _HOLDERS),
    "supply_side_usd": (_SUPPLY,),
    "protocol_usd": (_PROTOCOL,),
    "holders_usd": (_HOLDERS,),
    "revenue_usd": (_PROTOCOL, _HOLDERS),
    "incentives_usd": (_INCENTIVES,),
    "production_usd": (_PRODUCTION,),
    "issuance_usd": (_ISSUANCE,),
    "external_usd": (_EXTERNAL,),
    "distribution_usd": (_DISTRIBUTION,),
    "loss_usd": (_LOSS,),
    "issued_usd": (_PRINTED, _ISSUANCE, _SUBSIDY),
    "earnings_usd": (_PROTOCOL, _HOLDERS, _GIVEN),
    "real_usd": (_SUPPLY, _PROTOCOL, _HOLDERS),
    "synthetic_usd": (_INCENTIVES, _ISSUANCE),
    "capital_usd": (),
}
