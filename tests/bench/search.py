"""Which logs of a made-up chain a filter of eth_getLogs finds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from .blocks import Blocks
from .world import Ints, padded


class Search:
    """Places of logs, by number in chain order."""

    def __init__(self, chain: Blocks) -> None:
        self._chain = chain
        self._mask = lru_cache(64)(self._wanted)

    def places(self, first: int, last: int, question: Mapping[str, Any]) -> Ints:
        """Of the logs that `address` and `topics` of a filter object ask for, in blocks `first` to `last`."""
        chain, blocks = self._chain, self._chain.size.blocks
        low, high = (int(chain.starts[min(max(at - chain.base_block, 0), blocks)]) for at in (first, last + 1))
        good = np.ones(max(0, high - low), bool)
        if addresses := several(question.get("address")):
            good &= self._mask(addresses)[chain.emitter[low:high]]
        for position, values in enumerate(question.get("topics") or []):
            if position == 4:
                good &= False
            elif wanted := several(values):
                good &= self._mask(wanted)[chain.topics[low:high, position]]
            else:
                good &= chain.topics[low:high, position] >= 0
        return np.flatnonzero(good) + low

    def _wanted(self, values: tuple[str, ...]) -> np.ndarray:
        """By id whether a word is one of the values; the last place, that of no topic, never is."""
        mask = np.zeros(len(self._chain.words) + 1, bool)
        for value in values:
            octets = bytes.fromhex(value[2:])
            at = self._chain.words.get(octets if len(octets) == 32 else padded(octets))
            if at is not None:
                mask[at] = True
        return mask


def several(values: object) -> tuple[str, ...]:
    """The alternatives of a filter's place; none: anything goes."""
    if values is None:
        return ()
    return (values,) if isinstance(values, str) else tuple(values)  # type: ignore[arg-type]
