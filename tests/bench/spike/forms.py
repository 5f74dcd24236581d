"""The forms under test: each takes an answer to what COPY takes and a digest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from . import arrow, columns, objects, slices
from .flows import Fees, Swaps, digest, fees, fields
from .stream import copy_stream


class Stages:
    """Seconds spent by stage."""

    def __init__(self) -> None:
        self.seconds = Counter[str]()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class Prepared:
    """What one answer became: a COPY stream, or record tuples; and its digest."""

    copy: bytearray | list[tuple[Any, ...]]
    digest: int


Form = Callable[[bytes, Stages], Prepared]


def per_log(body: bytes, stage: Stages) -> Prepared:
    """(a) A pure function per log on frozen objects; asyncpg encodes the records."""
    with stage("parse"):
        logs = columns.parse(body)
    with stage("decode"):
        decoded = [objects.decode(log) for log in logs]
    with stage("fee"):
        flows = [objects.fee(swap) for swap in decoded]
    with stage("digest"):
        found = objects.digest(flows)
    with stage("encode"):
        records = objects.records(flows)
    return Prepared(records, found)


def _fees(swaps: Swaps, stage: Stages) -> tuple[Fees, int]:
    with stage("fee"):
        flows = fees(swaps)
    with stage("digest"):
        return flows, digest(flows)


def prepared(swaps: Swaps, stage: Stages) -> Prepared:
    """The stages after decoding, column by column."""
    flows, found = _fees(swaps, stage)
    with stage("encode"):
        return Prepared(copy_stream(fields(flows), len(flows)), found)


def column_wise(body: bytes, stage: Stages) -> Prepared:
    """(b) msgspec structs, NumPy columns, fixed-width COPY rows."""
    with stage("parse"):
        logs = columns.parse(body)
    with stage("decode"):
        swaps = columns.swaps(logs)
    return prepared(swaps, stage)


def raw_topics(body: bytes, stage: Stages) -> Prepared:
    """(b) with topics left as JSON by msgspec, then decoded as one column."""
    with stage("parse"):
        logs = columns.parse_raw_topics(body)
    with stage("decode"):
        columns.topics([log.topics for log in logs], 3)
        swaps = columns.swaps(logs)
    return prepared(swaps, stage)


def through_arrow(body: bytes, stage: Stages) -> Prepared:
    """(c) The columns of (b), COPY encoded by pgpq from Arrow."""
    with stage("parse"):
        logs = columns.parse(body)
    with stage("decode"):
        swaps = columns.swaps(logs)
    flows, found = _fees(swaps, stage)
    with stage("encode"):
        return Prepared(arrow.encode(arrow.table(flows)), found)


def by_library(library: ModuleType) -> Form:
    """(e) Topics and data decoded by a Rust library on Arrow, COPY of (b)."""

    def form(body: bytes, stage: Stages) -> Prepared:
        with stage("parse"):
            logs = columns.parse(body)
        with stage("decode"):
            swaps = arrow.swaps(logs, library)
        return prepared(swaps, stage)

    return form


def sliced(body: bytes, stage: Stages) -> Prepared:
    """(f) Octets sliced where all logs are laid out alike, else msgspec; the rest as (b)."""
    with stage("parse"):
        swaps = slices.swaps(body)
    if swaps is None:
        return column_wise(body, stage)
    return prepared(swaps, stage)


def forms() -> dict[str, Form]:
    """Forms by name; those of libraries that are not installed are left out."""
    found: dict[str, Form] = {
        "a per log": per_log,
        "b columns": column_wise,
        "b, topics raw": raw_topics,
        "c arrow + pgpq": through_arrow,
    }
    for name in ("cherry_core", "tiders_core"):
        if find_spec(name):
            found[f"e {name}"] = by_library(import_module(name))
    return {**found, "f slices": sliced}
