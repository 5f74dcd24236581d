"""app.wanted: the protocols that were asked for, and the price feeds that their dollars stand on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from indexer import app
from indexer.app import Catalogue
from indexer.errors import BadInput
from indexer.manifest import Deployment
from indexer.settings import Settings, load_settings
from indexer.work.feeds import is_feed, priced_by

OWN_FEED = """
[protocol]
id = "{name}"
name = "A feed of one's own"
category = "price_feed"
methodology = "None."
[[deployment]]
chain = "ethereum"
name = "ether"
family = "chainlink_feed"
start_block = 5
exactness = "None."
contracts.proxy = "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"
options.token = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
sources.start_block = "Made up for a test."
sources.proxy = "Made up for a test."
"""


def settings(*chains: str, **more: Any) -> Settings:
    rpc: Mapping[str, Any] = {chain: {"rpc": f"http://{chain}"} for chain in chains}
    return load_settings(None, {"chains": rpc, **more}, environment=False)


def wanted(*chains: str, **more: Any) -> dict[str, list[Deployment]]:
    chosen = settings(*chains, **more)
    return app.wanted(chosen, app.catalogue(chosen))


def feeds(found: list[Deployment]) -> set[str]:
    return {one.id.rpartition(".")[2] for one in found if is_feed(one)}


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return app.catalogue(settings("ethereum"))


def test_feeds_of_listed_tokens_and_of_own_ones_come_along() -> None:
    found = wanted("ethereum", protocols=["uniswap_v3"])["ethereum"]
    assert feeds(found) == {"weth", "wbtc", "usdc", "usdt", "dai", "uni"}
    assert {one.protocol for one in found} == {"uniswap_v3", "chainlink"}
    assert "sushi" in feeds(wanted("ethereum", protocols=["sushiswap"])["ethereum"])


def test_a_chain_has_its_own_feeds(known: Catalogue) -> None:
    found = wanted("arbitrum", "polygon", protocols=["uniswap_v3"])
    for chain, deployments in found.items():
        assert {one.chain for one in deployments} == {chain}
    assert {"usdc", "usdc_e", "weth"} <= feeds(found["arbitrum"])
    assert {"wpol", "uni"} <= feeds(found["polygon"])
    listed = {quote.address for quote in known.quotes if quote.chain == "polygon"}
    assert {priced_by(one) for one in found["polygon"] if is_feed(one)} >= listed


def test_all_protocols_are_those_that_are_no_feeds(known: Catalogue) -> None:
    found = wanted("ethereum")["ethereum"]
    packaged = {name for name, one in known.protocols.items() if any(d.chain == "ethereum" for d in one.deployments)}
    assert {one.protocol for one in found} == packaged
    assert "link" not in feeds(found)


def test_settings_can_leave_feeds_out() -> None:
    found = wanted("ethereum", protocols=["uniswap_v3"], prices={"feeds": False})
    assert {one.protocol for one in found["ethereum"]} == {"uniswap_v3"}
    assert "chainlink" not in {one.protocol for one in wanted("ethereum", prices={"feeds": False})["ethereum"]}


def test_feeds_that_are_named_are_read_whole() -> None:
    found = wanted("ethereum", protocols=["chainlink"], prices={"feeds": False})["ethereum"]
    assert {"link", "sushi", "weth"} <= feeds(found)
    assert len(found) == len({one.id for one in found})
    again = wanted("ethereum", protocols=["chainlink", "uniswap_v3"])["ethereum"]
    assert feeds(again) == feeds(found)


def test_a_chain_with_feeds_alone_has_nothing_to_read(tmp_path: Path) -> None:
    """A protocol that is on Ethereum only: Polygon's feeds do not make it one to be read there."""
    farm = OWN_FEED.format(name="farm").replace("price_feed", "farm")
    (tmp_path / "farm.toml").write_text(farm)
    with pytest.raises(BadInput, match=r"^polygon: none of the protocols farm is deployed there\.$"):
        wanted("ethereum", "polygon", protocols=["farm"], manifests=[str(tmp_path / "farm.toml")])


def test_ones_own_feed_is_chosen_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(OWN_FEED.format(name="mine"))
    more: dict[str, Any] = {"manifests": [str(tmp_path / "mine.toml")]}
    with pytest.raises(BadInput, match=r"mine\.ethereum\.ether: prices the same token as chainlink\.ethereum\.weth"):
        wanted("ethereum", protocols=["uniswap_v3"], **more)
    found = wanted("ethereum", protocols=["uniswap_v3", "mine"], **more)["ethereum"]
    assert "mine.ethereum.ether" in {one.id for one in found}
    assert "chainlink.ethereum.weth" not in {one.id for one in found}
    assert "chainlink.ethereum.usdc" in {one.id for one in found}


def test_no_packaged_feed_begins_after_a_protocol_that_it_prices_for(known: Catalogue) -> None:
    """Its first block is that of the earliest packaged protocol of the chain, as the manifest says."""
    starts: dict[str, list[int]] = {}
    for protocol in known.protocols.values():
        for one in protocol.deployments if protocol.id != "chainlink" else ():
            starts.setdefault(one.chain, []).append(one.start_block)
    packaged = known.protocols["chainlink"].deployments
    assert {one.chain: one.start_block for one in packaged} == {one.chain: min(starts[one.chain]) for one in packaged}


def test_every_listed_token_has_a_feed_and_no_token_has_two(known: Catalogue) -> None:
    priced = [(one.chain, priced_by(one)) for one in known.protocols["chainlink"].deployments]
    assert len(priced) == len(set(priced))
    assert {(quote.chain, quote.address) for quote in known.quotes} <= set(priced)


def test_a_manifests_feed_cannot_name_an_aggregator(tmp_path: Path) -> None:
    extra = 'contracts.aggregator = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"\noptions.token'
    (tmp_path / "mine.toml").write_text(OWN_FEED.format(name="mine").replace("options.token", extra))
    with pytest.raises(BadInput, match="is no contract of family chainlink_feed: remove it, or use one of proxy"):
        app.catalogue(settings("ethereum", manifests=[str(tmp_path / "mine.toml")]))


def test_a_feed_without_a_token_is_refused(tmp_path: Path) -> None:
    text = "\n".join(line for line in OWN_FEED.format(name="mine").splitlines() if "options" not in line)
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(BadInput, match=r"mine\.toml: deployment\[0\]\.options\.token: is missing"):
        app.catalogue(settings("ethereum", manifests=[str(tmp_path / "mine.toml")]))
