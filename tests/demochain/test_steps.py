"""The step counter agrees with the real pool, which reads its tick bitmap once a step."""

from __future__ import annotations

from random import Random

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from tests.demochain.anvil import Exchange, anvil, exchange
from tests.demochain.deploy import mint_position, swap_exact_input
from tests.demochain.node import Node
from tests.demochain.steps import count_steps, next_tick, sqrt_price_at

__all__ = ["anvil", "exchange"]

BITMAP_SLOT = (
    6  # of UniswapV3Pool: slot0, feeGrowthGlobal0, feeGrowthGlobal1, protocolFees, liquidity, ticks, tickBitmap
)
SLOT0 = "slot0()->(uint160,int24)"
WORDS = {encode(["int16", "uint256"], [word, BITMAP_SLOT]) for word in range(-60, 60)}
BITMAP_KEYS = {int.from_bytes(keccak(word), "big") for word in WORDS}


def steps_taken(node: Node, transaction: str) -> int:
    """How often the transaction loaded a word of the tick bitmap."""
    options = {"disableMemory": True, "disableStorage": True}
    trace = node.rpc("debug_traceTransaction", transaction, options)["structLogs"]
    return sum(1 for step in trace if step["op"] == "SLOAD" and int(step["stack"][-1], 16) in BITMAP_KEYS)


@pytest.mark.parametrize(
    ("tick", "price"),
    [
        (-887272, 4295128739),  # TickMath.MIN_SQRT_RATIO
        (0, 2**96),
        (887272, 1461446703485210103287273052203988822378723970342),  # TickMath.MAX_SQRT_RATIO
    ],
)
def test_prices_of_ticks_are_those_of_tickmath(tick: int, price: int) -> None:
    assert sqrt_price_at(tick) == price


def test_next_tick_stops_at_the_word_and_finds_the_initialised_tick_at_or_below() -> None:
    ticks = frozenset({0, 600})
    assert next_tick(5, 10, ticks, down=True) == 0
    assert next_tick(5, 10, ticks, down=False) == 600
    assert next_tick(-1, 10, ticks, down=True) == -2560
    assert next_tick(600, 10, ticks, down=False) == 2550


def test_a_swap_within_a_range_is_one_step_and_one_that_ends_on_a_tick_may_be_two() -> None:
    ticks = frozenset({-600, 600})
    assert count_steps(0, sqrt_price_at(100), False, 10, ticks) == 1
    assert count_steps(0, sqrt_price_at(600), False, 10, ticks) == 2
    assert count_steps(0, sqrt_price_at(601), False, 10, ticks) == 2


def test_steps_of_real_swaps_are_counted_exactly(exchange: Exchange) -> None:
    """Random swaps, some across words and many ticks, in a pool with twenty overlapping positions."""
    node, place, pool, rng = exchange.node, exchange.place, exchange.pool, Random(7)
    ticks = {-887220, 887220}
    for _ in range(20):
        low = rng.randint(-300, 290) * pool.spacing
        high = low + rng.randint(1, 40) * pool.spacing
        ticks |= {low, high}
        mint_position(node, place, pool, exchange.account, (low, high), desired=(10**23, 10**23))
    node.mine()
    counts = []
    for _ in range(14):
        _, tick = node.call(pool.address, SLOT0)
        down = tick > 0 if rng.random() < 0.7 else tick <= 0
        amount = int(10 ** rng.uniform(18, 25))
        swap_exact_input(node, place, pool, exchange.account, down, amount=amount)
        number = node.mine()
        (transaction,) = node.rpc("eth_getBlockByNumber", hex(number), False)["transactions"]
        end, _ = node.call(pool.address, SLOT0)
        counted = count_steps(tick, end, down, pool.spacing, frozenset(ticks))
        assert counted == steps_taken(node, transaction)
        counts.append(counted)
    assert min(counts) == 1
    assert max(counts) > 10
