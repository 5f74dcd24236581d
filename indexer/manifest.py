"""A protocol's TOML file: who is deployed where, checked whole before anything is fetched."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from importlib import resources
from itertools import combinations
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from indexer.crosscheck import Families, deployment_mistakes, protocol_mistakes, read_options, same_name, shared_event
from indexer.documents import (
    AddressText,
    Block,
    Document,
    File,
    Mistake,
    Place,
    SourceText,
    Words,
    lines,
    mistakes,
    parse_address,
    read_toml,
)
from indexer.errors import BadInput
from indexer.families import FAMILIES
from indexer.families.interface import Family
from indexer.model import Address, Basis, Kind


class Category(StrEnum):
    """What a protocol is for: one closed list."""

    DEX = "dex"
    FARM = "farm"
    LENDING = "lending"
    LIQUID_STAKING = "liquid_staking"
    PERPS = "perps"
    BRIDGE = "bridge"
    STABLECOIN = "stablecoin"
    YIELD = "yield"
    CHAIN = "chain"
    MINING = "mining"
    PRICE_FEED = "price_feed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One family at given addresses on one chain.

    id: protocol.chain or protocol.chain.name. contracts: addresses by role, every role of the family present.
    counts: the basis the views count, by kind, None for a kind known not to occur. options: what else the family
    needs to know, in its own shape. digest: 32 octets over what decides its flows. sources: where facts can be checked.
    """

    id: str
    protocol: str
    chain: str
    family: str
    start_block: int
    contracts: Mapping[str, tuple[Address, ...]]
    counts: Mapping[Kind, Basis | None]
    exactness: str
    digest: bytes
    options: Document | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol and its deployments. own_tokens: (chain, address) of what counts as its own token."""

    id: str
    name: str
    category: Category
    methodology: str
    own_tokens: tuple[tuple[str, Address], ...]
    deployments: tuple[Deployment, ...]


def packaged_manifests() -> tuple[File, ...]:
    """The protocol files that come with the program, by name."""
    folder = resources.files("indexer") / "protocols"
    return tuple(sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name))


def load_protocols(
    paths: Iterable[File], chains: Collection[str], families: Families = FAMILIES
) -> dict[str, Protocol]:
    """Protocols by id, in order of id; chains and families: the names known.

    Raises BadInput with every mistake of every file, one a line: 'file: place: sentence'.
    """
    problems: list[str] = []
    drafts: list[_Draft] = []
    for path in paths:
        try:
            draft = _draft(path.name, read_toml(path), chains, families)
        except BadInput as fault:
            problems += fault.problems
            continue
        problems += lines(draft.file, draft.mistakes)
        drafts.append(draft)
    problems += [*_repeated(drafts), *_contested(drafts, families)]
    if problems:
        raise BadInput(problems)
    found = [_protocol(draft.table, draft.deployments) for draft in drafts if draft.table is not None]
    return {protocol.id: protocol for protocol in sorted(found, key=lambda protocol: protocol.id)}


def digest(
    chain: str, family: str, start_block: int, contracts: Mapping[str, tuple[Address, ...]], options: object = None
) -> bytes:
    """sha256 over canonical JSON of what decides a deployment's flows; the order of addresses does not matter.

    options: the table as written; the links and sentences that prove its facts, under the keys `source` and `why`,
    decide nothing and are left out. What is one word, as the `source` of a flow, stays in.
    """
    roles = {role: sorted(address.hex() for address in held) for role, held in contracts.items() if held}
    facts = {"chain": chain, "family": family, "start_block": start_block, "contracts": roles}
    if options:
        facts["options"] = _without_proofs(options)
    return sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).digest()


def _without_proofs(written: object) -> object:
    if isinstance(written, dict):
        return {key: _without_proofs(value) for key, value in written.items() if not _proves(key, value)}
    if isinstance(written, list):
        return [_without_proofs(value) for value in written]
    return written if isinstance(written, bool | int) else str(written)


def _proves(key: str, value: object) -> bool:
    return key in ("source", "why") and isinstance(value, str) and (" " in value or "://" in value)


def _addresses(value: object) -> tuple[Address, ...]:
    return tuple(parse_address(item) for item in value) if isinstance(value, list) else (parse_address(value),)


def _none(value: object) -> object:
    """Written "none": it is known that the deployment has no flows of the kind, so sums of it are 0, not unknown."""
    return None if value == "none" else value


class _File(Document):
    protocol: Any
    deployment: Annotated[list[Any], Field(min_length=1)]


class _OwnToken(Document):
    chain: str
    address: AddressText
    source: SourceText


class _ProtocolTable(Document):
    id: Annotated[str, Field(pattern=r"^[a-z0-9_]{2,40}$")]
    name: Annotated[str, Field(min_length=1, max_length=80)]
    category: Category
    methodology: Words
    own_tokens: tuple[_OwnToken, ...] = ()


class _DeploymentTable(Document):
    chain: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")] | None = None
    family: Annotated[str, Field(min_length=1)]
    start_block: Block
    exactness: Words
    contracts: dict[str, Annotated[tuple[bytes, ...], BeforeValidator(_addresses)]]
    counts: dict[Kind, Annotated[Basis | None, BeforeValidator(_none)]] = Field(default_factory=dict)
    options: Any = None  # read_options knows its shape
    sources: dict[str, SourceText]


@dataclass(slots=True)
class _Draft:
    """What could be read of one file; deployments by their position in it."""

    file: str
    table: _ProtocolTable | None = None
    deployments: dict[int, Deployment] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


Table = TypeVar("Table", bound=Document)


def _draft(file: str, raw: Mapping[str, Any], chains: Collection[str], families: Families) -> _Draft:
    draft = _Draft(file)
    _read(_File, raw, (), draft.mistakes)
    if "protocol" in raw:
        draft.table = _read(_ProtocolTable, raw["protocol"], ("protocol",), draft.mistakes)
        draft.mistakes += protocol_mistakes(file, raw["protocol"], chains)
    rows = raw.get("deployment")
    rows = rows if isinstance(rows, list) else []
    draft.mistakes += same_name(rows)
    for at, row in enumerate(rows):
        wrong = [(("deployment", at, *place), text) for place, text in deployment_mistakes(row, chains, families)]
        table = _read(_DeploymentTable, row, ("deployment", at), wrong)
        if table is not None and not any(place[2] in ("family", "contracts", "options") for place, _ in wrong):
            draft.deployments[at] = _deployment(draft.table.id if draft.table else file, table, families[table.family])
        draft.mistakes += wrong
    return draft


def _read(shape: type[Table], raw: object, place: Place, wrong: list[Mistake]) -> Table | None:
    try:
        return shape.model_validate(raw)
    except ValidationError as fault:
        wrong += mistakes(fault, place)
        return None


def _deployment(protocol: str, table: _DeploymentTable, family: Family) -> Deployment:
    contracts = {role: table.contracts.get(role, ()) for role in family.contracts}
    return Deployment(
        ".".join(filter(None, (protocol, table.chain, table.name))),
        protocol,
        table.chain,
        table.family,
        table.start_block,
        contracts,
        table.counts,
        table.exactness,
        digest(table.chain, table.family, table.start_block, contracts, table.options),
        read_options(table.options, family, []),
        table.sources,
    )


def _protocol(table: _ProtocolTable, deployments: Mapping[int, Deployment]) -> Protocol:
    own = tuple((token.chain, token.address) for token in table.own_tokens)
    return Protocol(table.id, table.name, table.category, table.methodology, own, tuple(deployments.values()))


def _repeated(drafts: list[_Draft]) -> Iterator[str]:
    first: dict[str, str] = {}
    for draft in drafts:
        if draft.table is not None:
            if draft.table.id in first:
                wrong = [
                    (("protocol", "id"), f"{draft.table.id} is also in another file read here: remove one of them")
                ]
                yield from lines(draft.file, wrong)
            first.setdefault(draft.table.id, draft.file)


def _contested(drafts: list[_Draft], families: Families) -> Iterator[str]:
    """One line for each two deployments that would claim one log."""
    held = [(draft.file, at, deployment) for draft in drafts for at, deployment in draft.deployments.items()]
    for (_, _, one), (file, at, other) in combinations(held, 2):
        if one.chain == other.chain and (event := _shared(one, other, families)):
            remedy = "a log belongs to one deployment, so remove or narrow one of them"
            wrong = f"would claim the same {event} logs as {one.id}: {remedy}"
            yield from lines(file, [(("deployment", at), wrong)])


def _shared(one: Deployment, other: Deployment, families: Families) -> str | None:
    left, right = (families[each.family].configured(each.options) for each in (one, other))
    return shared_event((left, one.contracts), (right, other.contracts))
