"""The cost of a run, said before it starts, against what the fetcher then asks of the same made-up provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from indexer.chain.fetch import Fetcher
from indexer.errors import TooMuch
from indexer.model import Span
from indexer.work.estimate import HEADERS_PER_DAY, SAMPLE, Cost, _add_history, _places, _seconds, estimate
from indexer.work.plan import Plan
from indexer.work.progress import Estimate
from indexer.work.source import DEAR
from tests.chain.provider import ANYONE, Provider
from tests.chain.test_fetch import DENSITIES, PROVIDERS

DAY_BLOCKS = 7_200  # of 12 s


@dataclass
class Pool(Provider):
    """The provider with what else an estimate asks of a pool. names: of its endpoints; budget: requests a second."""

    names: tuple[str, ...] = ("http://localhost:8545",)
    budget: int | None = None
    chain: Any = field(default_factory=lambda: SimpleNamespace(name="made", block_ms=12_000, slot_timed_from=0))

    @property
    def requests(self) -> int:
        return len(self.sizes)

    @property
    def endpoints(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.names]


def plan(pool: Provider, *history: Span) -> Plan:
    return Plan((ANYONE,), (pool.blocks,), (ANYONE,) if history else (), history)


async def told(pool: Pool, sample: int = SAMPLE) -> Estimate:
    return await estimate(pool, [plan(pool)], pool.blocks, sample)  # type: ignore[arg-type]


async def needed(pool: Provider) -> int:
    """Questions that reading all of it takes, range by range as a run does it."""
    fetcher, first = Fetcher(pool, [ANYONE]), 0  # type: ignore[arg-type]
    while first <= pool.blocks.last:
        last = min(pool.blocks.last, first + fetcher.range_blocks - 1)
        await fetcher.read(Span(first, last), timed=False)
        first = last + 1
    return len(pool.sizes)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("limits", PROVIDERS)
async def test_requests_and_logs_are_about_what_the_run_needs(limits: str, density: str) -> None:
    """Within a factor of two in requests, a few for a run that needs few; logs as well as a sample can tell."""
    counts = DENSITIES[density]
    said = await told(Pool(counts, **PROVIDERS[limits]))
    actual = await needed(Provider(counts, **PROVIDERS[limits]))
    others = HEADERS_PER_DAY * max(1, len(counts) // DAY_BLOCKS)
    assert actual / 2 - 10 < said.requests - others < 2 * actual + 10
    logs = int(counts.sum())
    if density != "sparse":
        assert 0.6 * logs < said.logs < 1.5 * logs
    assert (said.blocks, said.first, said.last) == (len(counts), 0, len(counts) - 1)


@pytest.mark.parametrize("limits", PROVIDERS)
async def test_knowing_it_takes_few_requests(limits: str) -> None:
    """About five, and some more where limits are learned by being refused."""
    pool = Pool(DENSITIES["flat"], **PROVIDERS[limits])
    said = await told(pool)
    assert said.sampled == len(pool.sizes)
    assert len(pool.answered) == SAMPLE
    assert said.sampled <= SAMPLE + 12


async def test_a_second_run_at_the_same_endpoint_pays_for_no_refusal() -> None:
    pool = Pool(DENSITIES["flat"], max_blocks=10)
    await told(pool)
    refused = pool.refusals
    assert refused > 0
    await told(pool)
    assert pool.refusals == refused


async def test_credits_are_those_of_the_provider() -> None:
    """60 compute units for each eth_getLogs; none are made up for a node of one's own."""
    alchemy = Pool(DENSITIES["flat"], max_blocks=10, names=("https://eth-mainnet.g.alchemy.com",))
    said = await told(alchemy)
    assert said.unit == "compute units"
    assert said.credits is not None
    assert said.credits % 60 == 0
    assert 60 * 8000 <= said.credits <= 60 * 10_000, "80,000 blocks in questions of 10"
    own = await told(Pool(DENSITIES["flat"]))
    assert (own.credits, own.unit) == (None, "")


async def test_a_budget_makes_it_take_longer() -> None:
    slow = await told(Pool(DENSITIES["flat"], max_blocks=10, budget=2))
    assert slow.seconds >= 8000 // 2
    quick = await told(Pool(DENSITIES["flat"], max_blocks=10))
    assert quick.seconds < slow.seconds / 10


async def test_nothing_to_read_costs_nothing() -> None:
    pool = Pool(DENSITIES["flat"])
    said = await estimate(pool, [Plan((), ())], Span(0, 9))  # type: ignore[arg-type]
    assert (said.blocks, said.logs, said.requests, said.octets, said.sampled) == (0, 0, 0, 0, 0)


async def test_what_even_one_block_is_too_much_for_is_an_error() -> None:
    """As it would be in the run."""
    with pytest.raises(TooMuch):
        await told(Pool([5] * 1000, max_logs=1))


def test_the_sample_is_spread_over_all_that_is_missing() -> None:
    spans = [Span(10, 19), Span(100, 189)]
    assert list(_places(spans, 1)) == [(140, 50)]
    assert list(_places(spans, 5)) == [(100, 90), (120, 70), (140, 50), (160, 30), (180, 10)]
    assert [first for first, _ in _places([Span(0, 99)], 4)] == [12, 37, 62, 87]


def test_history_is_read_in_growing_parts_or_from_the_state_where_that_is_dear() -> None:
    gap = plan(Provider([0]), Span(0, 12_000_000))
    free, dear, stateless, few = Cost(), Cost(), Cost(), Cost()
    _add_history(free, gap, None, 40, 1000)
    _add_history(dear, gap, 10, 40, 1000)
    _add_history(stateless, gap, 10, None, 1000)
    _add_history(few, gap, 12_000_000 // DEAR, 40, 1000)
    assert (free.questions, free.others) == (4, 0), "1,000 blocks, 32,000, 1,024,000, and the rest"
    assert (dear.questions, dear.others) == (0, 40)
    assert (stateless.questions, stateless.others) == (1_200_001, 0)
    assert (DEAR <= few.questions <= DEAR + 1, few.others) == (True, 0)


def test_time_is_the_longest_of_answers_budget_and_booking() -> None:
    pool = Pool([0], names=("http://a", "http://b"))
    answers = Cost(questions=1000, nanoseconds=1000 * 400_000_000)
    assert _seconds(answers, pool, 1) == 100, "four ranges at a time"  # type: ignore[arg-type]
    assert _seconds(answers, pool, 9) == 25, "eight questions at a time at each endpoint"  # type: ignore[arg-type]
    pool.budget = 5
    assert _seconds(answers, pool, 1) == 200  # type: ignore[arg-type]
    assert _seconds(Cost(logs=90_000_000), pool, 1) == 1000  # type: ignore[arg-type]


@pytest.mark.parametrize("slot_timed", [0, None])
async def test_logs_without_times_need_headers(slot_timed: int | None) -> None:
    """One for each block with logs; few where blocks are slot-timed."""
    from dataclasses import replace

    from indexer.chain.logs import NO_TIME

    class Untimed(Pool):
        async def ask(self, method: str, params: Any, read: Any) -> Any:
            answer, who = await super().ask(method, params, read)
            for raw in answer.groups.values():
                raw.where.time[:] = NO_TIME
            return replace(answer), who

    pool = Untimed([1] * 50_000)
    pool.chain.slot_timed_from = slot_timed
    said = await told(pool)
    timed = await told(Pool([1] * 50_000))
    headers = said.requests - timed.requests
    assert headers == (50_000 if slot_timed is None else -(-50_000 // 14))


async def test_what_the_sample_teaches_is_known_to_the_fetcher() -> None:
    """Sizes of the fetcher are those of the density met, and it starts with no small question."""
    pool = Pool(DENSITIES["flat"])
    fetcher = Fetcher(pool, [ANYONE])  # type: ignore[arg-type]
    await estimate(pool, [plan(pool)], pool.blocks, sizes=fetcher.sizes)  # type: ignore[arg-type]
    pool.sizes.clear()
    await fetcher.read(pool.blocks, timed=False)
    assert min(pool.sizes) > 1500
