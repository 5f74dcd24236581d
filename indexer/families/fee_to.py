"""Whom the pairs of a Uniswap v2 factory pay a part of their fee, and since when.

UniswapV2Factory.setFeeTo emits no event, and asking feeTo() as of every range would need an archive node: the manifest
dates the switch, each interval with its evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from indexer.documents import AddressText, Block, Document, SourceText, Whole, quoted
from indexer.model import Address, Ints, Octets

# keccak of the pair's creation code: Uniswap/sdks, sdks/v2-sdk/src/constants.ts.
UNISWAP_INIT_CODE_HASH = bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f")
PPM = 10**6
_HASH = re.compile(r"0x[0-9a-f]{64}")
_FOR_EVER = 2**63 - 1


def _parse_hash(value: object) -> object:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise ValueError(f"{quoted(value)} is no hash: write 0x and 64 hexadecimal digits in lower case, in quotes")
    return bytes.fromhex(value[2:])


class FeeTo(Document):
    """From first_block to last_block, both included, or on without one, fees were minted to recipient."""

    first_block: Block
    last_block: Block | None = None
    recipient: AddressText
    source: SourceText

    @field_validator("last_block")
    @classmethod
    def _after_first(cls, last: int | None, info: ValidationInfo) -> int | None:
        if last is not None and last < info.data.get("first_block", 0):
            raise ValueError("lies before first_block: correct one of them")
        return last


class FeeOptions(Document):
    """What a fork of Uniswap v2 may have of its own. protocol_share: part and whole of the fee while fee_to is set."""

    fee_ppm: Annotated[Whole, Field(ge=0, lt=PPM)] = 3000
    protocol_share: tuple[Whole, Whole] = (1, 6)
    init_code_hash: Annotated[bytes, BeforeValidator(_parse_hash)] = UNISWAP_INIT_CODE_HASH
    fee_to: tuple[FeeTo, ...] = ()

    @field_validator("protocol_share")
    @classmethod
    def _a_share(cls, share: tuple[int, int]) -> tuple[int, int]:
        if not 0 < share[0] <= share[1] < 2**32:
            raise ValueError("must be a part and the whole, such as [1, 6]: above 0, and the part not the larger")
        return share

    @field_validator("fee_to")
    @classmethod
    def _apart(cls, intervals: tuple[FeeTo, ...]) -> tuple[FeeTo, ...]:
        ordered = tuple(sorted(intervals, key=lambda one: one.first_block))
        for one, other in pairwise(ordered):
            if one.last_block is None or one.last_block >= other.first_block:
                raise ValueError(
                    f"has two intervals that hold block {other.first_block}: give the one from block "
                    f"{one.first_block} a last_block before it"
                )
        return ordered


class FeeSwitch:
    """The intervals as columns."""

    def __init__(self, intervals: Sequence[FeeTo]) -> None:
        self.recipients: tuple[Address, ...] = tuple(dict.fromkeys(one.recipient for one in intervals))
        self._first = np.array([one.first_block for one in intervals], np.int64)
        self._last = np.array(
            [_FOR_EVER if one.last_block is None else one.last_block for one in intervals] + [-1], np.int64
        )
        paid = b"".join([*(one.recipient for one in intervals), bytes(20)])
        self._recipient = np.frombuffer(paid, np.uint8).reshape(-1, 20)

    def at(self, block: Ints) -> Ints:
        """The interval that holds each block, by its number; -1 where none does."""
        found = np.searchsorted(self._first, block, side="right") - 1
        return np.where(block <= self._last[found], found, -1)

    def recipient(self, interval: Ints) -> Octets:
        """(n, 20): whom fees were minted to in these intervals, zeros for -1."""
        return self._recipient[interval]
