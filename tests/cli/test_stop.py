"""Signals at any verb: code 130 and one sentence, nothing half made. `indexer up` has its own, tests/simulation."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calls import Twisted, served, settings_file
from tests.cli.conftest import execute
from tests.golden.programs import ROOT, environment

SAYS = "Stopped; what was committed stays, the next run continues."


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "indexer", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def stopped(process: subprocess.Popen[str], stop: signal.Signals, ready: Callable[[], bool]) -> tuple[int, str]:
    """Exit code and what it said on standard error, stopped as soon as it is ready."""
    for _ in range(1500):
        if ready() or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(stop)
    _, said = process.communicate(timeout=60)
    return process.returncode, " ".join(said.split())


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_check_is_stopped_while_a_node_lets_it_wait(stop: signal.Signals, tmp_path: Path) -> None:
    with served(Twisted()) as node:
        node.delay = 3
        file = settings_file(tmp_path, node.url)
        code, said = stopped(started("check", "--config", str(file)), stop, lambda: bool(node.asked))
        node.delay = 0
    assert (code, said) == (130, SAYS)
    assert [path.name for path in tmp_path.iterdir()] == ["indexer.toml"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_status_is_stopped_within_a_check(stop: signal.Signals, copied: Callable[[bool], str]) -> None:
    """A check that waits for a lock; no connection of ours is left behind."""
    url = copied(True)
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    locker = "import asyncio, asyncpg, sys\nasync def main():\n    c = await asyncpg.connect(sys.argv[1])\n    t = c.transaction()\n    await t.start()\n    await c.execute('LOCK TABLE flow_daily')\n    print('held', flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())"
    with subprocess.Popen([sys.executable, "-c", locker, url], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        process = started("status", "--database", url)
        code, said = stopped(process, stop, lambda: bool(execute(url, waiting)))
        other.kill()
    assert (code, said) == (130, SAYS)
    ours = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'indexer'"
    for _ in range(100):
        if not execute(url, ours):
            break
        time.sleep(0.1)
    assert execute(url, ours) == []


def test_init_writes_the_whole_file_or_none(tmp_path: Path) -> None:
    """It is done before a signal can matter: whatever is there is complete."""
    from indexer.publish.template import template

    process = started("init", str(tmp_path / "indexer.toml"))
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    for file in tmp_path.iterdir():
        assert file.read_text() == template()
