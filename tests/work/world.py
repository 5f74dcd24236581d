"""A made-up chain with pools, impostors and tokens behind a node on loopback that counts every call."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from pydantic import SecretStr

from indexer.archive.store import Store
from indexer.chain.calls import AGGREGATE3
from indexer.chain.chains import load_chains
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.decode.signature import parse_event, parse_function
from indexer.families.uniswap_v3 import POOL_CREATED, POOL_INIT_CODE_HASH, SET_FEE_PROTOCOL, SWAP
from indexer.ledger.connect import Database
from indexer.manifest import Deployment
from indexer.model import Basis, Kind, Member, Span
from indexer.work.classify import Matched, Matcher
from indexer.work.gaps import Gaps
from indexer.work.group import Group, groups
from indexer.work.members import learn
from tests.fakes.node import Fault, Node

ETHEREUM = load_chains()["ethereum"]
HEAD = 20_000_000
START = 18_000_000


def address(name: str) -> bytes:
    return keccak(text=name)[-20:]


FACTORY, OTHER_FACTORY = address("factory"), address("other factory")
TOKEN0, TOKEN1 = sorted([address("one token"), address("another token")])
TRADER = address("trader")


def word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else (value % 2**256).to_bytes(32, "big")


def selector(name: str) -> bytes:
    return parse_function(name).selector


FACTS = tuple(selector(f"{name}() returns (address)") for name in ("factory", "token0", "token1", "fee", "tickSpacing"))
SPACING = 60
GET_POOL = selector("getPool(address,address,uint24) returns (address)")
SLOT0 = selector("slot0() returns (uint160)")
SYMBOL, DECIMALS = selector("symbol() returns (string)"), selector("decimals() returns (uint8)")

SWITCHED = "0x" + parse_event(SET_FEE_PROTOCOL).topic0.hex()

Answering = Callable[[int], bytes | None]  # block -> octets, None where it reverts


def pool_address(fee: int, factory: bytes = FACTORY) -> bytes:
    """The CREATE2 address of the factory's pool of both tokens."""
    salt = keccak(word(TOKEN0) + word(TOKEN1) + word(fee))
    return keccak(b"\xff" + factory + salt + POOL_INIT_CODE_HASH)[12:]


@dataclass
class World:
    """answers: by contract and calldata. asked: calls of contracts, those in an aggregate one by one. requests: by method.

    oldest_state: first block with state. max_blocks: of an eth_getLogs, said in refusals.
    """

    answers: dict[tuple[bytes, bytes], bytes | Answering | None] = field(default_factory=dict)
    logs: list[dict[str, Any]] = field(default_factory=list)
    oldest_state: int = 0
    max_blocks: int | None = None
    asked: Counter[tuple[bytes, bytes]] = field(default_factory=Counter)
    blocks: set[int] = field(default_factory=set)  # at which contracts were asked
    spans: list[Span] = field(default_factory=list)  # of every eth_getLogs that was answered

    def __call__(self, method: str, params: Any) -> Any:
        if method == "eth_getLogs":
            return self.search(params[0])
        if method != "eth_call":
            raise Fault(-32601, f"the method {method} does not exist/is not available")
        to, data, block = bytes.fromhex(params[0]["to"][2:]), bytes.fromhex(params[0]["data"][2:]), int(params[1], 16)
        self.blocks.add(block)
        if block < self.oldest_state:
            raise Fault(-32000, f"missing trie node {'ab' * 32} (path )")
        if to == ETHEREUM.multicall3 and data[:4] == AGGREGATE3:
            return "0x" + self.aggregate(data[4:], block).hex()
        good, answer = self.call(to, data, block)
        if not good:
            raise Fault(3, "execution reverted", "0x")
        return "0x" + answer.hex()

    def aggregate(self, data: bytes, block: int) -> bytes:
        (calls,) = decode(["(address,bool,bytes)[]"], data)
        return encode(["(bool,bytes)[]"], [[self.call(bytes.fromhex(to[2:]), asked, block) for to, _, asked in calls]])

    def call(self, to: bytes, data: bytes, block: int) -> tuple[bool, bytes]:
        self.asked[to, data] += 1
        answer = self.answers.get((to, data), b"")
        octets = answer(block) if callable(answer) else answer
        return (False, b"\x08\xc3\x79\xa0" + bytes(64)) if octets is None else (True, octets)

    def search(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        span = Span(int(question["fromBlock"], 16), int(question["toBlock"], 16))
        if self.max_blocks is not None and len(span) > self.max_blocks:
            raise Fault(-32602, f"query exceeds max block range {self.max_blocks}")
        self.spans.append(span)
        return [
            log for log in self.logs if span.first <= int(log["blockNumber"], 16) <= span.last and fits(question, log)
        ]

    # ------------------------------------------------------------ what there is

    def pool(self, contract: bytes, factory: bytes = FACTORY, fee: int = 3000) -> bytes:
        """A contract that says it is this pool, truly or not."""
        for asked, value in zip(FACTS, (factory, TOKEN0, TOKEN1, fee, SPACING), strict=True):
            self.answers[contract, asked] = word(value)
        return contract

    def vouch(self, contract: bytes, fee: int = 3000, factory: bytes = FACTORY) -> None:
        """The factory's getPool gives this address."""
        self.answers[factory, GET_POOL + word(TOKEN0) + word(TOKEN1) + word(fee)] = word(contract)

    def emit(self, contract: bytes, event: str, block: int, index: int = 0, **args: int | bytes) -> None:
        """A log; arguments not named are zero."""
        parsed = parse_event(event)
        topics = [parsed.topic0, *(word(args.get(param.name, 0)) for param in parsed.indexed)]
        self.logs.append(
            {
                "address": "0x" + contract.hex(),
                "topics": ["0x" + topic.hex() for topic in topics],
                "data": "0x" + b"".join(word(args.get(param.name, 0)) for param in parsed.plain).hex(),
                "blockNumber": hex(block),
                "transactionHash": f"0x{block * 1000 + index:064x}",
                "transactionIndex": "0x0",
                "blockHash": f"0x{block:064x}",
                "logIndex": hex(index),
                "blockTimestamp": hex(1_700_000_000 + 12 * (block - START)),
                "removed": False,
            }
        )

    def swap(self, contract: bytes, block: int, index: int = 0, amount: int = 10**6) -> None:
        """Somebody pays token0 for token1."""
        state = {"sqrtPriceX96": 2**96, "liquidity": 10**18, "tick": 0}
        self.emit(
            contract, SWAP, block, index, sender=TRADER, recipient=TRADER, amount0=amount, amount1=-amount, **state
        )

    def switch(self, contract: bytes, block: int, index: int, new0: int, new1: int) -> None:
        """The fee switch is set."""
        self.emit(contract, SET_FEE_PROTOCOL, block, index, feeProtocol0New=new0, feeProtocol1New=new1)

    def create(self, contract: bytes, block: int, index: int = 0, fee: int = 3000, factory: bytes = FACTORY) -> None:
        """A factory announces a pool."""
        made = {"token0": TOKEN0, "token1": TOKEN1, "fee": fee, "tickSpacing": SPACING, "pool": contract}
        self.emit(factory, POOL_CREATED, block, index, **made)

    def settle(self, contract: bytes) -> None:
        """slot0 of this pool tells at any block what its SetFeeProtocol logs had made of the switch."""

        def slot0(block: int) -> bytes:
            done = [log for log in self.logs if log["address"] == "0x" + contract.hex()]
            done = [log for log in done if log["topics"][0] == SWITCHED and int(log["blockNumber"], 16) <= block]
            latest = max(done, key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)), default=None)
            new = bytes(128) if latest is None else bytes.fromhex(latest["data"][2:])
            packed = new[95] + (new[127] << 4)
            return b"".join(word(value) for value in (2**96, 0, 0, 1, 1, packed, 1))

        self.answers[contract, SLOT0] = slot0

    def times_asked(self, contract: bytes) -> int:
        """The most often that one question was put to this contract."""
        return max((count for (to, _), count in self.asked.items() if to == contract), default=0)


def fits(question: dict[str, Any], log: dict[str, Any]) -> bool:
    wanted = question.get("topics", [])
    return ("address" not in question or log["address"] in question["address"]) and all(
        values is None or topic in values for values, topic in zip(wanted, log["topics"], strict=False)
    )


def deployment(name: str = "dex.one", start: int = START, **contracts: Sequence[bytes]) -> Deployment:
    held = {"factory": (FACTORY,), "pools": ()} | {role: tuple(found) for role, found in contracts.items()}
    return Deployment(
        name,
        name.split(".", maxsplit=1)[0],
        "ethereum",
        "uniswap_v3",
        start,
        held,
        {Kind.FEE: Basis.ACCRUED},
        "exact",
        bytes(32),
    )


@asynccontextmanager
async def group_over(
    world: World, database: Database, *deployments: Deployment, store: Store | None = None, gaps: Gaps | None = None
) -> AsyncIterator[Group]:
    """Deployments read together over this world's node, with nothing remembered but what the database holds."""
    async with Node(world) as node:
        pool = Endpoints(ETHEREUM, [Endpoint(SecretStr(node.url))], attempts=2)
        try:
            (group,) = groups(pool, database, deployments, store, gaps)
            yield group
        finally:
            await pool.close()


async def meet(group: Group, span: Span) -> tuple[dict[str, Matched], dict[str, list[Member]]]:
    """What a range's logs match and announce, every emitter known afterwards."""
    matcher = Matcher(await group.fetcher.read(span))
    matched = {one.id: matcher.match(one) for one in group.deployments}
    return matched, await learn(group, matched, HEAD)
