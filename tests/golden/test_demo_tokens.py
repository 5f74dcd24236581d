"""Tokens of the demo as they describe themselves, the hostile ones too."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from tests.golden.demo import ask
from tests.golden.recorded import state

NAMED: dict[str, str] = state()["contracts"]["tokens"]


@pytest.fixture(scope="module")
def tokens(demo_url: str) -> dict[str, dict[str, Any]]:
    """Rows of the table token by the name that the demo's makers gave them."""
    names = {address: name for name, address in (*NAMED.items(), *state()["contracts"]["pairs"].items())}
    found = ask(demo_url, "SELECT '0x' || encode(token, 'hex') AS address, * FROM token")
    return {names[row["address"]]: row for row in found}


def test_a_hostile_symbol_is_kept_as_octets_and_shown_without_its_teeth(
    demo_url: str, tokens: dict[str, dict[str, Any]]
) -> None:
    """No control, bidirectional or invisible character is left; the statement inside it was never run."""
    shown, hostile = tokens["evil"]["symbol"], state()["hostile_symbol"]
    assert tokens["evil"]["symbol_octets"] == hostile.encode()
    assert {unicodedata.category(letter)[0] for letter in hostile} >= {"C"}
    assert "C" not in {unicodedata.category(letter)[0] for letter in shown}
    assert shown == "".join(letter for letter in hostile if unicodedata.category(letter)[0] != "C")
    assert ask(demo_url, "SELECT count(*) AS flows FROM flow")[0]["flows"] > 10_000


def test_a_symbol_of_thirty_two_octets_is_read(tokens: dict[str, dict[str, Any]]) -> None:
    """Tokens older than the standard answer bytes32; one of them answers nothing at all."""
    assert (tokens["old"]["symbol"], tokens["old"]["symbol_octets"]) == ("OLD", b"OLD")
    assert tokens["junk"]["symbol"] is None


@pytest.mark.parametrize(("name", "decimals"), [("usdc", 6), ("wbtc", 8), ("weth", 18), ("old", 18), ("junk", 18)])
def test_decimals_are_the_contracts_own(tokens: dict[str, dict[str, Any]], name: str, decimals: int) -> None:
    assert tokens[name]["decimals"] == decimals


def test_only_tokens_that_flowed_are_known(tokens: dict[str, dict[str, Any]]) -> None:
    """The farm's LP token is staked and never paid as a fee or emitted; the pairs' own shares are paid to the treasury."""
    assert set(tokens) == set(NAMED) - {"dlp"} | set(state()["contracts"]["pairs"])
