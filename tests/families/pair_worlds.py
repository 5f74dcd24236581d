"""Uniswap v2 once more, one decoded log at a time in Python integers, and random pairs with their logs for both forms.

The plain form is written from UniswapV2Pair.sol; nothing of the batch code is used for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from eth_utils.address import to_checksum_address
from hypothesis import strategies as st

from indexer.families.fee_to import FeeOptions
from indexer.families.uniswap_v2 import PAIR_CREATED, SWAP, SYNC, TRANSFER
from indexer.manifest import Deployment
from indexer.model import Classified, Context
from indexer.work.classify import Matcher
from indexer.work.group import family_of
from tests.families.columns import Booked, expected, logs_of, time_of
from tests.families.plain import COLLECTED, CUT_OF_SWAP, FEE_IN_SWAP, Flow, Log

SIGNATURES = (PAIR_CREATED, SWAP, SYNC, TRANSFER)
DAY = 86_400
FOR_EVER = 2**63 - 1


def address(name: str) -> bytes:
    """20 made-up octets."""
    return sha256(name.encode()).digest()[:20]


FACTORY, OTHER_FACTORY = address("factory"), address("other factory")
NOBODY, TRADER, JAR, MAKER = bytes(20), address("trader"), address("jar"), address("maker")
TOKENS = [address(f"token {number}") for number in range(3)]
PAIRS = [address(f"pair {number}") for number in range(3)]
FOREIGN = [address(f"foreign {number}") for number in range(2)]


class Pair(NamedTuple):
    """The immutable facts of a pair."""

    token0: bytes
    token1: bytes


class Interval(NamedTuple):
    """Blocks, both included, in which fees were minted to recipient."""

    first: int
    last: int
    recipient: bytes


class Terms(NamedTuple):
    """What a factory charges, and whom it pays when."""

    fee_ppm: int = 3000
    share: tuple[int, int] = (1, 6)
    intervals: tuple[Interval, ...] = ()

    def recipient(self, block: int) -> bytes | None:
        """Whom fees are minted to in a block."""
        return next((one.recipient for one in self.intervals if one.first <= block <= one.last), None)


def booked_plainly(log: Log, world: PairWorld) -> list[Flow]:
    """UniswapV2Pair.swap: the fee of each token paid in; _mintFee: LP tokens to feeTo, before those of a depositor."""
    pair, recipient = world.pairs.get(log.contract), world.terms.recipient(log.block)
    if pair is None:
        return []
    found = []
    if log.event == "Swap":
        part, whole = world.terms.share
        for side, token in enumerate(pair):
            fee = log.number(f"amount{side}In") * world.terms.fee_ppm // 10**6
            cut = fee * part // whole if recipient is not None else 0
            found.append(Flow(FEE_IN_SWAP, 2 * side, log.contract, token, fee - cut))
            found.append(Flow(CUT_OF_SWAP, 2 * side + 1, log.contract, token, cut))
    elif is_mint(log, recipient):
        before = [one for one in world.logs if (one.block, one.index) == (log.block, log.index - 1)]
        if not any(is_mint(one, recipient) and one.contract == log.contract for one in before):
            found.append(Flow(COLLECTED, 4, log.contract, log.contract, log.number("value")))
    return [flow for flow in found if flow.amount > 0]


def is_mint(log: Log, recipient: bytes | None) -> bool:
    """Whether a log mints LP tokens to somebody."""
    ends = (log.args.get("from"), log.args.get("to"))
    return log.event == "Transfer" and ends == (NOBODY, recipient) and log.number("value") > 0


class Sides(NamedTuple):
    """What a trade gave and took."""

    in0: int
    in1: int
    out0: int
    out1: int


def traded_plainly(log: Log) -> Sides:
    """Net of each token, if one was given for the other; nothing otherwise."""
    net0, net1 = (log.number(f"amount{side}In") - log.number(f"amount{side}Out") for side in (0, 1))
    if net0 * net1 >= 0:
        return Sides(0, 0, 0, 0)
    return Sides(max(net0, 0), max(net1, 0), max(-net0, 0), max(-net1, 0))


class PairWorld(NamedTuple):
    """Logs of some blocks, the pairs that are ours, those that may tell a price, and the terms of their factory."""

    pairs: dict[bytes, Pair]
    logs: list[Log]
    terms: Terms = Terms()
    priced: tuple[bytes, ...] = ()

    def deployment(self) -> Deployment:
        """The factory's, with the terms as options."""
        intervals = [
            {
                "first_block": one.first,
                "last_block": None if one.last == FOR_EVER else one.last,
                "recipient": to_checksum_address(one.recipient),
                "source": "Made up for this test.",
            }
            for one in self.terms.intervals
        ]
        options = FeeOptions.model_validate(
            {"fee_ppm": self.terms.fee_ppm, "protocol_share": self.terms.share, "fee_to": intervals}
        )
        contracts = {"factory": (FACTORY,), "pairs": (), "price_pairs": self.priced}
        return Deployment("dex.demo", "dex", "demo", "uniswap_v2", 0, contracts, {}, "", bytes(32), options)

    def classify(self) -> Classified:
        """What the family makes of a node's answer with everything in it."""
        deployment = self.deployment()
        matched = Matcher(logs_of(self.logs, SIGNATURES)).match(deployment)
        assert not matched.faults
        members = {contract: pair._asdict() for contract, pair in self.pairs.items()}
        return family_of(deployment).classify(deployment.contracts, matched.batches, Context(members))

    def plain(self) -> list[Booked]:
        """What the plain form makes of it."""
        return expected((log, booked_plainly(log, self)) for log in self.logs)

    def swaps(self) -> list[Log]:
        """Swaps of our pairs in chain order."""
        found = [log for log in self.logs if log.event == "Swap" and log.contract in self.pairs]
        return sorted(found, key=lambda log: (log.block, log.index))

    def depths(self) -> dict[tuple[bytes, int, int], tuple[int, int]]:
        """By pair, block and log index of its last swap of each day: the reserves last told, none at all if never."""
        last = {(log.contract, time_of(log.block) // DAY): log for log in self.swaps() if log.contract in self.priced}
        return {(log.contract, log.block, log.index): self._reserves(log) for log in last.values()}

    def _reserves(self, swap: Log) -> tuple[int, int]:
        told = [log for log in self.logs if log.event == "Sync" and log.contract == swap.contract]
        earlier = [log for log in told if (log.block, log.index) < (swap.block, swap.index)]
        if not earlier:
            return 0, 0
        latest = max(earlier, key=lambda log: (log.block, log.index))
        return latest.number("reserve0"), latest.number("reserve1")


# ---------------------------------------------------------------- logs


def swap(place: tuple[int, int], amounts: Sequence[int], contract: bytes = PAIRS[0]) -> Log:
    """amounts: in0, in1, out0, out1."""
    names = ("amount0In", "amount1In", "amount0Out", "amount1Out")
    return Log("Swap", contract, *place, {"sender": TRADER, "to": TRADER, **dict(zip(names, amounts, strict=True))})


def sync(place: tuple[int, int], reserves: tuple[int, int], contract: bytes = PAIRS[0]) -> Log:
    """The pair tells its reserves."""
    return Log("Sync", contract, *place, {"reserve0": reserves[0], "reserve1": reserves[1]})


def mint(place: tuple[int, int], value: int, to: bytes = JAR, contract: bytes = PAIRS[0]) -> Log:
    """LP tokens for somebody."""
    return Log("Transfer", contract, *place, {"from": NOBODY, "to": to, "value": value})


def creation(maker: bytes, index: int, pair: bytes) -> Log:
    """A PairCreated log of block 9."""
    return Log("PairCreated", maker, 9, index, {"token0": TOKENS[0], "token1": TOKENS[1], "pair": pair, "count": 1})


# ---------------------------------------------------------------- random worlds

Amount = (
    st.sampled_from((0, 0, 0, 1, 333, 334, 1999, 2000, 2**112 - 1, 2**256 - 1))
    | st.integers(0, 5000)
    | st.integers(10**17, 10**22)
)
Reserve = st.sampled_from((0, 1, 2**112 - 1)) | st.integers(0, 10**24)
Contract = st.sampled_from(PAIRS + PAIRS + FOREIGN)
Blocks = (0, 1, 2, 3600, 7200, 7201)  # a third of a day, a whole one and a little more
Place = st.tuples(st.sampled_from(Blocks), st.integers(0, 5))


@st.composite
def log_at(draw: st.DrawFn, place: tuple[int, int]) -> Log:
    """A log of any event and contract."""
    event, contract = draw(st.sampled_from(("Swap", "Swap", "Sync", "Transfer", "Transfer"))), draw(Contract)
    if event == "Swap":
        return swap(place, draw(st.tuples(Amount, Amount, Amount, Amount)), contract)
    if event == "Sync":
        return sync(place, draw(st.tuples(Reserve, Reserve)), contract)
    ends = {
        "from": draw(st.sampled_from((NOBODY, NOBODY, NOBODY, TRADER))),
        "to": draw(st.sampled_from((JAR, MAKER, TRADER))),
    }
    return Log("Transfer", contract, *place, {**ends, "value": draw(Amount)})


def _intervals(base: int) -> st.SearchStrategy[tuple[Interval, ...]]:
    """None, one or two that do not meet, with bounds on, before and after the blocks that have logs."""
    bound = st.sampled_from([base + block + off for block in Blocks for off in (0, 1)])

    def cut(ends: list[int], recipients: list[bytes], forever: bool) -> tuple[Interval, ...]:
        ordered = sorted(ends)
        pairs = list(zip(ordered[::2], ordered[1::2], strict=False))
        found = [Interval(first, last, who) for (first, last), who in zip(pairs, recipients, strict=False)]
        return (*found[:-1], found[-1]._replace(last=FOR_EVER)) if found and forever else tuple(found)

    return st.builds(
        cut,
        st.lists(bound, max_size=4, unique=True),
        st.lists(st.sampled_from((JAR, MAKER)), min_size=2, max_size=2),
        st.booleans(),
    )


@st.composite
def pair_worlds(draw: st.DrawFn) -> PairWorld:
    """Up to 16 logs in six blocks of three days, the switch set for some of them."""
    base = draw(st.sampled_from((0, 20_000_000, 2**38)))
    token = st.sampled_from(TOKENS)
    pairs = {contract: Pair(draw(token), draw(token)) for contract in PAIRS}
    places = draw(st.lists(Place, unique=True, max_size=16))
    logs = [draw(log_at((base + block, index))) for block, index in places]
    share = draw(st.sampled_from(((1, 6), (8, 25), (1, 1))))
    terms = Terms(draw(st.sampled_from((3000, 2500, 0, 999_999))), share, draw(_intervals(base)))
    return PairWorld(pairs, logs, terms, draw(st.sampled_from(((), (PAIRS[0],), (PAIRS[0], PAIRS[2])))))
