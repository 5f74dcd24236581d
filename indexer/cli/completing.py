"""What the shell completes: names of protocols and chains, without a database or an endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from indexer.errors import IndexerError
from indexer.settings import load_settings


def protocols(incomplete: str) -> list[str]:
    """Protocols that begin so: packaged ones, and those whose files the settings name; a file is named as its id."""
    from indexer.manifest import packaged_manifests

    return _beginning((*(Path(file.name).stem for file in packaged_manifests()), *_own()), incomplete)


def chains(incomplete: str) -> list[str]:
    """Chains that come with the program."""
    from indexer.chain.chains import load_chains

    return _beginning(load_chains(), incomplete)


def endpoints(incomplete: str) -> list[str]:
    """The first part of --rpc CHAIN=URL."""
    return [] if "=" in incomplete else [f"{name}=" for name in chains(incomplete)]


def _own() -> Iterator[str]:
    try:
        places = load_settings(Path("indexer.toml") if Path("indexer.toml").exists() else None, {}).manifests
    except IndexerError:
        return
    for place in places:
        yield from (file.stem for file in (place.glob("*.toml") if place.is_dir() else [place]))


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})
