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
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import uvloop

from .calls import Contracts, Reverted
from .chain import BASE_BLOCK, BASE_TIME, SLOT, TAIL, Chain, Size
from .http import Http, Piece
from .rows import json_rows
from .world import Ints, padded

CHAIN_ID = 1
NO_LIMIT = 1 << 62


class Refused(Exception):
    """Becomes the JSON-RPC error object."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message}


@dataclass(slots=True)
class Stats:
    """What was asked and served so far; octets: of HTTP bodies sent."""

    requests: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    refused: int = 0
    logs: int = 0
    octets: int = 0


class Node:
    """Answers to JSON-RPC requests about a chain. max_range (blocks), max_results (logs): of one eth_getLogs."""

    def __init__(
        self, chain: Chain, *, timed: bool = True, max_range: int = NO_LIMIT, max_results: int = NO_LIMIT
    ) -> None:
        self.chain, self.stats = chain, Stats()
        self.rows = json_rows(chain, timed=timed)
        self.head = chain.final + TAIL
        self._max_range, self._max_results = max_range, max_results
        self._contracts = Contracts(chain)
        self._mask = lru_cache(64)(self._wanted)
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
        if last - first + 1 > self._max_range:
            raise Refused(-32600, _TOO_WIDE % (self._max_range, first, first + self._max_range - 1))
        found = self._found(first, last, _several(question.get("address")), question.get("topics") or [])
        if len(found) > self._max_results:
            fitting = BASE_BLOCK + int(self.chain.block[found[self._max_results]]) - 1
            raise Refused(-32602, _TOO_MANY % (self._max_results, first, max(first, fitting)))
        return found

    def _found(self, first: int, last: int, addresses: tuple[str, ...], topics: Sequence[Any]) -> Ints:
        blocks = self.chain.size.blocks
        low, high = (int(self.chain.starts[min(max(at - BASE_BLOCK, 0), blocks)]) for at in (first, last + 1))
        good = np.ones(max(0, high - low), bool)
        if addresses:
            good &= self._mask(addresses)[self.chain.emitter[low:high]]
        for position, values in enumerate(topics):
            if position == 4:
                good &= False
            elif wanted := _several(values):
                good &= self._mask(wanted)[self.chain.topics[low:high, position]]
            else:
                good &= self.chain.topics[low:high, position] >= 0
        return np.flatnonzero(good) + low

    def _wanted(self, values: tuple[str, ...]) -> np.ndarray:
        """By id whether a word is one of the values; the last place, that of no topic, never is."""
        mask = np.zeros(len(self.chain.words) + 1, bool)
        for value in values:
            octets = bytes.fromhex(value[2:])
            at = self.chain.words.get(octets if len(octets) == 32 else padded(octets))
            if at is not None:
                mask[at] = True
        return mask

    def _logs(self, question: Mapping[str, Any]) -> Sequence[Piece]:
        found = self.places(question)
        self.stats.logs += len(found)
        if not len(found):
            return [b"[]"]
        return [b"[", np.take(self.rows, found, axis=0).data.cast("B")[:-1], b"]"]

    def _block(self, block: str, _whole: bool = False) -> Sequence[Piece]:
        number = self._number(block)
        if number > self.head:
            return [b"null"]
        hashes = {"hash": number, "parentHash": number - 1}
        header = {name: "0x" + self.chain.block_hash(at).hex() for name, at in hashes.items()}
        time = BASE_TIME + SLOT * (number - BASE_BLOCK)
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


# What Alchemy says, as far as it tells a client what to do.
_TOO_WIDE = (
    "You can make eth_getLogs requests with up to a %d block range. Based on your parameters, this block range "
    "should work: [0x%x, 0x%x]"
)
_TOO_MANY = (
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the "
    "response size, or you can request any block range with a cap of %d logs in the response. Based on your parameters "
    "and the response size limit, this block range should work: [0x%x, 0x%x]"
)
_json = msgspec.json.encode


def _several(values: object) -> tuple[str, ...]:
    """The alternatives of a filter's place; none: anything goes."""
    if values is None:
        return ()
    return (values,) if isinstance(values, str) else tuple(values)  # type: ignore[arg-type]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a chain is made from and how the node treats its clients."""
    parser.add_argument("--swaps", type=int, default=500_000)
    parser.add_argument("--blocks", type=int, help="by default one for 25 swaps")
    parser.add_argument("--pools", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-range", type=int, default=NO_LIMIT, help="most blocks of one eth_getLogs")
    parser.add_argument("--max-results", type=int, default=NO_LIMIT, help="most logs of one eth_getLogs")
    parser.add_argument("--no-log-timestamp", action="store_true", help="logs without blockTimestamp")


def size_of(options: argparse.Namespace) -> Size:
    """The size of the chain that the options ask for."""
    blocks = max(20, options.swaps // 25) if options.blocks is None else options.blocks
    return Size(options.swaps, blocks, options.pools, options.seed)


async def _serve(node: Node, port: int) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, stop.set)
    server = await loop.create_server(lambda: Http(node.http), "127.0.0.1", port)
    print(json.dumps({"port": server.sockets[0].getsockname()[1], "logs": len(node.rows)}), flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    """Builds the chain and answers until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.node", description=__doc__)
    add_options(parser)
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    options = parser.parse_args()
    limits = {"max_range": options.max_range, "max_results": options.max_results}
    node = Node(Chain(size_of(options)), timed=not options.no_log_timestamp, **limits)
    gc.freeze()
    uvloop.run(_serve(node, options.port))


if __name__ == "__main__":
    main()
