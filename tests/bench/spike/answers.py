"""Made-up JSON-RPC answers: Swap logs of 50 pools as nodes print them, with the fees that plain integers give."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass

SWAP = "c42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
FIRST_BLOCK = 19_000_000
FIRST_TIME = 1_706_600_000  # UTC seconds, two days before a month ends
BLOCK_SECONDS = 12
LOGS_PER_BLOCK = 25
LOG = (
    '{"address":"0x%s","topics":["0x%s","0x%064x","0x%064x"],"data":"0x%s","blockNumber":"0x%x",'
    '"transactionHash":"0x%s","transactionIndex":"0x%x","blockHash":"0x%s","logIndex":"0x%x",'
    '"blockTimestamp":"0x%x","removed":false}'
)


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool's immutable facts: 20-octet addresses, fee in millionths."""

    address: bytes
    token0: bytes
    token1: bytes
    fee_ppm: int


@dataclass(frozen=True, slots=True)
class Input:
    """Answer bodies and the exact sum of fees by token of all of them."""

    bodies: list[bytes]
    fees: dict[bytes, int]
    logs: int


def _address(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:20]


def _pool(number: int) -> Pool:
    token0, token1 = sorted((_address(f"token{number % 15}"), _address(f"token{(number * 7 + 1) % 15}")))
    return Pool(_address(f"pool{number}"), token0, token1, (100, 500, 3000, 10000)[number % 4])


POOLS = tuple(_pool(number) for number in range(50))


def _word(value: int) -> str:
    return format(value % (1 << 256), "064x")


def _log(rng: random.Random, number: int, fees: Counter[bytes]) -> str:
    pool = POOLS[int(len(POOLS) * rng.random() ** 2)]
    block, log_index = FIRST_BLOCK + number // LOGS_PER_BLOCK, number % LOGS_PER_BLOCK * 3
    paid, got = ((rng.getrandbits(90) >> rng.randrange(60)) + (1 << 14) for _ in range(2))
    amounts, token = ((paid, -got), pool.token0) if rng.getrandbits(1) else ((-got, paid), pool.token1)
    fees[token] += paid * pool.fee_ppm // 10**6
    data = (*amounts, rng.getrandbits(150), rng.getrandbits(70), rng.randrange(-200_000, 200_000))
    transaction = hashlib.sha256(b"t%d %d" % (block, log_index // 2)).hexdigest()
    header = hashlib.sha256(b"b%d" % block).hexdigest()
    users = rng.getrandbits(160), rng.getrandbits(160)
    words = "".join(map(_word, data))
    time = FIRST_TIME + (block - FIRST_BLOCK) * BLOCK_SECONDS
    return LOG % (pool.address.hex(), SWAP, *users, words, block, transaction, log_index, header, log_index, time)


def answers(logs: int, per_answer: int = 10_000) -> Input:
    """The same answers for the same arguments, on every machine."""
    rng, fees, bodies = random.Random(11), Counter[bytes](), []
    for first in range(0, logs, per_answer):
        body = ",".join(_log(rng, number, fees) for number in range(first, min(first + per_answer, logs)))
        bodies.append(f'{{"jsonrpc":"2.0","id":1,"result":[{body}]}}'.encode())
    return Input(bodies, dict(fees), logs)
