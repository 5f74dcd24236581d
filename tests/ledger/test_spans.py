"""Runs of blocks against sets of blocks: whatever the arithmetic says, counting must say too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from indexer.ledger.ranges import choose
from indexer.model import Span
from indexer.spans import hull, merged, missing

spans = st.builds(lambda first, more: Span(first, first + more), st.integers(0, 40), st.integers(0, 12))
lists = st.lists(spans, max_size=8)


def blocks(held: list[Span]) -> set[int]:
    return {block for span in held for block in range(span.first, span.last + 1)}


def fewest(held: set[int]) -> list[Span]:
    """The set as the fewest spans, by counting."""
    firsts = sorted(block for block in held if block - 1 not in held)
    lasts = sorted(block for block in held if block + 1 not in held)
    return [Span(first, last) for first, last in zip(firsts, lasts, strict=True)]


@given(lists)
def test_merged_is_the_same_blocks_as_the_fewest_spans(held: list[Span]) -> None:
    assert merged(held) == fewest(blocks(held))


@given(spans, lists)
def test_missing_is_what_is_wanted_without_what_is_held(wanted: Span, held: list[Span]) -> None:
    assert missing(wanted, held) == fewest(blocks([wanted]) - blocks(held))


@given(st.dictionaries(st.sampled_from("abc"), lists, max_size=3), st.integers(1, 20))
def test_choose_takes_the_lowest_blocks_for_all_that_lack_exactly_them(held: dict[str, list[Span]], size: int) -> None:
    lacking = {name: blocks(gaps) for name, gaps in held.items()}
    chosen = choose({name: fewest(gaps) for name, gaps in lacking.items()}, size)
    if not any(lacking.values()):
        assert chosen is None
        return
    first = min(set().union(*lacking.values()))
    names = tuple(sorted(name for name, gaps in lacking.items() if first in gaps))
    last = first
    while (
        last + 1 - first < size and tuple(sorted(name for name, gaps in lacking.items() if last + 1 in gaps)) == names
    ):
        last += 1
    assert chosen == (Span(first, last), names)


@given(st.dictionaries(st.sampled_from("abc"), lists, min_size=1, max_size=3), st.integers(1, 9))
def test_choosing_until_nothing_is_left_reads_each_block_once(held: dict[str, list[Span]], size: int) -> None:
    lacking = {name: blocks(gaps) for name, gaps in held.items()}
    read: dict[str, list[int]] = {name: [] for name in held}
    while (chosen := choose({name: fewest(gaps) for name, gaps in lacking.items()}, size)) is not None:
        span, names = chosen
        for name in names:
            read[name] += range(span.first, span.last + 1)
            lacking[name] -= blocks([span])
    assert {name: sorted(numbers) for name, numbers in read.items()} == {
        name: sorted(blocks(gaps)) for name, gaps in held.items()
    }


def test_the_hull_reaches_from_the_first_block_to_the_last() -> None:
    assert hull([Span(5, 9), Span(20, 30), Span(1, 2)]) == Span(1, 30)
    assert hull([Span(7, 7)]) == Span(7, 7)
