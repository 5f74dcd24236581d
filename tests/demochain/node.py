"""A local anvil node: start, ask, send, mine."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.grammar import parse
from eth_utils.crypto import keccak

from tests.demochain.artifacts import Artifact, anvil_program

GENESIS = 1767225600  # 2026-01-01T00:00:00Z
CHAIN_ID = 31337
ZERO = "0x" + "00" * 20
GAS = 8_000_000  # for every transaction: the largest creates a pool or a contract
BLOCK_SECONDS = 12


class Reverted(Exception):
    """A call or a transaction reverted."""


def encode_args(types: str, args: tuple[Any, ...]) -> bytes:
    """Arguments of a function or constructor, types written `(uint256,(address,bool)[])`."""
    if types == "()":
        return b""
    parts = [part.to_type_str() for part in parse(types).components]
    return encode(parts, args)


def calldata(signature: str, *args: Any) -> str:
    """Calldata of a function such as `balanceOf(address)`, as 0x text."""
    return "0x" + (keccak(text=signature)[:4] + encode_args(signature[signature.index("(") :], args)).hex()


class Node:
    """JSON-RPC over one kept connection. Only `mine` makes blocks; transactions keep the order they were sent in."""

    def __init__(self, port: int, pid: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.pid = pid
        self.clock = GENESIS
        self._wire = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._nonce: dict[str, int] = {}
        self._sent: list[tuple[str, bool]] = []

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of one request; raises Reverted with the node's message on any error."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self._wire.request("POST", "/", body, {"content-type": "application/json"})
        answer = json.loads(self._wire.getresponse().read())
        if "error" in answer:
            raise Reverted(f"{method}: {answer['error']}")
        return answer["result"]

    def accounts(self) -> list[str]:
        """The unlocked accounts, in lower case."""
        return [account.lower() for account in self.rpc("eth_accounts")]

    def raw_call(self, to: str, data: str, sender: str = ZERO, block: int | str = "latest") -> bytes:
        """What a call would return at a block; raises Reverted."""
        at = hex(block) if isinstance(block, int) else block
        return bytes.fromhex(self.rpc("eth_call", {"from": sender, "to": to, "data": data}, at)[2:])

    def call(self, to: str, signature: str, *args: Any, sender: str = ZERO) -> tuple[Any, ...]:
        """Decoded answer of `name(arguments)->(returns)` now."""
        function, returns = signature.split("->")
        parts = [part.to_type_str() for part in parse(returns).components]
        return decode(parts, self.raw_call(to, calldata(function, *args), sender))

    def send(self, sender: str, to: str | None, data: str, *, value: int = 0, fails: bool = False) -> str:
        """Puts a transaction in line for the next block and returns its hash; fails says that it is meant to revert."""
        nonce = self._nonce.get(sender, 0)
        self._nonce[sender] = nonce + 1
        request: dict[str, Any] = {"from": sender, "data": data, "nonce": hex(nonce), "value": hex(value)}
        request |= {"gas": hex(GAS), "maxFeePerGas": hex(10**11)}
        request["maxPriorityFeePerGas"] = hex(10**9)
        if to is not None:
            request["to"] = to
        sent = str(self.rpc("eth_sendTransaction", request))
        self._sent.append((sent, fails))
        return sent

    def transact(self, sender: str, to: str, signature: str, *args: Any, fails: bool = False) -> str:
        """`send` with the calldata of a function."""
        return self.send(sender, to, calldata(signature, *args), fails=fails)

    def mine(self, timestamp: int | None = None) -> int:
        """One block with everything sent, at these UTC seconds (or 12 after the last); returns its number.

        Raises Reverted where a transaction did not end as its sender said.
        """
        self.clock = timestamp if timestamp is not None else self.clock + BLOCK_SECONDS
        self.rpc("evm_setNextBlockTimestamp", self.clock)
        self.rpc("evm_mine")
        block = self.rpc("eth_getBlockByNumber", "latest", False)
        number = int(block["number"], 16)
        if block["transactions"] != [sent for sent, _ in self._sent]:
            raise Reverted(f"Block {number} does not hold what was sent, in that order.")
        receipts = self.rpc("eth_getBlockReceipts", hex(number)) if self._sent else []
        for (sent, fails), receipt in zip(self._sent, receipts, strict=True):
            if (receipt["status"] == "0x0") != fails:
                raise Reverted(f"Transaction {sent} in block {number} has status {receipt['status']}.")
        self._sent.clear()
        return number

    def deploy(self, sender: str, artifact: Artifact, *args: Any) -> str:
        """Puts a deployment in line and returns the address it will have."""
        nonce = self._nonce.get(sender, 0)
        self.send(sender, None, "0x" + (artifact.bytecode + encode_args(artifact.constructor, args)).hex())
        return created(sender, nonce)

    def close(self) -> None:
        """Ends the connection."""
        self._wire.close()


def created(sender: str, nonce: int) -> str:
    """Address of the contract that this account's transaction makes: keccak of the RLP of (sender, nonce)."""
    if nonce == 0:
        number = b"\x80"
    elif nonce < 0x80:
        number = bytes([nonce])
    else:
        octets = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
        number = bytes([0x80 + len(octets)]) + octets
    content = b"\x94" + bytes.fromhex(sender[2:]) + number
    return "0x" + keccak(bytes([0xC0 + len(content)]) + content)[12:].hex()


@contextmanager
def running_node(accounts: int = 40, tracing: bool = False) -> Iterator[Node]:
    """Anvil on a free loopback port with that many rich accounts, ended afterwards; tracing keeps opcodes.

    Raises NotObtainable.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(anvil_program()), "--port", str(port), "--chain-id", str(CHAIN_ID), "--timestamp", str(GENESIS)]
    command += ["--no-mining", "--order", "fifo", "--hardfork", "cancun", "--gas-limit", "1000000000", "--silent"]
    command += ["--accounts", str(accounts), "--balance", "100000000"]
    if tracing:
        command.append("--steps-tracing")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        node = Node(port, process.pid)
        yield node
        node.close()
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise Reverted(f"anvil ended with code {process.returncode} before it answered.")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Reverted(f"anvil does not answer at port {port} after 10 seconds.")
