"""The demo keeps to itself: nothing of the environment or of a settings file reaches it."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.demo.run import demo_settings


def test_the_environment_does_not_reach_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A production database in INDEXER_DATABASE is not written to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INDEXER_DATABASE", "postgresql://production")
    monkeypatch.setenv("INDEXER_TO", "5")
    monkeypatch.setenv("INDEXER_PRICES__MIN_LIQUIDITY_USD", "7")
    (tmp_path / "indexer.toml").write_text('database = "postgresql://production"\n')
    settings = demo_settings({})
    assert (settings.database, settings.to, settings.prices.min_liquidity_usd) == (None, None, 10_000)
