"""What the demo runs with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indexer.settings import Settings, load_settings


def demo_settings(given: Mapping[str, Any]) -> Settings:
    """Settings of the demo: nothing from files or the environment, only what the command line gives.

    Its pools were made minutes before the first trade: they may tell prices at once. It has an archive of its own.
    """
    values = {**given, "start": 0, "prices": {"min_pool_age_days": 0}}
    place = load_settings(None, values, environment=False).data_dir / "demo-archive"
    return load_settings(None, {"archive": str(place), **values}, environment=False)
