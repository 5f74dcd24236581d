"""Logs and eth_calls as Parquet, laid out so that columns come back without a step per row.

A file of logs has one row group for each topic0 and number of topics, in chain order; topic columns that an event lacks
are null, and an emitter is a dictionary entry. What a file answers stands in its metadata, under `indexer`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.archive.filters import Filter, as_json, from_json
from indexer.archive.store import damaged
from indexer.decode.columns import Raw
from indexer.errors import ArchiveUnusable
from indexer.model import Address, Ints, Octets, Span, Where

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
LOGS, CALLS = "logs", "calls"
LogKey = tuple[bytes, int]  # topic0 (empty for an anonymous log) and number of topics
Call = tuple[Address, bytes]  # contract, calldata

_MARK = b"indexer"
_TOPICS = ("topic1", "topic2", "topic3")
_NUMBERS = ("block", "time", "log_index")
_LEVEL = 1  # of zstd: higher ones take half as long again and save nothing, since most octets are hashes


@dataclass(frozen=True, slots=True)
class LogFile:
    """Logs of a span that some filters asked for.

    received: logs as the endpoint counted them, doubles included. anchor: last block with a log, and its hash.
    endpoint: host. timed: whether the logs bear their times.
    """

    chain_id: int
    span: Span
    filters: Sequence[Filter]
    groups: Mapping[LogKey, Raw]
    received: int = 0
    anchor: tuple[int, bytes] | None = None
    endpoint: str = ""
    timed: bool = True


@dataclass(frozen=True, slots=True)
class CallFile:
    """What contracts answered at a block; None for a revert or an empty answer."""

    chain_id: int
    block: int
    answers: Mapping[Call, bytes | None] = field(default_factory=dict)


def write_logs(file: LogFile) -> bytes:
    """The octets of the file: the same for the same content and the same release of pyarrow."""
    import pyarrow as pa

    keys = sorted(key for key, raw in file.groups.items() if len(raw.where))
    about = {
        "what": LOGS,
        "chain_id": file.chain_id,
        "first_block": file.span.first,
        "last_block": file.span.last,
        "filters": as_json(file.filters),
        "received": file.received,
        "anchor": None if file.anchor is None else [file.anchor[0], "0x" + file.anchor[1].hex()],
        "endpoint": file.endpoint,
        "timed": file.timed,
        "groups": [["0x" + topic0.hex(), count] for topic0, count in keys],
    }
    schema = pa.schema(
        [
            *((name, pa.int64()) for name in _NUMBERS),
            ("tx_hash", pa.binary(32)),
            ("emitter", pa.dictionary(pa.int32(), pa.binary())),
            *((name, pa.binary(32)) for name in ("topic0", *_TOPICS)),
            ("data", pa.large_binary()),
        ]
    )
    return _written(about, schema, [_log_table(key, file.groups[key], schema) for key in keys], ["emitter", "topic0"])


def read_logs(name: str, octets: bytes, wanted: Collection[LogKey] | None = None) -> LogFile:
    """The file with those of its groups that are wanted (None: all). Raises ArchiveUnusable, which names the file."""
    file, about = _opened(name, octets, LOGS)
    anchor = about["anchor"]
    groups = {}
    for number, (topic0, count) in enumerate(about["groups"]):
        key = (bytes.fromhex(topic0[2:]), count)
        if wanted is None or key in wanted:
            topics = _TOPICS[: max(count - 1, 0)]
            columns = [*_NUMBERS, "tx_hash", "emitter", *topics, "data"]
            groups[key] = _raw(file.read_row_group(number, columns=columns, use_threads=False), topics)
    return LogFile(
        about["chain_id"],
        Span(about["first_block"], about["last_block"]),
        from_json(about["filters"]),
        groups,
        about["received"],
        None if anchor is None else (anchor[0], bytes.fromhex(anchor[1][2:])),
        about["endpoint"],
        about["timed"],
    )


def write_calls(file: CallFile) -> bytes:
    """The octets of the file: the same for the same content and the same release of pyarrow."""
    import pyarrow as pa

    calls = sorted(file.answers)
    schema = pa.schema([("contract", pa.binary(20)), ("calldata", pa.binary()), ("answer", pa.binary())])
    columns = [[contract for contract, _ in calls], [data for _, data in calls], [file.answers[one] for one in calls]]
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
    about = {"what": CALLS, "chain_id": file.chain_id, "block": file.block}
    return _written(about, schema, [pa.Table.from_arrays(arrays, schema=schema)], ["calldata"])


def read_calls(name: str, octets: bytes) -> CallFile:
    """The inverse of write_calls. Raises ArchiveUnusable, which names the file."""
    file, about = _opened(name, octets, CALLS)
    contracts, calldata, answers = (column.to_pylist() for column in file.read(use_threads=False).columns)
    return CallFile(
        about["chain_id"], about["block"], dict(zip(zip(contracts, calldata, strict=True), answers, strict=True))
    )


def _written(about: Mapping[str, Any], schema: pa.Schema, tables: Sequence[pa.Table], dictionaries: list[str]) -> bytes:
    """One row group a table; whoever looks for blocks finds their bounds in each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    marked = schema.with_metadata({_MARK: json.dumps({"format": FORMAT, **about}, sort_keys=True).encode()})
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        marked,
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=dictionaries,
        dictionary_pagesize_limit=1 << 30,  # an emitter stays a dictionary entry, however many there are
        write_statistics=["block"],
    ) as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata(marked.metadata), row_group_size=max(len(table), 1))
    octets: bytes = sink.getvalue().to_pybytes()
    return octets


def _opened(name: str, octets: bytes, what: str) -> tuple[Any, dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(pa.BufferReader(octets))
        about = json.loads((footer.metadata or {})[_MARK])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        raise damaged(name, "is none that the indexer wrote") from None
    if about.get("format") != FORMAT:
        raise ArchiveUnusable(
            f"The archive file {name} has format {about.get('format')}, and this version reads {FORMAT}: update the "
            "indexer."
        )
    if about.get("what") != what:
        raise damaged(name, f"holds {about.get('what')}, not {what}")
    columns = ["emitter"] if what == LOGS else None
    return pq.ParquetFile(pa.BufferReader(octets), metadata=footer, read_dictionary=columns), about


def _log_table(key: LogKey, raw: Raw, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    where, rows = raw.where, len(raw.where)
    further = [_fixed(raw.topics[:, at]) for at in range(raw.topics.shape[1])]
    nothing = pa.nulls(rows, pa.binary(32))
    topic0 = nothing if not key[0] else _fixed(np.broadcast_to(np.frombuffer(key[0], np.uint8), (rows, 32)))
    columns = [
        *(pa.array(column) for column in (where.block, where.time, where.log_index)),
        _fixed(where.tx_hash),
        pa.DictionaryArray.from_arrays(pa.array(where.emitter.astype(np.int32)), _entries(where.emitters)),
        topic0,
        *(further + [nothing] * (len(_TOPICS) - len(further))),
        pa.Array.from_buffers(
            pa.large_binary(), rows, [None, pa.py_buffer(np.ascontiguousarray(raw.offsets)), pa.py_buffer(raw.blob)]
        ),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _fixed(octets: Octets) -> pa.Array:
    import pyarrow as pa

    whole = np.ascontiguousarray(octets)
    return pa.Array.from_buffers(pa.binary(whole.shape[1]), len(whole), [None, pa.py_buffer(whole)])


def _entries(table: Octets) -> pa.Array:
    import pyarrow as pa

    ends = np.arange(len(table) + 1, dtype=np.int32) * 20
    return pa.Array.from_buffers(
        pa.binary(), len(table), [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(table))]
    )


def _raw(table: pa.Table, topics: Sequence[str]) -> Raw:
    rows = len(table)
    emitter = _whole(table.column("emitter").unify_dictionaries())
    further = [_octets(_whole(table.column(name)), 32) for name in topics]
    blob, offsets = _data(_whole(table.column("data")))
    block, time, log_index = (_ints(_whole(table.column(name))) for name in _NUMBERS)
    where = Where(
        block,
        time,
        log_index,
        _octets(_whole(table.column("tx_hash")), 32),
        emitter.indices.to_numpy().astype(np.int64),
        np.frombuffer(b"".join(emitter.dictionary.to_pylist()), np.uint8).reshape(-1, 20),
    )
    return Raw(where, np.stack(further, axis=1) if further else np.zeros((rows, 0, 32), np.uint8), blob, offsets)


def _whole(column: Any) -> Any:
    """A column in one piece: as it is where it is one."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _ints(array: Any) -> Ints:
    column: Ints = array.to_numpy()
    return column


def _octets(array: Any, width: int) -> Octets:
    column = np.frombuffer(array.buffers()[1], np.uint8, len(array) * width, array.offset * width)
    return column.reshape(-1, width)


def _data(array: Any) -> tuple[bytes, Ints]:
    _, ends, octets = array.buffers()
    offsets = np.frombuffer(ends, np.int64, len(array) + 1, array.offset * 8)
    first, last = int(offsets[0]), int(offsets[-1])
    blob = b"" if octets is None else octets.slice(first, last - first).to_pybytes()
    return blob, offsets - first if first else offsets
