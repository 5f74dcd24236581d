"""What the shape of a manifest cannot tell: whether it fits the chains and families known, and one log, one claim."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from pydantic import ValidationError

from indexer.decode.signature import parse_event
from indexer.documents import Document, Mistake, Place, mistakes, quoted
from indexer.families.interface import Arity, Contracts, Family
from indexer.model import Basis, Kind, Subscription

Families = Mapping[str, Family]
Claimant = tuple[Family, Contracts]


def protocol_mistakes(file: str, raw: object, chains: Collection[str]) -> Iterator[Mistake]:
    """Mistakes of a protocol table as read: its id against the file's name, its own tokens."""
    if not isinstance(raw, dict):
        return
    (name,) = _texts(raw, "id")
    if name.isidentifier() and file != f"{name}.toml":
        yield ("protocol", "id"), f"{quoted(name)} differs from the file name: rename one of them"
    tokens = raw.get("own_tokens")
    seen: set[tuple[str, str]] = set()
    for at, token in enumerate(tokens if isinstance(tokens, list) else ()):
        chain, address = _texts(token, "chain", "address")
        yield from _unknown_chain(chain, chains, ("protocol", "own_tokens", at, "chain"))
        if chain and address and (chain, address.lower()) in seen:
            yield (("protocol", "own_tokens", at), "names a token that is named above: remove one")
        seen.add((chain, address.lower()))


def deployment_mistakes(raw: object, chains: Collection[str], families: Families) -> Iterator[Mistake]:
    """Mistakes of a deployment table as read, places within it: chain, family, options, contracts, counts, sources."""
    if not isinstance(raw, dict):
        return
    chain, family = _texts(raw, "chain", "family")
    yield from _unknown_chain(chain, chains, ("chain",))
    contracts, sources = raw.get("contracts"), raw.get("sources")
    if family and family not in families:
        yield (("family",), f"{quoted(family)} is not a family known here: use one of {_listed(families)}")
    elif family:
        wrong: list[Mistake] = []
        options = read_options(raw.get("options"), families[family], wrong)
        yield from wrong
        if isinstance(contracts, dict) and not wrong:
            yield from _wrong_roles(contracts, families[family])
            yield from _wrong_counts(raw.get("counts"), families[family].configured(options))
    if isinstance(sources, dict):
        given = {"start_block", *(contracts if isinstance(contracts, dict) else ())}
        for key in sorted(given - sources.keys()):
            yield (("sources", key), "is missing: add the link or sentence that proves this fact")
        for key in sorted(sources.keys() - given):
            yield ("sources", key), "belongs to no fact of this deployment: remove it"


def read_options(raw: object, family: Family, wrong: list[Mistake]) -> Document | None:
    """A deployment's options in the family's shape, None where it has none; mistakes join `wrong`."""
    if family.options is None:
        if raw is not None:
            wrong.append((("options",), f"are unknown to family {family.name}: remove the table"))
        return None
    try:
        return family.options.model_validate({} if raw is None else raw)
    except ValidationError as fault:
        wrong += mistakes(fault, ("options",))
        return None


def _wrong_roles(contracts: Mapping[str, object], family: Family) -> Iterator[Mistake]:
    for role, arity in family.contracts.items():
        value = contracts.get(role, [])
        held = value if isinstance(value, list) else [value]
        few = not held and arity in (Arity.ONE, Arity.MANY)
        many = len(held) > 1 and arity in (Arity.ONE, Arity.OPTIONAL)
        if few or many:
            yield (
                ("contracts", role),
                f"has {len(held)} addresses, family {family.name} needs {arity.value}: correct it",
            )
        if any(held.count(address) > 1 for address in held[:-1]):
            yield ("contracts", role), "names an address twice: remove one"
    for role in contracts.keys() - family.contracts.keys():
        roles = _listed(family.contracts)
        yield (("contracts", role), f"is no contract of family {family.name}: remove it, or use one of {roles}")


def _wrong_counts(counts: object, family: Family) -> Iterator[Mistake]:
    """Every kind that the family recognises is counted on a basis that it sees; other kinds can only be none."""
    written = counts if isinstance(counts, dict) else {}
    for kind, bases in family.kinds.items():
        choice = " or ".join(bases)
        if kind not in written:
            yield ("counts", kind), f"is missing: family {family.name} sees it as {choice}"
        elif isinstance(written[kind], str) and written[kind] not in bases and written[kind] in (*Basis, "none"):
            yield ("counts", kind), f"is never seen as {written[kind]} by family {family.name}: use {choice}"
    for kind in written.keys() - family.kinds.keys():
        if kind in tuple(Kind) and written[kind] in tuple(Basis):
            yield (("counts", kind), f'is unknown to family {family.name}: remove it, or write "none" if none occurs')


def _unknown_chain(chain: str, chains: Collection[str], place: Place) -> Iterator[Mistake]:
    if chain and chain not in chains:
        remedy = f"use one of {_listed(chains)}, or describe it in indexer.toml"
        yield place, f"{quoted(chain)} is not a chain known here: {remedy}"


def same_name(rows: list[Any]) -> Iterator[Mistake]:
    """Deployments of one file that would have the same id."""
    first: dict[tuple[str, ...], int] = {}
    for at, row in enumerate(rows):
        chain, name = _texts(row, "chain", "name")
        if chain and first.setdefault((chain, name), at) != at:
            above = f"deployment[{first[chain, name]}]"
            yield (("deployment", at), f"has the chain and name of {above}: give each a name of its own")


def shared_event(one: Claimant, other: Claimant) -> str | None:
    """The name of an event that both would claim a log of, or None.

    Named emitters must meet; where one side takes any emitter, the two share logs if the same contract decides in the
    same family who is a member.
    """
    (family, contracts), (peer, others) = one, other
    same_members = family.name == peer.name and family.anchor(contracts) == peer.anchor(others)
    for left, right in product(family.subscriptions(contracts), peer.subscriptions(others)):
        if _same_shape(left, right) and _meet(left, right, same_members):
            return parse_event(left.event).name
    return None


def _meet(left: Subscription, right: Subscription, same_members: bool) -> bool:
    if left.emitters is None or right.emitters is None:
        return same_members
    return not set(left.emitters).isdisjoint(right.emitters)


def _same_shape(left: Subscription, right: Subscription) -> bool:
    """Topic0 alone is ambiguous: logs differ by topic0, topic count and what further topics may hold."""
    one, other = parse_event(left.event), parse_event(right.event)
    apart = (set(left.topics[at]).isdisjoint(right.topics[at]) for at in left.topics.keys() & right.topics.keys())
    return (one.canonical, one.topic_count) == (other.canonical, other.topic_count) and not any(apart)


def _texts(raw: object, *keys: str) -> list[str]:
    """The values of these keys, empty where one is missing or no text."""
    values = [raw.get(key) if isinstance(raw, dict) else None for key in keys]
    return [value if isinstance(value, str) else "" for value in values]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
