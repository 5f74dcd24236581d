"""The command called in this process, and fake nodes of the demo chain that run in threads of their own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog
import typer
from click.testing import Result
from typer.testing import CliRunner

from indexer.cli import cli
from indexer.demo.run import MULTICALL3
from tests.fakes.node import Fault
from tests.simulation.demo import FOLDER
from tests.simulation.node import DemoChain

Answer = Callable[[str, Sequence[Any]], Any]


def called(*arguments: str, folder: Path | None = None, **variables: str) -> Result:
    """`indexer ARGUMENTS`: exit_code, stdout, stderr. folder: where it is called; no variable of the indexer is set."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("INDEXER_")}
    before = Path.cwd()
    with patch.dict(os.environ, kept | variables, clear=True):
        try:
            if folder is not None:
                os.chdir(folder)
            return CliRunner().invoke(cli, list(arguments), prog_name="indexer")
        finally:
            os.chdir(before)
            structlog.reset_defaults()  # it was told to write to what this call said, which is closed now


def told(result: Result) -> str:
    """What it said on standard error, folded lines joined."""
    return " ".join(result.stderr.split())


class Twisted(DemoChain):
    """The demo chain behind a node with a fault of its own. twist(method, params, plain): the answer instead."""

    def __init__(self, twist: Callable[[str, Sequence[Any], Answer], Any] | None = None) -> None:
        super().__init__()
        self.twist = twist

    def _told(self, method: str, params: Sequence[Any]) -> Any:
        if self.twist is None:
            return super()._told(method, params)
        return self.twist(method, params, super()._told)


@contextmanager
def served(node: DemoChain) -> Iterator[DemoChain]:
    """The node, answering from a thread until the block ends."""
    ready, end = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with node:
            ready.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield node
    finally:
        loops[0].call_soon_threadsafe(end.set)
        thread.join(20)


def settings_file(folder: Path, *urls: str, extra: str = "") -> Path:
    """indexer.toml for the demo chain at these endpoints, from its first block, with a data folder beside it."""
    file = folder / "indexer.toml"
    rpc = ", ".join(f'{{ url = "{url}", timeout_s = 10 }}' for url in urls)
    file.write_text(
        f"""
manifests = ["{FOLDER / "protocols"}"]
tokens = ["{FOLDER / "tokens.toml"}"]
data_dir = "{folder / "data"}"
{extra if "from" in extra else "from = 0" + chr(10) + extra}
[chains.demo]
chain_id = 31337
block_ms = 1000000
multicall3 = "{MULTICALL3}"
rpc = [{rpc}]
"""
    )
    return file


def pruned_below(block: int, refuse: bool) -> Callable[[str, Sequence[Any], Answer], Any]:
    """A node without logs below a block: it says so with error 4444, or answers nothing of them."""

    def twist(method: str, params: Sequence[Any], plain: Answer) -> Any:
        answer = plain(method, params)
        if method != "eth_getLogs" or int(params[0]["fromBlock"], 16) >= block:
            return answer
        if refuse:
            raise Fault(4444, "pruned history unavailable")
        return [log for log in answer if int(log["blockNumber"], 16) >= block]

    return twist


def stateless_below(block: int) -> Callable[[str, Sequence[Any], Answer], Any]:
    """A node whose state below a block is gone."""

    def twist(method: str, params: Sequence[Any], plain: Answer) -> Any:
        if method == "eth_call" and params[1] != "latest" and int(params[1], 16) < block:
            raise Fault(-32000, "missing trie node 0a0b0c (path ) state 0x0d is not available")
        return plain(method, params)

    return twist


def at_most(blocks: int, inner: Callable[[str, Sequence[Any], Answer], Any] | None = None) -> Any:
    """A node that answers ranges of so many blocks at most."""

    def twist(method: str, params: Sequence[Any], plain: Answer) -> Any:
        if method == "eth_getLogs":
            first, last = (int(params[0][end], 16) for end in ("fromBlock", "toBlock"))
            if last - first + 1 > blocks:
                raise Fault(-32600, f"You can make eth_getLogs requests with up to a {blocks} block range.")
        return plain(method, params) if inner is None else inner(method, params, plain)

    return twist


def command() -> Any:
    """The click command that typer makes of it."""
    return typer.main.get_command(cli)
