"""`indexer check`: every problem of settings, database and endpoints in one go, and what a run would cost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from indexer.demo.recording import CHAIN_FILE, load
from tests.cli.calls import (
    Twisted,
    at_most,
    called,
    pruned_below,
    served,
    settings_file,
    stateless_below,
)
from tests.cli.conftest import execute
from tests.fakes.node import Fault, Reply
from tests.simulation.node import DemoChain, Dice

HEAD = load(CHAIN_FILE).head


def findings(result: Result) -> dict[str, tuple[str, str]]:
    """State and sentence of what was looked at, by subject (without the endpoint's URL) and matter."""
    rows = json.loads(result.stdout)["findings"]
    return {f"{row['subject'].split(' http')[0]}/{row['about']}": (row["state"], row["says"]) for row in rows}


def checked(file: Path, *more: str) -> Result:
    return called("check", "--config", str(file), "--json", *more)


def test_all_is_well_and_the_cost_is_told(config: Path, node: DemoChain, copied: Callable[[bool], str]) -> None:
    """In words and in JSON; nothing is made, and the run then needs about what was said."""
    result = called("check", "--config", str(config))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.rstrip().endswith("All is well.")
    assert "data" not in [path.name for path in config.parent.iterdir()]
    told = checked(config)
    assert {name: state for name, (state, _) in findings(told).items()} == {
        "manifests/": "ok", "to read/": "ok", "database/": "ok", "demo/chain id": "ok", "demo/final head": "note",
            "demo/software": "ok",
        "demo/log limits": "ok", "demo/old logs": "ok", "demo/old state": "ok", "demo/speed": "ok",
    }  # fmt: skip
    assert findings(told)["demo/old logs"][1] == "whole at block 2, the deepest needed"
    (cost,) = json.loads(told.stdout)["cost"]
    assert (cost["first"], cost["last"], cost["credits"]) == (0, HEAD, None)
    node.asked.clear()
    assert called("up", "--config", str(config), "--once", "--database", copied(False)).exit_code == 0
    spent = len(node.asked)
    assert spent / 3 < cost["requests"] < spent * 3


def test_the_whole_chain_is_estimated_well(config: Path, copied: Callable[[bool], str]) -> None:
    """Logs within a fifth of what a run then receives."""
    url = copied(False)
    (cost,) = json.loads(checked(config, "--database", url).stdout)["cost"]
    assert called("up", "--config", str(config), "--once", "--database", url).exit_code == 0
    (received,) = execute(url, "SELECT sum(logs_received) AS logs FROM range")
    assert abs(cost["logs"] - received["logs"]) < received["logs"] / 5


def test_wrong_chain_id(config: Path, node: DemoChain) -> None:
    node.chain_id += 1
    result = checked(config)
    assert result.exit_code == 3
    says = f"{node.url} serves chain id 31338, but demo is 31337: correct its URL in the settings."
    assert findings(result)["demo/chain id"] == ("wrong", says)
    assert json.loads(result.stdout)["cost"] == []


def test_history_that_the_node_says_is_pruned(tmp_path: Path) -> None:
    with served(Twisted(pruned_below(300, refuse=True))) as node:
        result = checked(settings_file(tmp_path, node.url))
        assert result.exit_code == 3
        assert findings(result)["demo/old logs"] == (
            "wrong",
            (
                f"{node.url}: eth_getLogs was refused (4444: pruned history unavailable); it holds no such old block or "
                "state: add an archive endpoint."
            ),
        )


def test_history_that_is_pruned_in_silence(tmp_path: Path) -> None:
    """The node answers [] for a block whose header tells of logs."""
    with served(Twisted(pruned_below(300, refuse=False))) as node:
        result = checked(settings_file(tmp_path, node.url))
        assert result.exit_code == 3
        assert findings(result)["demo/old logs"] == (
            "wrong",
            (
                "it answers no logs of block 2, whose header tells of more: its history is pruned. Use an archive endpoint, "
                "or start later."
            ),
        )
        later = checked(settings_file(tmp_path, node.url, extra="from = 400\nprotocols = ['demo_farm']"))
        assert findings(later)["demo/old logs"][0] == "wrong", "the fee switch is read from the first block on"


def test_logs_that_are_left_out(tmp_path: Path) -> None:
    """A part of a block's logs is as bad as none of them."""

    def twist(method: str, params: Any, plain: Any) -> Any:
        answer = plain(method, params)
        return answer[:1] if method == "eth_getLogs" else answer

    with served(Twisted(twist)) as node:
        result = checked(settings_file(tmp_path, node.url))
    assert result.exit_code == 3
    assert "it answers only a part of the logs of block" in findings(result)["demo/old logs"][1]


def test_old_state_is_missing_and_not_needed(tmp_path: Path) -> None:
    """Where the parameters' history is cheap to read from events, a node without archive will do."""
    with served(Twisted(stateless_below(HEAD - 10))) as node:
        result = checked(settings_file(tmp_path, node.url))
    assert result.exit_code == 0
    assert findings(result)["demo/old state"] == ("ok", "none at block 0; none is needed")


def test_old_state_is_missing_and_needed(tmp_path: Path) -> None:
    """Narrow ranges make that history dear, so the state would be asked."""
    with served(Twisted(at_most(5, stateless_below(HEAD - 10)))) as node:
        result = checked(settings_file(tmp_path, node.url, extra="from = 1000\nprotocols = ['demo_dex']"))
    assert result.exit_code == 3
    assert findings(result)["demo/log limits"] == ("ok", "5 blocks a question")
    assert findings(result)["demo/old state"] == (
        "wrong",
        (
            f"none at block 999, and in ranges of at most 5 blocks the history of parameters takes {-(-(HEAD - 1) // 5)} "
            "requests: use an archive endpoint, or one with wider ranges."
        ),
    )


def test_no_state_even_at_the_final_head(tmp_path: Path) -> None:
    with served(Twisted(stateless_below(1 << 40))) as node:
        result = checked(settings_file(tmp_path, node.url))
    assert result.exit_code == 3
    assert findings(result)["demo/old state"] == (
        "wrong",
        f"none at block {HEAD:,}, at which contracts are asked what they are: use another endpoint.",
    )


def test_a_node_without_the_finalized_tag(tmp_path: Path) -> None:
    """Confirmations stand in for it: that is worth a note, no more."""

    def twist(method: str, params: Any, plain: Any) -> Any:
        if params and params[0] == "finalized":
            raise Fault(-32000, "finalized block not found")
        return plain(method, params)

    with served(Twisted(twist)) as node:
        result = checked(settings_file(tmp_path, node.url))
    assert result.exit_code == 0
    state, says = findings(result)["demo/final head"]
    assert state == "note"
    assert f"block {HEAD - 64:,} of " in says
    assert says.endswith("; it knows no `finalized` tag, so what is 64 blocks deep counts as final")


def test_nobody_is_there(tmp_path: Path) -> None:
    """A fault that may go by: exit code 1."""
    result = checked(settings_file(tmp_path, "http://127.0.0.1:9"))
    assert result.exit_code == 1
    state, says = findings(result)["demo/chain id"]
    assert state == "wrong"
    assert says.startswith("http://127.0.0.1:9: eth_chainId failed (ClientConnectorError: ")
    assert says.endswith("try again, or use another endpoint.")


def test_a_refused_key(tmp_path: Path) -> None:
    with served(Twisted()) as node:
        node.script = Dice(1, 100, [lambda: Reply("invalid api key", 403)])
        result = checked(settings_file(tmp_path, node.url))
    assert result.exit_code == 3
    assert "check its key and plan, or add another endpoint." in findings(result)["demo/final head"][1]


def test_every_problem_is_told_and_the_worst_one_counts(tmp_path: Path) -> None:
    """An endpoint of another chain, a pruned one and a database that is not there: three sentences, exit code 4."""
    with served(Twisted()) as other, served(Twisted(pruned_below(300, refuse=False))) as pruned:
        other.chain_id += 1
        file = settings_file(tmp_path, other.url, pruned.url)
        result = checked(file, "--database", "postgresql://127.0.0.1:9/none")
        text = called("check", "--config", str(file), "--database", "postgresql://127.0.0.1:9/none").stdout
    assert result.exit_code == 4
    wrong = [row["says"] for row in json.loads(result.stdout)["findings"] if row["state"] == "wrong"]
    assert [re.sub(r"[^a-z ].*", "", says.replace(other.url, "it"))[:30].strip() for says in wrong] == [
        "",
        "it serves chain id",
        "it answers no logs of block",
    ]
    assert wrong[0].startswith("The database cannot be reached (")
    assert text.rstrip().endswith("3 problems.")


def test_mistakes_in_settings_and_manifests_are_told_together_with_the_endpoints(
    tmp_path: Path, node: DemoChain
) -> None:
    """A protocol that is not known does not keep an endpoint from being looked at."""
    result = checked(settings_file(tmp_path, node.url, extra='protocols = ["demo_dax"]'))
    assert result.exit_code == 2
    found = findings(result)
    assert found["settings/"] == ("wrong", "demo_dax: no such protocol: did you mean demo_dex?")
    assert found["demo/chain id"] == ("ok", "31337")


def test_settings_that_cannot_be_read_are_findings_too(tmp_path: Path) -> None:
    file = tmp_path / "indexer.toml"
    file.write_text("protocol = []\nfrom = 'yesterday'\n")
    result = checked(file)
    assert result.exit_code == 2
    says = [row["says"] for row in json.loads(result.stdout)["findings"]]
    assert len(says) == 2
    assert any(one.startswith("indexer.toml: protocol: is not a key known here") for one in says)
    assert any(one.startswith("indexer.toml: from: is no moment") for one in says)


def test_without_an_endpoint(tmp_path: Path) -> None:
    result = called("check", folder=tmp_path)
    assert result.exit_code == 2
    words = " ".join(result.stdout.split())
    assert (
        "WRONG No endpoint is given: add --rpc ethereum=https://..., or a [chains.ethereum] table to indexer.toml."
        in words
    )
    assert words.endswith("1 problem.")


def test_it_changes_nothing_but_the_limits_it_remembers(tmp_path: Path, copied: Callable[[bool], str]) -> None:
    """A second endpoint question is not asked too wide again: not even by the run."""
    url = copied(True)
    before = ledger(url)
    with served(Twisted(at_most(50))) as node:
        file = settings_file(tmp_path, node.url)
        result = checked(file, "--database", url)
        assert result.exit_code == 0
        assert findings(result)["demo/old logs"] == ("ok", "nothing is missing, so none are needed")
        assert json.loads(result.stdout)["cost"] == []
    assert ledger(url) == before
    (limits,) = execute(
        url, "SELECT limits->>'max_blocks' AS most FROM endpoint_limit WHERE limits->>'max_blocks' <> ''"
    )
    assert limits["most"] == "50"


def ledger(url: str) -> list[Any]:
    """Rows of each table but for the limits."""
    tables = [
        row["name"]
        for row in execute(url, "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    ]
    return [
        (name, [tuple(row) for row in execute(url, f'SELECT count(*), max(xmin::text::bigint) FROM "{name}"')])
        for name in tables
        if name != "endpoint_limit"
    ]


def test_a_database_without_tables_is_told(config: Path, server: Any) -> None:
    execute(server.url("postgres"), "CREATE DATABASE cli_empty")
    result = checked(config, "--database", server.url("cli_empty"))
    assert result.exit_code == 0
    assert findings(result)["database/"] == ("ok", "the database given: the next run makes its tables")
    assert execute(server.url("cli_empty"), "SELECT to_regclass('migration') AS there")[0]["there"] is None


@pytest.mark.parametrize("width", [80, 100])
def test_no_line_is_longer_than_the_terminal(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences fold under themselves, the table keeps its columns."""
    monkeypatch.setattr("indexer.cli.starting.width", lambda: width)
    with served(Twisted(pruned_below(300, refuse=False))) as node:
        text = called("check", "--config", str(settings_file(tmp_path, node.url))).stdout
    assert max(map(len, text.splitlines())) <= width
    assert re.search(r"\n {22}\S", text)
