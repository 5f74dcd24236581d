"""Late and lost answers, faults among good ones, and endpoints in trouble, on a clock that only waiting moves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr

from indexer.chain.chains import load_chains
from indexer.chain.health import Health
from indexer.chain.hedge import FIRST, SHARE, Moderation
from indexer.chain.latencies import SEEN, SOONEST_LATE, Latencies
from indexer.chain.pace import SECOND, Pace
from indexer.chain.pool import Endpoints
from indexer.chain.rpc import Endpoint, Signs
from indexer.errors import EndpointBusy, EndpointFailed, EndpointLied, IndexerError, Retry
from tests.fakes.rushed import now, rushed

ETHEREUM = load_chains()["ethereum"]
HANG = 10**6  # seconds
KIND = ("eth_x", False)
Took = Callable[[int], float | IndexerError]  # number of a request -> seconds until its answer, or a failure


class Made(Endpoint):
    """An endpoint that answers with the parameters, after as many seconds as it is told; known: its chain id."""

    def __init__(self, took: Took, *, trickles: bool = False, known: float = 0) -> None:
        super().__init__(SecretStr("http://made"))
        self.took, self.trickles, self.known = took, trickles, known
        self.sent: list[int] = []
        self.under_way = self.most = 0

    async def call(self, method: str, params: Sequence[object], signs: Signs | None = None) -> bytes:
        assert signs is not None
        if method == "eth_chainId":
            await self._wait(self.known, signs)
            return b'"0x1"'
        self.requests[method] += 1
        self.sent.append(now())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self._wait(self.took(len(self.sent)), signs)
        finally:
            self.under_way -= 1
        return json.dumps(params).encode()

    async def _wait(self, took: float | IndexerError, signs: Signs) -> None:
        if isinstance(took, IndexerError):
            await asyncio.sleep(0.01)
            raise took
        if self.trickles:
            await asyncio.sleep(0.01)
            signs.heard = True
        elif took * SECOND > signs.silence:
            await asyncio.sleep(signs.silence / SECOND)
            raise EndpointFailed("silent")
        await asyncio.sleep(took)


def at(changes: dict[int, float | IndexerError], usual: float = 0.1) -> Took:
    """The usual time but for some requests, counted from one."""
    return lambda number: changes.get(number, usual)


def pool_of(*endpoints: Endpoint, **how: Any) -> Endpoints:
    pool = Endpoints(ETHEREUM, endpoints, **how)
    pool.pace = Pace(now=now, dice=Random(7))
    return pool


async def asked(pool: Endpoints, count: int, readers: int = 4) -> None:
    """So many questions by so many readers, each with its own answer."""
    numbers = iter(range(count))

    async def read() -> None:
        for number in numbers:
            assert json.loads(await pool.call("eth_x", [number])) == [number]

    await asyncio.gather(*(read() for _ in range(readers)))


def run(work: Callable[[], Awaitable[None]]) -> None:
    """As `rushed`, whatever awaits."""

    async def main() -> None:
        await work()

    rushed(main())


def test_an_answer_that_is_late_is_asked_for_once_more_and_the_first_to_come_counts() -> None:
    async def main() -> None:
        made = Made(at({10: HANG}))
        pool = pool_of(made)
        await asked(pool, 20, readers=1)
        assert len(made.sent) == 21
        assert (pool.hedges, pool.retries) == (1, 0)
        assert now() == pytest.approx((20 * 0.1 + 0.4) * SECOND), "four times as long as usual"
        assert [lane.load for lane in pool._lanes] == [0]

    run(main)


def test_two_that_hang_one_soon_after_the_other_are_both_asked_again() -> None:
    """Nothing else is under way whose answer would show that the endpoint is well."""

    async def main() -> None:
        made = Made(at({21: HANG, 22: HANG}, 0.01))
        pool = pool_of(made)
        await asked(pool, 20)
        began = now()
        first = asyncio.create_task(pool.call("eth_x", []))
        await asyncio.sleep(0.05)
        await asyncio.gather(first, pool.call("eth_x", []))
        assert now() - began < 2 * SOONEST_LATE
        assert (pool.hedges, pool.retries) == (2, 0)

    run(main)


@pytest.mark.parametrize("kinds", [1, 3])
def test_the_first_question_of_a_kind_at_a_near_endpoint_is_late_soon(kinds: int) -> None:
    async def main() -> None:
        made = Made(at(dict.fromkeys(range(1, 2 * kinds, 2), HANG), 0.01), known=0.01)
        pool = pool_of(made)
        await pool.verify()
        for number in range(kinds):
            await pool.call(f"eth_{number}", [])
        assert now() < (kinds + 1) * SOONEST_LATE

    run(main)


def test_an_endpoint_that_did_not_tell_its_chain_holds_up_nobody() -> None:
    async def main() -> None:
        dead, well = Made(at({}), known=HANG), Made(at({}))
        pool = pool_of(dead, well)
        await pool.verify()
        began = now()
        await asked(pool, 40)
        assert now() - began < 2 * SECOND
        assert (len(dead.sent), len(well.sent)) == (0, 40)

    run(main)


def test_a_question_goes_elsewhere_while_its_endpoint_is_asked_for_its_chain() -> None:
    async def main() -> None:
        dead, well = Made(at({}), known=HANG), Made(at({}))
        pool = pool_of(dead, well)
        await pool.call("eth_x", [])
        assert now() < 1.5 * SECOND
        await asked(pool, 40)
        assert now() < 3 * SECOND
        assert len(well.sent) == 41

    run(main)


def test_another_endpoint_is_asked_rather_than_the_late_one() -> None:
    async def main() -> None:
        slow, quick = Made(at({}, HANG)), Made(at({}))
        pool = pool_of(slow, quick)
        await asked(pool, 200)
        assert len(quick.sent) == 200
        assert len(slow.sent) < 10, "one that is always late rests longer and longer"
        assert now() < 12 * SECOND

    run(main)


def test_an_answer_that_is_arriving_is_waited_for() -> None:
    async def main() -> None:
        made = Made(at({5: 30}), trickles=True)
        pool = pool_of(made)
        await asked(pool, 10)
        assert len(made.sent) == 10
        assert pool.hedges == 0

    run(main)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("readers", [1, 4, 8])
def test_hanging_answers_of_one_in_ten_cost_less_than_half_of_the_speed(readers: int, seed: int) -> None:
    """Also where as many are asked at once as the endpoint may get: one that hangs gives up its place."""

    async def main(share: float) -> int:
        dice = Random(seed)
        made = Made(lambda _: HANG if dice.random() < share else 0.2)
        pool = pool_of(made)
        await asked(pool, 1000, readers)
        assert pool.hedges <= len(made.sent) / SHARE + FIRST
        assert made.most <= 8
        assert [(lane.load, lane.beside) for lane in pool._lanes] == [(0, 0)]
        return now()

    assert rushed(main(0.1)) < 2 * rushed(main(0))


def test_an_endpoint_that_is_slow_at_everything_is_not_asked_twice_for_all() -> None:
    """Two hundred quick answers, then all take five seconds, which is late by all that was known."""

    async def main() -> None:
        made = Made(lambda number: 0.1 if number <= 200 else 5)
        pool = pool_of(made)
        await asked(pool, 600, readers=8)
        assert pool.hedges <= FIRST
        assert pool.retries <= 3 * 8, "those given up at first are asked again with more patience"
        assert len(made.sent) == 600 + pool.hedges + pool.retries

    run(main)


@pytest.mark.parametrize("seed", range(5))
def test_second_requests_stay_an_eighth_of_all_however_the_answers_are_spread(seed: int) -> None:
    async def main() -> None:
        dice = Random(seed)
        made = [Made(lambda _: dice.paretovariate(0.7) / 20) for _ in range(2)]
        pool = pool_of(*made)
        await asked(pool, 500, readers=8)
        assert 0 < pool.hedges <= sum(len(one.sent) for one in made) / SHARE + FIRST
        assert max(one.most for one in made) <= 8

    run(main)


def test_nobody_who_says_too_many_is_asked_a_second_time() -> None:
    """After a 429, until an answer comes; here the only question under way hangs."""

    async def main() -> None:
        made = Made(at({11: EndpointBusy("slow down"), 12: HANG}))
        pool = pool_of(made)
        await asked(pool, 10, readers=1)
        began = now()
        await pool.call("eth_x", [])
        assert pool.hedges == 0
        assert now() - began >= 2 * SECOND, "it was given up, not overtaken"

    run(main)


def test_an_endpoint_that_said_too_many_is_asked_instead_of_one_that_hangs() -> None:
    async def main() -> None:
        busy, hanging = Made(at({6: EndpointBusy("slow down")})), Made(at({6: HANG}))
        pool = pool_of(busy, hanging)
        await asked(pool, 10, readers=1)
        began = now()
        await pool.call("eth_x", [])
        assert (len(busy.sent), len(hanging.sent)) == (7, 6)
        assert now() - began < SECOND

    run(main)


def test_quick_failures_do_not_make_a_question_that_hangs_be_waited_for_longer() -> None:
    async def main() -> None:
        made = Made(at({31: EndpointFailed("reset"), 32: EndpointBusy("slow down"), 33: HANG}))
        pool = pool_of(made)
        await asked(pool, 30)
        began = now()
        await pool.call("eth_x", [])
        assert 2 * SECOND <= now() - began < 3 * SECOND

    run(main)


def test_a_budget_holds_for_second_requests_too() -> None:
    async def main() -> None:
        dice = Random(5)
        made = Made(lambda _: HANG if dice.random() < 0.1 else 0.1)
        await asked(pool_of(made, requests_per_second=10), 200)
        gaps = [later - sooner for sooner, later in zip(made.sent, made.sent[1:], strict=False)]
        assert min(gaps) >= SECOND // 10 - 1000

    run(main)


def test_a_question_given_up_gives_up_both_of_its_requests() -> None:
    async def main() -> None:
        made = Made(at({}, 1.5))
        pool = pool_of(made)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.call("eth_x", []), 1.2)
        await asyncio.sleep(0)
        assert (len(made.sent), made.under_way) == (2, 0)
        assert [lane.load for lane in pool._lanes] == [0]

    run(main)


def test_a_fault_among_good_answers_is_asked_again_at_once_and_holds_up_nobody() -> None:
    async def main(faults: dict[int, float | IndexerError]) -> int:
        await asked(pool_of(Made(at(faults))), 200)
        return now()

    single: dict[int, float | IndexerError] = {number: EndpointFailed("reset") for number in range(10, 200, 20)}
    assert rushed(main(single)) <= rushed(main({})) * 1.1


def test_an_endpoint_that_dies_is_left_in_peace_longer_and_longer_and_then_given_up() -> None:
    async def main() -> None:
        made = Made(lambda number: 0.1 if number <= 100 else EndpointFailed("connection refused"))
        pool = pool_of(made)
        await asked(pool, 100)
        began = now()
        with pytest.raises(EndpointFailed, match="connection refused"):
            await pool.call("eth_x", [])
        gaps = [later - sooner for sooner, later in zip(made.sent[100:], made.sent[101:], strict=False)]
        assert len(gaps) == 11
        assert gaps[0] < SECOND // 10 < gaps[3] < gaps[5] < gaps[7]
        assert now() - began > 60 * SECOND

    run(main)


def test_too_many_requests_halve_those_at_once_and_good_answers_bring_them_back() -> None:
    async def main() -> None:
        made = Made(at({50: EndpointBusy("slow down")}))
        pool = pool_of(made)
        await asked(pool, 50, readers=8)
        (lane,) = pool._lanes
        assert lane.health.width < 8
        await asked(pool, 60, readers=8)
        assert lane.health.width == 8

    run(main)


def test_a_short_retry_after_is_waited_for_by_its_question_while_others_are_answered() -> None:
    async def main() -> None:
        made = Made(at({30: EndpointBusy("slow down", 1)}))
        pool = pool_of(made)
        await asked(pool, 100)
        told = made.sent[29]
        assert sum(told < sent < told + SECOND for sent in made.sent) > 10
        assert pool.retries == 1

    run(main)


def test_a_short_retry_after_is_waited_for_by_all_once_a_second_is_told() -> None:
    async def main() -> None:
        busy = EndpointBusy("slow down", 1)
        made = Made(at({30: busy, 31: busy}))
        pool = pool_of(made)
        await asked(pool, 29, readers=1)
        questions = []
        for _ in range(4):
            questions.append(asyncio.create_task(pool.call("eth_x", [])))
            await asyncio.sleep(0.05)
        await asyncio.gather(*questions)
        first, second, *later = made.sent[29:]
        assert second < first + SECOND // 10
        assert len(later) == 4
        assert min(later) >= second + SECOND

    run(main)


def test_a_long_retry_after_is_waited_for_by_all() -> None:
    async def main() -> None:
        made = Made(at({30: EndpointBusy("come back", 60)}))
        await asked(pool_of(made), 100)
        told = made.sent[29]
        assert not [sent for sent in made.sent if told + SECOND // 10 < sent < told + 60 * SECOND]

    run(main)


@pytest.mark.parametrize(
    ("before", "error", "rests"),
    [
        ("ggg", Retry("x"), False),
        ("", Retry("x"), True),
        ("gbgb", Retry("x"), True),
        ("ggggg", EndpointLied("x"), True),
        ("gggggbb", Retry("x"), True),
        ("gggggb", Retry("x"), False),
        ("ggg", EndpointBusy("x"), False),
        ("ggg", EndpointBusy("x", 2), False),
        ("ggg", EndpointBusy("x", 3), True),
        ("gggggb", EndpointBusy("x", 1), True),
    ],
)
def test_an_endpoint_rests_by_what_came_before(before: str, error: Retry, *, rests: bool) -> None:
    """g: a good answer, b: a bad one; each asked after the one before was answered."""
    clock = iter(range(1, 100))
    pace, health = Pace(now=lambda: next(clock), dice=Random(1)), Health(8)
    for outcome in before:
        if outcome == "g":
            health.succeeded()
        else:
            health.struck(Retry("x"), next(clock), pace)
    health.rest_until = 0
    health.struck(error, next(clock), pace)
    assert (health.rest_until > 0) is rests


def test_deadlines_follow_what_is_usual() -> None:
    seen = Latencies()
    assert (seen.late(KIND), seen.lost(KIND, 0)) == (SECOND, 10 * SECOND)
    for _ in range(SEEN):
        seen.saw(KIND, SECOND // 1000)
    assert (seen.late(KIND), seen.lost(KIND, 0)) == (SECOND // 5, 2 * SECOND)
    seen.saw(KIND, 60 * SECOND)
    assert seen.late(KIND) == SECOND // 5, "one that stands out is not usual"
    for _ in range(2):
        seen.saw(KIND, SECOND)
    assert (seen.late(KIND), seen.lost(KIND, 0)) == (4 * SECOND, 16 * SECOND)
    assert seen.lost(KIND, 2) == 64 * SECOND, "twice as long after each failure"
    assert seen.late(("eth_x", True)) == SECOND, "batches are a kind of their own"


@pytest.mark.parametrize(("milliseconds", "late"), [(1, 200), (20, 320), (500, 1000)])
def test_before_the_first_answer_of_a_kind_the_quickest_other_kind_tells(milliseconds: int, late: int) -> None:
    seen = Latencies()
    seen.saw(KIND, milliseconds * SECOND // 1000)
    seen.saw(("eth_slow", False), 10 * SECOND)
    assert seen.late(("eth_y", False)) == late * SECOND // 1000
    assert seen.lost(("eth_y", False), 0) == 10 * SECOND


def test_second_requests_are_saved_up_for_and_a_batch_is_paid_in_full() -> None:
    moderation = Moderation()
    for _ in range(FIRST):
        assert moderation.allows()
        moderation.asked_again(1)
    assert not moderation.allows()
    moderation.asked(SHARE)
    assert moderation.allows()
    moderation.asked_again(50)
    moderation.asked(49 * SHARE)
    assert not moderation.allows()
    moderation.asked(SHARE)
    assert moderation.allows()
    assert moderation.used == FIRST + 50
