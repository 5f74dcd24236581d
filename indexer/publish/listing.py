"""What can be indexed, as rows and as text: the protocols' manifests, and what the ledger holds of them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from eth_utils.address import to_checksum_address

from indexer.manifest import Category, Deployment, Protocol
from indexer.publish.figures import counted
from indexer.publish.sheet import Column, Row, Sheet

WIDTH = 80


def listing(protocols: Iterable[Protocol], held: Mapping[str, Row]) -> Sheet:
    """A row per deployment. held: first_block, last_block and blocks of those that the ledger has."""
    rows = [_row(protocol, one, held) for protocol in protocols for one in protocol.deployments]
    return Sheet("protocols", rows, COLUMNS)


def without_feeds(sheet: Sheet) -> Sheet:
    """The listing for people: price feeds, which are read along with what they price, are only counted."""
    shown = [row for row in sheet.rows if row["category"] != Category.PRICE_FEED]
    feeds = Counter(row["protocol"] for row in sheet.rows if row["category"] == Category.PRICE_FEED)
    told = (f"and {count} price feeds, see indexer protocols {name}" for name, count in feeds.items())
    return replace(sheet, rows=shown, note="\n".join(told))


def details(protocol: Protocol, held: Mapping[str, Row]) -> Row:
    """All that a protocol's manifest says, as one object."""
    return {
        "protocol": protocol.id,
        "name": protocol.name,
        "category": protocol.category.value,
        "methodology": protocol.methodology,
        "own_tokens": [{"chain": chain, "address": _shown(token)} for chain, token in protocol.own_tokens],
        "deployments": [_row(protocol, one, held) | _facts(one) for one in protocol.deployments],
    }


def details_text(row: Row, width: int | None) -> str:
    """The same for people, folded to a width."""
    fold = WIDTH if width is None else width
    lines = [f"{row['protocol']}: {row['name']} ({row['category']})", "", *textwrap.wrap(row["methodology"], fold)]
    for token in row["own_tokens"]:
        lines += ["", f"own token on {token['chain']}: {token['address']}"]
    for one in row["deployments"]:
        lines += ["", *_deployment(one, fold)]
    return "\n".join(lines)


def _deployment(one: Row, fold: int) -> Iterator[str]:
    yield f"{one['deployment']}: family {one['family']}, from block {one['start_block']:,}"
    yield f"  counts      {_counts(one) or '-'}; none known: {_nones(one) or '-'}"
    yield f"  held        {_held(one)}"
    yield from textwrap.wrap(one["exactness"], fold, initial_indent="  exactness   ", subsequent_indent=" " * 14)
    for role, addresses in one["contracts"].items():
        for address in addresses:
            yield f"  {role:<11} {address}"
    for fact, source in one["sources"].items():
        yield f"  source of {fact}: {source}"


def _row(protocol: Protocol, one: Deployment, held: Mapping[str, Row]) -> dict[str, Any]:
    return {
        "protocol": protocol.id,
        "category": protocol.category.value,
        "chain": one.chain,
        "deployment": one.id,
        "family": one.family,
        "start_block": one.start_block,
        "counts": {kind.value: None if basis is None else basis.value for kind, basis in one.counts.items()},
        "held": held.get(one.id),
    }


def _facts(one: Deployment) -> dict[str, Any]:
    return {
        "exactness": one.exactness,
        "contracts": {role: [_shown(address) for address in held] for role, held in one.contracts.items() if held},
        "sources": dict(one.sources),
    }


def _shown(address: bytes) -> str:
    return to_checksum_address(address)


def _counts(row: Row) -> str:
    return ", ".join(f"{kind} {basis}" for kind, basis in row["counts"].items() if basis is not None)


def _nones(row: Row) -> str:
    return ", ".join(kind for kind, basis in row["counts"].items() if basis is None)


def _held(row: Row) -> str:
    held = row["held"]
    if held is None or held["blocks"] is None:
        return "-"
    return f"{counted(held['blocks'])} blocks to {counted(held['last_block'])}"


COLUMNS = (
    Column("deployment", lambda row: row["deployment"]),
    Column("from block", lambda row: counted(row["start_block"]), right=True),
    Column("counts", _counts),
    Column("blocks held", lambda row: "-" if row["held"] is None else counted(row["held"]["blocks"]), right=True),
)
