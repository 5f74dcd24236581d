"""Bad input to `indexer up` and its sisters: each has its exit code and one whole sentence: what, where, remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.demo.recording import CHAIN_FILE, load
from tests.cli.calls import Twisted, at_most, called, pruned_below, served, settings_file, stateless_below, told
from tests.cli.conftest import execute
from tests.simulation.node import DemoChain

HEAD = load(CHAIN_FILE).head


@pytest.fixture
def url(copied: Callable[[bool], str]) -> str:
    """An empty ledger."""
    return copied(False)


def up(file: Path, url: str, *more: str) -> tuple[int, str]:
    """Exit code and what `indexer up --once` said."""
    result = called("up", "--once", "--config", str(file), "--database", url, *more)
    assert "Traceback" not in result.output
    return result.exit_code, told(result)


def test_wrong_chain_id(config: Path, node: DemoChain, url: str) -> None:
    node.chain_id += 1
    assert up(config, url) == (
        3,
        f"indexer: {node.url} serves chain id 31338, but demo is 31337: correct its URL in the settings.",
    )


def test_an_endpoint_that_says_its_logs_are_pruned(tmp_path: Path, url: str) -> None:
    with served(Twisted(pruned_below(300, refuse=True))) as node:
        code, said = up(settings_file(tmp_path, node.url), url)
        assert (code, said[said.index("indexer: ") :]) == (
            3,
            (
                f"indexer: No endpoint of demo is left for eth_getLogs: {node.url}: eth_getLogs was refused (4444: pruned "
                "history unavailable); it holds no such old block or state: add an archive endpoint."
            ),
        )


def test_an_endpoint_that_hides_that_its_logs_are_pruned(tmp_path: Path, url: str) -> None:
    """Silence would book days without fees: nothing may be read from it."""
    with served(Twisted(pruned_below(300, refuse=False))) as node:
        code, said = up(settings_file(tmp_path, node.url), url)
        assert (code, said.split("\n")[-1].split("indexer: ")[-1]) == (
            3,
            (
                f"No endpoint of demo is left for eth_getLogs: {node.url}: it answers no logs of block 2, whose header tells "
                "of more: its history is pruned. Use an archive endpoint, or start later."
            ),
        )
    assert execute(url, "SELECT FROM range") == []


def test_a_pruned_endpoint_beside_a_whole_one_is_left_out(
    tmp_path: Path, node: DemoChain, url: str, demo_ledger: str
) -> None:
    """The run goes on with the other one, and makes what it makes without it."""
    with served(Twisted(pruned_below(300, refuse=False))) as pruned:
        code, _ = up(settings_file(tmp_path, pruned.url, node.url), url)
        assert code == 0
        assert [method for method, _ in pruned.asked].count("eth_getLogs") == 1
    statement = "SELECT deployment, day, flows, digest FROM deployment_day ORDER BY 1, 2"
    assert execute(url, statement) == execute(demo_ledger, statement)


def test_an_endpoint_without_old_state_where_it_is_needed(tmp_path: Path, url: str) -> None:
    """Its parameters' history is read from events instead, however long that takes: the same flows come of it."""
    with served(Twisted(at_most(5, stateless_below(HEAD - 70)))) as node:
        code, said = up(settings_file(tmp_path, node.url, extra="from = 1150"), url)
    assert (code, "About to read demo: blocks 1,150 to" in said) == (0, True), said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--from", "1999-12-31"),
            (
                "--from 1999-12-31 is before the first block of demo (2026-01-01 00:00 UTC): write that day or a later one, "
                "or a block number."
            ),
        ),
        (
            ("--from", "0", "--to", "1999-12-31"),
            (
                "--to 1999-12-31 is before the first block of demo (2026-01-01 00:00 UTC): write a later day, or a block "
                "number."
            ),
        ),
        (
            ("--from", "2999-01-01"),
            f"--from 2999-01-01 is not final on demo yet: the last final block is {HEAD} ({{head}}). Start earlier.",
        ),
        (
            ("--from", "99999"),
            f"--from 99999 is not final on demo yet: the last final block is {HEAD} ({{head}}). Start earlier.",
        ),
        (
            ("--from", "0", "--to", "2999-01-01"),
            (
                f"--to 2999-01-01 is not final on demo yet: the last final block is {HEAD} ({{head}}). End there or earlier, "
                "or leave --to out: the run then goes on with blocks as they become final."
            ),
        ),
        (
            ("--from", "0", "--to", "99999"),
            (
                f"--to 99999 is not final on demo yet: the last final block is {HEAD} ({{head}}). End there or earlier, or "
                "leave --to out: the run then goes on with blocks as they become final."
            ),
        ),
        (
            ("--from", "2026-01-05", "--to", "2026-01-05"),
            (
                "demo: nothing lies between --from 2026-01-05 (block {first}) and --to 2026-01-05 (block {last}). A date "
                "given as --to is where it stops: write the day after it."
            ),
        ),
        (
            ("--from", "yesterday"),
            (
                "arguments: from: is no moment: write a block number (18937547), a UTC date (2026-01-01), a UTC time "
                "(2026-01-01T12:00Z) or a time ago (7d, 24h)"
            ),
        ),
        (
            ("--from", "9000d"),
            (
                "--from 9000d is before the first block of demo (2026-01-01 00:00 UTC): write that day or a later one, or a "
                "block number."
            ),
        ),
        (("--protocol", "demo_dax"), "demo_dax: no such protocol: did you mean demo_dex?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_moments_and_names(options: tuple[str, ...], sentence: str, config: Path, url: str) -> None:
    code, said = up(config, url, *options)
    chain = load(CHAIN_FILE)
    import datetime as dt

    head = dt.datetime.fromtimestamp(int(chain.block(HEAD)["timestamp"], 16), dt.UTC)
    noon = int(dt.datetime(2026, 1, 5, tzinfo=dt.UTC).timestamp())
    first = next(block for block in range(HEAD) if int(chain.block(block)["timestamp"], 16) >= noon)
    wanted = sentence.format(head=f"{head:%Y-%m-%d %H:%M} UTC", first=first, last=first - 1)
    assert (code, said) == (2, f"indexer: {wanted}")
    assert execute(url, "SELECT FROM range") == []


def test_the_day_on_which_the_chain_began_is_no_mistake(config: Path, url: str, tmp_path: Path) -> None:
    """Its midnight is before the first block, but it is what one writes."""
    with served(Twisted(begun_at_noon)) as node:
        code, said = up(settings_file(tmp_path, node.url), url, "--from", "2026-01-01", "--to", "30")
        assert code == 0, said


def begun_at_noon(method: str, params: Any, plain: Any) -> Any:
    """The chain as if its first block were of the noon of its first day."""
    answer = plain(method, params)
    if method == "eth_getBlockByNumber" and int(answer["number"], 16) == 0:
        return answer | {"timestamp": hex(int(answer["timestamp"], 16) + 1)}
    return answer


def test_a_file_with_mistakes_names_each(tmp_path: Path) -> None:
    file = tmp_path / "indexer.toml"
    file.write_text('rpcs = 1\n[chains.ethereum]\nrpc = ["ftp://secret.example/KEY"]\n')
    result = called("up", "--config", str(file))
    assert result.exit_code == 2
    assert told(result) == (
        "indexer: indexer.toml: chains.ethereum.rpc[0].url: must be an http:// or https:// URL: copy it from your "
        "provider (it is a secret, so not shown) indexer.toml: rpcs: is not a key known here: remove it or correct its "
        "spelling"
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = called("up", "--config", str(tmp_path / "missing.toml"))
    assert (result.exit_code, told(result)) == (
        2,
        "indexer: missing.toml: cannot be read (No such file or directory): check its path and permissions",
    )


def test_no_endpoint_at_all(tmp_path: Path) -> None:
    result = called("up", folder=tmp_path)
    assert (result.exit_code, told(result)) == (
        2,
        "indexer: No endpoint is given: add --rpc ethereum=https://..., or a [chains.ethereum] table to indexer.toml.",
    )


def test_a_chain_that_nobody_knows(tmp_path: Path) -> None:
    result = called("up", "--rpc", "etherium=http://127.0.0.1:9", folder=tmp_path)
    assert (result.exit_code, told(result)) == (
        2,
        (
            "indexer: chains.etherium: no such chain: did you mean ethereum? A chain of your own needs chain_id and block_ms "
            "in indexer.toml."
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("up", "--form", "7d"), "No such option: --form (Possible options: --from, --to)"),
        (("up", "--rpc", "http://127.0.0.1:9"), "write --rpc CHAIN=URL, such as --rpc ethereum=http://localhost:8545"),
        (("statsu",), "No such command 'statsu'."),
        (("status", "--patience", "soon"), "Invalid value for '--patience': Input should be a valid integer"),
        (("status", "--patience", "-1"), "Invalid value for '--patience': Input should be greater than or equal to 0"),
        (("init", "one", "two"), "Got unexpected extra argument(s) (two)"),
    ],
)
def test_options_that_do_not_exist(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """Usage first, then what is wrong; the help is one option away."""
    result = called(*arguments, folder=tmp_path)
    assert result.exit_code == 2
    assert "Usage: indexer" in told(result)
    assert words in told(result)


def test_a_second_process_on_the_same_range_takes_other_blocks(config: Path, url: str, demo_ledger: str) -> None:
    """Allowed: a range that another holds is left to it, and read once its lease has expired."""
    assert up(config, url, "--to", "100")[0] == 0
    execute(
        url,
        "INSERT INTO lease (chain_id, first_block, last_block, deployments, holder, expires_at) VALUES "
        "(31337, 301, 400, '{demo_dex.demo}', 'elsewhere:1', now() + interval '3 seconds') RETURNING fence",
    )
    assert up(config, url)[0] == 0
    spans = execute(
        url, "SELECT first_block, last_block FROM range_deployment WHERE deployment = 'demo_dex.demo' ORDER BY 1"
    )
    assert (301, 400) in [tuple(row) for row in spans], "the blocks of the other were left alone and taken over"
    statement = "SELECT deployment, day, flows, digest FROM deployment_day ORDER BY 1, 2"
    assert execute(url, statement) == execute(demo_ledger, statement)
