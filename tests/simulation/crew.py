"""A run of several processes, as `indexer up --once --workers N` is one, with ranges of so many blocks.

Told by a JSON object on its command line: database, rpc, workers, blocks, and if wanted method (how processes start) and
settings by name. It prints what all processes did together.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from indexer import app, watch
from indexer.chain.fetch import Fetcher
from indexer.cli.running import run
from indexer.workers import Workers
from tests.simulation.demo import opened, settings


async def up(told: dict[str, Any], workers: Workers) -> None:
    chosen, state = settings(told["rpc"], **told.get("settings", {})), app.Run()
    async with opened(told["database"]) as database, workers.reading(chosen, told["database"], state):
        await app.up(chosen, app.catalogue(chosen), database, state, once=True, on_close=lambda: None)
    (progress,) = state.progress.values()
    print(json.dumps({"blocks": progress.blocks_done, "flows": progress.flows, "requests": state.requests}))


def main() -> None:
    told = json.loads(sys.argv[1])
    watch.configure()
    Fetcher.range_blocks = property(lambda _: told["blocks"])  # type: ignore[assignment,method-assign]
    run(up(told, Workers(told["workers"] - 1, *([told["method"]] if "method" in told else []))))


if __name__ == "__main__":
    main()
