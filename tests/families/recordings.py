"""The packaged demo chain: changed log by log, served, and read through the indexer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from indexer import app
from indexer.decode import parse_event
from indexer.demo.recording import CHAIN_FILE
from indexer.demo.run import MULTICALL3
from indexer.demo.server import demo_node
from indexer.ledger.connect import Database
from indexer.settings import load_settings

CHAIN_ID = 31337
SPAN = (600, 680)  # blocks long after the pools were made
PROTOCOLS = files("indexer.demo") / "protocols"
Spoil = Callable[[bytes], bytes]


class Log(NamedTuple):
    """A row of the recording."""

    row: int
    block: int
    log_index: int
    contract: str
    topics: tuple[str, ...]
    data: bytes
    transaction: str

    @property
    def place(self) -> tuple[int, int]:
        """Block and log index."""
        return self.block, self.log_index


class Recording:
    """The demo chain, to be changed and written anew."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = json.loads(gzip.decompress(CHAIN_FILE.read_bytes()))
        self.contracts = self.content["contracts"]
        self.logs: list[Log] = []
        receipts, addresses, topics, data = self.content["logs"]
        blocks, hashes = self.content["receipts"][:2]
        start = 0
        for row, receipt in enumerate(receipts):
            if not self.logs or self.logs[-1].block != blocks[receipt]:
                start = row
            told = tuple(self.content["topics"][topic] for topic in topics[row])
            contract = self.content["addresses"][addresses[row]]
            place = (row, blocks[receipt], row - start)
            self.logs.append(Log(*place, contract, told, bytes.fromhex(data[row][2:]), hashes[receipt]))

    def find(self, event: str, contract: str, span: tuple[int, int] = SPAN) -> list[Log]:
        """Logs of an event of a contract in some blocks."""
        topic0 = "0x" + parse_event(event).topic0.hex()
        return [
            log
            for log in self.logs
            if log.contract == contract and log.topics[0] == topic0 and span[0] <= log.block <= span[1]
        ]

    def spoil(self, logs: Sequence[Log], how: Spoil) -> None:
        """Changes the data of these logs."""
        for log in logs:
            self.content["logs"][3][log.row] = "0x" + how(log.data).hex()

    def write(self, folder: Path) -> Path:
        """The recording as a file."""
        file = folder / "chain.json.gz"
        file.write_bytes(gzip.compress(json.dumps(self.content).encode(), 1))
        return file


def dirty(word: int) -> Spoil:
    """Sets a high bit of a word: too large for its type."""
    return lambda data: data[: 32 * word] + b"\x40" + data[32 * word + 1 :]


def shortened(data: bytes) -> bytes:
    """Lacks the last octet."""
    return data[:-1]


async def index(chain: Path, url: str, manifest: Any, span: tuple[int, int] = SPAN) -> None:
    """Reads some blocks of a recording for one protocol, a manifest of the demo or of one's own."""
    async with demo_node(chain) as node:
        place = {"rpc": [node], "chain_id": CHAIN_ID, "block_ms": 1_000_000, "multicall3": MULTICALL3}
        given = {"database": url, "chains": {"demo": place}, "start": span[0], "to": span[1]}
        settings = load_settings(None, given)
        known = app.catalogue(settings, [manifest], [files("indexer.demo") / "tokens.toml"])
        async with app.ledger(settings) as database:
            await app.up(settings, known, database, app.Run(), once=True, on_close=lambda: None)


async def flows(database: Database) -> list[Any]:
    """Every flow, in order."""
    return list(await database.fetch("SELECT * FROM flow ORDER BY block_number, log_index, leg"))
