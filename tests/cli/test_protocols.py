"""`indexer protocols`: what can be indexed, without a database and an endpoint; with a ledger, what it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from indexer.manifest import packaged_manifests
from tests.cli.calls import called, told
from tests.simulation.demo import FOLDER


def test_it_lists_every_packaged_deployment_without_a_database_or_an_endpoint(tmp_path: Path) -> None:
    result = called("protocols", "--json", "--data-dir", str(tmp_path / "data"), folder=tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = json.loads(result.stdout)["protocols"]
    assert {row["protocol"] for row in rows} == {Path(file.name).stem for file in packaged_manifests()}
    assert {row["held"] for row in rows} == {None}
    uniswap = next(row for row in rows if row["deployment"] == "uniswap_v3.ethereum")
    assert (uniswap["chain"], uniswap["family"], uniswap["start_block"]) == ("ethereum", "uniswap_v3", 12_369_621)
    assert uniswap["counts"] == {"fee": "accrued", "incentive": "none"} or uniswap["counts"]["incentive"] is None
    assert list(tmp_path.iterdir()) == [], "nothing is made by looking"


def test_a_database_that_is_away_does_not_matter(tmp_path: Path) -> None:
    result = called("protocols", "--database", "postgresql://127.0.0.1:9/none", folder=tmp_path)
    assert result.exit_code == 0
    assert "uniswap_v3.ethereum" in result.stdout


def test_with_a_ledger_it_says_what_is_held(tmp_path: Path, demo_ledger: str) -> None:
    file = tmp_path / "indexer.toml"
    file.write_text(f'manifests = ["{FOLDER / "protocols"}"]\n[chains.demo]\nchain_id = 31337\nblock_ms = 1000000\n')
    result = called("protocols", "--json", "--config", str(file), "--database", demo_ledger)
    held = {row["deployment"]: row["held"] for row in json.loads(result.stdout)["protocols"]}
    assert (
        held["demo_dex.demo"]["blocks"]
        == held["demo_dex.demo"]["last_block"] - held["demo_dex.demo"]["first_block"] + 1
    )
    assert held["uniswap_v3.ethereum"] is None


def test_one_protocol_is_told_with_its_contracts_and_sources(tmp_path: Path) -> None:
    result = called("protocols", "uniswap_v3", folder=tmp_path)
    assert result.exit_code == 0
    for words in (
        "uniswap_v3: Uniswap v3 (dex)",
        "Fees are the share of each swap's input",
        "uniswap_v3.ethereum: family uniswap_v3, from block 12,369,621",
        "factory     0x1F98431c8aD98523631AE4a59f267346ea31F984",
        "source of start_block: https://github.com/Uniswap/v3-subgraph/",
    ):
        assert words in result.stdout
    told_json = json.loads(called("protocols", "uniswap_v3", "--json", folder=tmp_path).stdout)
    ethereum = next(one for one in told_json["deployments"] if one["chain"] == "ethereum")
    assert ethereum["contracts"]["factory"] == ["0x1F98431c8aD98523631AE4a59f267346ea31F984"]
    assert set(ethereum["sources"]) >= {"start_block", "factory"}
    assert told_json["methodology"].startswith("Fees are")


def test_an_unknown_one_is_a_sentence(tmp_path: Path) -> None:
    result = called("protocols", "uniswap_v33", folder=tmp_path)
    assert (result.exit_code, told(result)) == (2, "indexer: uniswap_v33: no such protocol: did you mean uniswap_v3?")


def test_mistakes_in_a_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[protocol]\nid = 'mine'\n")
    (tmp_path / "indexer.toml").write_text('manifests = ["mine.toml"]\n')
    result = called("protocols", folder=tmp_path)
    assert result.exit_code == 2
    assert "mine.toml: protocol.name: is missing: add it" in result.stderr
    assert "mine.toml: deployment: is missing: add it" in result.stderr


@pytest.mark.parametrize("name", ["", "uniswap_v2", "sushiswap"])
def test_tables_do_not_wrap(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns; only an address or a link may be longer than that."""
    monkeypatch.setattr("indexer.cli.telling.width", lambda: 80)
    lines = called("protocols", *filter(None, [name]), folder=tmp_path).stdout.splitlines()
    assert [line for line in lines if len(line) > 80 and "source of" not in line] == []


def test_deployments_are_named_in_full_at_80_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their ids are what one copies; price feeds, of which there are many, are counted only."""
    monkeypatch.setattr("indexer.cli.telling.width", lambda: 80)
    text = called("protocols", folder=tmp_path).stdout
    rows = json.loads(called("protocols", "--json", folder=tmp_path).stdout)["protocols"]
    for row in rows:
        assert (row["deployment"] in text) is (row["category"] != "price_feed")
    feeds = sum(row["category"] == "price_feed" for row in rows)
    assert text.endswith(f"and {feeds} price feeds, see indexer protocols chainlink\n")
