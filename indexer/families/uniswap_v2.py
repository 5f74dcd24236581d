"""Uniswap v2 and its forks: one fee for all pairs of a factory, a part of it for the protocol while feeTo is set.

Rules: Uniswap/v2-core, contracts/UniswapV2Pair.sol (swap, mint, burn, _mintFee); sushiswap/v2-core has the same. The
fee is charged on all that comes in, flash loans repaid in the same token included: floor(amount in x fee_ppm / 10^6).

While feeTo is set, a share of each fee accrues to the protocol. The contract pays it later and otherwise: with the next
mint or burn of liquidity it mints LP tokens for the share of what sqrt(k) has grown since the last one, which counts
donations too, and nothing for what grew before a pair's first mint or burn after the switch. Those LP tokens are the
paid twin. A mint to feeTo that directly follows another of the same pair is liquidity that somebody deposited in its
name; where no fee was due just then, such a deposit cannot be told from one and is booked as paid, never as accrued.

A flash swap that brings back what it took is a loan: trades are netted token by token, and what does not take one token
for the other is no trade.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np
from eth_utils.crypto import keccak

from indexer.decode import wide
from indexer.decode.signature import parse_function
from indexer.documents import Document
from indexer.families.depth import closing_rows
from indexer.families.fee_to import PPM, FeeOptions, FeeSwitch
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
    Where,
    Words,
)

PAIR_CREATED = "PairCreated(address indexed token0, address indexed token1, address pair, uint256 count)"
SWAP = (
    "Swap(address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out, "
    "address indexed to)"
)
SYNC = "Sync(uint112 reserve0, uint112 reserve1)"
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"

GET_PAIR = parse_function("getPair(address,address) returns (address)").selector
LP_LEG = 4


class UniswapV2(Plain):
    """Flows of pairs made by one factory. Legs: 2 x token number, plus 1 for the protocol's part; 4 for LP tokens."""

    name = "uniswap_v2"
    version = 1
    contracts: Mapping[str, Arity] = {"factory": Arity.ONE, "pairs": Arity.ANY, "price_pairs": Arity.ANY}
    kinds: Mapping[Kind, tuple[Basis, ...]] = {Kind.FEE: (Basis.ACCRUED, Basis.PAID)}
    questions: Sequence[str] = (
        "factory() returns (address)",
        "token0() returns (address)",
        "token1() returns (address)",
    )
    parameters: Sequence[Parameter] = ()
    options: type[Document] | None = FeeOptions

    def __init__(self, chosen: FeeOptions | None = None) -> None:
        self._chosen = FeeOptions() if chosen is None else chosen
        self._switch = FeeSwitch(self._chosen.fee_to)

    def configured(self, options: Document | None) -> Self:
        """With these options; with Uniswap's own, and the fee switch off for ever, without any."""
        return type(self)(options if isinstance(options, FeeOptions) else None)

    def subscriptions(self, contracts: Contracts) -> tuple[Subscription, ...]:
        """PairCreated of the factory; Swap of the named pairs or, without names, of any contract.

        Sync of the pairs that may tell a price, since it would double the logs; mints to whom fees are paid, if to
        anybody.
        """
        named, priced = contracts.get("pairs", ()), contracts.get("price_pairs", ())
        pairs = tuple(dict.fromkeys((*named, *priced))) if named else None
        asked = [Subscription(PAIR_CREATED, contracts["factory"], rare=True), Subscription(SWAP, pairs)]
        if priced:
            asked.append(Subscription(SYNC, priced))
        if self._switch.recipients:
            paid = tuple(bytes(12) + recipient for recipient in self._switch.recipients)
            asked.append(Subscription(TRANSFER, pairs, {1: (bytes(32),), 2: paid}))
        return tuple(asked)

    def anchor(self, contracts: Contracts) -> Address | None:
        """The factory."""
        return contracts["factory"][0]

    def announced(self, batches: Batches) -> list[Member]:
        """Every pair a PairCreated log announces."""
        batch = batches.get(PAIR_CREATED)
        if batch is None:
            return []
        where = batch.where
        columns = [batch.args[name] for name in ("pair", "token0", "token1")]
        return [
            Member(
                pair.tobytes(),
                {"token0": token0.tobytes(), "token1": token1.tobytes()},
                Evidence(int(where.block[row]), where.tx_hash[row].tobytes(), int(where.log_index[row])),
            )
            for row, (pair, token0, token1) in enumerate(zip(*columns, strict=True))
        ]

    def admit(self, contracts: Contracts, contract: Address, answers: Sequence[Answer]) -> Claim | None:
        """A pair that names our factory, which anyone can: its address must prove it, or the factory vouch for it."""
        factory, token0, token1 = (answer[0] if answer else None for answer in answers)
        if factory != contracts["factory"][0] or token0 is None or token1 is None:
            return None
        facts = {"token0": token0, "token1": token1}
        if contract == keccak(b"\xff" + factory + keccak(token0 + token1) + self._chosen.init_code_hash)[12:]:
            return Claim(facts)
        asked = GET_PAIR + bytes(12) + token0 + bytes(12) + token1
        return Claim(facts, Proof(factory, asked, bytes(12) + contract))

    def steps(self, batches: Batches) -> list[Step]:
        """None: the fee switch tells no event."""
        return []

    def observed(self, parameter: str, answer: Answer) -> tuple[int, ...]:
        """Never asked."""
        return ()

    def classify(self, contracts: Contracts, batches: Batches, context: Context) -> Classified:
        """Swap fees as accrued, LP tokens minted for them as paid, and both sides of each swap."""
        flows: list[Flows] = []
        trades: list[Trades] = []
        swaps, mints = (_Pairs.of(batches.get(event), context) for event in (SWAP, TRANSFER))
        if swaps is not None:
            flows += self._fees(swaps)
            trades += _trades(swaps, contracts.get("price_pairs", ()), batches.get(SYNC))
        if mints is not None:
            flows += self._minted(mints)
        return Classified(flows, trades)

    def _fees(self, pairs: _Pairs) -> Iterator[Flows]:
        """Of each token that came in, split between the protocol (floor of its share) and the liquidity providers."""
        on = self._switch.at(pairs.where.block) >= 0
        part, whole = self._chosen.protocol_share
        for number in (0, 1):
            fee = _scaled(pairs.args[f"amount{number}In"], self._chosen.fee_ppm, PPM)
            cut = np.zeros_like(fee)
            cut[on] = _scaled(fee[on], part, whole)
            for side, amount in ((Side.SUPPLY, wide.subtract(fee, cut)), (Side.PROTOCOL, cut)):
                label = Label(Kind.FEE, Source.SWAP, side, Basis.ACCRUED)
                yield from _flows(pairs.where, label, 2 * number + (side is Side.PROTOCOL), pairs.token(number), amount)

    def _minted(self, pairs: _Pairs) -> Iterator[Flows]:
        """LP tokens minted to whom the fees were paid at the time, but for deposits in its name."""
        interval = self._switch.at(pairs.where.block)
        ours = (pairs.args["to"] == self._switch.recipient(interval)).all(axis=1)
        rows = np.flatnonzero(ours & ~wide.is_zero(pairs.args["value"]))
        rows = rows[~_deposits(pairs.where.take(rows))]
        where = pairs.where.take(rows)
        label = Label(Kind.FEE, Source.SWAP, Side.PROTOCOL, Basis.PAID)
        yield from _flows(where, label, LP_LEG, where.contract, pairs.args["value"][rows])


class _Pairs:
    """The rows of known pairs, with each row's tokens."""

    def __init__(self, batch: Batch, known: Sequence[Mapping[str, int | bytes] | None]) -> None:
        rows = np.array([facts is not None for facts in known], bool)[batch.where.emitter]
        chosen = batch if rows.all() else batch.take(rows)
        self.where, self.args = chosen.where, chosen.args
        self._tokens = [
            _addresses([bytes(20) if facts is None else bytes(facts[name]) for facts in known])
            for name in ("token0", "token1")
        ]

    @classmethod
    def of(cls, batch: Batch | None, context: Context) -> _Pairs | None:
        """None if no row is of a known pair."""
        if batch is None or not len(batch):
            return None
        known = [context.members.get(emitter.tobytes()) for emitter in batch.where.emitters]
        found = cls(batch, known)
        return found if len(found.where) else None

    def token(self, number: int) -> Octets:
        """(n, 20): token0 or token1 of each row."""
        return self._tokens[number][self.where.emitter]


def _scaled(amount: Words, part: int, whole: int) -> Words:
    """floor(amount x part / whole); rows of zero, half of all amounts that come in, cost nothing."""
    result = np.zeros_like(amount)
    rows = ~wide.is_zero(amount)
    result[rows] = wide.multiply_divide(amount[rows], np.full(int(rows.sum()), part, np.int64), whole)
    return result


def _flows(where: Where, label: Label, leg: int, token: Octets, amount: Words) -> Iterator[Flows]:
    rows = ~wide.is_zero(amount)
    if rows.any():
        yield Flows(label, leg, where.take(rows), token[rows], amount[rows])


def _deposits(where: Where) -> Mask:
    """Mints directly after another of the same pair: `mint` pays the fee first and the depositor next."""
    follows = (np.diff(_place(where)) == 1) & (np.diff(where.emitter) == 0)
    return np.append(np.zeros(min(len(where), 1), bool), follows)


def _place(where: Where) -> Ints:
    return (where.block << 24) + where.log_index


def _trades(pairs: _Pairs, priced: Sequence[Address], sync: Batch | None) -> Iterator[Trades]:
    """Those of pairs whose reserves are read, with their depth, and all others."""
    sides = _exchanged(pairs.args)
    listed = np.array([emitter.tobytes() in priced for emitter in pairs.where.emitters], bool)[pairs.where.emitter]
    for rows, known in ((listed, True), (~listed, False)):
        if rows.any():
            where = pairs.where.take(rows)
            depths = _depths(where, sync) if known else (None, None)
            tokens = (pairs.token(number)[rows] for number in (0, 1))
            yield Trades(where, *tokens, *(side[rows] for side in sides), *depths)


def _exchanged(args: Mapping[str, Words]) -> list[Words]:
    """in0, in1, out0, out1 of each swap, netted; zeros where nothing was given for the other token."""
    (in0, out0), (in1, out1) = (_netted(args[f"amount{number}In"], args[f"amount{number}Out"]) for number in (0, 1))
    has = [~wide.is_zero(side) for side in (in0, in1, out0, out1)]
    traded = (has[0] & has[3]) | (has[1] & has[2])
    return [np.where(traded[:, None], side, np.uint32(0)) for side in (in0, in1, out0, out1)]


def _netted(came: Words, went: Words) -> tuple[Words, Words]:
    """What came or went more than the other did; few swaps have both."""
    rows = np.flatnonzero(~wide.is_zero(came) & ~wide.is_zero(went))
    if not len(rows):
        return came, went
    more = [one - other for one, other in zip(wide.to_ints(came[rows]), wide.to_ints(went[rows]), strict=True)]
    came, went = came.copy(), went.copy()
    came[rows] = wide.from_ints([max(net, 0) for net in more])
    went[rows] = wide.from_ints([max(-net, 0) for net in more])
    return came, went


def _depths(where: Where, sync: Batch | None) -> tuple[Words, Words]:
    """The reserves after the last swap of each pair and day: a pair tells them directly before each swap."""
    depths = np.zeros((2, len(where), 8), np.uint32)
    if sync is None:
        return depths[0], depths[1]
    for row in closing_rows(where).tolist():
        told = np.flatnonzero((sync.where.contract == where.contract[row]).all(axis=1))
        last = np.searchsorted(_place(sync.where)[told], _place(where)[row]) - 1
        if last >= 0:
            for number in (0, 1):
                depths[number][row] = sync.args[f"reserve{number}"][told[last]]
    return depths[0], depths[1]


def _addresses(values: Sequence[bytes]) -> Octets:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), 20)
