"""How many questions the indexer asks, beside the fewest that somebody needs who knows all logs beforehand.

`python -m tests.bench.cost` has the reading core read made-up chains of many densities, within this process, under each
provider's terms; `--up` also runs `indexer up --once` against a node with those terms. A question is one eth_getLogs,
also within a batch, also a refused one, those of the estimate included. The fewest: each question begins at the first
unread block and takes the longest span that the terms allow and that holds at most LOGS_WANTED logs, which is what the
indexer wants in its memory at once, limits or none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.request import urlopen

import numpy as np

from indexer.chain.fetch import Fetcher
from indexer.chain.planner import Shape
from indexer.chain.sizing import LOGS_WANTED
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.model import Span

from .chain import Chain
from .desk import Desk, Stream, best, read_all
from .endtoend import index, place
from .node import add_options, size_of
from .search import Search
from .terms import FURTHER, STYLES, Terms, fewest
from .world import Ints

NARROW = 100  # blocks: terms with a shorter range are tried on a part of the longest chains only
PART = 20_000  # blocks of such a part
OCTETS_OF_LOG = 900  # about what the node's logs take in JSON
MANY = 2_500  # contracts of a question, where a provider limits those


def flat(density: float, blocks: int) -> Ints:
    """Logs of each block of a steady chain."""
    return np.random.default_rng(1).poisson(density, blocks)


def daily(density: float, blocks: int) -> Ints:
    """Swings by half within 7,200 blocks, Ethereum's day, and is noisy by the hundred blocks."""
    swing = 1 + 0.5 * np.sin(np.arange(blocks) * 2 * np.pi / 7200)
    noise = np.repeat(np.random.default_rng(2).lognormal(0, 0.3, blocks // 100 + 1), 100)[:blocks]
    return np.random.default_rng(3).poisson(density * swing * noise)


def bursts(density: float, blocks: int) -> Ints:
    """One block in six is thirty times as rich as the others, in stretches of 1,500."""
    rich = np.repeat(np.random.default_rng(4).random(blocks // 1500 + 1) < 1 / 6, 1500)[:blocks]
    return np.random.default_rng(5).poisson(np.where(rich, density * 5, density / 6))


def rising(density: float, blocks: int) -> Ints:
    """A hundred times as rich at the end as at the beginning."""
    return np.random.default_rng(6).poisson(density * np.geomspace(0.05, 5, blocks))


def late(density: float, blocks: int) -> Ints:
    """Nothing in the first half."""
    return np.concatenate([np.zeros(blocks // 2, np.int64), flat(density, blocks - blocks // 2)])


CHAINS: Mapping[str, Callable[[], Ints]] = {
    "steady, 27 logs a block": partial(flat, 27, 22_000),
    "steady, 27, ten times as long": partial(flat, 27, 220_000),
    "steady, 5": partial(flat, 5, 120_000),
    "steady, 0.05": partial(flat, 0.05, 12_000_000),
    "by day, 27": partial(daily, 27, 22_000),
    "by day, 5": partial(daily, 5, 120_000),
    "bursts": partial(bursts, 10, 60_000),
    "rising 100 times": partial(rising, 5, 120_000),
    "empty first half": partial(late, 27, 44_000),
}


def side_by_side(blocks: int) -> list[Ints]:
    """A dense question, a sparse one, and one that finds nothing."""
    return [flat(27, blocks), flat(0.3, blocks), np.zeros(blocks, np.int64)]


def questions(*every: Ints, contracts: int = 0) -> dict[Shape, Stream]:
    """Shapes to be read side by side with what they find. contracts: how many a shape names; 0: any."""
    names = tuple(number.to_bytes(20, "big") for number in range(1, max(1, contracts) + 1))
    made = {}
    for number, counts in enumerate(every, 1):
        topic, blocks = number.to_bytes(32, "big"), np.repeat(np.arange(len(counts)), counts)
        emitter = np.random.default_rng(number).integers(0, len(names), len(blocks))
        made[Shape(names if contracts else None, ((topic,),))] = Stream(topic, blocks, emitter, names)
    return made


@dataclass(frozen=True, slots=True)
class Count:
    """Questions asked and refused, and the fewest."""

    fewest: int
    asked: int
    refused: int

    @property
    def ratio(self) -> float:
        """Asked by fewest."""
        return self.asked / self.fewest


def core(terms: Terms, made: Mapping[Shape, Stream], blocks: int) -> Count:
    """The reading core over a chain; every log must have come."""
    desk, span = Desk(terms, {stream.topic: stream for stream in made.values()}), Span(0, blocks - 1)
    received = asyncio.run(read_all(Fetcher(desk, list(made)), span))  # type: ignore[arg-type]
    assert received == sum(len(stream.blocks) for stream in made.values())
    few = sum(best(terms, stream, shape, span, LOGS_WANTED) for shape, stream in made.items())
    return Count(few, desk.requests, desk.refused)


def core_table() -> str:
    """Markdown: ratios by chain and terms."""
    every = {**STYLES, **FURTHER}
    lines = [f"| chain | {' | '.join(every)} |", "|---|" + "---:|" * len(every)]
    for name, making in CHAINS.items():
        cells = [_cell(terms, [counts]) for counts in [making()] for terms in every.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    cells = [_cell(terms, side_by_side(66_000)) for terms in every.values()]
    lines.append(f"| three questions side by side | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(terms: Terms, every: Sequence[Ints]) -> str:
    most = PART if terms.max_range < NARROW else len(every[0])
    contracts = MANY if terms.max_addresses < MANY else 0
    count = core(terms, questions(*(counts[:most] for counts in every), contracts=contracts), min(most, len(every[0])))
    return f"{count.ratio:.2f} ({count.asked:,} : {count.fewest:,})"


def up_row(style: str, chain: Chain, options: Sequence[str], server: EmbeddedPostgres | None) -> str:
    """`indexer up --once` under some terms: a row of the second table."""
    with place([*options, f"--style={style}"], server) as where:
        result = index(where, chain, "cost")
        with urlopen(f"{where.rpc}/stats", timeout=60) as answer:
            filters = json.load(answer)["filters"]
    few = sum(_fewest(STYLES[style], chain, json.loads(one), *hull) for one, hull in filters.items())
    methods, logs = dict(result.asked["requests"]), result.logs
    asked = methods.pop("eth_getLogs")
    others = sum(methods.values())
    assert logs is not None
    cells = [f"{len(filters)}", f"{few:,}", f"{asked:,}", f"{asked / few:.2f}", f"{others}", f"{others / asked:.1%}"]
    cells += [f"{result.asked['logs']:,}", f"{logs[1] / result.asked['logs']:.1%}"]
    return f"| {style} | {' | '.join(cells)} |"


def _fewest(terms: Terms, chain: Chain, question: Mapping[str, Any], first: int, last: int) -> int:
    """Of a filter, over all blocks for which it was asked."""
    blocks = chain.base_block + chain.block[Search(chain).places(first, last, question)]
    return fewest(terms, blocks, first, last, OCTETS_OF_LOG, LOGS_WANTED)


UP = "terms", "filters", "fewest", "eth_getLogs", "ratio", "other calls", "of these", "logs received", "used"


def main(arguments: Sequence[str], server: EmbeddedPostgres | None = None) -> str:
    """Runs what the arguments ask for; the report. server: for `--up`, instead of one of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cost", description=__doc__)
    add_options(parser)
    parser.add_argument("--up", action="store_true", help="also the whole program, with Postgres")
    options = parser.parse_args(arguments)
    lines = ["eth_getLogs asked : fewest, by the reading core", "", core_table()]
    if options.up:
        chain, styles = Chain(size_of(options)), STYLES if options.style is None else [options.style]
        of_node = [f"--{name}={getattr(options, name)}" for name in ("swaps", "pools", "seed")]
        of_node += [f"--blocks={chain.size.blocks}", *["--no-log-timestamp"] * options.no_log_timestamp]
        lines += ["", f"`indexer up --once`, {chain.size}", "", f"| {' | '.join(UP)} |", "|---|" + "---:|" * 8]
        lines += [up_row(style, chain, of_node, server) for style in styles if "addresses" not in style]
    return "\n".join(lines)


if __name__ == "__main__":
    print(main(sys.argv[1:]))
