"""What providers answer at most, in their words, and the fewest questions that those terms allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .world import Ints

NO_LIMIT = 1 << 62


class Refused(Exception):
    """Becomes the JSON-RPC error object."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error: dict[str, Any] = {"code": code, "message": message} | ({} if data is None else {"data": data})


@dataclass(frozen=True, slots=True)
class Terms:
    """Most blocks, logs, octets and addresses of one eth_getLogs.

    either: up to max_range blocks any number of logs is answered. infura: its words instead of Alchemy's.
    """

    max_range: int = NO_LIMIT
    max_results: int = NO_LIMIT
    max_octets: int = NO_LIMIT
    max_addresses: int = NO_LIMIT
    either: bool = False
    infura: bool = False

    def last_answered(self, first: int, last: int, blocks: Ints, octets: int) -> int:
        """The end of the longest question from `first` that is answered, at most `last`; `first` - 1 if none is.

        blocks: of all logs that match, ascending; octets: of a log.
        """
        found = int(np.searchsorted(blocks, first))
        most = min(self.max_results, self.max_octets // max(1, octets))
        rich = int(blocks[found + most]) - 1 if found + most < len(blocks) else last
        wide = first + self.max_range - 1
        return min(last, max(rich, wide) if self.either else min(rich, wide))

    def check(self, first: int, last: int, addresses: int, blocks: Ints, octets: int) -> None:
        """Raises Refused, with the provider's text, for a question that these terms do not answer.

        blocks: of the logs that the question asks for, ascending.
        """
        if addresses > self.max_addresses:
            raise Refused(-32602, "exceed max addresses or topics per search position")
        fitting = self.last_answered(first, last, blocks, octets)
        if fitting >= last:
            return
        offered = max(first, fitting)
        if last - first + 1 > self.max_range and not self.either:
            wide = first + self.max_range - 1
            raise Refused(-32600, _TOO_WIDE % (self.max_range, first, wide))
        if len(blocks) <= self.max_results:
            raise Refused(-32602, "Log response size exceeded. Please reduce query block range.")
        if self.infura:
            data = {"from": hex(first), "to": hex(offered), "limit": self.max_results}
            raise Refused(-32005, _INFURA % (self.max_results, first, offered), data)
        raise Refused(-32602, _TOO_MANY % (self.max_results, first, offered))


# What Alchemy and Infura say, as far as it tells a client what to do.
_TOO_WIDE = (
    "You can make eth_getLogs requests with up to a %d block range. Based on your parameters, this block range "
    "should work: [0x%x, 0x%x]"
)
_TOO_MANY = (
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the "
    "response size, or you can request any block range with a cap of %d logs in the response. Based on your parameters "
    "and the response size limit, this block range should work: [0x%x, 0x%x]"
)
_INFURA = "query returned more than %d results. Try with this block range [0x%X, 0x%X]."

STYLES: dict[str, Terms] = {
    "no limits": Terms(),
    "2,000 blocks or 10,000 logs (Alchemy)": Terms(max_range=2000, max_results=10_000, either=True),
    "10 blocks (Alchemy, free)": Terms(max_range=10),
    "10,000 logs (Infura)": Terms(max_results=10_000, infura=True),
    "150 MB": Terms(max_octets=150_000_000),
    "1,000 addresses": Terms(max_addresses=1000),
}
# Not asked for, but met: both limits at once, as small nodes of one's own have them, and answers of a few MB only.
FURTHER: dict[str, Terms] = {
    "2,000 blocks and 10,000 logs": Terms(max_range=2000, max_results=10_000),
    "4 MB": Terms(max_octets=4_000_000),
}


def fewest(terms: Terms, blocks: Ints, first: int, last: int, octets: int, most_logs: int = NO_LIMIT) -> int:
    """How many questions somebody needs who knows all logs beforehand and asks as far as the terms allow each time.

    blocks: of all logs that match, ascending; most_logs: that he wants in an answer.
    """
    wish, count = Terms(max_results=most_logs), 0
    while first <= last:
        ends = [one.last_answered(first, last, blocks, octets) for one in (terms, wish)]
        first = max(first, min(ends)) + 1
        count += 1
    return count
