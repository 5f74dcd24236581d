"""A chain's logs as JSON, all of one length: an answer is then one gathering of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .blocks import SLOT, Blocks, Part
from .world import Octets, octets

AT_ONCE = 20_000  # rows
_HEX = np.frombuffer(b"".join(b"%02x" % value for value in range(256)), np.uint16)


def json_rows(chain: Blocks, *, timed: bool) -> Octets:
    """(n, width): each log's JSON object, spaces, and a comma. timed: with blockTimestamp."""
    writer = _Writer(chain, timed)
    texts = [writer.text(part, slice(0, 1)) for part in chain.parts if len(part.rows)]
    rows = np.full((len(chain.block), max(text.shape[1] for text in texts) + 1), ord(" "), np.uint8)
    rows[:, -1] = ord(",")
    for part in chain.parts:
        for first in range(0, len(part.rows), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            text = writer.text(part, some)
            rows[part.rows[some], : text.shape[1]] = text
    return rows


class _Writer:
    """The values that many logs share, as text by number."""

    def __init__(self, chain: Blocks, timed: bool) -> None:
        self._chain, self._timed = chain, timed
        numbers = range(chain.size.blocks)
        self._words = _hex(octets(list(chain.words)))
        self._numbers = _quantities([chain.base_block + number for number in numbers])
        self._times = _quantities([chain.base_time + SLOT * number for number in numbers])
        self._hashes = _hex(octets([chain.block_hash(chain.base_block + number) for number in numbers]))
        self._small = _quantities(range(int(chain.log_index.max()) + 1))

    def text(self, part: Part, some: slice) -> Octets:
        """(n, width): JSON objects of some of a part's logs."""
        chain, rows, block = self._chain, part.rows[some], part.block[some]
        topics: list[bytes | Octets] = [
            piece for topic in part.topics[some].T for piece in (b'","0x', self._words[topic])
        ][1:]
        time: list[bytes | Octets] = [b',"blockTimestamp":', self._times[block]] if self._timed else []
        pieces: list[bytes | Octets] = [b'{"address":"0x', self._words[part.emitter[some], 24:], b'","topics":["0x']
        pieces += [*topics, b'"],"data":"0x', _hex(part.data[some]), b'","blockNumber":', self._numbers[block]]
        pieces += [b',"blockHash":"0x', self._hashes[block], b'"', *time]
        pieces += [b',"transactionHash":"0x', _hex(chain.tx_hashes[chain.tx[rows]])]
        pieces += [b'","transactionIndex":', self._small[chain.tx_index[rows]]]
        pieces += [b',"logIndex":', self._small[chain.log_index[rows]], b',"removed":false}']
        return _joined(len(rows), pieces)


def _joined(count: int, pieces: Sequence[bytes | Octets]) -> Octets:
    columns = [np.frombuffer(piece, np.uint8)[None] if isinstance(piece, bytes) else piece for piece in pieces]
    return np.concatenate([np.broadcast_to(column, (count, column.shape[1])) for column in columns], axis=1)


def _hex(values: Octets) -> Octets:
    return _HEX[values].view(np.uint8)


def _quantities(values: Sequence[int] | range) -> Octets:
    """JSON-RPC quantities in quotes, with spaces before the shorter ones: JSON allows them."""
    texts = [b'"0x%x"' % value for value in values]
    width = max(map(len, texts))
    return octets([text.rjust(width) for text in texts])
