"""A small JSON-RPC node on the loopback interface that serves the recorded demo chain.

It knows what an indexer asks: blocks, logs, receipts, recorded calls (Multicall3's aggregate3 is taken apart), code.
Every block is final. Errors carry the codes of real nodes: 3 for a revert, -32602 for wrong parameters.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from indexer.demo.recording import CHAIN_FILE, Chain, Filter, load

MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"  # https://github.com/mds1/multicall3
AGGREGATE3 = "0x82ad56cb"  # aggregate3((address,bool,bytes)[])
CODE = "0xfe"  # stands for any contract: bytecode is not recorded
LARGEST_REQUEST = 64 * 2**20  # octets
TAGS = {"latest", "finalized", "safe", "pending"}


class RpcError(Exception):
    """An error the caller is told: code, message and, for reverts, data."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.content = {"code": code, "message": message} | ({} if data is None else {"data": data})


@asynccontextmanager
async def demo_node(chain_file: Path = CHAIN_FILE, port: int = 0) -> AsyncIterator[str]:
    """Serves the recorded chain while the block runs and yields its URL; port 0 takes a free one. Raises BadInput."""
    runner, url = await serve(chain_file, port)
    try:
        yield url
    finally:
        await runner.cleanup()


async def serve(chain_file: Path = CHAIN_FILE, port: int = 0) -> tuple[web.AppRunner, str]:
    """Starts serving on 127.0.0.1 and returns the runner (end it by its cleanup) and the URL. Raises BadInput."""
    node = DemoNode(await asyncio.to_thread(load, chain_file))
    app = web.Application(client_max_size=LARGEST_REQUEST)
    app.router.add_post("/", node.respond)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


class DemoNode:
    """Turns requests into answers from one chain."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._methods: dict[str, Callable[[list[Any]], Any]] = {
            "eth_chainId": lambda _: hex(chain.chain_id),
            "net_version": lambda _: str(chain.chain_id),
            "web3_clientVersion": lambda _: "real-yield-demo/1",
            "eth_syncing": lambda _: False,
            "eth_blockNumber": lambda _: hex(chain.head),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockReceipts": self._receipts,
            "eth_getLogs": self._logs,
            "eth_call": self._call,
            "eth_getCode": self._code,
        }

    async def respond(self, request: web.Request) -> web.Response:
        """The answer to one HTTP request: a single call or a batch."""
        try:
            asked = msgspec.json.decode(await request.read())
        except msgspec.DecodeError as error:
            body: Any = _failed(None, RpcError(-32700, f"parse error: {error}"))
        else:
            body = [self._one(call) for call in asked] if isinstance(asked, list) and asked else self._one(asked)
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")

    def _one(self, asked: Any) -> dict[str, Any]:
        """The JSON-RPC 2.0 answer to one call."""
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            return _failed(None, RpcError(-32600, "invalid request"))
        method, params = self._methods.get(asked["method"]), asked.get("params", [])
        if method is None:
            missing = RpcError(-32601, f"the method {asked['method']} does not exist/is not available")
            return _failed(asked.get("id"), missing)
        try:
            return {"jsonrpc": "2.0", "id": asked.get("id"), "result": method(params)}
        except RpcError as error:
            return _failed(asked.get("id"), error)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            return _failed(asked.get("id"), RpcError(-32602, f"invalid params: {error!r}"))

    def _block_by_number(self, params: list[Any]) -> dict[str, Any] | None:
        number = self._number(params[0])
        return self._block(number, params) if number <= self.chain.head else None

    def _block_by_hash(self, params: list[Any]) -> dict[str, Any] | None:
        number = self.chain.number_of.get(params[0].lower())
        return None if number is None else self._block(number, params)

    def _block(self, number: int, params: list[Any]) -> dict[str, Any]:
        if len(params) > 1 and params[1]:
            raise RpcError(-32602, "the demo chain holds transaction hashes, not whole transactions")
        return self.chain.block(number)

    def _receipts(self, params: list[Any]) -> list[dict[str, Any]] | None:
        place = params[0]
        if isinstance(place, str) and len(place) == 66:
            place = {"blockHash": place}
        number = self._number(place)
        return self.chain.receipts(number) if number <= self.chain.head else None

    def _logs(self, params: list[Any]) -> msgspec.Raw:
        asked = params[0]
        if asked.get("blockHash") is not None:
            first = last = self._number({"blockHash": asked["blockHash"]})
        else:
            first, last = self._number(asked.get("fromBlock")), self._number(asked.get("toBlock"))
        if first > last:
            raise RpcError(-32000, "invalid block range params")
        if last > self.chain.head:
            raise RpcError(-32602, "block range extends beyond current head block")
        topics = tuple(_allowed(topic) for topic in asked.get("topics") or ())
        return msgspec.Raw(self.chain.logs(Filter(first, last, _allowed(asked.get("address")), topics)))

    def _call(self, params: list[Any]) -> str:
        transaction, number = params[0], self._existing(params[1] if len(params) > 1 else None)
        data = transaction["input"] if transaction.get("input") is not None else transaction.get("data", "0x")
        answer = self._answer(transaction["to"].lower(), data.lower(), number)
        if answer is None:
            raise RpcError(3, "execution reverted", "0x")
        return answer

    def _answer(self, to: str, data: str, number: int) -> str | None:
        """What a call returns after this block: nothing from an account without code, None for a revert."""
        if not self.chain.has_code(to, number):
            return "0x"
        if to == MULTICALL3 and data.startswith(AGGREGATE3):
            return self._aggregate(data, number)
        return self.chain.answer(to, data, number)

    def _aggregate(self, data: str, number: int) -> str | None:
        try:
            (calls,) = decode(["(address,bool,bytes)[]"], bytes.fromhex(data[10:]))
        except DecodingError:
            return None
        results = []
        for target, may_fail, call in calls:
            answer = self._answer(target.lower(), "0x" + call.hex(), number)
            if answer is None and not may_fail:
                return None
            results.append((answer is not None, bytes.fromhex((answer or "0x")[2:])))
        return "0x" + encode(["(bool,bytes)[]"], [results]).hex()

    def _code(self, params: list[Any]) -> str:
        number = self._existing(params[1] if len(params) > 1 else None)
        return CODE if self.chain.has_code(params[0].lower(), number) else "0x"

    def _existing(self, place: Any) -> int:
        number = self._number(place)
        if number > self.chain.head:
            raise RpcError(-32000, "header not found")
        return number

    def _number(self, place: Any) -> int:
        """The number of a block given as tag, hex number, EIP-1898 object or nothing (the latest)."""
        if isinstance(place, dict):
            if "blockHash" not in place:
                return self._number(place["blockNumber"])
            number = self.chain.number_of.get(place["blockHash"].lower())
            if number is None:
                raise RpcError(-32000, "unknown block")
            return number
        if place is None or place in TAGS:
            return self.chain.head
        return 0 if place == "earliest" else int(place, 16)


def _failed(number: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": error.content}


def _allowed(value: str | list[str] | None) -> frozenset[str] | None:
    """Alternatives of a filter in lower case; None and an empty list allow everything."""
    if value is None or value == []:
        return None
    return frozenset(text.lower() for text in ([value] if isinstance(value, str) else value))
