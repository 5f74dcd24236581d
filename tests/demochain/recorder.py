"""Writes down what the node answers: headers, receipts, logs, and the calls an indexer may ask."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tests.demochain.cast import Stage
from tests.demochain.deploy import MULTICALL3
from tests.demochain.farming import STAKES
from tests.demochain.feed import Feed
from tests.demochain.node import CHAIN_ID, Reverted, calldata
from tests.demochain.pairs import Pairs

METADATA = ("symbol()", "name()", "decimals()")
IMMUTABLES = ("factory()", "token0()", "token1()", "fee()", "tickSpacing()")
COMPUTED = {"hash", "parentHash", "number", "logsBloom", "transactions", "size", "totalDifficulty"}


class Calls:
    """Answers of eth_call over time: a step is written only where the answer differs from the one before."""

    def __init__(self, stage: Stage) -> None:
        self._node = stage.node
        self.steps: dict[tuple[str, str], list[tuple[int, str | None]]] = {}

    def ask(self, to: str, data: str, block: int) -> None:
        """Asks now, after this block, and keeps the answer from it on; None is a revert."""
        answer: str | None
        try:
            answer = "0x" + self._node.raw_call(to, data, block=block).hex()
        except Reverted:
            answer = None
        steps = self.steps.setdefault((to, data), [])
        if not steps or steps[-1][1] != answer:
            steps.append((block, answer))


def ask_facts(stage: Stage, calls: Calls) -> None:
    """What never changes: token metadata, what pools and factories are, asked at the block of their creation."""
    for token in stage.tokens.values():
        for signature in METADATA:
            calls.ask(token, calldata(signature), stage.created[token])
        calls.ask(token, calldata("totalSupply()"), stage.created[token])
    for name, pool in stage.pools.items():
        block, factory = stage.created[pool.address], stage.venue(name).factory
        for signature in IMMUTABLES:
            calls.ask(pool.address, calldata(signature), block)
        for pair in ((pool.token0, pool.token1), (pool.token1, pool.token0)):
            asked = calldata("getPool(address,address,uint24)", *pair, pool.fee)
            for known in (stage.created[factory], block):
                calls.ask(factory, asked, known)
        calls.ask(pool.address, calldata("slot0()"), block)
        calls.ask(pool.address, calldata("liquidity()"), block)
    for signature in ("sushi()", "sushiPerBlock()", "bonusEndBlock()", "startBlock()", "devaddr()"):
        calls.ask(stage.farm.chef, calldata(signature), stage.created[stage.farm.chef])
    ask_state(stage, calls, stage.created[stage.farm.chef])


def ask_pairs(calls: Calls, pairs: Pairs, block: int) -> None:
    """What the pairs are, and their reserves after a block."""
    for name, pair in pairs.at.items():
        for signature in ("factory()", "token0()", "token1()", "symbol()", "name()", "decimals()", "getReserves()"):
            calls.ask(pair, calldata(signature), block)
        for one, other in (pairs.tokens[name], pairs.tokens[name][::-1]):
            calls.ask(pairs.factory, calldata("getPair(address,address)", one, other), block)


def ask_feed(calls: Calls, feed: Feed, block: int) -> None:
    """Where the proxy points after a block."""
    for signature in ("phaseId()", "aggregator()", "decimals()"):
        calls.ask(feed.proxy, calldata(signature), block)
    for phase, aggregator in enumerate(feed.aggregators, 1):
        calls.ask(feed.proxy, calldata("phaseAggregators(uint16)", phase), block)
        calls.ask(aggregator, calldata("decimals()"), block)


def ask_state(stage: Stage, calls: Calls, block: int) -> None:
    """What changes, asked at the end of each day: prices, supplies, balances, the chef's pools."""
    for pool in stage.pools.values():
        if stage.created[pool.address] <= block:
            calls.ask(pool.address, calldata("slot0()"), block)
            calls.ask(pool.address, calldata("liquidity()"), block)
            for token in (pool.token0, pool.token1):
                calls.ask(token, calldata("balanceOf(address)", pool.address), block)
    for token in stage.tokens.values():
        calls.ask(token, calldata("totalSupply()"), block)
    chef = stage.farm.chef
    for pid, name in enumerate(STAKES):
        calls.ask(chef, calldata("poolInfo(uint256)", pid), block)
        calls.ask(stage.tokens[name], calldata("balanceOf(address)", chef), block)
    for signature in ("totalAllocPoint()", "poolLength()"):
        calls.ask(chef, calldata(signature), block)
    calls.ask(stage.farm.token, calldata("balanceOf(address)", chef), block)


class Table:
    """Texts, each once, numbered in order of appearance."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text."""
        return self.numbers.setdefault(text, len(self.numbers))


def recorded_chain(stage: Stage, calls: Calls, contracts: dict[str, Any]) -> dict[str, Any]:
    """The whole chain in the format of indexer/demo/README.md."""
    addresses, topics = Table(), Table()
    head = int(stage.node.rpc("eth_blockNumber"), 16)
    blocks: list[dict[str, Any]] = []
    receipts: list[list[Any]] = []
    logs: list[list[Any]] = []
    for number in range(head + 1):
        blocks.append(stage.node.rpc("eth_getBlockByNumber", hex(number), False))
        for receipt in stage.node.rpc("eth_getBlockReceipts", hex(number)):
            logs += [_log(len(receipts), log, addresses, topics) for log in receipt["logs"]]
            receipts.append(_receipt(receipt, addresses))
    asked = [[addresses.number(to), data, steps] for (to, data), steps in calls.steps.items()]
    code = [[addresses.number(MULTICALL3), 0]] + [[addresses.number(a), b] for a, b in stage.created.items()]
    return {
        "format": 1,
        "chain_id": CHAIN_ID,
        "contracts": contracts,
        "genesis_parent": blocks[0]["parentHash"],
        "blocks": _headers(blocks),
        "receipts": [list(column) for column in zip(*receipts, strict=True)],
        "logs": [list(column) for column in zip(*logs, strict=True)],
        "calls": asked,
        "code": code,
        "addresses": list(addresses.numbers),
        "topics": list(topics.numbers),
    }


def _headers(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    keys = [key for key in blocks[0] if key not in COMPUTED]
    columns: dict[str, Any] = {"hash": [block["hash"] for block in blocks]}
    for key in keys:
        values = [block[key] for block in blocks]
        columns[key] = values if any(value != values[0] for value in values) else values[0]
    return columns


def _receipt(receipt: dict[str, Any], addresses: Table) -> list[Any]:
    to, made = receipt["to"], receipt["contractAddress"]
    return [
        int(receipt["blockNumber"], 16),
        receipt["transactionHash"],
        addresses.number(receipt["from"]),
        -1 if to is None else addresses.number(to),
        int(receipt["gasUsed"], 16),
        int(receipt["status"], 16),
        int(receipt["effectiveGasPrice"], 16),
        -1 if made is None else addresses.number(made),
    ]


def _log(receipt: int, log: dict[str, Any], addresses: Table, topics: Table) -> list[Any]:
    return [receipt, addresses.number(log["address"]), [topics.number(t) for t in log["topics"]], log["data"]]


def write(path: Path, content: dict[str, Any]) -> int:
    """Gzipped JSON whose bytes depend on the content only; returns the size in bytes."""
    text = json.dumps(content, separators=(",", ":"))
    packed = gzip.compress(text.encode(), 9, mtime=0)
    path.write_bytes(packed)
    return len(packed)
