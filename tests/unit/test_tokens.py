"""Quote tokens: what is packaged is solid, and files of others are checked like manifests."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.errors import BadInput
from indexer.prices.tokens import QuoteToken, load_quotes

USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
GOOD = f"""\
[[token]]
chain = "ethereum"
symbol = "USDC"
address = "{USDC}"
decimals = 6
peg_usd = 1
source = "https://www.circle.com/multi-chain-usdc"
"""


def written(folder: Path, text: str, name: str = "tokens.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems(*paths: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load_quotes(*paths)
    return caught.value.problems


def test_every_packaged_chain_has_dollars_and_a_quote() -> None:
    tokens = load_quotes()
    for chain in ("arbitrum", "base", "ethereum", "optimism", "polygon"):
        here = [token for token in tokens if token.chain == chain]
        pegged = {token.symbol for token in here if token.peg_usd == 1}
        assert {"USDC", "DAI"} <= pegged, chain
        assert "WETH" in {token.symbol for token in here if token.peg_usd is None}, chain
    assert {token.peg_usd for token in tokens} == {Decimal(1), None}


@pytest.mark.parametrize(
    ("symbol", "decimals"),
    [
        ("USDC", 6),
        ("USDC.e", 6),
        ("USDbC", 6),
        ("USDT", 6),
        ("USDT0", 6),
        ("DAI", 18),
        ("WETH", 18),
        ("WPOL", 18),
        ("WBTC", 8),
    ],
)
def test_packaged_decimals_are_those_of_the_token(symbol: str, decimals: int) -> None:
    assert {token.decimals for token in load_quotes() if token.symbol == symbol} == {decimals}


def test_a_file_becomes_what_it_says(tmp_path: Path) -> None:
    assert load_quotes(written(tmp_path, GOOD)) == (
        QuoteToken("ethereum", bytes.fromhex(USDC[2:]), "USDC", 6, Decimal(1)),
    )


@pytest.mark.parametrize(
    ("peg", "dollars"), [('"1.00"', Decimal("1.00")), ("2", Decimal(2)), ('"0.5"', Decimal("0.5"))]
)
def test_a_peg_is_exact(peg: str, dollars: Decimal, tmp_path: Path) -> None:
    (token,) = load_quotes(written(tmp_path, GOOD.replace("peg_usd = 1", f"peg_usd = {peg}")))
    assert token.peg_usd == dollars


def test_without_a_peg_the_price_is_to_be_found(tmp_path: Path) -> None:
    assert load_quotes(written(tmp_path, GOOD.replace("peg_usd = 1", "")))[0].peg_usd is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("peg_usd = 1", "peg_usd = 1.0", "token[0].peg_usd: must be a whole number or a text"),
        ("peg_usd = 1", "peg_usd = true", "token[0].peg_usd: must be a whole number or a text"),
        ("peg_usd = 1", 'peg_usd = "one"', "token[0].peg_usd: must be a number of dollars"),
        ("peg_usd = 1", 'peg_usd = "NaN"', "token[0].peg_usd: must be above zero"),
        ("peg_usd = 1", 'peg_usd = "1e999999"', "token[0].peg_usd: must be above zero"),
        ("peg_usd = 1", "peg_usd = 0", "token[0].peg_usd: must be above zero"),
        ("decimals = 6", "decimals = 77", "token[0].decimals: must be less than or equal to 36"),
        ("decimals = 6", "", "token[0].decimals: is missing: add it"),
        ("decimals = 6", "decimals = 6\nname = 'x'", "token[0].name: is not a key known here"),
        (USDC, USDC.lower(), f"carries no checksum: compare it with its source and write {USDC}"),
        ('"USDC"', '"US DC"', "token[0].symbol: must match pattern"),
        ('"ethereum"', '"Ethereum"', "token[0].chain: must match pattern"),
        ("https://", "http://", "token[0].source: must be an https:// link"),
        ("[[token]]", "[token]", "tokens.toml: token"),
        ("[[token]]", "[[token", "tokens.toml: is not valid TOML"),
    ],
)
def test_a_mistake_has_its_own_sentence(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    found = problems(written(tmp_path, GOOD.replace(old, new, 1)))
    assert len(found) == 1, found
    assert found[0].startswith("tokens.toml: ")
    assert sentence in found[0]


def test_a_token_twice_is_refused_across_files(tmp_path: Path) -> None:
    assert problems(written(tmp_path, GOOD), written(tmp_path, GOOD, "more.toml")) == [
        "more.toml: token[0]: names a token that is named above: remove one"
    ]


def test_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    wrong = GOOD.replace("decimals = 6", "decimals = -1").replace("peg_usd = 1", "peg_usd = 0")
    found = problems(written(tmp_path, wrong), tmp_path / "none.toml")
    assert [line.split(":")[0] for line in found] == ["tokens.toml", "tokens.toml", "none.toml"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(0, len(GOOD)), cut=st.integers(0, 20), junk=st.binary(max_size=6))
def test_any_change_of_octets_loads_or_is_refused(at: int, cut: int, junk: bytes, tmp_path: Path) -> None:
    octets = GOOD.encode()
    path = tmp_path / "tokens.toml"
    path.write_bytes(octets[:at] + junk + octets[at + cut :])
    try:
        load_quotes(path)
    except BadInput as refused:
        assert all(line.startswith("tokens.toml: ") and line.isprintable() for line in refused.problems)
