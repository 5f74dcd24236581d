"""Where archive files lie: a folder of this machine, or whatever fsspec can reach by a URL."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from indexer.errors import ArchiveFailed, ArchiveUnusable, BadInput

T = TypeVar("T")

_NUMBERS = itertools.count()
_MEND = (
    "Put the right file back, or run indexer reclassify --fetch, which asks the endpoints for what it held and for "
    "nothing else."
)


class Store(Protocol):
    """Files by name. Raises ArchiveUnusable where somebody has to act, ArchiveFailed where another try may do."""

    async def put(self, name: str, octets: bytes) -> None:
        """Keeps the file, whole or not at all; one of that name is replaced."""

    async def get(self, name: str) -> bytes:
        """The octets of a file, which are what its name says."""


def name_of(chain_id: int, octets: bytes) -> str:
    """The name of a chain's file with this content: its sha256 is part of it."""
    digest = hashlib.sha256(octets).hexdigest()
    return f"chain/{chain_id}/{digest[:2]}/{digest}.parquet"


def damaged(name: str, fault: str) -> ArchiveUnusable:
    """What to say of a file that cannot be used. fault: what is wrong with it, as the end of 'The file X'."""
    return ArchiveUnusable(f"The archive file {name} {fault}. {_MEND}")


def open_store(place: str) -> Store:
    """The store at a path or an fsspec URL, which is never shown. Raises BadInput."""
    if "://" not in place:
        return Folder(Path(place).expanduser())
    scheme = place.partition("://")[0]
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(place)
    except ImportError as fault:
        raise BadInput(f"archive: {scheme}:// needs a package that is not installed ({fault}).") from None
    except Exception as fault:  # whatever a file system raises; its text may quote the URL
        kind = type(fault).__name__
        raise BadInput(
            f"archive: the {scheme}:// URL cannot be used ({kind}; it is a secret, so not shown): correct it."
        ) from None
    return Remote(system, root, scheme)


class Folder:
    """Files below a folder, each written beside its place and then renamed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def put(self, name: str, octets: bytes) -> None:
        """Keeps the file."""
        await asyncio.to_thread(self._put, name, octets)

    async def get(self, name: str) -> bytes:
        """Its octets."""
        return await asyncio.to_thread(self._get, name)

    def _put(self, name: str, octets: bytes) -> None:
        place = self.root / name
        beside = place.with_name(f".{place.name}.{os.getpid()}.{next(_NUMBERS)}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                _write(beside, octets)
                beside.replace(place)
            finally:
                beside.unlink(missing_ok=True)
            _sync(place.parent)
        except OSError as fault:
            raise ArchiveUnusable(
                f"The archive folder {self.root} cannot be written ({fault.strerror}): make room or give it the "
                "rights, and run again; what was committed stays."
            ) from None

    def _get(self, name: str) -> bytes:
        try:
            octets = (self.root / name).read_bytes()
        except FileNotFoundError:
            raise damaged(name, f"is not in {self.root}") from None
        except OSError as fault:
            raise damaged(name, f"in {self.root} cannot be read ({fault.strerror})") from None
        return _checked(name, octets)


class Remote:
    """Files of an fsspec file system."""

    def __init__(self, system: Any, root: str, scheme: str) -> None:
        self._system, self._root, self._scheme = system, root.rstrip("/"), scheme

    async def put(self, name: str, octets: bytes) -> None:
        """Keeps the file; object stores show it only once it is whole."""
        await asyncio.to_thread(self._tried, lambda: self._put(self._place(name), octets))

    async def get(self, name: str) -> bytes:
        """Its octets."""
        return await asyncio.to_thread(self._get, name)

    def _put(self, place: str, octets: bytes) -> None:
        self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
        self._system.pipe_file(place, octets)

    def _get(self, name: str) -> bytes:
        octets = self._tried(lambda: self._read(self._place(name)))
        if octets is None:
            raise damaged(name, "is not there")
        return _checked(name, octets)

    def _read(self, place: str) -> bytes | None:
        try:
            octets: bytes = self._system.cat_file(place)
        except FileNotFoundError:
            return None
        return octets

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _tried(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as fault:  # whatever the file system raises; its text may hold the URL
            kind = type(fault).__name__
        raise ArchiveFailed(
            f"The archive ({self._scheme}://) did not answer as it should ({kind}): check its URL, rights and room."
        )


def _write(place: Path, octets: bytes) -> None:
    with place.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Makes the new name last, too: a commit that names the file may follow at once."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _checked(name: str, octets: bytes) -> bytes:
    if name.rpartition("/")[2] != f"{hashlib.sha256(octets).hexdigest()}.parquet":
        raise damaged(name, f"is damaged: its {len(octets)} octets are not those that its name stands for")
    return octets
