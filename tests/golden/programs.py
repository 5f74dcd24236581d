"""Programs as a user starts them: the `indexer` command and fake nodes, each a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STARTING = 30  # seconds a node may take to answer


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment(**values: str) -> dict[str, str]:
    """This environment without the indexer's own variables, with the checkout importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INDEXER_")}
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"} | values


def indexer(*arguments: str, folder: Path, timeout: float = 120, **values: str) -> subprocess.CompletedProcess[str]:
    """`python -m indexer ARGUMENTS` in a folder, with further environment variables; its end and what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "indexer", *arguments],
        cwd=folder,
        env=environment(**values),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextmanager
def served(script: Path, *arguments: str) -> Iterator[str]:
    """Runs a fake node script on a free port of the loopback and yields its URL."""
    port = free_port()
    command = [sys.executable, str(script), "--port", str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            _wait(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def statistics(url: str) -> dict[str, Any]:
    """What a fake node counted so far."""
    with urllib.request.urlopen(f"{url}/stats", timeout=10) as answer:
        counted: dict[str, Any] = json.load(answer)
    return counted


def _wait(process: subprocess.Popen[str], port: int) -> None:
    for _ in range(STARTING * 20):
        if process.poll() is not None:
            raise RuntimeError(f"the fake node ended: {process.stdout.read() if process.stdout else ''}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the fake node does not answer")
