"""README.md: its commands exist and work, every option is explained, and the demo prints what it shows."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

import pytest
from typer.main import get_command

from indexer.cli import cli
from indexer.manifest import packaged_manifests
from indexer.settings import load_settings
from tests.docs.blocks import ROOT, blocks
from tests.golden.demo import ask
from tests.golden.programs import indexer

README = ROOT / "README.md"
SHELL = [block.text.strip() for block in blocks(README, "sh")]
VERBS = get_command(cli).commands  # type: ignore[attr-defined]
OPTIONS = {
    verb: sorted({name for parameter in command.params for name in parameter.opts if name.startswith("--")})
    for verb, command in VERBS.items()
}
PATIENCE = 60  # seconds the demo may take


def test_every_verb_is_explained() -> None:
    text = README.read_text()
    assert [verb for verb in VERBS if f"`indexer {verb}" not in text] == [], "README.md lacks these verbs"


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_option_of_a_verb_is_explained(verb: str) -> None:
    told = set(re.findall(r"--[a-z-]+", README.read_text()))
    missing = [name for name in OPTIONS[verb] if name not in told and name != "--help"]
    assert missing == [], f"README.md lacks these options of `indexer {verb}`"


def test_help_names_every_verb(tmp_path: Path) -> None:
    done = indexer("--help", folder=tmp_path)
    assert done.returncode == 0
    assert [verb for verb in VERBS if verb not in done.stdout] == []


def commands() -> list[list[str]]:
    """Every command of the shell blocks and every `indexer` command in the text, word by word."""
    lines = [part for block in SHELL for line in block.splitlines() for part in line.split("&&")]
    inline = re.findall(r"`((?:\.venv/bin/)?indexer [a-z]+[^`]*)`", README.read_text())
    return [shlex.split(line) for line in [*lines, *inline]]


def test_options_in_the_commands_exist() -> None:
    """Nobody is told to type what the program would refuse."""
    used = [words[words.index(word) :] for words in commands() for word in words if Path(word).name == "indexer"]
    assert used
    for _, verb, *rest in used:
        assert verb in VERBS or not verb.isalpha()
        unknown = [word for word in rest if word.startswith("--") and word not in OPTIONS.get(verb, ())]
        assert unknown == []


def test_protocols_in_the_commands_and_the_table_are_packaged() -> None:
    packaged = {Path(file.name).stem for file in packaged_manifests()}
    named = {words[at + 1] for words in commands() for at, word in enumerate(words[:-1]) if word == "--protocol"}
    listed = set(re.findall(r"^\| `(\w+)` \| [a-z, ]+ \| [^|]+ \| [^|]+ \|$", README.read_text(), re.MULTILINE))
    assert named - {"NAME"} <= packaged
    assert listed == packaged


def test_the_two_one_line_commands_install_from_locks_that_are_there() -> None:
    """One line each: the first ends in the demo, the second in the tests."""
    first, second = SHELL[:2]
    assert first.endswith("&& .venv/bin/indexer demo")
    assert "&& .venv/bin/pytest" in second
    for line in (first, second):
        assert "\n" not in line
        for lock in re.findall(r"-r (\S+)", line):
            assert (ROOT / lock).is_file()


def figures(text: str) -> dict[str, list[str]]:
    """The rows of a printed table by protocol: what stands in them, without frames."""
    rows = [re.split(r"\s{2,}", line.strip(" │|")) for line in text.splitlines() if re.match(r"\W*demo_\w+ ", line)]
    return {row[0]: row[1:] for row in rows}


def test_the_first_command_ends_in_the_table_that_is_shown_and_a_command_that_works(tmp_path: Path) -> None:
    """The demo part of it, in a data folder of its own: within a minute, without network or settings."""
    began = time.monotonic()
    home = str(tmp_path / "data")  # where platformdirs looks for the default data folder on Linux
    done = indexer("demo", folder=tmp_path, timeout=PATIENCE, XDG_DATA_HOME=home)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < PATIENCE
    shown = figures(README.read_text())
    assert {"demo_dex", "demo_farm", "demo_pairs"} <= set(shown)
    assert figures(done.stderr) == shown
    (follow_up,) = [line.strip() for line in done.stderr.splitlines() if line.strip().startswith("indexer sql")]
    program, *words = shlex.split(follow_up)
    assert program == "indexer"
    asked = indexer(*words, folder=tmp_path, XDG_DATA_HOME=home)
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.count("demo_farm") == 14
    assert "(42 rows)" in asked.stdout


def test_the_follow_up_command_knows_the_data_folder_that_was_given(tmp_path: Path) -> None:
    """With --data-dir on the command line the printed command works as it is printed."""
    folder = tmp_path / "elsewhere"
    done = indexer("demo", "--data-dir", str(folder), folder=tmp_path, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    (follow_up,) = [line.strip() for line in done.stderr.splitlines() if line.strip().startswith("indexer sql")]
    asked = indexer(*shlex.split(follow_up)[1:], folder=tmp_path, XDG_DATA_HOME=str(tmp_path / "nowhere"))
    assert "(42 rows)" in asked.stdout, follow_up


@pytest.mark.parametrize("block", blocks(README, "sql"), ids=lambda block: block.heading)
def test_its_sql_runs(demo_url: str, block: tuple[str, str, str]) -> None:
    ask(demo_url, block[2])


def test_the_tables_it_names_are_there(demo_url: str) -> None:
    section = README.read_text().split("## What you get")[1].split("| protocol |")[0]
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE))))
    assert len(named) >= 8
    for name in named:
        assert ask(demo_url, "SELECT to_regclass($1) IS NOT NULL AS there", name) == [{"there": True}]


@pytest.mark.parametrize("block", blocks(README, "toml"), ids=lambda block: block.heading)
def test_its_settings_are_accepted(tmp_path: Path, block: tuple[str, str, str]) -> None:
    file = tmp_path / "indexer.toml"
    file.write_text(block[2])
    assert load_settings(file, {}).chains
