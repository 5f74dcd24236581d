"""A deterministic node for benchmarks, in a process of its own: `python -m tests.bench.node --swaps 500000`.

JSON-RPC over POST, its counters over GET /stats. It prints one JSON line with its port once it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import uvloop

from .blocks import SLOT, TAIL, Size
from .calls import Reverted
from .chain import Chain
from .faulty import Faults, Faulty, faults_of
from .faulty import add_options as add_fault_options
from .http import Http, Piece
from .mixed_calls import contracts_of
from .mixed_chain import MixedChain
from .rows import json_rows
from .search import Search, several
from .terms import NO_LIMIT, STYLES, Refused, Terms
from .world import Ints

CHAIN_ID = 1
UNLIMITED = Terms()


@dataclass(slots=True)
class Stats:
    """What was asked and served so far. octets: of HTTP bodies sent. filters: first and last block answered, by filter."""

    requests: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    refused: int = 0
    logs: int = 0
    octets: int = 0
    filters: dict[str, tuple[int, int]] = field(default_factory=dict)


class Node:
    """Answers to JSON-RPC requests about a chain. terms: of eth_getLogs."""

    def __init__(self, chain: Chain | MixedChain, *, timed: bool = True, terms: Terms = UNLIMITED) -> None:
        self.chain, self.stats = chain, Stats()
        self.rows = json_rows(chain, timed=timed)
        self.head = chain.final + TAIL
        self._terms = terms
        self._contracts = contracts_of(chain)
        self._search = Search(chain)
        self._methods: Mapping[str, Callable[..., Sequence[Piece]]] = {
            "eth_chainId": lambda: [_json(hex(CHAIN_ID))],
            "eth_blockNumber": lambda: [_json(hex(self.head))],
            "eth_getBlockByNumber": self._block,
            "eth_getBalance": lambda *_: [_json("0x0")],
            "eth_getLogs": self._logs,
            "eth_call": self._call,
        }

    def http(self, method: bytes, body: bytes) -> Sequence[Piece]:
        """Pieces of the body that answers an HTTP request: GET for the counters, POST for JSON-RPC."""
        if method == b"GET":
            return [_json(self.stats)]
        self.stats.posts += 1
        asked = msgspec.json.decode(body)
        pieces = self._batch(asked) if isinstance(asked, list) else self.answer(asked)
        self.stats.octets += sum(map(len, pieces))
        return pieces

    def _batch(self, asked: Sequence[dict[str, Any]]) -> Sequence[Piece]:
        answers = [[b",", *self.answer(one)] for one in asked]
        return [b"[", *[piece for answer in answers for piece in answer][1:], b"]"]

    def answer(self, asked: dict[str, Any]) -> Sequence[Piece]:
        """Pieces of the JSON-RPC answer to one request."""
        self.stats.requests[asked["method"]] += 1
        head = b'{"jsonrpc":"2.0","id":' + _json(asked["id"])
        try:
            if asked["method"] not in self._methods:
                raise Refused(-32601, f"the method {asked['method']} does not exist/is not available")
            return [head, b',"result":', *self._methods[asked["method"]](*asked.get("params", ())), b"}"]
        except Refused as refused:
            self.stats.refused += 1
            return [head, b',"error":', _json(refused.error), b"}"]

    def places(self, question: Mapping[str, Any]) -> Ints:
        """Which logs of the chain a filter object asks for, in chain order. Raises Refused beyond the limits."""
        first, last = self._number(question.get("fromBlock")), self._number(question.get("toBlock"))
        found = self._search.places(first, last, question)
        blocks, addresses = self.chain.base_block + self.chain.block[found], several(question.get("address"))
        self._terms.check(first, last, len(addresses), blocks, self.rows.shape[1])
        return found

    def _logs(self, question: Mapping[str, Any]) -> Sequence[Piece]:
        found = self.places(question)
        self.stats.logs += len(found)
        self._note(question)
        if not len(found):
            return [b"[]"]
        return [b"[", np.take(self.rows, found, axis=0).data.cast("B")[:-1], b"]"]

    def _note(self, question: Mapping[str, Any]) -> None:
        first, last = (self._number(question.get(name)) for name in ("fromBlock", "toBlock"))
        rest = {name: value for name, value in question.items() if name in ("address", "topics")}
        low, high = self.stats.filters.get(key := _json(rest).decode(), (first, last))
        self.stats.filters[key] = (min(low, first), max(high, last))

    def _block(self, block: str, _whole: bool = False) -> Sequence[Piece]:
        number = self._number(block)
        if number > self.head:
            return [b"null"]
        hashes = {"hash": number, "parentHash": number - 1}
        header = {name: "0x" + self.chain.block_hash(at).hex() for name, at in hashes.items()}
        time = self.chain.base_time + SLOT * (number - self.chain.base_block)
        return [_json({"number": hex(number), **header, "timestamp": hex(time), "transactions": []})]

    def _call(self, call: Mapping[str, str], _block: str = "latest") -> Sequence[Piece]:
        to, data = (bytes.fromhex(call[name][2:]) for name in ("to", "data"))
        try:
            return [_json("0x" + self._contracts.call(to, data).hex())]
        except Reverted:
            raise Refused(3, "execution reverted") from None

    def _number(self, block: str | None) -> int:
        if block in (None, "latest", "pending"):
            return self.head
        return self.chain.final if block in ("finalized", "safe") else int(str(block), 16)


_json = msgspec.json.encode


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a chain is made from and how the node treats its clients."""
    parser.add_argument("--swaps", type=int, default=500_000)
    parser.add_argument("--blocks", type=int, help="by default one for 25 swaps")
    parser.add_argument("--pools", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-range", type=int, default=NO_LIMIT, help="most blocks of one eth_getLogs")
    parser.add_argument("--max-results", type=int, default=NO_LIMIT, help="most logs of one eth_getLogs")
    parser.add_argument("--style", choices=STYLES, help="a provider's terms, instead of these two")
    parser.add_argument("--no-log-timestamp", action="store_true", help="logs without blockTimestamp")


def size_of(options: argparse.Namespace) -> Size:
    """The size of the chain that the options ask for."""
    blocks = max(20, options.swaps // 25) if options.blocks is None else options.blocks
    return Size(options.swaps, blocks, options.pools, options.seed)


async def _serve(node: Node, port: int, faults: Faults) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, stop.set)
    server = await loop.create_server(lambda: Faulty(node.http, faults), "127.0.0.1", port)
    print(json.dumps({"port": server.sockets[0].getsockname()[1], "logs": len(node.rows)}), flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    """Builds the chain and answers until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.node", description=__doc__)
    add_options(parser)
    parser.add_argument("--mixed", action="store_true", help="events of every family; --swaps: logs wanted")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--latency-ms", type=int, default=0, help="before each answer")
    add_fault_options(parser)
    options = parser.parse_args()
    terms = Terms(options.max_range, options.max_results) if options.style is None else STYLES[options.style]
    chain = (MixedChain if options.mixed else Chain)(size_of(options))
    node = Node(chain, timed=not options.no_log_timestamp, terms=terms)
    Http.latency = options.latency_ms / 1000
    gc.freeze()
    uvloop.run(_serve(node, options.port, faults_of(options)))


if __name__ == "__main__":
    main()
