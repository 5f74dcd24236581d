"""A span is read whole and once, whatever a provider's limits, in about as few questions as the limits allow."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.chain import fetch
from indexer.chain.fetch import Fetcher, Logs
from indexer.chain.limits import Limits
from indexer.chain.logs import NO_TIME
from indexer.chain.planner import Shape
from indexer.chain.sizing import LOGS_WANTED, RANGE_QUESTIONS, QuestionSize, range_blocks, range_end
from indexer.errors import EndpointFailed, EndpointUnusable, Refuse, TooMuch
from indexer.model import Span
from tests.chain.provider import ANYONE, KEY, Provider, fewest

RAMP = 8  # questions until the size is right, from 256 blocks fourfold at a time


def flat(blocks: int, density: float) -> Any:
    return np.random.default_rng(1).poisson(density, blocks)


def daily(blocks: int, density: float) -> Any:
    """Density that swings by half within 7,200 blocks, Ethereum's day, and is noisy by the hundred blocks."""
    swing = 1 + 0.5 * np.sin(np.arange(blocks) * 2 * np.pi / 7200)
    noise = np.repeat(np.random.default_rng(2).lognormal(0, 0.3, blocks // 100 + 1), 100)[:blocks]
    return np.random.default_rng(3).poisson(density * swing * noise)


DENSITIES = {
    "flat": flat(80_000, 5),
    "dense": flat(5_000, 100),
    "sparse": flat(400_000, 0.001),
    "daily": daily(80_000, 5),
}
# What providers say of themselves: their texts are in test_provider_texts.py.
PROVIDERS: dict[str, dict[str, Any]] = {
    "no limits": {},
    "2,000 blocks or 10,000 logs": {
        "max_blocks": 2000, "max_logs": 10_000, "either": True, "suggest": lambda first, last: (first, last),
    },
    "10 blocks": {"max_blocks": 10},
    "2,000 blocks": {"max_blocks": 2000},
    "10,000 logs and a suggestion": {"max_logs": 10_000, "suggest": lambda first, last: (first, last)},
    "10,000 logs": {"max_logs": 10_000},
}  # fmt: skip


def provider(limits: str, density: str) -> Provider:
    """Allowed: half more than the fewest questions; twice the fewest where a cap on logs meets a density that swings by
    half within four answers, which nobody can foresee.
    """
    counts = DENSITIES[density][:20_000] if limits == "10 blocks" else DENSITIES[density]
    made = Provider(counts, **PROVIDERS[limits])
    best = fewest(counts, LOGS_WANTED, None if made.either else made.max_blocks)
    hard = density == "daily" and made.max_logs is not None and not made.either
    made.allowed = best * (4 if hard else 3) // 2 + RAMP
    return made


def whole(logs: Logs, asked: Provider, span: Span) -> None:
    """Every log of the span is there once, in order, with what the provider said of it."""
    assert logs.received == asked.logs(span)
    if not logs.received:
        assert logs.groups == {}
        return
    where = logs.groups[KEY].where
    assert len(where) == asked.logs(span)
    assert (np.diff((where.block << 24) + where.log_index) > 0).all()
    assert (where.time == 1_700_000_000 + 12 * where.block).all()
    assert logs.anchor == (int(where.block[-1]), int(where.block[-1]).to_bytes(32, "big"))
    assert logs.endpoint == "made"


# ---------------------------------------------------------------- how many questions


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("limits", PROVIDERS)
async def test_a_long_span_takes_few_more_questions_than_the_fewest(limits: str, density: str) -> None:
    """Compared with somebody who knows every block beforehand, and beside the first steps."""
    asked = provider(limits, density)
    whole(await Fetcher(asked, [ANYONE]).read(asked.blocks), asked, asked.blocks)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("limits", PROVIDERS)
async def test_reading_range_by_range_costs_no_more(limits: str, density: str) -> None:
    """Ranges are cut where questions end, so that their last blocks are no questions of their own."""
    asked = provider(limits, density)
    fetcher, first = Fetcher(asked, [ANYONE]), 0
    while first <= asked.blocks.last:
        span = Span(first, min(asked.blocks.last, first + fetcher.range_blocks - 1))
        whole(await fetcher.read(span), asked, span)
        first = span.last + 1


@pytest.mark.parametrize("name", ["range", "logs"])
async def test_a_limit_that_no_refusal_names_is_found_and_kept(name: str) -> None:
    """`Block range is too large` or `response is too big`, without a number: no more than one in five is refused."""
    made = {"range": Provider(flat(60_000, 1), max_blocks=700), "logs": Provider(flat(60_000, 5), max_logs=3000)}[name]
    asked = replace(made, named=False)
    whole(await Fetcher(asked, [ANYONE]).read(asked.blocks), asked, asked.blocks)
    best = fewest(asked.counts, asked.max_logs or LOGS_WANTED, asked.max_blocks)
    assert len(asked.sizes) <= best * 1.6 + RAMP
    assert asked.refusals * 5 <= len(asked.sizes)


async def test_a_limit_equal_to_what_we_aim_at_is_kept_away_from() -> None:
    """With a cap of exactly LOGS_WANTED logs, answers come close to it and hardly ever hit it."""
    asked = Provider(flat(80_000, 5), max_logs=LOGS_WANTED)
    await Fetcher(asked, [ANYONE]).read(asked.blocks)
    assert asked.limits.max_logs == LOGS_WANTED
    assert asked.refusals <= 2
    assert np.mean([logs for _, _, logs in asked.answered[25:-1]]) > 0.9 * LOGS_WANTED


async def test_refusals_become_rare_where_density_swings() -> None:
    """A cap that was met is kept away from for a while: at most one question in five is refused."""
    asked = provider("10,000 logs", "daily")
    await Fetcher(asked, [ANYONE]).read(asked.blocks)
    assert 0 < asked.refusals * 5 <= len(asked.sizes)


async def test_questions_grow_while_answers_are_empty() -> None:
    """Nothing known: 256 blocks; each empty answer allows 32 times as many, and the rest is divided evenly."""
    asked = Provider(np.zeros(300_000, np.int64))
    await Fetcher(asked, [ANYONE]).read(asked.blocks)
    assert asked.sizes == [256, 8102, 291_642]


async def test_a_short_rest_of_a_range_teaches_nothing() -> None:
    """Three blocks at a range's end, empty or full, do not undo what ten thousand blocks taught."""
    counts = flat(200_000, 1)
    counts[100_000:100_003] = (0, 0, 0)
    counts[150_000:150_003] = (9, 9, 9)
    fetcher = Fetcher(Provider(counts), [ANYONE])
    await fetcher.read(Span(0, 80_000))
    before = fetcher.sizes[ANYONE].blocks
    await fetcher.read(Span(100_000, 100_002))
    await fetcher.read(Span(150_000, 150_002))
    assert 0.9 < fetcher.sizes[ANYONE].blocks / before < 1.1


# ---------------------------------------------------------------- coverage, whatever is refused

SUGGESTIONS = {
    "what fits": lambda first, last: (first, last),
    "its ends swapped": lambda first, last: (last, first),
    "one block": lambda first, last: (first, first),
    "wider than asked": lambda first, last: (0, 10**9),
    "elsewhere": lambda first, last: (first + 10**6, last + 10**6),
    "nothing": None,
}


@settings(max_examples=120, deadline=None)
@given(
    counts=st.lists(st.sampled_from([0, 0, 1, 2, 5, 30]), min_size=1, max_size=900),
    max_blocks=st.sampled_from([None, 1, 2, 10, 100]),
    max_logs=st.sampled_from([None, 30, 31, 100]),
    named=st.booleans(),
    suggestion=st.sampled_from(sorted(SUGGESTIONS)),
    cut=st.integers(0, 900),
)
def test_every_block_is_read_exactly_once(
    counts: list[int], max_blocks: int | None, max_logs: int | None, named: bool, suggestion: str, cut: int
) -> None:
    """Any density and any limits: answered questions tile the span, every log comes once, and it ends."""
    made = Provider(counts, max_blocks, max_logs, named=named, suggest=SUGGESTIONS[suggestion])
    made.allowed = 8 * fewest(counts, max_logs or LOGS_WANTED, max_blocks) + 40

    async def read() -> None:
        fetcher = Fetcher(made, [ANYONE])
        for span in parts(made.blocks, cut):
            whole(await fetcher.read(span), made, span)

    asyncio.run(read())
    spans = [span for span, _, _ in made.answered]
    assert [span.first for span in spans] == [0, *(span.last + 1 for span in spans[:-1])]
    assert spans[-1].last == made.blocks.last


def parts(span: Span, cut: int) -> list[Span]:
    return [span] if cut >= span.last else [Span(span.first, cut), Span(cut + 1, span.last)]


@pytest.mark.parametrize("suggestion", SUGGESTIONS)
async def test_useless_suggestions_cost_little(suggestion: str) -> None:
    """A range to try instead that is inverted, elsewhere, wider or next to nothing does not mislead for long."""
    asked = Provider(daily(60_000, 5), max_logs=10_000, named=False, suggest=SUGGESTIONS[suggestion])
    asked.allowed = 2 * fewest(asked.counts, 10_000) + RAMP
    whole(await Fetcher(asked, [ANYONE]).read(asked.blocks), asked, asked.blocks)


async def test_four_readers_share_what_they_learn() -> None:
    """Ranges read side by side with one memory of sizes, as the backfill does it."""
    asked = provider("10,000 logs and a suggestion", "daily")
    fetcher, taken = Fetcher(asked, [ANYONE]), [0]

    async def reader() -> None:
        while taken[0] <= asked.blocks.last:
            span = Span(taken[0], min(asked.blocks.last, taken[0] + fetcher.range_blocks - 1))
            taken[0] = span.last + 1
            whole(await fetcher.read(span), asked, span)

    await asyncio.gather(*(reader() for _ in range(4)))


async def test_a_block_richer_than_the_limit_is_said_to_be_so() -> None:
    """No question is smaller than a block: the sentence names the block, the limit and the remedy."""
    counts = flat(3000, 1)
    counts[1234] = 501
    asked = Provider(counts, max_logs=500)
    with pytest.raises(EndpointUnusable, match=r"made block 1234: .* even one block .*Use another endpoint"):
        await Fetcher(asked, [ANYONE]).read(asked.blocks)
    assert len(asked.sizes) < 40


async def test_a_node_too_busy_for_one_block_is_asked_again_later() -> None:
    """A time-out names no limit, so it may pass: the range fails, the run goes on, the size recovers."""
    asked = Provider(flat(20_000, 1), max_logs=0, named=False)
    fetcher = Fetcher(asked, [ANYONE])
    with pytest.raises(EndpointFailed, match="even one block"):
        await fetcher.read(Span(0, 999))
    asked.max_logs = None
    asked.sizes.clear()
    whole(await fetcher.read(asked.blocks), asked, asked.blocks)
    assert len(asked.sizes) < 60


async def test_one_block_of_range_too_many_is_final() -> None:
    """An endpoint that refuses a range of one block will never serve."""
    asked = Provider(flat(3000, 1), max_blocks=0)
    with pytest.raises(Refuse, match="even one block"):
        await Fetcher(asked, [ANYONE]).read(asked.blocks)


# ---------------------------------------------------------------- addresses

CROWD = tuple(number.to_bytes(20, "big") for number in range(1, 26))
BOUND = Shape(CROWD, ((KEY[0],),))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("most", [1, 7, 24, 25])
async def test_too_many_addresses_are_asked_in_parts(most: int, named: bool) -> None:
    """Every contract's logs once, and what was learned is used from then on."""
    asked = Provider(flat(2000, 30), max_addresses=most, named=named, emitters=CROWD)
    fetcher = Fetcher(asked, [BOUND])
    whole(await fetcher.read(asked.blocks), asked, asked.blocks)
    assert {addresses for _, addresses, _ in asked.answered} <= set(range(1, most + 1))
    refused = asked.refusals
    whole(await fetcher.read(asked.blocks), asked, asked.blocks)
    assert asked.refusals == refused


async def test_addresses_refused_in_the_middle_lose_nothing() -> None:
    """A limit met after some answers: the rest of the span is asked in parts, the first answers stay."""
    asked = Provider(flat(2000, 30), emitters=CROWD)
    fetcher = Fetcher(asked, [BOUND])
    ask = asked.ask

    async def stricter(*told: Any) -> Any:
        if len(asked.answered) == 3:
            asked.max_addresses = 10
        return await ask(*told)

    asked.ask = stricter  # type: ignore[method-assign]
    whole(await fetcher.read(asked.blocks), asked, asked.blocks)
    assert asked.refusals >= 1


async def test_a_log_that_two_questions_bring_is_kept_once() -> None:
    """Two filters may match the same log."""
    asked = Provider(flat(500, 3), emitters=CROWD)
    logs = await Fetcher(asked, [ANYONE, BOUND]).read(asked.blocks)
    assert logs.received == 2 * asked.logs(asked.blocks)
    assert len(logs.groups[KEY].where) == asked.logs(asked.blocks)


# ---------------------------------------------------------------- times


async def test_times_are_fetched_only_where_logs_lack_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each such block's header once; not at all where times are not wanted."""
    asked, wanted = Provider([2, 0, 3, 1, 0, 1]), []
    answer = asked.answer

    def untimed(*told: Any) -> Any:
        made = answer(*told)
        raw = made.groups[KEY]
        time = np.where(raw.where.block < 3, NO_TIME, raw.where.time)
        return replace(made, groups={KEY: replace(raw, where=replace(raw.where, time=time))})

    async def headers(_: Any, blocks: Any) -> Any:
        wanted.append(blocks.tolist())
        return 1_700_000_000 + 12 * blocks

    asked.answer = untimed  # type: ignore[method-assign]
    monkeypatch.setattr(fetch, "block_times", headers)
    whole(await Fetcher(asked, [ANYONE]).read(asked.blocks), asked, asked.blocks)
    assert wanted == [[0, 2]]
    bare = await Fetcher(asked, [ANYONE]).read(asked.blocks, timed=False)
    assert bare.groups[KEY].where.time.tolist()[:5] == [NO_TIME] * 5
    assert wanted == [[0, 2]]


# ---------------------------------------------------------------- sizes of ranges


@pytest.mark.parametrize(
    ("limits", "blocks", "logs", "expected"),
    [
        (Limits(), 1000, 10_000, 2000),  # two questions of LOGS_WANTED logs
        (Limits(max_blocks=10), 10, 0, 10 * RANGE_QUESTIONS),  # nothing found: as many questions as a commit takes
        (Limits(max_blocks=10), 10, 10, 10 * RANGE_QUESTIONS),
        (Limits(max_blocks=10), 10, 20_000, 10),  # dense: two questions of five blocks
        (Limits(), 1, 10**6, 1),  # never nothing
    ],
)
def test_a_range_holds_whole_questions(limits: Limits, blocks: int, logs: int, expected: int) -> None:
    """About RANGE_LOGS logs, at most RANGE_QUESTIONS questions, at least one block."""
    question = QuestionSize()
    for _ in range(6):
        question.saw(blocks, logs, limits)
    assert range_blocks([question], limits) == pytest.approx(expected, rel=0.25)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 10**6), st.integers(0, 10**6), st.booleans(), st.sampled_from([None, 0, 3, 10**7])),
        max_size=12,
    ),
    st.builds(Limits, st.sampled_from([None, 1, 10, 2000]), st.sampled_from([None, 1, 500, 10_000])),
)
def test_whatever_was_seen_the_next_question_and_range_are_sane(
    seen: list[tuple[int, int, bool, int | None]], limits: Limits
) -> None:
    """At least a block, at most the limit; a question after a refusal is smaller than what was refused."""
    question = QuestionSize()
    for asked, logs, refused, offered in seen:
        if refused:
            refusal = TooMuch("", suggested=None if offered is None else (5, 5 + offered))
            assert 1 <= question.refuse(asked, refusal, limits) <= max(1, asked - 1)
        else:
            question.saw(asked, logs, limits)
        size = question.size(limits)
        assert 1 <= size <= (limits.max_blocks or size)
        assert 1 <= question.step(10**9, limits) <= (limits.max_blocks or 10**9)
        assert question.step(1, limits) == 1
        assert range_blocks([question], limits) % size == 0
        assert size <= range_blocks([question], limits) <= size * RANGE_QUESTIONS


def test_the_last_range_is_a_little_longer_rather_than_followed_by_a_short_one() -> None:
    assert [range_end(1000, left) for left in (1, 1000, 1250, 1251, 5000)] == [1, 1000, 1250, 1000, 1000]


def surprised(*, offers: bool) -> tuple[QuestionSize, Limits]:
    """Answers of a provider of 10,000 logs that were foreseen badly, and a refusal."""
    size, limits = QuestionSize(), Limits(max_logs=10_000)
    for logs in (5_000, 9_000, 5_000, 9_000, 5_000, 9_000):
        size.saw(1000, logs, limits)
    size.refuse(2000, TooMuch("rich", max_logs=10_000, suggested=(0, 1_199) if offers else None), limits)
    size.saw(1000, 8_000, limits)
    return size, limits


def test_a_refusal_that_says_what_would_fit_is_risked() -> None:
    """It costs one question and brings a full answer: four fifths of the limit are asked for, whatever was missed."""
    bold, careful = surprised(offers=True), surprised(offers=False)
    assert bold[0].foreseen(bold[0].size(bold[1])) >= 7_990
    assert careful[0].foreseen(careful[0].size(careful[1])) < 7_000


def test_little_more_than_what_is_answered_in_any_case_is_not_worth_a_refusal() -> None:
    """2,000 blocks or 10,000 logs: a fifth more than 2,000 blocks is left alone, twice as many are asked."""
    limits = Limits(max_logs=10_000, free_blocks=2000)
    for logs, expected in ((4_000, range(2000, 2001)), (2_000, range(4_600, 5_000))):
        size = QuestionSize()
        for _ in range(12):
            size.saw(1000, logs, limits)
        assert size.size(limits) in expected
        assert size.step(2_700, limits) < 2_700 or logs == 2_000, "nor stretched into one"


def test_the_answer_before_a_question_tells_as_much_as_all_others() -> None:
    """Twice as dense as foreseen: two thirds as many blocks; a poor answer tells nothing."""
    size = QuestionSize()
    for _ in range(12):
        size.saw(1000, 5_000, Limits())
    usual = size.size(Limits())
    assert size.size(Limits(), (1000, 10_000)) == pytest.approx(usual * 2 / 3, rel=0.01)
    assert size.size(Limits(), (1000, 2_500)) == pytest.approx(usual * 4 / 3, rel=0.01)
    assert size.size(Limits(), (3, 40)) == usual


def test_the_densest_question_decides_for_all() -> None:
    """Ranges of several questions side by side are as short as the shortest of them."""
    fetcher = Fetcher(SimpleNamespace(limits=Limits()), [ANYONE, BOUND])  # type: ignore[arg-type]
    for shape, logs in ((ANYONE, 10_000), (BOUND, 0)):
        for _ in range(4):
            fetcher.sizes[shape].saw(1000, logs, Limits())
    assert fetcher.range_blocks == 2 * fetcher.sizes[ANYONE].blocks


# ---------------------------------------------------------------- sparse questions


async def test_a_sparse_question_goes_on_beyond_its_range() -> None:
    """Twenty ranges side by side take two or three questions; every log comes once, in its own range."""
    asked = Provider(flat(20_000, 0.3))
    fetcher = Fetcher(asked, [ANYONE])
    fetcher.sizes[ANYONE].saw(10_000, 3000, Limits())
    spans = [Span(first, first + 999) for first in range(0, 20_000, 1000)]
    found = await asyncio.gather(*(fetcher.read(span, until=19_999) for span in spans))
    assert len(asked.sizes) <= 3
    for span, logs in zip(spans, found, strict=True):
        assert logs.received == asked.logs(span)
        where = logs.groups[KEY].where
        assert span.first <= where.block[0] <= where.block[-1] <= span.last
        assert logs.anchor == (int(where.block[-1]), int(where.block[-1]).to_bytes(32, "big"))


async def test_nothing_is_asked_beyond_the_last_block_wanted() -> None:
    asked = Provider(flat(20_000, 0.3))
    fetcher = Fetcher(asked, [ANYONE])
    await fetcher.read(Span(0, 99), until=4_321)
    await fetcher.read(Span(100, 199), until=4_321)
    assert max(span.last for span, _, _ in asked.answered) <= 4_321


async def test_a_range_before_one_that_was_read_ahead_asks_up_to_it() -> None:
    """A range that failed and is read later than its neighbours: no block is asked twice."""
    asked = Provider(flat(20_000, 0.3))
    fetcher = Fetcher(asked, [ANYONE])
    fetcher.sizes[ANYONE].saw(10_000, 3000, Limits())
    later = await fetcher.read(Span(1000, 1999), until=19_999)
    earlier = await fetcher.read(Span(0, 999), until=19_999)
    assert (earlier.received, later.received) == (asked.logs(Span(0, 999)), asked.logs(Span(1000, 1999)))
    spans = sorted((span for span, _, _ in asked.answered), key=lambda span: span.first)
    assert all(one.last < other.first for one, other in pairwise(spans))


async def test_dense_questions_stay_within_their_range() -> None:
    """Side by side, nobody waits for another's answer."""
    asked = Provider(flat(4000, 50))
    fetcher = Fetcher(asked, [ANYONE])
    fetcher.sizes[ANYONE].saw(200, 10_000, Limits())
    spans = [Span(first, first + 399) for first in range(0, 4000, 400)]
    await asyncio.gather(*(fetcher.read(span, until=3999) for span in spans))
    assert all(span.first // 400 == span.last // 400 for span, _, _ in asked.answered)
