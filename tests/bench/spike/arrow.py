"""The Arrow ways: decode with a Rust library that works on Arrow log tables, and encode COPY with pgpq."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pgpq import ArrowToPostgresBinaryEncoder

from .columns import Log, octets, quantities
from .flows import CHAIN_ID, LEG, OURS, TEXTS, Fees, Swaps
from .sink import LABELS, PLACE

SIGNATURE = (
    "Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, "
    "uint160 sqrtPriceX96, uint128 liquidity, int24 tick)"
)
NAMES = [column.split()[0] for column in f"{PLACE}, {LABELS}, token, amount".split(", ")]


def _binary(column: NDArray[np.uint8]) -> pa.Array:
    width = column.shape[1]
    return pa.Array.from_buffers(pa.binary(width), len(column), [None, pa.py_buffer(np.ascontiguousarray(column))])


def _decimal(words: NDArray[np.uint32]) -> pa.Array:
    """Amounts as decimal128(38, 0): pgpq knows no wider one, so anything from 2^126 on is refused."""
    if words[:, :4].any() or (words[:, 4] >> 30).any():
        raise ValueError("an amount has more than 38 digits: pgpq cannot encode it")
    low = np.ascontiguousarray(words[:, :3:-1]).astype("<u4")
    return pa.Array.from_buffers(pa.decimal128(38, 0), len(words), [None, pa.py_buffer(low)])


def table(flows: Fees) -> pa.RecordBatch:
    """The flow table's columns as Arrow."""
    count, swaps = len(flows), flows.swaps
    time = pa.array(swaps.time * 1_000_000).cast(pa.timestamp("us", "UTC"))
    place = [pa.array(swaps.log_index.astype(np.int32)), pa.repeat(pa.scalar(LEG, pa.int16()), count)]
    block = [pa.repeat(pa.scalar(CHAIN_ID, pa.int64()), count), pa.array(swaps.block), time, _binary(swaps.tx_hash)]
    texts = [pa.repeat(text, count) for text in TEXTS]
    amounts = [_binary(flows.token), _decimal(flows.amount)]
    return pa.record_batch([*block, *place, _binary(swaps.contract), *texts, *amounts], names=NAMES)


def encode(batch: pa.RecordBatch) -> bytearray:
    """The binary COPY stream of an Arrow batch, by pgpq."""
    encoder = ArrowToPostgresBinaryEncoder(batch.schema)
    return bytearray(b"".join((encoder.write_header(), encoder.write_batch(batch), encoder.finish())))


def log_table(logs: Sequence[Log], library: ModuleType) -> pa.RecordBatch:
    """Topics and data as binary columns, hexadecimal decoded by the library."""
    columns = {f"topic{place}": [log.topics[place] for log in logs] for place in range(3)}
    columns["data"] = [log.data for log in logs]
    decoded = {name: library.prefix_hex_decode_column(pa.array(column)) for name, column in columns.items()}
    return pa.record_batch([*decoded.values(), pa.nulls(len(logs), pa.binary())], names=[*decoded, "topic3"])


def _words(column: pa.Array) -> NDArray[np.uint32]:
    """(n, 8) words of a decimal256 column."""
    little = np.frombuffer(column.buffers()[1], "<u4", 8 * len(column), 32 * column.offset)
    return little.reshape(-1, 8)[:, ::-1]


def swaps(logs: Sequence[Log], library: ModuleType) -> Swaps:
    """Columns of the logs, topics and data decoded by cherry_core or tiders_core."""
    decoded = library.evm_decode_events(SIGNATURE, log_table(logs, library))
    amounts = [_words(decoded.column(name)) for name in ("amount0", "amount1")]
    return Swaps(
        OURS,
        quantities([log.block_number for log in logs]),
        quantities([log.block_timestamp for log in logs]),
        quantities([log.log_index for log in logs]),
        octets([log.transaction_hash for log in logs], 32),
        np.array([OURS.numbers[log.address] for log in logs], np.int64),
        np.stack(amounts, axis=1),
    )
