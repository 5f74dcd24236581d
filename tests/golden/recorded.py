"""The packaged demo chain read in plain Python, by the format that indexer/demo/README.md documents."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[2] / "indexer" / "demo"
GENESIS = 1_767_225_600  # 2026-01-01T00:00:00Z
DAY = 86_400

CREATED = "0x783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118"
SWAP = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
FLASH = "0xbdbdb71d7860376ba52b25a5028beea23581364a40522f6bcfb86bb1f2dca633"
SWITCH = "0x973d8d92bb299f4af6ce49b52a8adb85ae46b9f214c4c4fc06ac77401237b133"
SWEEP = "0x596b573906218d3411850b26a6b437d6c4522fdb43d2d2386263f86d50b8b151"
MINT = "0x7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde"
BURN = "0x0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
HARVEST = "0x71bab65ced2e5750775a0613be067df48ef06cf92a496ebf7663ae0660924954"


class Log(NamedTuple):
    """A recorded log; day: 1 for 2026-01-01; words: its data as unsigned 256-bit integers."""

    block: int
    index: int
    day: int
    transaction: str
    address: str
    topics: list[str]
    words: list[int]


@cache
def state() -> dict[str, Any]:
    """What the contracts said of themselves."""
    return _read("state.json.gz")


@cache
def block_times() -> list[int]:
    """UTC seconds of every block."""
    return [int(time, 16) for time in _read("chain.json.gz")["blocks"]["timestamp"]]


@cache
def logs() -> list[Log]:
    """All logs of the chain, in chain order."""
    chain, times = _read("chain.json.gz"), block_times()
    of_receipt, hashes = chain["receipts"][0], chain["receipts"][1]
    found: list[Log] = []
    for receipt, address, topics, data in zip(*chain["logs"], strict=True):
        block = of_receipt[receipt]
        index = found[-1].index + 1 if found and found[-1].block == block else 0
        names = [chain["topics"][topic] for topic in topics]
        day = (times[block] - GENESIS) // DAY + 1
        found.append(Log(block, index, day, hashes[receipt], chain["addresses"][address], names, _words(data)))
    return found


def signed(word: int) -> int:
    """A 256-bit word as two's complement."""
    return word - 2**256 if word >= 2**255 else word


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress((FOLDER / name).read_bytes()))
    return content


def _words(data: str) -> list[int]:
    return [int(data[at : at + 64], 16) for at in range(2, len(data) - 63, 64)]
