"""An independent sum of what a chain's logs book: asks a node for all logs and adds them up in plain integers.

It shares no code with the indexer and reads nothing but the node and the manifests:

    python tests/simulation/oracle.py http://127.0.0.1:8545 0 1216 manifest.toml ...

prints a line for each contract, token, kind, side and basis: how many flows there are, and their sum in raw units.
Rewards that accrue with time are no logs and are left out.
"""

from __future__ import annotations

import json
import sys
import tomllib
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POOL_CREATED = "0x783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118"
SWAP = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
FLASH = "0xbdbdb71d7860376ba52b25a5028beea23581364a40522f6bcfb86bb1f2dca633"
SET_FEE_PROTOCOL = "0x973d8d92bb299f4af6ce49b52a8adb85ae46b9f214c4c4fc06ac77401237b133"
COLLECT_PROTOCOL = "0x596b573906218d3411850b26a6b437d6c4522fdb43d2d2386263f86d50b8b151"
PAIR_CREATED = "0x0d3648bd0f6ba80134a33ba9275ac585d9d315f0ad8355cddefde31afa28d0e9"
PAIR_SWAP = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
HARVEST = "0x71bab65ced2e5750775a0613be067df48ef06cf92a496ebf7663ae0660924954"
REWARD_ADDED = "0xde88a922e0d3b88b24e9623efeb464919c6bf9f66857a65e2bfcf2ce87a9433d"
REWARD_PAID = "0xe2403640ba68fed3a2f88b7557551d1993f84b99bb10ff833f0cf8db0c5e0486"

STEP = 500  # blocks a question

Key = tuple[str, str, str, str, str]  # contract, token, kind, side, basis
Booked = tuple[str, str, str, str, str, int]  # the same and an amount


@dataclass(frozen=True)
class Log:
    """A log: addresses and topics in lower case, data as words."""

    block: int
    index: int
    address: str
    topics: tuple[str, ...]
    words: tuple[int, ...]

    def at(self, topic: int) -> str:
        """An indexed address."""
        return "0x" + self.topics[topic][-40:]


def read(url: str, last: int) -> Iterator[Log]:
    """All logs up to a block, in order."""
    for first in range(0, last + 1, STEP):
        span = {"fromBlock": hex(first), "toBlock": hex(min(last, first + STEP - 1))}
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [span]}
        asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            told = json.load(answer)["result"]
        yield from sorted(map(_log, told), key=lambda log: (log.block, log.index))


def _log(told: dict[str, Any]) -> Log:
    data = bytes.fromhex(told["data"][2:])
    words = tuple(int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32))
    topics = tuple(topic.lower() for topic in told["topics"])
    return Log(int(told["blockNumber"], 16), int(told["logIndex"], 16), told["address"].lower(), topics, words)


def flows(logs: Iterable[Log], manifests: Iterable[str], first: int, per: int = 10**6) -> dict[Key, tuple[int, int]]:
    """Number and sum of the flows of each contract, token, kind, side and basis from a block on.

    logs: all from the chain's beginning, in order. per: what a v3 fee tier is parts of.
    """
    rules = [
        _RULES[one["family"]](one, per)
        for text in manifests
        for one in tomllib.loads(text)["deployment"]
        if one["family"] in _RULES
    ]
    counts: dict[Key, int] = defaultdict(int)
    sums: dict[Key, int] = defaultdict(int)
    for log in logs:
        for start, rule in rules:
            for *key, amount in rule(log) if log.block >= start else ():
                if amount and log.block >= first:
                    contract, token, kind, side, basis = key
                    counts[contract, token, kind, side, basis] += 1
                    sums[contract, token, kind, side, basis] += amount
    return {key: (counts[key], sums[key]) for key in counts}


Rule = tuple[int, Callable[[Log], Iterable[Booked]]]


def _v3(deployment: dict[str, Any], per: int) -> Rule:
    """A fee tier of what comes in, split by the switch of each pool and token."""
    factory = deployment["contracts"]["factory"].lower()
    pools: dict[str, tuple[str, str, int]] = {}
    switch: dict[str, tuple[int, ...]] = {}

    def book(log: Log) -> Iterator[Booked]:
        if log.topics[0] == POOL_CREATED and log.address == factory:
            pools[f"0x{log.words[1]:040x}"] = (log.at(1), log.at(2), int(log.topics[3], 16))
        if log.address not in pools:
            return
        if log.topics[0] == SET_FEE_PROTOCOL:
            switch[log.address] = log.words[2:4]
        fees = [0, 0]
        if log.topics[0] == SWAP:
            fees = [max(0, _signed(word)) * pools[log.address][2] // per for word in log.words[:2]]
        elif log.topics[0] == FLASH:
            fees = list(log.words[2:4])
        for token, fee, parts in zip(pools[log.address], fees, switch.get(log.address, (0, 0)), strict=False):
            cut = fee // parts if parts else 0
            yield log.address, token, "fee", "supply", "accrued", fee - cut
            yield log.address, token, "fee", "protocol", "accrued", cut
        if log.topics[0] == COLLECT_PROTOCOL:
            for token, paid in zip(pools[log.address], log.words, strict=False):
                yield log.address, token, "fee", "protocol", "paid", paid

    return deployment["start_block"], book


def _v2(deployment: dict[str, Any], per: int) -> Rule:
    """0.3 % of what comes in; a sixth of it is the protocol's while somebody is named who gets it."""
    factory = deployment["contracts"]["factory"].lower()
    intervals = deployment.get("options", {}).get("fee_to", [])
    pairs: dict[str, tuple[str, str]] = {}
    minted: dict[str, tuple[int, int]] = {}  # where a pair's last mint to the protocol was

    def book(log: Log) -> Iterator[Booked]:
        if log.topics[0] == PAIR_CREATED and log.address == factory:
            pairs[f"0x{log.words[0]:040x}"] = (log.at(1), log.at(2))
        if log.address not in pairs:
            return
        paid_to = [
            one["recipient"].lower() for one in intervals if one["first_block"] <= log.block <= one["last_block"]
        ]
        if log.topics[0] == PAIR_SWAP:
            for token, came in zip(pairs[log.address], log.words, strict=False):
                fee = came * 3000 // 10**6
                cut = fee // 6 if paid_to else 0
                yield log.address, token, "fee", "supply", "accrued", fee - cut
                yield log.address, token, "fee", "protocol", "accrued", cut
        if log.topics[0] == TRANSFER and int(log.topics[1], 16) == 0 and log.at(2) in paid_to and log.words[0]:
            follows = minted.get(log.address) == (log.block, log.index - 1)  # a deposit in the protocol's name
            minted[log.address] = (log.block, log.index)
            yield log.address, log.address, "fee", "protocol", "paid", 0 if follows else log.words[0]

    return deployment["start_block"], book


def _chef(deployment: dict[str, Any], per: int) -> Rule:
    """Mints of the reward to the chef, and what harvesters pay."""
    named = deployment["contracts"]
    chef, token = named["chef"].lower(), named["token"].lower()
    harvesters = [one.lower() for one in named.get("harvesters", [])]

    def book(log: Log) -> Iterator[Booked]:
        if log.address == token and log.topics[0] == TRANSFER and int(log.topics[1], 16) == 0 and log.at(2) == chef:
            yield token, token, "incentive", "supply", "accrued", log.words[0]
        if log.address in harvesters and log.topics[0] == HARVEST:
            yield log.address, token, "incentive", "supply", "paid", log.words[0]

    return deployment["start_block"], book


def _staking(deployment: dict[str, Any], per: int) -> Rule:
    """Rewards told to the pool, and those claimed from it."""
    pool, token = (deployment["contracts"][name].lower() for name in ("pool", "token"))

    def book(log: Log) -> Iterator[Booked]:
        basis = {REWARD_ADDED: "budgeted", REWARD_PAID: "paid"}.get(log.topics[0])
        if log.address == pool and basis is not None:
            yield pool, token, "incentive", "supply", basis, log.words[0]

    return deployment["start_block"], book


_RULES: dict[str, Callable[[dict[str, Any], int], Rule]] = {
    "uniswap_v3": _v3,
    "uniswap_v2": _v2,
    "masterchef": _chef,
    "staking_rewards": _staking,
}


def _signed(word: int) -> int:
    return word - (1 << 256) if word >> 255 else word


def main() -> None:
    """Prints the sums of a node's chain."""
    url, first, last, *paths = sys.argv[1:]
    found = flows(read(url, int(last)), [Path(path).read_text("utf-8") for path in paths], int(first))
    for key, (count, amount) in sorted(found.items()):
        print(*key, count, amount)


if __name__ == "__main__":
    main()
