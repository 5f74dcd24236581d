"""Arithmetic of runs of blocks."""

from __future__ import annotations

from collections.abc import Iterable

from indexer.model import Span


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same blocks as the fewest spans, in order."""
    result: list[Span] = []
    for span in sorted(spans):
        if result and span.first <= result[-1].last + 1:
            result[-1] = Span(result[-1].first, max(result[-1].last, span.last))
        else:
            result.append(span)
    return result


def hull(spans: Iterable[Span]) -> Span:
    """The shortest span that has all of them, of which there is one at least."""
    every = list(spans)
    return Span(min(span.first for span in every), max(span.last for span in every))


def missing(wanted: Span, held: Iterable[Span]) -> list[Span]:
    """The blocks of `wanted` that no span of `held` has, in order."""
    result, first = [], wanted.first
    for span in merged(held):
        if span.last < first or span.first > wanted.last:
            continue
        if span.first > first:
            result.append(Span(first, span.first - 1))
        first = span.last + 1
    return [*result, Span(first, wanted.last)] if first <= wanted.last else result
