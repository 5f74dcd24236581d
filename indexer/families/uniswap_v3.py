"""Uniswap v3 and its unchanged forks: a fixed fee tier per pool, an optional share of it for the protocol.

Rules: Uniswap/v3-core, contracts/UniswapV3Pool.sol (swap, flash, setFeeProtocol, collectProtocol). The pool rounds the
fee up once per swap step; a log tells only the swap, so a swap's fee is floor(amount in x tier / 10^6): at most one raw
unit per step below the contract's. Where an exact input ends within a step, SwapMath.computeSwapStep also gives to the
fee what rounding the price leaves of it: less than one unit of sqrtPriceX96, L x 2^96 / P^2 of token0 or L / 2^96 of
token1, which is more than a raw unit only at extreme prices or liquidity. The split is floored once, not per step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from eth_utils.crypto import keccak

from indexer.decode import wide
from indexer.decode.signature import parse_function
from indexer.families.depth import closing_rows, in_reach
from indexer.families.interface import Answer, Arity, Batches, Claim, Contracts, Parameter, Plain, Proof
from indexer.model import (
    Address,
    Basis,
    Batch,
    Classified,
    Context,
    Evidence,
    Flows,
    Ints,
    Kind,
    Label,
    Mask,
    Member,
    Octets,
    Side,
    Source,
    Step,
    Subscription,
    Trades,
    Words,
)

POOL_CREATED = (
    "PoolCreated(address indexed token0, address indexed token1, uint24 indexed fee, int24 tickSpacing, address pool)"
)
SWAP = (
    "Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, "
    "uint160 sqrtPriceX96, uint128 liquidity, int24 tick)"
)
FLASH = (
    "Flash(address indexed sender, address indexed recipient, uint256 amount0, uint256 amount1, "
    "uint256 paid0, uint256 paid1)"
)
SET_FEE_PROTOCOL = (
    "SetFeeProtocol(uint8 feeProtocol0Old, uint8 feeProtocol1Old, uint8 feeProtocol0New, uint8 feeProtocol1New)"
)
COLLECT_PROTOCOL = (
    "CollectProtocol(address indexed sender, address indexed recipient, uint128 amount0, uint128 amount1)"
)

PPM = 10**6
# Uniswap/v3-periphery, contracts/libraries/PoolAddress.sol: CREATE2 addresses of pools.
POOL_INIT_CODE_HASH = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")
GET_POOL = parse_function("getPool(address,address,uint24) returns (address)").selector
SHARE = "fee_protocol"  # values: the denominators for token0 and token1, 0 where the switch is off


class UniswapV3(Plain):
    """Flows of pools made by one factory. Legs: 2 x token number, plus 1 for the protocol's part."""

    name = "uniswap_v3"
    version = 2
    contracts: Mapping[str, Arity] = {"factory": Arity.ONE, "pools": Arity.ANY}
    kinds: Mapping[Kind, tuple[Basis, ...]] = {Kind.FEE: (Basis.ACCRUED, Basis.PAID)}
    questions: Sequence[str] = (
        "factory() returns (address)",
        "token0() returns (address)",
        "token1() returns (address)",
        "fee() returns (uint24)",
        "tickSpacing() returns (int24)",
    )
    parameters: Sequence[Parameter] = (
        Parameter(
            SHARE,
            SET_FEE_PROTOCOL,
            (0, 0),
            "slot0() returns (uint160,int24,uint16,uint16,uint16,uint8,bool)",
        ),
    )

    def subscriptions(self, contracts: Contracts) -> tuple[Subscription, ...]:
        """PoolCreated of the factory; the rest from the named pools or, without names, from any contract."""
        pools = contracts.get("pools") or None
        of_pools = (SWAP, FLASH, SET_FEE_PROTOCOL, COLLECT_PROTOCOL)
        created = Subscription(POOL_CREATED, contracts["factory"], rare=True)
        return (created, *(Subscription(event, pools) for event in of_pools))

    def anchor(self, contracts: Contracts) -> Address | None:
        """The factory."""
        return contracts["factory"][0]

    def announced(self, batches: Batches) -> list[Member]:
        """Every pool a PoolCreated log announces."""
        batch = batches.get(POOL_CREATED)
        if batch is None:
            return []
        columns = [batch.args[name] for name in ("pool", "token0", "token1", "fee", "tickSpacing")]
        where = batch.where
        return [
            Member(
                pool.tobytes(),
                {
                    "token0": token0.tobytes(),
                    "token1": token1.tobytes(),
                    "fee_ppm": int(fee),
                    "tick_spacing": int(spacing),
                },
                Evidence(int(where.block[row]), where.tx_hash[row].tobytes(), int(where.log_index[row])),
            )
            for row, (pool, token0, token1, fee, spacing) in enumerate(zip(*columns, strict=True))
        ]

    def admit(self, contracts: Contracts, contract: Address, answers: Sequence[Answer]) -> Claim | None:
        """A pool that names our factory, which anyone can: its address must prove it, or the factory vouch for it.

        Pools that Optimism's regenesis of 2021 moved have addresses of their own, so the factory is asked there.
        """
        factory, token0, token1, fee, spacing = (answer[0] if answer else None for answer in answers)
        if factory != contracts["factory"][0] or token0 is None or token1 is None or fee is None or spacing is None:
            return None
        facts = {"token0": token0, "token1": token1, "fee_ppm": fee, "tick_spacing": spacing}
        key = bytes(12) + token0 + bytes(12) + token1 + fee.to_bytes(32, "big")
        if contract == keccak(b"\xff" + factory + keccak(key) + POOL_INIT_CODE_HASH)[12:]:
            return Claim(facts)
        return Claim(facts, Proof(factory, GET_POOL + key, bytes(12) + contract))

    def steps(self, batches: Batches) -> list[Step]:
        """The new denominators of each SetFeeProtocol."""
        batch = batches.get(SET_FEE_PROTOCOL)
        if batch is None:
            return []
        where, contract = batch.where, batch.where.contract
        new0, new1 = batch.args["feeProtocol0New"], batch.args["feeProtocol1New"]
        return [
            Step(
                contract[row].tobytes(),
                SHARE,
                int(where.block[row]),
                int(where.log_index[row]),
                (int(new0[row]), int(new1[row])),
                where.tx_hash[row].tobytes(),
            )
            for row in range(len(batch))
        ]

    def observed(self, parameter: str, answer: Answer) -> tuple[int, ...]:
        """slot0.feeProtocol holds both denominators in four bits each."""
        return (0, 0) if answer is None else (answer[5] % 16, answer[5] >> 4)

    def classify(self, contracts: Contracts, batches: Batches, context: Context) -> Classified:
        """Swap and Flash fees as accrued, CollectProtocol as paid, and both sides of each swap."""
        flows: list[Flows] = []
        trades: list[Trades] = []
        for event, rule in ((SWAP, _swaps), (FLASH, _flashes), (COLLECT_PROTOCOL, _collected)):
            batch = batches.get(event)
            if batch is None or not len(batch):
                continue
            pools = _Pools(batch, context)
            flows += rule(pools)
            if event == SWAP and len(pools.batch):
                trades.append(_trades(pools))
        return Classified(flows, trades)


class _Pools:
    """The rows of known pools, with each row's tier, tokens and protocol share."""

    def __init__(self, batch: Batch, context: Context) -> None:
        table = [emitter.tobytes() for emitter in batch.where.emitters]
        known = np.array([address in context.members for address in table], bool)
        rows: Mask = known[batch.where.emitter] if table else np.zeros(0, bool)
        self.batch = batch if rows.all() else batch.take(rows)
        facts = [context.members.get(address, {}) for address in table]
        self._emitter = self.batch.where.emitter
        self._tokens = [_addresses([fact.get(name, bytes(20)) for fact in facts]) for name in ("token0", "token1")]
        self._tiers = np.array([fact.get("fee_ppm", 0) for fact in facts], np.int64)
        self._spacings = np.array([fact.get("tick_spacing", 1) for fact in facts], np.int64)
        self._steps = [(at, context.steps.get((address, SHARE), ())) for at, address in enumerate(table)]

    @property
    def tier(self) -> Ints:
        """Fee tier of each row in ppm."""
        return self._tiers[self._emitter]

    @property
    def spacing(self) -> Ints:
        """Tick spacing of each row's pool."""
        return self._spacings[self._emitter]

    def token(self, number: int) -> Octets:
        """(n, 20): token0 or token1 of each row."""
        return self._tokens[number][self._emitter]

    def denominator(self, number: int) -> Ints:
        """The share of token0 or token1 that the protocol takes, as 1/n; 0 where it takes none."""
        result = np.zeros(len(self.batch), np.int64)
        where = self.batch.where
        for at, steps in self._steps:
            if not steps:
                continue
            rows = np.flatnonzero(self._emitter == at)
            place = (where.block[rows] << 24) + where.log_index[rows]
            latest = np.searchsorted([(step.block << 24) + step.log_index for step in steps], place) - 1
            values = np.array([0, *(step.values[number] for step in steps)], np.int64)
            result[rows] = values[latest + 1]
        return result


def _swaps(pools: _Pools) -> Iterator[Flows]:
    """The fee is in the token that went in; both sides are looked at, since a swap of dust may have no other."""
    for number in (0, 1):
        amount = pools.batch.args[f"amount{number}"]
        paid_in = ~wide.is_negative(amount) & ~wide.is_zero(amount)
        fee = np.zeros_like(amount)
        fee[paid_in] = wide.multiply_divide(amount[paid_in], pools.tier[paid_in], PPM)
        yield from _shared(pools, number, fee, Source.SWAP)


def _flashes(pools: _Pools) -> Iterator[Flows]:
    """What a flash loan pays back above the loan is fee, whatever the tier."""
    for number in (0, 1):
        yield from _shared(pools, number, pools.batch.args[f"paid{number}"], Source.FLASH_LOAN)


def _collected(pools: _Pools) -> Iterator[Flows]:
    """The protocol's cash: the paid twin of what accrued at each swap."""
    for number in (0, 1):
        label = Label(Kind.FEE, Source.SWAP, Side.PROTOCOL, Basis.PAID)
        yield from _flows(pools, number, pools.batch.args[f"amount{number}"], label)


def _shared(pools: _Pools, number: int, fee: Words, source: Source) -> Iterator[Flows]:
    """A fee split between the protocol (floor of fee / denominator) and the liquidity providers."""
    denominator = pools.denominator(number)
    cut = np.zeros_like(fee)
    switched = denominator > 0
    if switched.any():
        cut[switched] = wide.divide(fee[switched], denominator[switched])
        fee = wide.subtract(fee, cut)
    for side, amount in ((Side.SUPPLY, fee), (Side.PROTOCOL, cut)):
        yield from _flows(pools, number, amount, Label(Kind.FEE, source, side, Basis.ACCRUED))


def _flows(pools: _Pools, number: int, amount: Words, label: Label) -> Iterator[Flows]:
    rows = ~wide.is_zero(amount)
    if rows.any():
        leg = 2 * number + (label.side is Side.PROTOCOL)
        yield Flows(label, leg, pools.batch.where.take(rows), pools.token(number)[rows], amount[rows])


def _trades(pools: _Pools) -> Trades:
    args = pools.batch.args
    amounts = [args["amount0"], args["amount1"]]
    in0, in1 = (_part(amount, ~wide.is_negative(amount)) for amount in amounts)
    out0, out1 = (_part(amount, wide.is_negative(amount)) for amount in amounts)
    return Trades(
        pools.batch.where,
        pools.token(0),
        pools.token(1),
        in0,
        in1,
        out0,
        out1,
        *_depths(pools),
    )


def _part(amount: Words, rows: Mask) -> Words:
    """Magnitudes of the chosen rows, zero elsewhere."""
    result = np.zeros_like(amount)
    result[rows] = wide.magnitude(amount[rows])
    return result


def _depths(pools: _Pools) -> tuple[Words, Words]:
    """Of both tokens what is provably there: liquidity is known for the current tick spacing only."""
    args, rows = pools.batch.args, closing_rows(pools.batch.where)
    states = zip(
        wide.to_ints(args["liquidity"][rows]),
        wide.to_ints(args["sqrtPriceX96"][rows]),
        args["tick"][rows].tolist(),
        pools.spacing[rows].tolist(),
        strict=True,
    )
    found = [in_reach(*state) for state in states]
    depths = np.zeros((2, len(pools.batch), 8), np.uint32)
    for number in (0, 1):
        depths[number][rows] = wide.from_ints([amounts[number] for amounts in found])
    return depths[0], depths[1]


def _addresses(values: Sequence[int | bytes]) -> Octets:
    return np.frombuffer(b"".join(bytes(value) for value in values), np.uint8).reshape(len(values), 20)
