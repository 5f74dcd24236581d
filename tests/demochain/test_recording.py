"""The recording is a whole real chain, whose hashes prove themselves, and a damaged one is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rlp  # type: ignore[import-untyped]
from eth_utils.crypto import keccak

from indexer.demo.recording import CHAIN_FILE, Filter, load
from indexer.errors import BadInput

# The header's RLP in its order: EIP-1559, EIP-4895, EIP-4844, EIP-4788.
HEADER = [
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty"),
    *("number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce", "baseFeePerGas"),
    *("withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot"),
]
QUANTITIES = {"difficulty", "number", "gasLimit", "gasUsed", "timestamp"} | {name for name in HEADER if "Gas" in name}

CHAIN = load()
ALL_LOGS: list[dict[str, Any]] = msgspec.json.decode(CHAIN.logs(Filter(0, CHAIN.head)))


def header_hash(block: dict[str, Any]) -> str:
    fields = []
    for name in HEADER:
        octets = bytes.fromhex(block[name][2:].rjust(len(block[name][2:]) + len(block[name]) % 2, "0"))
        fields.append(octets.lstrip(b"\0") if name in QUANTITIES else octets)
    return "0x" + keccak(rlp.encode(fields)).hex()


def test_every_header_hashes_to_its_hash_and_names_its_parent() -> None:
    """The bloom is computed from the recorded logs, so this also proves that no emitter or topic is missing."""
    blocks = [CHAIN.block(number) for number in range(CHAIN.head + 1)]
    assert [header_hash(block) for block in blocks] == [block["hash"] for block in blocks]
    assert [block["parentHash"] for block in blocks[1:]] == [block["hash"] for block in blocks[:-1]]


def test_receipts_hold_the_gas_and_the_bloom_of_their_block() -> None:
    for number in range(CHAIN.head + 1):
        block, receipts = CHAIN.block(number), CHAIN.receipts(number)
        assert [receipt["transactionHash"] for receipt in receipts] == block["transactions"]
        assert (receipts[-1]["cumulativeGasUsed"] if receipts else "0x0") == block["gasUsed"]
        bloom = 0
        for receipt in receipts:
            bloom |= int(receipt["logsBloom"], 16)
        assert bloom == int(block["logsBloom"], 16)


def trie(pairs: list[tuple[str, bytes]]) -> Any:
    """A Merkle Patricia trie over hex-digit keys, as nested RLP items (Yellow Paper, appendix D)."""
    if len(pairs) == 1:
        return [compact(pairs[0][0], 2), pairs[0][1]]
    first, last = min(pairs)[0], max(pairs)[0]
    shared = first[: next(at for at in range(len(first) + 1) if first[: at + 1] != last[: at + 1])]
    if shared:
        return [compact(shared, 0), reference([(key[len(shared) :], value) for key, value in pairs])]
    groups = [[(key[1:], value) for key, value in pairs if key[:1] == digit] for digit in "0123456789abcdef"]
    return [reference(group) if group else b"" for group in groups] + [b""]


def compact(digits: str, flag: int) -> bytes:
    return bytes.fromhex(f"{flag + 1}{digits}" if len(digits) % 2 else f"{flag}0{digits}")


def reference(pairs: list[tuple[str, bytes]]) -> Any:
    item = trie(pairs)
    encoded = rlp.encode(item)
    return item if len(encoded) < 32 else keccak(encoded)


def octets(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def number(text: str) -> bytes:
    return int(text, 16).to_bytes(32, "big").lstrip(b"\0")


def encoded_receipt(receipt: dict[str, Any]) -> bytes:
    logs = [
        [octets(log["address"]), [octets(topic) for topic in log["topics"]], octets(log["data"])]
        for log in receipt["logs"]
    ]
    fields = [number(receipt["status"]), number(receipt["cumulativeGasUsed"]), octets(receipt["logsBloom"]), logs]
    return bytes([int(receipt["type"], 16)]) + bytes(rlp.encode(fields))


def test_receipts_prove_themselves_against_the_receipts_root() -> None:
    """Every seventh block with transactions: not one log or topic or octet of data is missing or changed."""
    proven = 0
    for at in range(0, CHAIN.head + 1, 7):
        receipts = CHAIN.receipts(at)
        if receipts:
            pairs = [(rlp.encode(place).hex(), encoded_receipt(receipt)) for place, receipt in enumerate(receipts)]
            assert "0x" + keccak(rlp.encode(trie(pairs))).hex() == CHAIN.block(at)["receiptsRoot"]
            proven += 1
    assert proven > 150


def test_logs_are_in_chain_order_and_numbered_within_their_block() -> None:
    places = [(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in ALL_LOGS]
    assert places == sorted(set(places))
    assert all(index == 0 or places[at - 1] == (block, index - 1) for at, (block, index) in enumerate(places))
    for log in ALL_LOGS[::97]:
        block = CHAIN.block(int(log["blockNumber"], 16))
        assert (log["blockHash"], log["blockTimestamp"]) == (block["hash"], block["timestamp"])
        assert block["transactions"][int(log["transactionIndex"], 16)] == log["transactionHash"]


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"{}", mtime=0), CHAIN_FILE.read_bytes()[:5000]])
def test_a_damaged_recording_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.json.gz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"damaged\.json\.gz cannot be read"):
        load(path)


def test_a_recording_of_another_format_is_refused(tmp_path: Path) -> None:
    content = msgspec.json.decode(gzip.decompress(CHAIN_FILE.read_bytes()))
    path = tmp_path / "newer.json.gz"
    path.write_bytes(gzip.compress(msgspec.json.encode(content | {"format": 2}), 1))
    with pytest.raises(BadInput, match="has format 2"):
        load(path)
