"""The frozen types every stage speaks. Columns are NumPy arrays; one row is one log or one flow.

Amounts are unsigned 256-bit integers held as `Words`: shape (n, 8), 32-bit words, most significant first.
Hashes and addresses are `Octets`: shape (n, 32) or (n, 20). Times are whole UTC seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Octets = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Address = bytes  # 20 octets


class Kind(StrEnum):
    """What a movement of value is."""

    FEE = "fee"
    INCENTIVE = "incentive"
    PRODUCTION = "production"
    ISSUANCE = "issuance"
    EXTERNAL = "external"
    DISTRIBUTION = "distribution"
    LOSS = "loss"


class Source(StrEnum):
    """Where it comes from: one closed list, the same as the SQL type flow_source."""

    SWAP = "swap"
    FLASH_LOAN = "flash_loan"
    BORROW_INTEREST = "borrow_interest"
    LIQUIDATION = "liquidation"
    STABILITY_FEE = "stability_fee"
    PERP_TRADE = "perp_trade"
    REDEMPTION = "redemption"
    TRANSACTION_TIP = "transaction_tip"
    BASE_FEE = "base_fee"
    MEV = "mev"
    BLOCK_SUBSIDY = "block_subsidy"
    HASHRATE_PAYOUT = "hashrate_payout"
    CONSENSUS_REWARD = "consensus_reward"
    LIQUIDITY_MINING = "liquidity_mining"
    GAUGE = "gauge"
    STAKING_REWARD = "staking_reward"
    BRIBE = "bribe"
    PARTNER_GRANT = "partner_grant"
    UPSTREAM_EMISSION = "upstream_emission"
    BUYBACK = "buyback"
    BURN = "burn"
    PAYOUT = "payout"
    BAD_DEBT = "bad_debt"
    SLASHING = "slashing"


class Side(StrEnum):
    """Who is entitled to it."""

    SUPPLY = "supply"
    PROTOCOL = "protocol"
    HOLDERS = "holders"


class Basis(StrEnum):
    """At which moment of its life the money is seen."""

    ACCRUED = "accrued"
    PAID = "paid"
    BUDGETED = "budgeted"


@dataclass(frozen=True, slots=True)
class Label:
    """Kind, source, side and basis of a flow."""

    kind: Kind
    source: Source
    side: Side
    basis: Basis


@dataclass(frozen=True, slots=True)
class Where:
    """Where each row of a batch came from, column by column."""

    block: Ints
    time: Ints  # UTC seconds
    log_index: Ints
    tx_hash: Octets  # (n, 32)
    emitter: Ints  # index into emitters
    emitters: Octets  # (k, 20): the contracts of this batch, each once

    def __len__(self) -> int:
        return len(self.block)

    def take(self, rows: Mask | Ints) -> Where:
        """The chosen rows, in the order chosen."""
        return Where(
            self.block[rows],
            self.time[rows],
            self.log_index[rows],
            self.tx_hash[rows],
            self.emitter[rows],
            self.emitters,
        )

    @property
    def contract(self) -> Octets:
        """(n, 20): the emitting contract of each row."""
        return self.emitters[self.emitter]


@dataclass(frozen=True, slots=True)
class Batch:
    """All decoded logs of one event in a range.

    args: one column a parameter. uintN/intN wider than 63 bits are `Words` (two's complement), narrower ones
    `Ints`; address and bytesN are `Octets`; bool is `Mask`; dynamic types are object arrays of Python values.
    """

    where: Where
    args: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.where)

    def take(self, rows: Mask | Ints) -> Batch:
        """The chosen rows, in the order chosen."""
        return Batch(self.where.take(rows), {name: column[rows] for name, column in self.args.items()})


@dataclass(frozen=True, slots=True)
class Flows:
    """Flows that share a label and a leg. amount: Words in raw units of token, all above zero."""

    label: Label
    leg: int
    where: Where
    token: Octets  # (n, 20)
    amount: Words  # (n, 8)

    def __len__(self) -> int:
        return len(self.where)


@dataclass(frozen=True, slots=True)
class Trades:
    """What each swap of a pool brought in and took out: volume, and the price evidence we get for free.

    depth0, depth1: raw units of the pool that provably stand behind its price; told in the last row of each contract
    and UTC day, zero elsewhere. None where the family cannot know, so that these pools tell no price.
    """

    where: Where
    token0: Octets  # (n, 20)
    token1: Octets
    in0: Words
    in1: Words
    out0: Words
    out1: Words
    depth0: Words | None
    depth1: Words | None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a price feed said: dollars per whole token as an integer with `decimals` places, above zero."""

    where: Where
    token: Address
    value: Words
    decimals: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What told us a fact: a log (tx_hash and log_index set) or an eth_call (both None) at a block."""

    block: int
    tx_hash: bytes | None = None
    log_index: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """An immutable fact: this contract belongs to the deployment, with what the family needs to know of it.

    facts: integers and 20-octet addresses by name; None says the contract was asked and is not ours.
    """

    contract: Address
    facts: Mapping[str, int | bytes] | None
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Step:
    """A parameter of a contract took these values at (block, log_index); they hold for every later log."""

    contract: Address
    name: str
    block: int
    log_index: int
    values: tuple[int, ...]
    tx_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """A reward that accrues with time: numerator / denominator raw units a second from `first` to before `last`.

    first, last: UTC seconds. evidence: the log that set the rate.
    """

    contract: Address
    token: Address
    label: Label
    numerator: int
    denominator: int
    first: int
    last: int
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Context:
    """What logs need besides themselves.

    members: facts of every contract of the batch that is ours (contracts missing here are not).
    steps: per (contract, parameter name) the steps that matter, oldest first; before the first one the family's
    initial value holds.
    """

    members: Mapping[Address, Mapping[str, int | bytes]] = field(default_factory=dict)
    steps: Mapping[tuple[Address, str], Sequence[Step]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Classified:
    """What a family makes of a range's batches."""

    flows: Sequence[Flows] = ()
    trades: Sequence[Trades] = ()
    answers: Sequence[Answers] = ()


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A run of blocks, both ends included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Subscription:
    """One event a deployment wants.

    event: canonical signature with `indexed` marks and names, as in the contract's source.
    emitters: the addresses that may emit it, or None for any contract (the family then asks who is a member).
    topics: allowed values (32 octets each) of further topics by position 1..3.
    rare: so few contracts emit it that it may be asked for without its emitters where that saves a request.
    """

    event: str
    emitters: tuple[Address, ...] | None
    topics: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    rare: bool = False


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A log that could not be decoded: kept for inspection, never a flow."""

    block: int
    log_index: int
    tx_hash: bytes
    contract: Address
    topic0: bytes
    reason: str
    data: bytes
