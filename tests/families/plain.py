"""Every family once more, one decoded log at a time in Python integers, written from the contracts' sources.

Nothing here comes from the batch code: the property tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from indexer.model import Basis, Kind, Label, Side, Source
from tests.demochain.steps import EDGE, sqrt_price_at

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
    tick_spacing: int = 60


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


def reserves(log: Log, pool: Pool) -> tuple[int, int]:
    """What liquidity holds from the price of a Swap to both ends of its tick spacing, raw units.

    Uniswap/v3-periphery, contracts/libraries/LiquidityAmounts.sol, getAmountsForLiquidity.
    """
    liquidity, start = log.number("liquidity"), log.number("tick") - log.number("tick") % pool.tick_spacing
    low, high = sqrt_price_at(max(start, -EDGE)), sqrt_price_at(min(start + pool.tick_spacing, EDGE))
    middle = sorted((low, log.number("sqrtPriceX96"), high))[1]
    return (liquidity << 96) * (high - middle) // high // middle, liquidity * (middle - low) >> 96


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


class Labelled(NamedTuple):
    """A rule for transfers: senders and recipients as the manifest means them, None for anybody."""

    label: Label
    senders: frozenset[bytes] | None
    recipients: frozenset[bytes] | None

    def means(self, sender: bytes, recipient: bytes) -> bool:
        """Whether value came from the one end to the other; not within the accounts of a rule with one end."""
        leaves = self.senders is None or sender in self.senders
        arrives = self.recipients is None or recipient in self.recipients
        within = self.senders is None and self.recipients is not None and sender in self.recipients
        within |= self.recipients is None and self.senders is not None and recipient in self.senders
        return leaves and arrives and not within


def erc20_flows(log: Log, tokens: Iterable[bytes], rules: Iterable[Labelled]) -> list[Flow]:
    """EIP-20: Transfer moves `value` of the emitting token; the first rule that means it names it."""
    if log.contract not in tokens or log.event != "Transfer":
        return []
    sender, recipient, amount = log.args["from"], log.args["to"], log.number("value")
    assert isinstance(sender, bytes)
    assert isinstance(recipient, bytes)
    if sender == recipient or amount == 0:
        return []
    for leg, rule in enumerate(rules):
        if rule.means(sender, recipient):
            return [Flow(rule.label, leg, log.contract, log.contract, amount)]
    return []


class Told(NamedTuple):
    """A rule for an event: which parameter is the amount; token: an address or a parameter's name."""

    label: Label
    event: str
    amount: str
    negative: bool
    token: bytes | str
    where: Mapping[str, frozenset[int | bytes]]


def events(log: Log, emitters: Iterable[bytes], rules: Iterable[Told]) -> list[Flow]:
    """Each rule books its amount if the log has its event and the values that it names."""
    found = []
    for leg, rule in enumerate(rules):
        if log.contract not in emitters or log.event != rule.event:
            continue
        amount = log.number(rule.amount) * (-1 if rule.negative else 1)
        if amount > 0 and all(log.args[name] in values for name, values in rule.where.items()):
            token = log.args[rule.token] if isinstance(rule.token, str) else rule.token
            assert isinstance(token, bytes)
            found.append(Flow(rule.label, leg, log.contract, bytes(20) if token == b"\xee" * 20 else token, amount))
    return found
