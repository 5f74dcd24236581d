"""Rows of a fixed width built column by column: the binary COPY stream, and the octets a digest is taken over."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .amounts import Words, digits

Piece = bytes | NDArray[Any]
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


def rows(pieces: Sequence[Piece], count: int, before: bytes = b"", after: bytes = b"") -> bytearray:
    """count rows, each the pieces in order: bytes are the same in all, arrays (count, ...) have one entry a row."""
    template, names, formats, offsets = bytearray(), [], [], []
    for piece in pieces:
        if isinstance(piece, bytes):
            template += piece
            continue
        names.append(f"f{len(names)}")
        formats.append((piece.dtype, piece.shape[1:]))
        offsets.append(len(template))
        template += bytes(np.dtype(formats[-1]).itemsize)
    layout = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": len(template)})
    octets = bytearray(b"".join((before, bytes(template) * count, after)))
    table = np.frombuffer(octets, layout, count, len(before))
    for name, column in zip(names, (piece for piece in pieces if not isinstance(piece, bytes)), strict=True):
        table[name] = column
    return octets


def same(value: bytes) -> list[Piece]:
    """A COPY field with one value for all rows."""
    return [struct.pack(">i", len(value)) + value]


def each(column: NDArray[Any]) -> list[Piece]:
    """A COPY field with an entry a row: big-endian integers (n,) or octets (n, width)."""
    return [struct.pack(">i", np.dtype((column.dtype, column.shape[1:])).itemsize), column]


def numeric(words: Words) -> list[Piece]:
    """A numeric COPY field of whole numbers: as many digits in each row as the largest needs."""
    column = digits(words)
    count = column.shape[1]
    return [struct.pack(">ihhHh", 8 + 2 * count, count, count - 1, 0, 0), column]


def copy_stream(fields: Sequence[list[Piece]], count: int) -> bytearray:
    """The whole binary COPY stream of a table whose columns are `fields`."""
    pieces = [struct.pack(">h", len(fields)), *(piece for field in fields for piece in field)]
    return rows(pieces, count, HEADER, TRAILER)
