"""What a terminal gets that a pipe does not, and what the shell completes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.chain.chains import load_chains
from indexer.cli import completing
from indexer.cli.command import ORDER
from indexer.manifest import packaged_manifests
from tests.cli.calls import called, command
from tests.golden.programs import ROOT, environment

COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
SCRIPT = Path(sys.executable).parent / "indexer"
PACKAGED = sorted(Path(file.name).stem for file in packaged_manifests())


def on_a_terminal(*arguments: str, folder: Path, **variables: str) -> tuple[int, bytes]:
    """Exit code and all that `indexer ARGUMENTS` writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in environment(**variables).items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "indexer", *arguments],
        cwd=folder, env=kept | variables | {"COLUMNS": "80", "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 65536):
            written += part
    except OSError:  # Linux says so once the other end is closed
        pass
    os.close(ours)
    return process.wait(60), written


def test_an_error_is_red_on_a_terminal_and_plain_elsewhere(tmp_path: Path) -> None:
    code, written = on_a_terminal("up", folder=tmp_path)
    assert (code, bool(COLOUR.search(written))) == (2, True)
    piped = called("up", folder=tmp_path)
    assert (piped.exit_code, "\x1b" in piped.output) == (2, False)


def test_no_color_is_obeyed(tmp_path: Path) -> None:
    """https://no-color.org: whatever its value, if there is one."""
    code, written = on_a_terminal("up", folder=tmp_path, NO_COLOR="1")
    assert (code, b"No endpoint is given" in written, bool(COLOUR.search(written))) == (2, True, False)


def test_a_log_obeys_it_too(tmp_path: Path) -> None:
    program = "import structlog; from indexer import watch; watch.configure(); structlog.get_logger().warning('x')"
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        kept = {name: value for name, value in environment().items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        subprocess.run([sys.executable, "-c", program], env=kept | variables, stderr=theirs, cwd=ROOT, check=True)
        written = os.read(ours, 65536)
        os.close(ours)
        os.close(theirs)
        assert bool(COLOUR.search(written)) is coloured, written


def test_a_terminal_of_80_columns_is_kept_to(tmp_path: Path) -> None:
    code, written = on_a_terminal("protocols", folder=tmp_path)
    lines = COLOUR.sub(b"", written).decode().splitlines()
    assert code == 0
    assert max(map(len, lines)) <= 80
    assert len(lines) > 10


def test_verbs_come_in_the_order_people_need_them() -> None:
    listed = list(command().list_commands(None))
    assert listed == sorted(listed, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    assert listed[:3] == ["init", "check", "demo"]
    assert {name for name in ORDER if name not in listed} == set()


def completed(line: str, folder: Path) -> list[str]:
    """What bash is offered at the end of a command line."""
    words = line.split(" ")
    result = called(folder=folder, _INDEXER_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    return result.stdout.split()


def test_the_shell_completes_verbs_options_protocols_and_chains(tmp_path: Path) -> None:
    assert completed("indexer stat", tmp_path) == ["status"]
    assert completed("indexer up --prot", tmp_path) == ["--protocol"]
    assert completed("indexer up --protocol uniswap_v", tmp_path) == [name for name in PACKAGED if "uniswap_v" in name]
    assert completed("indexer protocols sus", tmp_path) == ["sushiswap"]
    assert completed("indexer check --rpc eth", tmp_path) == ["ethereum="]


def test_protocols_of_ones_own_are_completed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text("")
    (tmp_path / "indexer.toml").write_text('manifests = ["mine.toml"]\n')
    monkeypatch.chdir(tmp_path)
    assert completing.protocols("mi") == ["mine"]
    (tmp_path / "indexer.toml").write_text("broken = [")
    assert completing.protocols("") == PACKAGED, "a mistake in the settings is no reason not to complete"


def test_chains_are_those_that_come_with_the_program() -> None:
    assert completing.chains("") == sorted(load_chains())
    assert completing.endpoints("ethereum=http://") == []


@pytest.mark.skipif(not SCRIPT.exists(), reason="the command is not installed beside this Python")
def test_completion_is_installed_for_a_shell(tmp_path: Path) -> None:
    """typer's own option; that its test variable is set lets the shell be named instead of guessed."""
    variables = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [SCRIPT, "--install-completion", "bash"],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "bash completion installed" in done.stdout
    (written,) = (tmp_path / ".bash_completions").iterdir()
    assert "_INDEXER_COMPLETE=complete_bash" in written.read_text()
