"""The recorded demo chain behind a node that misbehaves as told and remembers what it was asked."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec

from indexer.demo.recording import CHAIN_FILE, load
from indexer.demo.server import DemoNode
from tests.fakes.node import Fault, Node, Reply

CHAIN_ID = 31337
Log = dict[str, Any]


@cache
def recorded() -> DemoNode:
    """The chain as recorded, read once."""
    return DemoNode(load(CHAIN_FILE))


def honest(method: str, params: Sequence[Any]) -> Any:
    """What the recorded chain answers; raises Fault for its errors."""
    told = recorded()._one({"id": 1, "method": method, "params": list(params)})
    if "error" in told:
        raise Fault(told["error"]["code"], told["error"]["message"], told["error"].get("data"))
    result = told["result"]
    return msgspec.json.decode(result) if isinstance(result, msgspec.Raw) else result


class DemoChain(Node):
    """`async with DemoChain() as node`: node.url serves the demo chain.

    tamper(logs, first, last) changes the answer to an eth_getLogs. head: the newest and last final block.
    """

    def __init__(self, tamper: Callable[[list[Log], int, int], Any] = lambda logs, first, last: logs) -> None:
        super().__init__(self._told, CHAIN_ID)
        self.tamper = tamper
        self.head = recorded().chain.head

    def _told(self, method: str, params: Sequence[Any]) -> Any:
        if method == "eth_blockNumber":
            return hex(self.head)
        if method == "eth_getBlockByNumber":
            block = hex(self.head) if params[0] in ("latest", "finalized", "safe") else params[0]
            return honest(method, [block, *params[1:]]) if int(block, 16) <= self.head else None
        answer = honest(method, params)
        if method == "eth_getLogs":
            return self.tamper(answer, *(int(params[0][end], 16) for end in ("fromBlock", "toBlock")))
        return answer

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last block of every eth_getLogs for flows: not about parameters only, nor all logs of a block."""
        asked = [params[0] for method, params in self.asked if method == "eth_getLogs"]
        return [
            (int(one["fromBlock"], 16), int(one["toBlock"], 16))
            for one in asked
            if "topics" in one and not _parameters_only(one)
        ]


# SetFeeProtocol; StakingRewards' RewardAdded, RewardsDurationUpdated, Staked and Withdrawn.
_PARAMETERS = {
    "0x973d8d92bb299f4af6ce49b52a8adb85ae46b9f214c4c4fc06ac77401237b133",
    "0xde88a922e0d3b88b24e9623efeb464919c6bf9f66857a65e2bfcf2ce87a9433d",
    "0xfb46ca5a5e06d4540d6387b930a7c978bce0db5f449ec6b3f5d07c6e1d44f2d3",
    "0x9e71bc8eea02a63969f509818f2dafb9254532904319f9dbda79b67bd34a5f3d",
    "0x7084f5476618d8e60b11ef0d7d3f06914655adb8793e28ff7f018d4c76d505d5",
}


def _parameters_only(question: dict[str, Any]) -> bool:
    """Whether a question asks for what parameters follow from and nothing else: history, not flows."""
    return set(question["topics"][0]) <= _PARAMETERS


class Dice(deque[Reply]):
    """A script that comes up with a fault now and then, for ever. share: how many of a hundred requests."""

    def __init__(self, seed: int, share: int, faults: Sequence[Callable[[], Reply]]) -> None:
        super().__init__()
        self._dice, self._share, self._faults, self.thrown = random.Random(seed), share, faults, 0

    def __bool__(self) -> bool:
        return self._dice.randrange(100) < self._share

    def popleft(self) -> Reply:
        """A fault."""
        self.thrown += 1
        return self._dice.choice(self._faults)()
