"""Every family once more, one decoded log at a time in Python integers, written from the contracts' sources.

Nothing here comes from the batch code: the property tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from indexer.model import Basis, Kind, Label, Side, Source

FEE_IN_SWAP = Label(Kind.FEE, Source.SWAP, Side.SUPPLY, Basis.ACCRUED)
CUT_OF_SWAP = Label(Kind.FEE, Source.SWAP, Side.PROTOCOL, Basis.ACCRUED)
FEE_IN_FLASH = Label(Kind.FEE, Source.FLASH_LOAN, Side.SUPPLY, Basis.ACCRUED)
CUT_OF_FLASH = Label(Kind.FEE, Source.FLASH_LOAN, Side.PROTOCOL, Basis.ACCRUED)
COLLECTED = Label(Kind.FEE, Source.SWAP, Side.PROTOCOL, Basis.PAID)
MINTED = Label(Kind.INCENTIVE, Source.LIQUIDITY_MINING, Side.SUPPLY, Basis.ACCRUED)
HARVESTED = Label(Kind.INCENTIVE, Source.LIQUIDITY_MINING, Side.SUPPLY, Basis.PAID)


@dataclass(frozen=True, slots=True)
class Log:
    """A decoded log. args: by parameter name, signed integers as such, addresses as 20 octets."""

    event: str
    contract: bytes
    block: int
    index: int
    args: Mapping[str, int | bytes]

    def number(self, name: str) -> int:
        """An integer argument."""
        value = self.args[name]
        assert isinstance(value, int)
        return value


class Flow(NamedTuple):
    """What one log says was earned."""

    label: Label
    leg: int
    contract: bytes
    token: bytes
    amount: int


class Pool(NamedTuple):
    """The immutable facts of a Uniswap v3 pool."""

    token0: bytes
    token1: bytes
    fee_ppm: int


class Change(NamedTuple):
    """A SetFeeProtocol log: the new denominators of both tokens."""

    contract: bytes
    block: int
    log_index: int
    denominators: tuple[int, int]


def switch_at(log: Log, changes: Iterable[Change]) -> tuple[int, int]:
    """The denominators that hold when the log is emitted: slot0.feeProtocol starts as 0 and changes at once."""
    held = (0, 0)
    for change in sorted(changes, key=lambda one: (one.block, one.log_index)):
        if change.contract == log.contract and (change.block, change.log_index) < (log.block, log.index):
            held = change.denominators
    return held


def uniswap_v3(log: Log, pools: Mapping[bytes, Pool], changes: Iterable[Change]) -> list[Flow]:
    """UniswapV3Pool.swap, flash and collectProtocol: the fee of the token paid in, the protocol's part floored."""
    pool = pools.get(log.contract)
    if pool is None:
        return []
    tokens = (pool.token0, pool.token1)
    found = []
    for side, (token, denominator) in enumerate(zip(tokens, switch_at(log, changes), strict=True)):
        if log.event == "CollectProtocol":
            found.append(Flow(COLLECTED, 2 * side + 1, log.contract, token, log.number(f"amount{side}")))
        elif log.event in ("Swap", "Flash"):
            swap = log.event == "Swap"
            paid = max(0, log.number(f"amount{side}")) * pool.fee_ppm // 10**6 if swap else log.number(f"paid{side}")
            cut = paid // denominator if denominator else 0
            labels = (FEE_IN_SWAP, CUT_OF_SWAP) if swap else (FEE_IN_FLASH, CUT_OF_FLASH)
            found.append(Flow(labels[0], 2 * side, log.contract, token, paid - cut))
            found.append(Flow(labels[1], 2 * side + 1, log.contract, token, cut))
    return [flow for flow in found if flow.amount > 0]


def masterchef(log: Log, chef: bytes, token: bytes, harvesters: Iterable[bytes]) -> list[Flow]:
    """MasterChef.updatePool mints to the chef itself; MasterChefV2.harvest pays."""
    if log.event == "Transfer" and log.contract == token:
        nobody = bytes(20)
        amount, label = log.number("value"), MINTED
        if log.args["from"] != nobody or log.args["to"] != chef:
            return []
    elif log.event == "Harvest" and log.contract in harvesters:
        amount, label = log.number("amount"), HARVESTED
    else:
        return []
    return [Flow(label, 0, log.contract, token, amount)] if amount > 0 else []
