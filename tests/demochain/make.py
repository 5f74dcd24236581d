"""Makes the demo chain anew: python -m tests.demochain.make (seeded: the same files every time)."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tests.demochain.cast import HOSTILE, Stage, set_stage
from tests.demochain.deploy import MULTICALL3
from tests.demochain.farming import open_farm
from tests.demochain.feed import feed_state, open_feed
from tests.demochain.manifests import write_manifests
from tests.demochain.node import GENESIS, running_node
from tests.demochain.pairs import open_pairs
from tests.demochain.play import Play, play_day, start
from tests.demochain.positions import Book, open_first
from tests.demochain.recorder import Calls, ask_facts, ask_feed, ask_pairs, ask_state, recorded_chain, write
from tests.demochain.schedule import DAY, DAYS
from tests.demochain.staking import open_staking

DEMO = Path(__file__).parents[2] / "indexer" / "demo"


def played() -> tuple[Stage, Play, dict[str, Any]]:
    """The whole play on a fresh node, and its recording."""
    with running_node() as node:
        stage = set_stage(node)
        open_farm(stage)
        venues = (open_pairs(stage), open_staking(stage), open_feed(stage))
        calls, book = Calls(stage), Book()
        ask_facts(stage, calls)
        ask_pairs(calls, venues[0], stage.created[venues[0].factory])
        ask_feed(calls, venues[2], stage.created[venues[2].proxy])
        open_first(stage, book)
        play = start(stage, book, calls, venues)
        for day in range(1, DAYS + 1):
            play_day(play, day)
        for seconds in (0, 12):
            ask_state(stage, calls, stage.node.mine(GENESIS + DAYS * DAY + seconds))
        return stage, play, recorded_chain(stage, calls, names(stage, play))


def names(stage: Stage, play: Play) -> dict[str, Any]:
    """Who is who: addresses by name, and the blocks where manifests start."""
    return {
        "multicall3": MULTICALL3,
        "factory": stage.dex.factory,
        "positions": stage.dex.positions,
        "router": stage.dex.router,
        "fork_factory": stage.fork.factory,
        "fork_positions": stage.fork.positions,
        "chef": stage.farm.chef,
        "farm_token": stage.farm.token,
        "dev": stage.farm.dev,
        "harvester": stage.harvester,
        "pair_factory": play.pairs.factory,
        "pairs": play.pairs.at,
        "staking": play.staking,
        "feed": play.feed.proxy,
        "owner": stage.owner,
        "treasury": stage.treasury,
        "tokens": stage.tokens,
        "pools": {name: pool.address for name, pool in stage.pools.items()},
        "created": stage.created,
    }


def truth(stage: Stage, play: Play) -> dict[str, Any]:
    """What the contracts said themselves: the content of state.json."""
    positions = [
        {
            "pool": p.pool,
            "token_id": p.token_id,
            "owner": p.owner,
            "ticks": list(p.span),
            "fees": p.fees,
            "closed": p.closed,
        }
        for p in play.book.positions
    ]
    return {
        "format": 1,
        "contracts": names(stage, play),
        "pools": {
            name: {"token0": p.token0, "token1": p.token1, "fee": p.fee, "tick_spacing": p.spacing}
            for name, p in stage.pools.items()
        },
        "hostile_symbol": HOSTILE,
        "days": play.days,
        "switches": play.switches,
        "sweeps": play.sweeps,
        "flashes": play.flashes,
        "positions": positions,
        "collects": play.book.collects,
        "farm_blocks": play.farm_blocks,
        "fee_to": play.pairs.switched,
        "feed": feed_state(play.feed),
    }


def main() -> None:
    """Plays, records, writes, and says how large it became."""
    began = time.monotonic()
    stage, play, chain = played()
    size = write(DEMO / "chain.json.gz", chain), write(DEMO / "state.json.gz", truth(stage, play))
    write_manifests(DEMO / "protocols", stage, play)
    swaps = sum(pool["swaps"] for day in play.days for pool in day["pools"].values())
    blocks, logs = len(chain["blocks"]["hash"]), len(chain["logs"][0])
    print(f"{blocks} blocks, {logs} logs, {swaps} swaps; chain {size[0]:,} B, state {size[1]:,} B", file=sys.stderr)
    print(f"made in {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
