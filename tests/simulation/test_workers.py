"""Several processes of one run, and several runs on one ledger: what they make is one ledger, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.ledger.migrate import migrate
from tests.simulation.demo import complaints, index, opened, outcome
from tests.simulation.node import DemoChain
from tests.simulation.test_stop import config, ended, servers, until, up

__all__ = ["config"]

ROOT = Path(__file__).parents[2]
AT_ONCE = 5  # seconds, while a lease lasts 30

# Who ever held a lease, by number of the process.
WITNESS = """
CREATE TABLE witness (pid integer);
CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO witness VALUES (split_part(NEW.holder, ':', 2)::integer); RETURN NULL; END $$;
CREATE TRIGGER seen AFTER INSERT ON lease FOR EACH ROW EXECUTE FUNCTION seen()
"""


@pytest.fixture
async def witnessed(database: Database) -> Database:
    """The ledger, which remembers who held leases."""
    async with database.pool.acquire() as connection:
        await connection.execute(WITNESS)
    return database


async def crew(url: str, node: DemoChain, workers: int, **told: Any) -> asyncio.subprocess.Process:
    """A run of so many processes over the demo chain, in ranges of 40 blocks."""
    plain = {"database": url, "rpc": node.url, "workers": workers, "blocks": 40}
    command = [sys.executable, "-W", "error", "-m", "tests.simulation.crew", json.dumps(plain | told)]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)


async def said(process: asyncio.subprocess.Process) -> tuple[int, dict[str, int], str]:
    """Exit code, counts and messages of a run, at its end."""
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, json.loads(out or "{}"), err.decode()


async def seen(database: Database) -> set[int]:
    return {row["pid"] for row in await database.fetch("SELECT DISTINCT pid FROM witness")}


async def holding(database: Database, pid: int) -> list[int]:
    """Fencing numbers of what a process reads now."""
    rows = await database.fetch("SELECT fence FROM lease WHERE split_part(holder, ':', 2) = $1", str(pid))
    return [row["fence"] for row in rows]


async def happens(condition: Callable[[], Any], within: float) -> None:
    """Waits until a coroutine function says yes."""
    end = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < end, f"not within {within} s"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_the_processes_of_a_run_make_the_ledger_of_one(
    method: str, url: str, witnessed: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    node.delay = 0.2 if method == "spawn" else 0.05
    process = await crew(url, node, 3, method=method)
    code, counted, err = await said(process)
    assert (code, err) == (0, "")
    assert await outcome(witnessed) == undisturbed
    assert await complaints(witnessed) == {}
    assert process.pid in await seen(witnessed)
    assert len(await seen(witnessed)) == 3
    rows = await witnessed.fetch(
        "SELECT (SELECT sum(flows) FROM range) AS flows, (SELECT sum(last_block - first_block + 1) FROM range) AS blocks"
    )
    assert {name: counted[name] for name in ("flows", "blocks")} == {name: int(n) for name, n in rows[0].items()}
    assert counted["requests"] == len(node.asked), "what the others asked is counted too"


async def test_a_killed_process_is_told_of_and_its_ranges_are_read_at_once(
    url: str, witnessed: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    node.delay = 0.3
    process = await crew(url, node, 3)
    victim: list[int] = []

    async def reads() -> bool:
        for pid in await seen(witnessed) - {process.pid}:
            victim[:] = [pid]
            return bool(await holding(witnessed, pid))
        return False

    await happens(reads, 30)
    lost = await holding(witnessed, victim[0])
    os.kill(victim[0], signal.SIGKILL)
    began = time.monotonic()
    await happens(lambda: gone(witnessed, lost), AT_ONCE)
    node.delay = 0
    code, _, err = await said(process)
    assert code == 0
    (line,) = [json.loads(line) for line in err.splitlines()]
    assert (line["process"], line["exitcode"], "died" in line["event"]) == (victim[0], -9, True)
    assert time.monotonic() - began < 20, "nobody waits until the lease expires"
    assert await outcome(witnessed) == undisturbed
    assert await complaints(witnessed) == {}


async def gone(database: Database, fences: list[int]) -> bool:
    return not await database.fetch("SELECT FROM lease WHERE fence = ANY($1::bigint[])", fences)


async def test_the_others_end_with_a_parent_that_is_killed(
    url: str, witnessed: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    """They notice, give their ranges back, and the next run commits its first range at once."""
    node.delay = 0.3
    process = await crew(url, node, 3)

    async def all_read() -> bool:
        return len(await seen(witnessed)) == 3

    await happens(all_read, 30)
    children = psutil.Process(process.pid).children()
    assert len(children) == 2
    process.kill()
    await process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, AT_ONCE)
    assert alive == []
    left = await witnessed.fetch("SELECT FROM lease WHERE split_part(holder, ':', 2) <> $1", str(process.pid))
    assert left == [], "only the killed one could not give its ranges back"
    node.delay, before = 0, await commits(witnessed)
    again, began = await crew(url, node, 1), time.monotonic()

    async def commits_more() -> bool:
        return await commits(witnessed) > before

    await happens(commits_more, 20)
    took = time.monotonic() - began
    assert (await said(again))[0] == 0
    assert took < 5, "its own start included"
    assert await outcome(witnessed) == undisturbed
    assert await complaints(witnessed) == {}


async def commits(database: Database) -> int:
    return int((await database.fetch("SELECT count(*) AS n FROM range"))[0]["n"])


async def test_a_killed_run_leaves_its_ranges_to_another_at_once(
    url: str, witnessed: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    """Two whole runs close the same days, one of them of two processes; the other dies with its leases."""
    node.delay = 0.6  # enough for the other to start before all is read
    one, two = await crew(url, node, 2), await crew(url, node, 1)

    async def both_read() -> bool:
        return bool(await holding(witnessed, two.pid)) and len(await seen(witnessed)) == 3

    await happens(both_read, 30)
    lost = await holding(witnessed, two.pid)
    two.kill()
    await happens(lambda: gone(witnessed, lost), AT_ONCE)
    node.delay = 0
    code, _, err = await said(one)
    assert (code, err) == (0, "")
    await said(two)
    assert await outcome(witnessed) == undisturbed
    assert await complaints(witnessed) == {}


async def test_a_run_whose_others_cannot_go_on_goes_on_alone(
    url: str, witnessed: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    """Both are told by a signal to end: it is told of, in the parent's log, and is no failure."""
    node.delay = 0.2
    process = await crew(url, node, 3)

    async def all_read() -> bool:
        return len(await seen(witnessed)) == 3

    await happens(all_read, 30)
    for child in psutil.Process(process.pid).children():
        child.terminate()
    node.delay = 0
    code, _, err = await said(process)
    assert (code, [json.loads(line)["exitcode"] for line in err.splitlines()]) == (0, [0, 0])
    assert await outcome(witnessed) == undisturbed


async def test_postgres_restarts_under_the_processes_of_a_run(node: DemoChain, undisturbed: dict[str, Any]) -> None:
    """Every guard is lost and replaced; whoever was taken for dead meanwhile reads other ranges."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="indexer-tests-"))
        server = EmbeddedPostgres(Path(folder))
        stack.callback(server.close)
        url = server.url("indexer")
        async with opened(url) as database:
            await migrate(database)
            node.delay = 0.2
            process = await crew(url, node, 2)

            async def some() -> bool:
                return await commits(database) > 2

            await happens(some, 30)
            server._server.stop()
            server._server.start()
            node.delay = 0
            code, _, err = await said(process)
            assert (code, "died" in err) == (0, False), err
            assert await outcome(database) == undisturbed
            assert await complaints(database) == {}


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_the_whole_group_ends_all_in_order(
    stop: signal.Signals, url: str, database: Database, config: Path, node: DemoChain
) -> None:
    """As a terminal and systemd send it; no lease stays, no child, no traceback."""
    node.delay = 0.2
    process = await up(node, config, "--database", url, "--workers", "3", "--verbose")
    for _ in range(3000):
        if await database.fetch("SELECT FROM lease") or process.returncode is not None:
            break
        await asyncio.sleep(0.02)
    children = psutil.Process(process.pid).children()
    assert len(children) == 2
    for one in (process, *children):
        one.send_signal(stop)
    code, err = await ended(process)
    assert (code, "Traceback" in err) == (130, False), err
    assert not any(child.is_running() for child in children)
    assert await database.fetch("SELECT FROM lease") == []


async def test_no_secret_is_on_a_command_line_and_the_embedded_server_ends_too(
    config: Path, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    """Settings in a file, the ledger in the embedded Postgres: the whole command, as users have it."""
    config.write_text(config.read_text().replace("[chains.demo]", f'[chains.demo]\nrpc = "{node.url}/SECRETKEY"'))
    node.delay = 0.1
    command = [sys.executable, "-m", "indexer", "up", "--once", "--config", str(config)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INDEXER_")}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=PIPE, stderr=PIPE, env=environment | {"INDEXER_WORKERS": "2"}
    )
    await until(lambda: bool(node.spans), process)
    lines = [" ".join(one.cmdline()) for one in psutil.Process(process.pid).children(recursive=True)]
    assert len([line for line in lines if "postgres" not in line]) == 1
    assert not any("SECRETKEY" in line for line in lines)
    code, err = await ended(process)
    assert (code, "Traceback" in err) == (0, False), err
    assert servers(config) == []


async def test_a_run_of_one_process_after_all_that_finds_nothing_to_do(
    url: str, database: Database, node: DemoChain, undisturbed: dict[str, Any]
) -> None:
    await index(database, node.url)
    asked = node.count("eth_getLogs")
    code, counted, _ = await said(await crew(url, node, 2))
    assert (code, counted["blocks"], node.count("eth_getLogs")) == (0, 0, asked)
    assert await outcome(database) == undisturbed
