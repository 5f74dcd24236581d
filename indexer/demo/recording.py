"""The recorded demo chain: reads chain.json.gz (its format is in README.md) and answers questions in 0x hex."""

from __future__ import annotations

import gzip
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from eth_utils.crypto import keccak

from indexer.errors import BadInput

CHAIN_FILE = Path(__file__).parent / "chain.json.gz"
FORMAT = 1
TRANSACTION_TYPE = "0x2"  # EIP-1559: every transaction of the recording


class Receipts(msgspec.Struct, array_like=True, frozen=True):
    """One row a transaction, in chain order; sender, to and created are address numbers, -1 for none."""

    block: list[int]
    hash: list[str]
    sender: list[int]
    to: list[int]
    gas_used: list[int]
    status: list[int]
    gas_price: list[int]  # wei paid per unit of gas
    created: list[int]


class Logs(msgspec.Struct, array_like=True, frozen=True):
    """One row a log, in chain order; receipt, address and topics are numbers of rows elsewhere."""

    receipt: list[int]
    address: list[int]
    topics: list[list[int]]
    data: list[str]


class Recording(msgspec.Struct, frozen=True):
    """The file as it stands. blocks: per header field one value for all blocks, or one a block."""

    format: int
    chain_id: int
    contracts: dict[str, Any]
    genesis_parent: str
    blocks: dict[str, str | list[str]]
    receipts: Receipts
    logs: Logs
    calls: list[tuple[int, str, list[tuple[int, str | None]]]]
    code: list[tuple[int, int]]
    addresses: list[str]
    topics: list[str]


class Filter(msgspec.Struct, frozen=True):
    """What eth_getLogs asks: blocks first to last, allowed addresses and topics (None allows all), in lower case."""

    first: int
    last: int
    addresses: frozenset[str] | None = None
    topics: tuple[frozenset[str] | None, ...] = ()


def load(path: Path = CHAIN_FILE) -> Chain:
    """The chain in this file; raises BadInput where it is missing or not such a recording."""
    try:
        recording = msgspec.json.decode(gzip.decompress(path.read_bytes()), type=Recording)
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise BadInput(f"The demo chain {path} cannot be read ({error}): reinstall the package.") from error
    if recording.format != FORMAT:
        raise BadInput(f"The demo chain {path} has format {recording.format}, this program reads {FORMAT}: reinstall.")
    return Chain(recording)


class Chain:
    """Questions about a recording; block numbers are checked by the caller to be between 0 and head."""

    def __init__(self, recording: Recording) -> None:
        self.chain_id = recording.chain_id
        self.contracts = recording.contracts
        self._all = recording
        self._hashes: list[str] = list(recording.blocks["hash"])
        self.head = len(self._hashes) - 1
        self.number_of = {text: number for number, text in enumerate(self._hashes)}
        self._addresses = {text: number for number, text in enumerate(recording.addresses)}
        self._topics = {text: number for number, text in enumerate(recording.topics)}
        self._receipt_from = _starts(recording.receipts.block, self.head + 1)
        self._log_from = [bisect_left(recording.logs.receipt, start) for start in self._receipt_from]
        self._encoded: list[bytes | None] = [None] * len(recording.logs.data)
        self._known_bits: dict[str, int] = {}
        self._code = {recording.addresses[address]: block for address, block in recording.code}
        self._calls = {(recording.addresses[to], data): steps for to, data, steps in recording.calls}

    def header(self, number: int, field: str) -> str:
        """A header field of a block."""
        return str(self._field(self._all.blocks[field], number))

    def block(self, number: int) -> dict[str, Any]:
        """A block as eth_getBlockByNumber gives it, with transaction hashes."""
        fields = {key: self._field(column, number) for key, column in self._all.blocks.items()}
        start, end = self._receipt_from[number], self._receipt_from[number + 1]
        return fields | {
            "number": hex(number),
            "parentHash": self._hashes[number - 1] if number else self._all.genesis_parent,
            "logsBloom": self._bloom(range(self._log_from[number], self._log_from[number + 1])),
            "transactions": self._all.receipts.hash[start:end],
        }

    @staticmethod
    def _field(column: Any, number: int) -> Any:
        return column[number] if isinstance(column, list) and column else column

    def logs(self, wanted: Filter) -> bytes:
        """The matching logs in chain order, as a JSON array."""
        start, end = self._log_from[wanted.first], self._log_from[wanted.last + 1]
        rows: Sequence[int] = range(start, end)
        if wanted.addresses is not None:
            numbers, column = self._numbers(self._addresses, wanted.addresses), self._all.logs.address
            rows = [row for row in rows if column[row] in numbers]
        topics = self._all.logs.topics
        for place, allowed in enumerate(wanted.topics):
            allowed_numbers = None if allowed is None else self._numbers(self._topics, allowed)
            rows = [
                row
                for row in rows
                if len(topics[row]) > place and (allowed_numbers is None or topics[row][place] in allowed_numbers)
            ]
        return b"[" + b",".join([self._encoded[row] or self._encode(row) for row in rows]) + b"]"

    @staticmethod
    def _numbers(table: dict[str, int], texts: frozenset[str]) -> set[int]:
        return {table[text] for text in texts if text in table}

    def _encode(self, row: int) -> bytes:
        encoded = msgspec.json.encode(self.log(row))
        self._encoded[row] = encoded
        return encoded

    def log(self, row: int) -> dict[str, Any]:
        """A log as eth_getLogs gives it."""
        receipt, logs = self._all.logs.receipt[row], self._all.logs
        block = self._all.receipts.block[receipt]
        return {
            "address": self._all.addresses[logs.address[row]],
            "topics": [self._all.topics[number] for number in logs.topics[row]],
            "data": logs.data[row],
            "blockNumber": hex(block),
            "blockHash": self._hashes[block],
            "blockTimestamp": self.header(block, "timestamp"),
            "transactionHash": self._all.receipts.hash[receipt],
            "transactionIndex": hex(receipt - self._receipt_from[block]),
            "logIndex": hex(row - self._log_from[block]),
            "removed": False,
        }

    def receipts(self, number: int) -> list[dict[str, Any]]:
        """A block's receipts as eth_getBlockReceipts gives them."""
        made, gas = [], 0
        for receipt in range(self._receipt_from[number], self._receipt_from[number + 1]):
            gas += self._all.receipts.gas_used[receipt]
            made.append(self._receipt(receipt, number, gas))
        return made

    def _receipt(self, receipt: int, number: int, gas: int) -> dict[str, Any]:
        column, logs = self._all.receipts, self._all.logs.receipt
        rows = range(bisect_left(logs, receipt), bisect_right(logs, receipt))
        return {
            "type": TRANSACTION_TYPE,
            "transactionHash": column.hash[receipt],
            "transactionIndex": hex(receipt - self._receipt_from[number]),
            "blockHash": self._hashes[number],
            "blockNumber": hex(number),
            "from": self._address(column.sender[receipt]),
            "to": self._address(column.to[receipt]),
            "contractAddress": self._address(column.created[receipt]),
            "status": hex(column.status[receipt]),
            "gasUsed": hex(column.gas_used[receipt]),
            "cumulativeGasUsed": hex(gas),
            "effectiveGasPrice": hex(column.gas_price[receipt]),
            "logs": [self.log(row) for row in rows],
            "logsBloom": self._bloom(rows),
        }

    def _address(self, number: int) -> str | None:
        return None if number < 0 else self._all.addresses[number]

    def _bloom(self, rows: range) -> str:
        """The 2,048-bit bloom of these logs (Yellow Paper, section 4.4.3)."""
        logs, bits = self._all.logs, 0
        addresses = {self._all.addresses[logs.address[row]] for row in rows}
        topics = {self._all.topics[number] for row in rows for number in logs.topics[row]}
        for text in addresses | topics:
            bits |= self._bloom_bits(text)
        return f"0x{bits:0512x}"

    def _bloom_bits(self, text: str) -> int:
        if text not in self._known_bits:
            digest = keccak(hexstr=text)
            places = [int.from_bytes(digest[at : at + 2], "big") & 2047 for at in (0, 2, 4)]
            self._known_bits[text] = 1 << places[0] | 1 << places[1] | 1 << places[2]
        return self._known_bits[text]

    def has_code(self, address: str, number: int) -> bool:
        """Whether a contract stands at this address after this block."""
        return address in self._code and self._code[address] <= number

    def answer(self, to: str, data: str, number: int) -> str | None:
        """The recorded answer of a call after this block; None where it reverts or was never recorded."""
        steps = self._calls.get((to, data), [])
        at = bisect_right(steps, number, key=lambda step: step[0])
        return steps[at - 1][1] if at else None


def _starts(block_of: list[int], blocks: int) -> list[int]:
    """First row of every block, and one past the last."""
    return [bisect_left(block_of, number) for number in range(blocks + 1)]
