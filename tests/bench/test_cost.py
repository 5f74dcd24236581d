"""Questions stay within 1.2 times the fewest under every provider's terms, and the benchmark counts them right."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.chain.fetch import Fetcher
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.model import Span

from . import cost
from .cost import core, flat, questions, side_by_side
from .desk import Desk, read_all
from .terms import STYLES, Refused, Terms, fewest

MOST = 1.2  # times the fewest questions
BLOCKS = 44_000  # with 27 logs each: 120 questions


@pytest.mark.parametrize("style", STYLES)
def test_a_steady_chain_takes_hardly_more_than_the_fewest_questions(style: str) -> None:
    """The estimate's questions and the first small ones included."""
    terms, blocks = STYLES[style], BLOCKS // (4 if STYLES[style].max_range < 100 else 1)
    made = questions(flat(27, blocks), contracts=2500 if terms.max_addresses < 2500 else 0)
    assert core(terms, made, blocks).ratio <= MOST


@pytest.mark.parametrize("style", STYLES)
def test_sparse_questions_are_not_asked_again_for_each_range_of_a_dense_one(style: str) -> None:
    """Three side by side: each asks as seldom as if it were alone."""
    terms, blocks = STYLES[style], 2 * BLOCKS // (8 if STYLES[style].max_range < 100 else 1)
    made = questions(*side_by_side(blocks), contracts=2500 if terms.max_addresses < 2500 else 0)
    assert core(terms, made, blocks).ratio <= MOST


@pytest.mark.parametrize("chain", ["by day, 27", "rising 100 times", "empty first half"])
def test_density_that_changes_costs_nothing_without_a_limit_on_logs(chain: str) -> None:
    counts = cost.CHAINS[chain]()
    assert core(Terms(), questions(counts), len(counts)).ratio <= MOST


def test_a_range_limit_without_a_number_is_found() -> None:
    """Refused as too wide beyond 3,000 blocks, nobody says so: what is asked settles just below it."""

    class Silent(Terms):
        def check(self, first: int, last: int, *rest: object) -> None:
            if last - first + 1 > 3000:
                raise Refused(-32000, "block range is too wide")

    made = questions(flat(0.1, 900_000))
    desk = Desk(Silent(max_range=3000), {stream.topic: stream for stream in made.values()})
    asyncio.run(read_all(Fetcher(desk, list(made)), Span(0, 899_999)))  # type: ignore[arg-type]
    assert desk.requests <= 300 * MOST


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.builds(Terms, st.integers(1, 13), st.integers(6, 20), either=st.booleans()),
    st.integers(6, 20),
)
def test_the_fewest_questions_are_no_more_than_any_way_of_asking_takes(
    counts: list[int], terms: Terms, most: int
) -> None:
    """Against every way to divide the blocks into answered questions of at most so many logs."""
    blocks, size = np.repeat(np.arange(len(counts)), counts), len(counts)
    takes = [0] + [size + 1] * size
    for last in range(size):
        for first in range(last + 1):
            found = blocks[(blocks >= first) & (blocks <= last)]
            try:
                terms.check(first, last, 1, found, 1)
            except Refused:
                continue
            if len(found) <= most:
                takes[last + 1] = min(takes[last + 1], takes[first] + 1)
    assert fewest(terms, blocks, 0, size - 1, 1, most) == takes[size]


def test_a_tiny_run_of_the_whole_program_is_counted(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for the terms asked for; more was asked than the fewest, and most logs were used."""
    monkeypatch.setattr(cost, "CHAINS", {})
    monkeypatch.setattr(cost, "side_by_side", lambda _: [np.ones(9, np.int64)])
    style = "10,000 logs (Infura)"
    report = cost.main(["--swaps=1500", "--blocks=60", "--pools=8", "--up", f"--style={style}"], server)
    cells = [cell.strip() for cell in report.splitlines()[-1].strip("|").split("|")]
    assert cells[0] == style
    assert 0 < int(cells[2]) <= int(cells[3])
    assert int(cells[3]) <= 2 * int(cells[2]) + 1, "a filter is asked once for the estimate, and for all blocks"
    assert int(cells[5]) <= 11, "chain, head twice, canary, three days' ends, pools, tokens twice"
    assert float(cells[8].rstrip("%")) > 50
