"""Random Uniswap v3 pools with their logs, for the batch form and the plain one."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from hypothesis import strategies as st

from indexer.families.interface import Contracts, Family
from indexer.families.uniswap_v3 import (
    COLLECT_PROTOCOL,
    FLASH,
    POOL_CREATED,
    SET_FEE_PROTOCOL,
    SHARE,
    SWAP,
    UniswapV3,
)
from indexer.model import Classified, Context, Step
from tests.families.columns import Booked, batches, expected
from tests.families.plain import Change, Log, Pool, uniswap_v3

SIGNATURES = (POOL_CREATED, SWAP, FLASH, SET_FEE_PROTOCOL, COLLECT_PROTOCOL)
FAMILY: Family = UniswapV3()


def address(name: str) -> bytes:
    """20 made-up octets."""
    return sha256(name.encode()).digest()[:20]


FACTORY, OTHER_FACTORY = address("factory"), address("other factory")
CONTRACTS: Contracts = {"factory": (FACTORY,), "pools": ()}
TOKENS = [address(f"token {number}") for number in range(3)]
POOLS = [address(f"pool {number}") for number in range(3)]
FOREIGN = [address(f"foreign {number}") for number in range(2)]
SENDER = {"sender": address("sender"), "recipient": address("recipient")}
SWITCHED = ("feeProtocol0Old", "feeProtocol1Old", "feeProtocol0New", "feeProtocol1New")
END_OF_BLOCK = 2**24 - 1  # where a step that the state showed is placed


class World(NamedTuple):
    """Logs of some blocks, with the pools that are ours and every change of a switch, before and after too."""

    pools: dict[bytes, Pool]
    logs: list[Log]
    changes: list[Change]

    def classify(self) -> Classified:
        """What the family makes of it."""
        members = {contract: pool._asdict() for contract, pool in self.pools.items()}
        found = batches(self.logs, SIGNATURES, strangers=FOREIGN)
        steps: dict[tuple[bytes, str], list[Step]] = {}
        for change in self.changes:
            step = Step(change.contract, SHARE, change.block, change.log_index, change.denominators)
            steps.setdefault((change.contract, SHARE), []).append(step)
        ordered = {key: sorted(held, key=lambda one: (one.block, one.log_index)) for key, held in steps.items()}
        return FAMILY.classify(CONTRACTS, found, Context(members, ordered))

    def plain(self) -> list[Booked]:
        """What the plain form makes of it."""
        return expected((log, uniswap_v3(log, self.pools, self.changes)) for log in self.logs)


Int256 = (
    st.sampled_from((0, 1, -1, 2, -2, 333, 334, 2**255 - 1, -(2**255), 2**128, -(2**64)))
    | st.integers(-400, 400)
    | st.integers(-(2**255), 2**255 - 1)
    | st.integers(10**17, 10**22)
)


def unsigned(width: int) -> st.SearchStrategy[int]:
    """Integers of so many bits, small ones and the largest often."""
    return st.sampled_from((0, 1, 3, 9, 10, 2**width - 1)) | st.integers(0, 30) | st.integers(0, 2**width - 1)


Denominator = st.sampled_from((0, 0, 4, 5, 6, 7, 8, 9, 10))
Denominators = st.tuples(Denominator, Denominator)
Tier = st.sampled_from((100, 500, 3000, 10_000, 0, 1, 999_999)) | st.integers(0, 999_999)
Spacing = st.sampled_from((1, 10, 60, 200, 16_383)) | st.integers(1, 16_383)
Token = st.sampled_from(TOKENS)
Contract = st.sampled_from(POOLS + POOLS + FOREIGN)
Place = st.tuples(st.integers(10, 12), st.integers(0, 5) | st.just(END_OF_BLOCK))


@st.composite
def log_at(draw: st.DrawFn, place: tuple[int, int]) -> Log:
    """A log of any event and contract."""
    event = draw(st.sampled_from(("Swap", "Swap", "Swap", "SetFeeProtocol", "Flash", "CollectProtocol")))
    args: dict[str, int | bytes] = dict(SENDER)
    if event == "Swap":
        args |= {name: draw(Int256) for name in ("amount0", "amount1")}
        args |= {"sqrtPriceX96": draw(unsigned(160)), "liquidity": draw(unsigned(128))}
        args["tick"] = draw(st.integers(-887272, 887272))
    elif event == "SetFeeProtocol":
        values = draw(st.tuples(Denominators, Denominators))
        args = dict(zip(SWITCHED, values[0] + values[1], strict=True))
    else:
        names = ["amount0", "amount1", *(("paid0", "paid1") if event == "Flash" else ())]
        args |= {name: draw(unsigned(256 if event == "Flash" else 128)) for name in names}
    return Log(event, draw(Contract), *place, args)


def changes_of(logs: Sequence[Log]) -> list[Change]:
    """What the logs say of the switch."""
    return [
        Change(log.contract, log.block, log.index, (log.number("feeProtocol0New"), log.number("feeProtocol1New")))
        for log in logs
        if log.event == "SetFeeProtocol"
    ]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to 14 logs in three blocks, the switch changed in between, before and after."""
    base = draw(st.sampled_from((0, 20_000_000, 2**38)))
    pools = {contract: Pool(draw(Token), draw(Token), draw(Tier), draw(Spacing)) for contract in POOLS}
    places = draw(st.lists(Place, unique=True, max_size=14))
    logs = [draw(log_at((base + block, index))) for block, index in places]
    elsewhere = st.tuples(Contract, st.sampled_from((7, 8, 9, 13)), st.sampled_from((0, 3, END_OF_BLOCK)), Denominators)
    others = draw(st.lists(elsewhere, max_size=4, unique_by=lambda one: one[:3]))
    known = [Change(contract, base + block, index, held) for contract, block, index, held in others]
    return World(pools, logs, [*known, *changes_of(logs)])
