"""A node that keeps nothing back, databases of one's own, and the demo's ledger as it is after a run."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from indexer.ledger.embedded import EmbeddedPostgres
from tests.cli.calls import Twisted, served, settings_file
from tests.golden.demo import indexed_demo
from tests.simulation.node import DemoChain

_NUMBERS = itertools.count()


def execute(url: str, *statements: str) -> list[asyncpg.Record]:
    """Rows of the last of these statements."""

    async def work() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetch(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(work())


@pytest.fixture
def node() -> Iterator[DemoChain]:
    """An honest node of the demo chain."""
    with served(Twisted()) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, node: DemoChain) -> Path:
    """Settings that make the demo's protocols known and name the honest node."""
    return settings_file(tmp_path, node.url)


@pytest.fixture(scope="module")
def demo_ledger(server: EmbeddedPostgres) -> str:
    """The URL of the demo's ledger after its run; not to be changed."""
    return indexed_demo(server)


@pytest.fixture
def copied(server: EmbeddedPostgres, demo_ledger: str, template: str) -> Callable[[bool], str]:
    """Gives the URL of a database of one's own: the demo's ledger, or a migrated one without rows."""

    def make(demo: bool) -> str:
        name = f"cli_{next(_NUMBERS)}"
        execute(server.url("postgres"), f'CREATE DATABASE "{name}" TEMPLATE "{"golden_demo" if demo else template}"')
        return server.url(name)

    return make
