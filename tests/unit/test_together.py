"""Side by side: results in order, the first failure as it is, and nobody left running."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator

import pytest

from indexer.together import led, together


class Stage:
    """Who has begun and ended."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []

    async def play(self, number: int) -> int:
        self.begun.append(number)
        try:
            for _ in range(5 - number):
                await asyncio.sleep(0)
            if number < 0:
                raise ValueError(number)
        finally:
            self.ended.append(number)
        return number * 10

    def all(self, *numbers: int) -> Iterator[Coroutine[None, None, int]]:
        return (self.play(number) for number in numbers)


async def test_results_come_in_their_order() -> None:
    stage = Stage()
    assert await together(stage.all(1, 2, 3)) == [10, 20, 30]
    assert stage.begun == [1, 2, 3]
    assert stage.ended == [3, 2, 1]
    assert await together(stage.all()) == []


async def test_the_first_ends_before_the_others_begin() -> None:
    stage = Stage()
    assert await led(stage.all(1, 2, 3, 4)) == [10, 20, 30, 40]
    assert stage.ended == [1, 4, 3, 2]
    assert await led(stage.all()) == []
    assert await led(stage.all(4)) == [40]


@pytest.mark.parametrize("numbers", [(-1, 2, 3), (1, -2, 3)])
async def test_a_failure_ends_the_others_and_is_raised_as_it_is(numbers: tuple[int, ...]) -> None:
    for play in (together, led):
        stage = Stage()
        with pytest.raises(ValueError, match="-"):
            await play(stage.all(*numbers))
        assert sorted(stage.ended) == sorted(stage.begun)
