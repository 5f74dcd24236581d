"""Commands that need no chain start without what speaks to nodes, which takes seconds to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from indexer.cli import cli

SLOW = ("web3", "numpy", "pyarrow", "eth_abi", "indexer.families", "indexer.work.job", "indexer.chain.rpc")
VERBS = [command.callback.__name__ for command in cli.registered_commands if command.callback is not None]


def loaded(program: str) -> list[str]:
    """Which of the slow modules a program of its own has imported at its end."""
    told = f"{program}\nimport sys\nprint([name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=60)
    return list(eval(done.stdout.splitlines()[-1]))


def test_the_command_itself_imports_nothing_slow() -> None:
    assert loaded("import indexer.cli") == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_imports_nothing_slow(verb: str) -> None:
    assert verb in VERBS
    run = f"import sys\nfrom indexer.cli import cli\ntry:\n    cli(['{verb}', '--help'])\nexcept SystemExit:\n    pass"
    assert loaded(run) == []


def test_a_statement_is_asked_without_anything_slow() -> None:
    """Up to the database, which is not there: the sentence about it comes from the ledger's own module."""
    run = (
        "from indexer.cli import cli\ntry:\n"
        "    cli(['sql', 'SELECT 1', '--database', 'postgresql://nobody@127.0.0.1:1/none'])\n"
        "except SystemExit as end:\n    assert end.code == 4, end.code"
    )
    assert loaded(run) == []


def test_what_speaks_to_nodes_is_imported_where_it_is_needed() -> None:
    """The list above is worth something: the run's own module brings most of it."""
    assert {"numpy", "indexer.work.job", "indexer.chain.rpc"} <= set(loaded("import indexer.app"))
