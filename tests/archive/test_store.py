"""A file of the archive is there whole or not at all, says what its name says, and its place stays secret."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from indexer.archive import store as module
from indexer.archive.store import Folder, Remote, name_of, open_store
from indexer.errors import ArchiveFailed, ArchiveUnusable, BadInput

OCTETS = b"some octets of a file"
NAME = name_of(1, OCTETS)


@pytest.fixture(autouse=True)
def emptied() -> Iterator[None]:
    """The memory file system is one for the process."""
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture(params=["folder", "file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {"folder": f"{tmp_path}/kept", "file": f"file://{tmp_path}/kept", "memory": "memory://kept/here"}[
        request.param
    ]


async def test_what_is_put_is_got(place: str) -> None:
    """By another process, too; and once more, as after a crash, changes nothing."""
    for _ in range(2):
        await open_store(place).put(NAME, OCTETS)
    assert await open_store(place).get(NAME) == OCTETS


async def test_a_missing_file_is_named(place: str) -> None:
    with pytest.raises(ArchiveUnusable, match=f"The archive file {NAME} is not .*reclassify --fetch"):
        await open_store(place).get(NAME)


@pytest.mark.parametrize(
    "wrong", [b"", OCTETS[:-1], OCTETS + b"\0", b"S" + OCTETS[1:]], ids=["empty", "cut", "longer", "bit"]
)
async def test_octets_that_are_not_those_of_the_name_are_refused(place: str, wrong: bytes) -> None:
    """Truncated, extended or changed by one bit; putting the right ones mends it."""
    store = open_store(place)
    await store.put(NAME, OCTETS)
    if isinstance(store, Folder):
        (store.root / NAME).write_bytes(wrong)
    else:
        assert isinstance(store, Remote)
        store._system.pipe_file(store._place(NAME), wrong)
    with pytest.raises(ArchiveUnusable, match=f"{NAME} is damaged: its {len(wrong)} octets are not those"):
        await store.get(NAME)
    await store.put(NAME, OCTETS)
    assert await store.get(NAME) == OCTETS


async def test_a_write_that_fails_leaves_nothing_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither half a file nor the one it was written to before the renaming."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(ArchiveUnusable, match=r"cannot be written \(No space left on device\): make room"):
        await Folder(tmp_path).put(NAME, OCTETS)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_file_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is renamed it bears another name, in the same folder."""
    seen: list[list[str]] = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append([path.name for path in (tmp_path / NAME).parent.iterdir()])
        assert self.read_bytes() == OCTETS
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    await Folder(tmp_path).put(NAME, OCTETS)
    assert len(seen) == 1
    assert Path(NAME).name not in seen[0]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [Path(NAME).name]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(ArchiveUnusable, match=f"The archive folder {tmp_path}/closed cannot be written"):
        await Folder(tmp_path / "closed").put(NAME, OCTETS)


async def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ArchiveUnusable, match=f"The archive folder {tmp_path}/taken cannot be written"):
        await Folder(tmp_path / "taken").put(NAME, OCTETS)
    with pytest.raises(ArchiveUnusable, match=f"in {tmp_path}/taken cannot be read"):
        await Folder(tmp_path / "taken").get(NAME)


class Leaky(MemoryFileSystem):
    """Every fault quotes what must stay secret."""

    protocol = "leaky"
    cachable = False

    def __init__(self, *values: Any, **more: Any) -> None:
        super().__init__()
        if "refused" in str(more):
            raise ValueError(f"cannot use {more}")

    def pipe_file(self, path: str, *values: Any, **more: Any) -> None:
        raise PermissionError(f"hunter2 may not write {path}")

    def cat_file(self, path: str, *values: Any, **more: Any) -> bytes:
        raise RuntimeError(f"hunter2 may not read {path}")

    @classmethod
    def _get_kwargs_from_urls(cls, path: str) -> dict[str, str]:
        return {"url": path}


fsspec.register_implementation("leaky", Leaky, clobber=True)


def whole_text(error: BaseException | None) -> str:
    """An error as a traceback would show it, with what it came from."""
    text = ""
    while error is not None:
        text += f"{error!r} {error}"
        error = error.__cause__ if error.__suppress_context__ else (error.__cause__ or error.__context__)
    return text


async def test_a_storage_that_fails_is_tried_again_and_tells_no_secret() -> None:
    """Only the scheme and the kind of fault are shown."""
    store = open_store("leaky://user:hunter2@bucket/path")
    for work in (store.put(NAME, OCTETS), store.get(NAME)):
        with pytest.raises(ArchiveFailed, match=r"The archive \(leaky://\) did not answer as it should") as caught:
            await work
        assert "hunter2" not in whole_text(caught.value)


def test_a_url_that_cannot_be_used_is_not_shown() -> None:
    with pytest.raises(BadInput, match=r"the leaky:// URL cannot be used \(ValueError; it is a secret") as caught:
        open_store("leaky://user:hunter2@refused/path")
    assert "hunter2" not in whole_text(caught.value)


def test_a_scheme_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadInput, match="the nonsense:// URL cannot be used") as caught:
        open_store("nonsense://user:hunter2@bucket")
    assert "hunter2" not in whole_text(caught.value)


def test_a_package_that_is_not_installed_is_named() -> None:
    """fsspec says which one."""
    with pytest.raises(BadInput, match=r"archive: s3:// needs a package that is not installed \(.*s3fs"):
        open_store("s3://bucket/path")
