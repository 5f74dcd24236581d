"""Price lists: by the provider's host, only where one list holds for all endpoints."""

from __future__ import annotations

import pytest

from indexer.chain.providers import TARIFFS, tariff


def test_a_provider_is_known_by_its_host() -> None:
    listed = tariff(["https://eth-mainnet.g.alchemy.com"])
    assert listed is not None
    assert (listed.provider, listed.unit, listed.logs) == ("Alchemy", "compute units", 60)
    assert tariff(["https://x.quiknode.pro:443", "https://y.quiknode.pro"]) == TARIFFS[".quiknode.pro"]


@pytest.mark.parametrize(
    "names",
    [
        ["http://localhost:8545"],
        ["https://alchemy.com.example.org"],
        ["https://eth-mainnet.g.alchemy.com", "http://localhost:8545"],
        ["https://eth-mainnet.g.alchemy.com", "https://x.quiknode.pro"],
        [],
    ],
)
def test_otherwise_no_price_is_made_up(names: list[str]) -> None:
    assert tariff(names) is None


def test_every_list_names_its_page() -> None:
    assert all(one.source.startswith("https://") and one.logs > 0 for one in TARIFFS.values())
