"""Every exit code is produced by some command, and help and README say the same of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from indexer import errors
from indexer.cli.exits import EXITS
from tests.cli.calls import called, settings_file
from tests.cli.conftest import execute
from tests.docs.blocks import ROOT
from tests.simulation.node import DemoChain

PRODUCED_ELSEWHERE = {  # by tests that hold these words
    130: "the next run continues",  # a signal needs a process
}


def test_each_is_produced(
    tmp_path: Path, node: DemoChain, config: Path, copied: Callable[[bool], str], demo_ledger: str
) -> None:
    broken = copied(True)
    execute(broken, "UPDATE flow_daily SET amount = amount + 1 RETURNING 1")
    other = tmp_path / "other"
    other.mkdir()
    nowhere = settings_file(other, "http://127.0.0.1:9")
    cases = [
        (0, ("protocols",)),
        (0, ("status", "--database", demo_ledger)),
        (1, ("check", "--config", str(nowhere))),
        (1, ("status", "--database", broken)),
        (2, ("up", "--protocol", "none")),
        (2, ("status", "--unknown")),
        (2, ("init", str(config))),
        (4, ("status", "--database", "postgresql://127.0.0.1:9/none")),
        (4, ("up", "--once", "--config", str(config), "--database", "postgresql://127.0.0.1:9/none")),
    ]
    assert [called(*call, folder=tmp_path).exit_code for _, call in cases] == [code for code, _ in cases]
    damaged = copied(False)
    assert called("up", "--once", "--config", str(config), "--database", damaged, "--to", "50").exit_code == 0
    for file in (config.parent / "data" / "archive").rglob("*.parquet"):
        file.write_bytes(b"something else")
    cases.append((5, ("reclassify", "--all", "--config", str(config), "--database", damaged)))
    assert called(*cases[-1][1]).exit_code == 5
    node.chain_id += 1
    produced = {code for code, _ in cases} | {called("check", "--config", str(config)).exit_code}
    assert produced | set(PRODUCED_ELSEWHERE) == set(EXITS)
    tests = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    for words in PRODUCED_ELSEWHERE.values():
        assert any(words in text for text in tests), words


def test_errors_end_with_codes_that_are_listed() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Refuse)]
    assert {kind.exit_code for kind in kinds} | {0, 130} == set(EXITS)


def test_the_help_lists_them() -> None:
    lines = [line.strip() for line in called("--help").stdout.splitlines()]
    for code, meaning in EXITS.items():
        assert f"{code}  {meaning}" in lines
    assert max(map(len, called("--help").stdout.splitlines())) <= 80


def test_the_readme_lists_them() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == EXITS
