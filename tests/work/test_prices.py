"""Loading a price file: nothing of a file with a mistake is taken, and what is taken shows at once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address

from indexer.errors import BadInput
from indexer.ledger.connect import Database
from indexer.work.prices import load_prices
from tests.ledger.made import COIN, MINT, USDC, WETH, address, at, flows
from tests.ledger.pricing import COINS, closed, figures, prepared, prices, told

HEADER = "chain,token,day,usd,source\n"


@pytest.fixture
async def ready(database: Database) -> Database:
    """Fifteen closed days with ten coins printed on the first of them."""
    await closed(await prepared(database), [flows([at(0, 7)], [10 * COINS], COIN, MINT)])
    return database


def line(token: bytes, usd: str, day: str = "2026-01-01", chain: str = "made") -> str:
    return f"{chain},{to_checksum_address(token)},{day},{usd},An exchange's closing price\n"


def written(folder: Path, *lines: str, name: str = "mine.csv") -> Path:
    file = folder / name
    file.write_text(HEADER + "".join(lines), encoding="utf-8")
    return file


async def test_a_loaded_price_shows_in_the_figures_at_once(ready: Database, tmp_path: Path) -> None:
    assert (await figures(ready))["incentives_usd"] is None
    assert await load_prices(ready, written(tmp_path, line(COIN, "2.5"))) == 1
    shown = await figures(ready)
    assert (shown["incentives_usd"], shown["unpriced"]) == (25, 0)
    assert await load_prices(ready, written(tmp_path)) == 0
    assert (await figures(ready))["incentives_usd"] is None, "the file takes back what it said"


async def test_a_file_of_the_same_name_replaces_what_it_said(ready: Database, tmp_path: Path) -> None:
    """Wherever it lies; another name is another file."""
    (tmp_path / "other").mkdir()
    await load_prices(ready, written(tmp_path, line(COIN, "2.5")))
    await load_prices(ready, written(tmp_path, line(WETH, "2000"), name="more.csv"))
    await load_prices(ready, written(tmp_path / "other", line(COIN, "3", "2026-01-03")))
    assert min(await prices(ready, COIN)) == 2
    assert await told(ready, WETH) == ("file", Decimal(2000))


async def test_every_mistake_is_told_and_nothing_is_taken(ready: Database, tmp_path: Path) -> None:
    """What is badly written, what the ledger does not know, and what it does, in the order of the lines."""
    stranger = address(0x99)
    file = written(
        tmp_path,
        line(COIN, "2.5"),
        line(stranger, "1"),
        line(USDC, "0", "2026-01-02"),
        line(COIN, "1", chain="ethereum"),
        line(COIN, "2.5"),
        line(USDC, "1", "yesterday"),
    )
    with pytest.raises(BadInput) as caught:
        await load_prices(ready, file)
    told = f"token {to_checksum_address(stranger)} is neither listed nor met in what was read on made"
    assert caught.value.problems == [
        f"mine.csv:3: {told}: correct it, or index what uses it first",
        "mine.csv:4: usd '0' is not above zero: leave days without a price out",
        "mine.csv:5: chain ethereum is not in the ledger; known are made",
        "mine.csv:6: prices the same token and day as line 2: remove one of them",
        "mine.csv:7: day 'yesterday' is no date: write 2026-01-31",
    ]
    assert await ready.fetch("SELECT FROM price_file") == []
    assert (await figures(ready))["incentives_usd"] is None


async def test_a_listed_token_may_be_priced_before_it_was_met(ready: Database, tmp_path: Path) -> None:
    await ready.fetch("DELETE FROM token WHERE token = $1", WETH)
    assert await load_prices(ready, written(tmp_path, line(WETH, "2000"))) == 1


async def test_an_empty_ledger_knows_no_chain(database: Database, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="chain made is not in the ledger; known are none yet: index one first"):
        await load_prices(database, written(tmp_path, line(COIN, "1")))


async def test_ten_thousand_mistakes_are_a_screenful(ready: Database, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        await load_prices(ready, written(tmp_path, *("?,?,?,?,?\n" for _ in range(2500))))
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == "mine.csv: 9980 more mistakes like these"
