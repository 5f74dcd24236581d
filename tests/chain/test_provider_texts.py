"""Every provider's way to refuse eth_getLogs, end to end: a node on loopback, the pool, the fetcher, all the logs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr

from indexer.chain.chains import load_chains
from indexer.chain.fetch import Fetcher
from indexer.chain.pace import SECOND, Pace
from indexer.chain.planner import Shape
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint
from indexer.chain.sizing import QuestionSize
from indexer.errors import Refuse
from indexer.model import Span
from tests.fakes.node import Fault, Node, Reply, error_reply

ETHEREUM = load_chains()["ethereum"]
SPAN = Span(1000, 2999)
BLOCKS, LOGS, ADDRESSES = 150, 60, 4  # the limits of these nodes, far below what is asked for first
TOPIC0 = "0x" + "ee" * 32
CROWD = tuple(number.to_bytes(20, "big") for number in range(1, 11))
EVERY = 2  # blocks from one log to the next


@dataclass(frozen=True)
class Text:
    """How a provider refuses. what: its limit, or "for now" (answers later) or "for good".

    {blocks}, {logs}, {addresses}: the limit; {first}, {last}: the hexadecimal range that would work; {asked}: blocks
    asked; {from_block}, {to_block}: the question. http: status without a JSON-RPC error, the text is its body.
    """

    what: str
    said: str
    code: int | None = None
    data: Any = None
    http: int | None = None


# By the text as the fact sheet of chains quotes it.
TEXTS: dict[str, list[Text]] = {
    "this block range should work: [0x.., 0x..]": [
        Text("logs", "this block range should work: [{first}, {last}]", -32602),
        Text("logs", "this block range should work: [{last}, {first}]", -32602),
    ],
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based on your parameters and the response size limit, this block range should work: [0x0, 0xd043b8]": [
        Text(
            "logs",
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on "
            "the response size, or you can request any block range with a cap of {logs} logs in the response. Based on "
            "your parameters and the response size limit, this block range should work: [0x0, 0xd043b8]",
            -32602,
        ),
    ],
    "You can make eth_getLogs requests with up to a 500 block range. Based on your parameters, this block range should work: [0x123c9b2, 0x123cba5]": [
        Text(
            "blocks",
            "You can make eth_getLogs requests with up to a {blocks} block range. Based on your parameters, this block "
            "range should work: [{from_block}, {last}]",
            -32600,
        ),
    ],
    "Log response size exceeded. Please reduce query block range.": [
        Text("logs", "Log response size exceeded. Please reduce query block range.")
    ],
    "query returned more than 10000 results. Try with this block range [0xBDE5F8, 0x102DBCC].": [
        Text("logs", "query returned more than {logs} results. Try with this block range [{first}, {last}].", -32005),
        Text("logs", "query returned more than {logs} results", -32005, {"from": "{first}", "to": "{last}"}),
    ],
    "range 1000000 exceeds limit of 10000": [Text("blocks", "range {asked} exceeds limit of {blocks}", -32602)],
    "query duration exceeded / timeout, code -32005 with no range": [
        Text("blocks", "query duration exceeded", -32005),
        Text("blocks", "timeout", -32005),
    ],
    "Try with this block range [0x.., 0x..]": [Text("logs", "Try with this block range [{first}, {last}]")],
    "eth_getLogs is limited to a 10,000 range": [
        Text("blocks", "eth_getLogs is limited to a {blocks:,} range", -32614),
        Text("blocks", "eth_getLogs is limited to a {blocks:,} range"),
    ],
    "limited to a 5 range (same pattern)": [Text("blocks", "eth_getLogs is limited to a {blocks} range", -32614)],
    "code -32007 / -32009": [Text("for now", "50/second", -32007), Text("for now", "100/minute", -32009)],
    "code -32612 / -32613": [Text("for good", "upgrade", -32612), Text("for good", "upgrade", -32613)],
    "block range is too wide": [Text("blocks", "block range is too wide")],
    "query exceeds max results 20000": [Text("logs", "query exceeds max results {logs}")],
    "maximum [from, to] blocks distance: 10000": [Text("blocks", "maximum [from, to] blocks distance: {blocks}")],
    "(error on more than 200,000 logs per response; text not given)": [
        Text("logs", "the response holds more than {logs:,} logs")
    ],
    "exceed maximum block range: 50000": [Text("blocks", "exceed maximum block range: {blocks}")],
    "Max range: 800": [Text("blocks", "Max range: {blocks}")],
    "eth_getLogs is limited to a 1000 blocks range": [
        Text("blocks", "eth_getLogs is limited to a {blocks} blocks range")
    ],
    "response size should not greater than N bytes": [
        Text("logs", "response size should not greater than 10000000 bytes")
    ],
    "eth_getLogs is limited to 1024 block range": [Text("blocks", "eth_getLogs is limited to {blocks} block range")],
    "the range 55074203 - 55124202 exceeds the range allowed for your plan (49999 > 2000).": [
        Text(
            "blocks",
            "Invalid params",
            -32602,
            {"range": "the range 55074203 - 55124202 exceeds the range allowed for your plan ({asked} > {blocks})."},
        ),
    ],
    "Block range limit exceeded.": [Text("blocks", "Block range limit exceeded.")],
    "please limit the query to at most 1000 blocks": [
        Text("blocks", "please limit the query to at most {blocks} blocks")
    ],
    "no backend is currently healthy to serve traffic / block range too large": [
        Text("for now", "no backend is currently healthy to serve traffic"),
        Text("blocks", "block range too large"),
    ],
    "Block range is too large / backend response too large": [
        Text("blocks", "Block range is too large"),
        Text("logs", "backend response too large"),
    ],
    "logs matched by query exceeds limit of 10000": [Text("logs", "logs matched by query exceeds limit of {logs}")],
    "requested too many blocks from 1 to 3000, maximum is set to 2048": [
        Text("blocks", "requested too many blocks from {from_block} to {to_block}, maximum is set to {blocks}")
    ],
    "... after last accepted block": [Text("for now", "requested to block 2999 after last accepted block 2998")],
    "block range extends beyond current head block": [Text("for now", "block range extends beyond current head block")],
    "eth_getLogs range is too large, max is 10k blocks (or 1k blocks)": [
        Text("blocks", "eth_getLogs range is too large, max is {blocks} blocks")
    ],
    "Maximum allowed number of requested blocks is N": [
        Text("blocks", "Maximum allowed number of requested blocks is {blocks}")
    ],
    "ranges over 10000 blocks are not supported on freetier": [
        Text("blocks", "ranges over {blocks} blocks are not supported on freetier")
    ],
    "ChainException: Unexpected error (code=40000) / invalid block range": [
        Text("for now", "ChainException: Unexpected error (code=40000)"),
        Text("for now", "invalid block range"),
    ],
    "Response is too big (data: Exceeded max limit of 167772160)": [
        Text("logs", "Response is too big", -32008, "Exceeded max limit of 167772160")
    ],
    "query exceeds max results 20000 / max block range 100000 (rpc.max-logs-per-response, rpc.max-blocks-per-filter)": [
        Text("logs", "query exceeds max results {logs}, retry with the range {from_dec}-{last_dec}", -32602),
        Text("blocks", "query exceeds max block range {blocks}", -32602),
    ],
    "query exceeds max block range 50": [Text("blocks", "query exceeds max block range {blocks}")],
    "allowed block range threshold exceeded": [Text("blocks", "allowed block range threshold exceeded")],
    "exceeded max allowed / range threshold exceeded / request exceeded max allowed range": [
        Text("blocks", "request exceeded max allowed range", -32012),
        Text("blocks", "range threshold exceeded"),
    ],
    "block range greater than N max": [Text("blocks", "block range greater than {blocks} max")],
    "block range exceeds N": [Text("blocks", "block range exceeds {blocks}")],
    "query must be smaller than size N": [Text("blocks", "query must be smaller than size {blocks}")],
    "block range is too wide (maximum 1024)": [Text("blocks", "block range is too wide (maximum {blocks})")],
    "up to a 2000 block range": [Text("blocks", "up to a {blocks} block range")],
    "block range too large": [Text("blocks", "block range too large")],
    "exceed max block range: N": [Text("blocks", "exceed max block range: {blocks}")],
    "query returned more than 10000 results": [Text("logs", "query returned more than {logs} results")],
    "limit exceeded": [Text("for good", "limit exceeded", -32005)],
    "exceed maximum block range: 5000": [Text("blocks", "exceed maximum block range: {blocks}", -32000)],
    "specify less number of address": [Text("addresses", "please specify less number of address")],
    "exceed max addresses or topics per search position": [
        Text("addresses", "exceed max addresses or topics per search position")
    ],
    "This query contains N filters. The current limit is 5000.": [
        Text("addresses", "This query contains 10 filters. The current limit is {addresses}.")
    ],
    "retry with the range A-B": [Text("logs", "retry with the range {from_dec}-{last_dec}")],
    "Too many requests | rate limit | requests limited to | Exceeded the quota | under too much load | request limit reached | reached the quota | upgrade your tier | limit exceeded; HTTP 429": [
        *(
            Text("for now", said)
            for said in (
                "Too many requests", "rate limit", "requests limited to 10", "Exceeded the quota",
                "under too much load", "request limit reached", "reached the quota", "upgrade your tier",
                "daily limit exceeded",
            )
        ),
        Text("for now", "slow down", http=429),
    ],
    "reached the free tier | Monthly capacity limit | limit for your current plan | /billing; HTTP 402": [
        *(
            Text("for good", said)
            for said in (
                "reached the free tier", "Monthly capacity limit reached", "limit for your current plan",
                "see https://example.org/billing",
            )
        ),
        Text("for good", "pay", http=402),
    ],
    "finalized block not found | safe block not found | finalized is not a supported | not a supported commitment | malformed blocknumber": [
        *(Text("for good", said) for said in ("finalized block not found", "not a supported commitment"))
    ],
    "ServerError(-32005), 503 Service Unavailable, ServerError(-32000)": [
        Text("blocks", "too heavy for us", -32005),
        Text("for now", "busy", http=503),
        Text("for now", "internal", -32000),
    ],
}  # fmt: skip
CASES = [text for texts in TEXTS.values() for text in texts]


@dataclass
class Refusing:
    """A node that holds one log in every second block, of the ten contracts in turn, and refuses as its text says."""

    text: Text
    passing: int = 3  # how often "for now" refuses
    most_addresses: int = 10
    spans: list[Span] = field(default_factory=list)

    def __call__(self, method: str, params: Any) -> Any:
        if method != "eth_getLogs":
            raise Fault(-32601, f"the method {method} does not exist/is not available")
        (question,) = params
        span = Span(int(question["fromBlock"], 16), int(question["toBlock"], 16))
        logs = [log for log in map(made_log, range(span.first, span.last + 1)) if log is not None]
        logs = [log for log in logs if log["address"] in question["address"]]
        self.spans.append(span)
        if self.refuses(span, len(logs), len(question["address"])):
            raise self.fault(span)
        return logs

    def refuses(self, span: Span, logs: int, addresses: int) -> bool:
        if self.text.what == "for now":
            self.passing -= 1
            return self.passing >= 0
        limits = {
            "for good": True,
            "blocks": len(span) > BLOCKS,
            "logs": logs > LOGS,
            "addresses": addresses > ADDRESSES,
        }
        return limits[self.text.what]

    def fault(self, span: Span) -> Fault:
        fitting = BLOCKS if self.text.what == "blocks" else LOGS * EVERY
        last = span.first + fitting - 1
        words = {
            "blocks": BLOCKS, "logs": LOGS, "addresses": ADDRESSES, "asked": len(span), "first": hex(span.first),
            "last": hex(last), "from_block": hex(span.first), "to_block": hex(span.last), "from_dec": span.first,
            "last_dec": last,
        }  # fmt: skip
        data = self.text.data
        if isinstance(data, dict):
            data = {key: value.format(**words) if isinstance(value, str) else value for key, value in data.items()}
        return Fault(-32000 if self.text.code is None else self.text.code, self.text.said.format(**words), data)


def made_log(block: int) -> dict[str, Any] | None:
    if block % EVERY:
        return None
    return {
        "address": "0x" + CROWD[block // EVERY % len(CROWD)].hex(),
        "topics": [TOPIC0],
        "data": "0x",
        "blockNumber": hex(block),
        "transactionHash": f"0x{block:064x}",
        "transactionIndex": "0x0",
        "blockHash": f"0x{block:064x}",
        "logIndex": "0x0",
        "blockTimestamp": hex(1_700_000_000 + 12 * block),
        "removed": False,
    }


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.at = 0

    def now(self) -> int:
        return self.at

    async def sleep(self, nanoseconds: int) -> None:
        self.at += nanoseconds
        await asyncio.sleep(0)


async def read(node: Node) -> tuple[list[int], int, Endpoints]:
    """The blocks of all logs that a fetcher brings home from this node, and the seconds it would have waited."""
    pool, clock = Endpoints(ETHEREUM, [Endpoint(SecretStr(node.url))]), Clock()
    pool.pace = Pace(clock.now, clock.sleep, Random(1))
    shape = Shape(CROWD, ((bytes.fromhex(TOPIC0[2:]),),))
    try:
        logs = await Fetcher(pool, [shape], {shape: QuestionSize(1024)}).read(SPAN)
        (raw,) = logs.groups.values()
        return raw.where.block.tolist(), clock.at // SECOND, pool
    finally:
        await pool.close()


@pytest.mark.parametrize("text", CASES, ids=lambda text: text.said[:50])
async def test_whatever_a_provider_says_all_logs_come_or_the_run_is_refused(text: Text) -> None:
    """Limits are met by asking less, what passes by waiting, and what does not pass is said to the user at once."""
    refusing = Refusing(text)
    async with Node(refusing) as node:
        if text.http is not None:
            body = json.dumps({"error": text.said})
            node.script.extend([Reply(body, text.http)] * (3 if text.what == "for now" else 50))
            refusing.passing = 0
        if text.what == "for good":
            with pytest.raises(Refuse):
                await read(node)
            assert node.count("eth_getLogs") <= 2
            return
        blocks, waited, pool = await read(node)
    assert blocks == list(range(SPAN.first, SPAN.last + 1, EVERY))
    asked = node.count("eth_getLogs")
    if text.what == "for now":
        assert asked <= 3 + 3, "a refusal for now does not make questions smaller"
    else:
        fewest = {"blocks": 2000 / BLOCKS, "logs": 1000 / LOGS, "addresses": 3 * 2}[text.what]
        assert asked <= 2.2 * fewest + 6
        assert waited == 0, "a limit is no reason to wait"
    named = {"blocks": pool.limits.max_blocks, "logs": pool.limits.max_logs, "addresses": pool.limits.max_addresses}
    for name in ("blocks", "logs", "addresses"):
        if "{" + name in text.said + str(text.data):
            assert named[name] == {"blocks": BLOCKS, "logs": LOGS, "addresses": ADDRESSES}[name]


def test_the_fact_sheet_holds_no_text_that_is_not_tried_here(shared: Path) -> None:
    """Each provider text we know of runs through the test above."""
    known = {row["match"] for row in json.loads((shared / "facts" / "chains.json").read_text())["getlogs_errors"]}
    tried = {key.split(" (rpc.max")[0] for key in TEXTS}
    assert {text.split(" (rpc.max")[0] for text in known} <= tried


async def test_a_rate_limit_in_an_http_error_is_waited_for() -> None:
    """HTTP 429 with Retry-After: as long as it says, and the question stays as large as it was."""
    async with Node(Refusing(Text("for now", "", None), passing=0)) as node:
        node.script.append(error_reply(429, -32005, "too many requests", Retry_After="7"))
        blocks, waited, _ = await read(node)
    assert len(blocks) == 1000
    assert waited >= 7
