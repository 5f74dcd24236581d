"""Which type a column has in Parquet, and its values in that type."""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from indexer.errors import BadInput
from indexer.ledger.streaming import Column
from indexer.publish.rows import shown

_PLAIN: Mapping[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "oid": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "bytea": pa.binary(),
}
_NARROW, _WIDE = 38, 76  # digits that decimal128 and decimal256 hold
_DOLLARS = pa.decimal128(_NARROW, 18)  # of numerics that are declared without digits: 18 as tokens mostly have
_MEASURED = re.compile(r"(.*_)?(usd|share|apr)|coverage")
_EXACT = decimal.Context(prec=200, rounding=decimal.ROUND_HALF_EVEN, traps=[decimal.InvalidOperation])


def fields(columns: Sequence[Column]) -> list[pa.Field]:
    """The Parquet columns; what Postgres says of a column is kept beside it."""
    metadata = [{"comment": column.comment} if column.comment else None for column in columns]
    return [pa.field(column.name, _type(column), metadata=told) for column, told in zip(columns, metadata, strict=True)]


def batch(columns: Sequence[Column], schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows as Parquet columns. Raises BadInput for a number that its column cannot hold."""
    arrays = [
        _array(column, field.type, [row[at] for row in rows])
        for at, (column, field) in enumerate(zip(columns, schema, strict=True))
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _type(column: Column) -> pa.DataType:
    plain = _numeric(column) if column.type == "numeric" else _PLAIN.get(column.type, pa.string())
    return pa.list_(plain) if column.array else plain


def _numeric(column: Column) -> pa.DataType:
    """Raw amounts may have 78 digits, more than any decimal: they are texts, as is what may be one."""
    if column.digits is None or column.decimals is None:
        return _DOLLARS if _MEASURED.fullmatch(column.name) else pa.string()
    if column.digits <= _NARROW:
        return pa.decimal128(column.digits, column.decimals)
    return pa.decimal256(column.digits, column.decimals) if column.digits <= _WIDE else pa.string()


def _array(column: Column, kind: pa.DataType, values: list[Any]) -> pa.Array:
    element = kind.value_type if column.array else kind
    try:
        return pa.array(_formed(values, _form(element), nested=column.array), kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, decimal.InvalidOperation, OverflowError) as error:
        raise BadInput(
            f"Column {column.name} holds a value that {element} cannot ({error}): cast it in a statement, such as "
            f"{column.name}::text."
        ) from None


def _form(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """What brings a value into the form that Arrow takes; None where it has it."""
    if pa.types.is_string(kind):
        return shown
    if pa.types.is_decimal(kind):
        step = decimal.Decimal(1).scaleb(-kind.scale)
        return lambda value: _EXACT.quantize(value, step)
    return None


def _formed(values: list[Any], form: Callable[[Any], Any] | None, *, nested: bool) -> list[Any]:
    if form is None:
        return values
    if nested:
        return [None if value is None else _formed(value, form, nested=False) for value in values]
    return [None if value is None else form(value) for value in values]
