"""Questions that every node answers without thinking, on a clock that only waiting moves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from pydantic import SecretStr

from indexer.chain.insist import ATTEMPTS, insist
from indexer.chain.pace import SECOND
from indexer.chain.rpc import Endpoint, Signs
from indexer.errors import EndpointBusy, EndpointFailed, IndexerError
from tests.fakes.rushed import now, rushed

HANG = 10**6  # seconds


class Made(Endpoint):
    """An endpoint whose answers, each the number of its request, take so long, or fail."""

    def __init__(self, *took: float | IndexerError) -> None:
        super().__init__(SecretStr("http://made"))
        self.took, self.sent, self.under_way = took, list[int](), 0

    async def call(self, method: str, params: Sequence[object], signs: Signs | None = None) -> bytes:
        assert signs is not None
        took = self.took[len(self.sent)]
        self.sent.append(now())
        number = len(self.sent)
        if isinstance(took, IndexerError):
            raise took
        self.under_way += 1
        try:
            await asyncio.sleep(min(took, signs.silence / SECOND))
        finally:
            self.under_way -= 1
        if took * SECOND > signs.silence:
            raise EndpointFailed("silent")
        return b"%d" % number


@pytest.mark.parametrize(
    ("took", "answer", "after", "requests"),
    [
        ((0.1,), b"1", 0.1, 1),
        ((HANG, 0.1), b"2", 0.6, 2),
        ((HANG, HANG, 0.1), b"3", 1.6, 3),
        ((3, 3, 3), b"1", 3, 3),
        ((EndpointFailed("reset"), 0.1), b"2", 0.1, 2),
        ((HANG, EndpointFailed("reset"), HANG, 0.1), b"4", 2.6, 4),
    ],
)
def test_a_question_is_asked_again_beside_the_first_and_the_first_answer_counts(
    took: tuple[float | IndexerError, ...], answer: bytes, after: float, requests: int
) -> None:
    """Also one that is slow and well gets no more than three requests, and its first answer is not thrown away."""

    async def main() -> None:
        made = Made(*took)
        assert await insist(made, "eth_x", []) == answer
        assert now() == pytest.approx(after * SECOND)
        assert (len(made.sent), made.under_way) == (requests, 0)

    rushed(main())


def test_a_dead_endpoint_is_given_up_after_so_many_requests() -> None:
    async def main() -> None:
        made = Made(*[HANG] * ATTEMPTS)
        with pytest.raises(EndpointFailed, match="silent"):
            await insist(made, "eth_x", [])
        assert len(made.sent) == ATTEMPTS
        assert now() < 15 * SECOND

    rushed(main())


def test_what_is_no_passing_fault_ends_it_at_once() -> None:
    async def main() -> None:
        made = Made(HANG, EndpointBusy("slow down"))
        with pytest.raises(EndpointBusy):
            await insist(made, "eth_x", [])
        assert (len(made.sent), made.under_way) == (2, 0)

    rushed(main())
