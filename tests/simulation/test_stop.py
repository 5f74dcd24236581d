"""The command itself, as a process: stopped with a signal it ends in order, and the next run goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.demo.run import MULTICALL3
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from tests.fakes.node import Reply
from tests.simulation.demo import FOLDER, complaints, opened, outcome
from tests.simulation.node import DemoChain, Dice

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings that make the demo's protocols and tokens known."""
    path = tmp_path / "indexer.toml"
    path.write_text(
        f"""
manifests = ["{FOLDER / "protocols"}"]
tokens = ["{FOLDER / "tokens.toml"}"]
data_dir = "{tmp_path / "data"}"
from = 0
[chains.demo]
chain_id = 31337
block_ms = 1000000
multicall3 = "{MULTICALL3}"
"""
    )
    return path


async def up(node: DemoChain, config: Path, *more: str) -> asyncio.subprocess.Process:
    """`indexer up` for the demo chain."""
    command = [sys.executable, "-m", "indexer", "up", "--config", str(config), "--rpc", f"demo={node.url}", *more]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INDEXER_")}
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=DEVNULL, stderr=PIPE, env=environment)


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """Exit code and what it said."""
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, " ".join(said.decode().split())


async def until(happened: Callable[[], bool], process: asyncio.subprocess.Process) -> None:
    """Waits while the process lives."""
    for _ in range(3000):
        if happened() or process.returncode is not None:
            return
        await asyncio.sleep(0.02)


def servers(config: Path) -> list[str]:
    """Processes of the embedded Postgres of this test."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if entry.name.isdigit() and str(config.parent) in line and "postgres" in line and "indexer" not in line:
            found.append(line)
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are counted in /proc")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_run_in_order_and_the_next_one_goes_on(
    stop: signal.Signals, config: Path, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    node.delay = 0.3
    process = await up(node, config)
    await until(lambda: bool(node.spans), process)
    assert servers(config), "the embedded server is running now"
    process.send_signal(stop)
    code, said = await ended(process)
    assert (code, "Traceback" in said) == (130, False), said
    assert "the next run continues" in said
    assert servers(config) == []
    node.delay = 0
    code, said = await ended(await up(node, config, "--once"))
    assert (code, "Traceback" in said) == (0, False), said
    server = EmbeddedPostgres(config.parent / "data")
    try:
        async with opened(server.url("indexer")) as database:
            assert await outcome(database) == undisturbed
            assert await complaints(database) == {}
    finally:
        server.close()
    assert servers(config) == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_leaves_no_lease_behind(
    stop: signal.Signals, url: str, database: Database, config: Path, node: DemoChain
) -> None:
    """So that the next run need not wait until they expire."""
    node.delay = 0.2
    process = await up(node, config, "--database", url)
    for _ in range(3000):
        if await database.fetch("SELECT FROM lease") or process.returncode is not None:
            break
        await asyncio.sleep(0.02)
    assert process.returncode is None
    process.send_signal(stop)
    assert (await ended(process))[0] == 130
    assert await database.fetch("SELECT FROM lease") == []


async def test_two_signals_in_a_row_end_it_too(url: str, config: Path, node: DemoChain) -> None:
    node.delay = 0.3
    process = await up(node, config, "--database", url)
    await until(lambda: bool(node.spans), process)
    process.send_signal(signal.SIGINT)
    await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, said = await ended(process)
    assert code != 0
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (Dice(1, 100, [lambda: Reply("invalid api key", 403)]), 3, "127.0.0.1"),
        (None, 3, "31338"),
    ],
    ids=["refused key", "another chain"],
)
async def test_a_hopeless_node_ends_with_a_sentence_and_a_code(
    script: Dice | None, code: int, words: str, url: str, config: Path, node: DemoChain
) -> None:
    if script is not None:
        node.script = script
    else:
        node.chain_id += 1
    told, said = await ended(await up(node, config, "--database", url, "--once"))
    assert (told, "Traceback" in said) == (code, False), said
    assert words in said


async def test_a_manifest_that_is_missing_or_wrong_is_named(config: Path, node: DemoChain) -> None:
    """Before anything is started."""
    for places, words in (("no/such/file.toml", "file.toml"), (str(config), "indexer.toml")):
        broken = config.with_name("other.toml")
        broken.write_text(config.read_text().replace(str(FOLDER / "protocols"), places))
        code, said = await ended(await up(node, broken, "--once"))
        assert (code, "Traceback" in said) == (2, False), said
        assert words in said
    assert "data" not in os.listdir(config.parent)
    assert node.asked == []
