"""One block's header: its shape is checked, and that it answers the question."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from indexer.chain.rpc import quantity
from indexer.errors import EndpointLied

_HASH = re.compile(r"0[xX][0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Header:
    """What the indexer keeps of a block; hashes are 32 octets, time is UTC seconds since 1970."""

    number: int
    hash: bytes
    parent_hash: bytes
    time: int


def is_hash(block: int | str) -> bool:
    """Whether a block is asked for by its hash; else by number or tag."""
    return isinstance(block, str) and bool(_HASH.fullmatch(block))


def read_header(block: int | str, answer: bytes) -> Header | None:
    """The header in the JSON text of a block; raises EndpointLied if it is another block or no block at all."""
    try:
        fields = msgspec.json.decode(answer)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise EndpointLied(f"block {block} came as broken JSON; ask another endpoint.") from None
    if fields is None:
        return None
    if not isinstance(fields, Mapping):
        raise EndpointLied(f"block {block} came as {type(fields).__name__}, not an object; ask another endpoint.")
    found = Header(
        number=quantity(fields.get("number"), f"number of block {block}"),
        hash=_hash(fields.get("hash"), f"hash of block {block}"),
        parent_hash=_hash(fields.get("parentHash"), f"parentHash of block {block}"),
        time=quantity(fields.get("timestamp"), f"timestamp of block {block}"),
    )
    asked = block.lower() if isinstance(block, str) else block
    if asked not in (found.number, "0x" + found.hash.hex()) and (isinstance(block, int) or is_hash(block)):
        raise EndpointLied(f"asked for block {block}, got {found.number}; ask another endpoint.")
    return found


def _hash(value: object, what: str) -> bytes:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise EndpointLied(f"{what} should be 32 octets in hex, not {str(value)[:80]!r}; ask another endpoint.")
    return bytes.fromhex(value[2:])
