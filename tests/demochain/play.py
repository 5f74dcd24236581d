"""Plays the fourteen days block by block and keeps, beside the chain, what the contracts said."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.demochain import farming, feed, pairs, schedule, staking, trading
from tests.demochain.cast import ALL_PLANS, DECIMALS, Stage
from tests.demochain.node import GENESIS, calldata
from tests.demochain.oracle import BALANCE, farm_state, farm_totals, initialised_ticks, pool_state
from tests.demochain.positions import Book, Leaving, Position, aligned, grow, leave, open_position, settle, tick_at
from tests.demochain.recorder import Calls, ask_feed, ask_pairs, ask_state
from tests.demochain.schedule import DAYS, FALLOW_DAY, QUIET_DAY, Switch
from tests.demochain.steps import count_steps

SWAP = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
MAX128 = 2**128 - 1
COLLECT_PROTOCOL = "collectProtocol(address,uint128,uint128)"


@dataclass(slots=True)
class Play:
    """The play so far."""

    stage: Stage
    book: Book
    calls: Calls
    pairs: pairs.Pairs
    staking: str
    feed: feed.Feed
    prices: trading.Prices = field(default_factory=trading.Prices)
    ticks: dict[str, frozenset[int]] = field(default_factory=dict)
    tick: dict[str, int] = field(default_factory=dict)  # slot0.tick of each pool after the last block
    swaps: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    leavings: list[Leaving] = field(default_factory=list)
    days: list[dict[str, Any]] = field(default_factory=list)
    switches: list[dict[str, Any]] = field(default_factory=list)
    sweeps: list[dict[str, Any]] = field(default_factory=list)
    flashes: list[dict[str, Any]] = field(default_factory=list)
    farm_blocks: list[list[int]] = field(default_factory=list)


def start(stage: Stage, book: Book, calls: Calls, venues: tuple[pairs.Pairs, str, feed.Feed]) -> Play:
    """Reads where every pool stands before the first swap."""
    play = Play(stage, book, calls, *venues)
    play.prices.read(stage)
    for name, pool in stage.pools.items():
        play.tick[name] = stage.node.call(pool.address, "slot0()->(uint160,int24)")[1]
        play.ticks[name] = initialised_ticks(stage, book, name)
    book.touched.clear()
    return play


def play_day(play: Play, day: int) -> None:
    """One day: its blocks, then the state of everything at its end."""
    times = schedule.timestamps(play.stage.rng, day)
    play.swaps.clear()
    play.steps.clear()
    blocks = [_block(play, day, (index, len(times)), time) for index, time in enumerate(times)]
    _close_day(play, day, (0 if day == 1 else blocks[0], blocks[-1]))


def _block(play: Play, day: int, place: tuple[int, int], time: int) -> int:
    index, count = place
    trading.wander(play.stage)
    if day != QUIET_DAY:
        _liquidity(play, day, index)
        _bustle(play, day, index, count)
    if day != FALLOW_DAY:
        farming.farm_a_little(play.stage, day)
        _farm_events(play, day, index)
    if play.stage.rng.random() < 0.15:
        farming.chatter(play.stage)
    swept = _sweep(play, day, index)
    if day != QUIET_DAY:
        pairs.trade_pairs(play.stage, play.pairs, day, index)
    staking.stake_a_little(play.stage, play.staking, day, index)
    feed.tell(play.stage, play.feed, day, index)
    block = play.stage.node.mine(time)
    _beside(play, day, index, block)
    _after(play, day, block, swept)
    return block


def _beside(play: Play, day: int, index: int, block: int) -> None:
    """What the feed shows, and what an indexer may ask of it and of the switch of the pairs."""
    play.feed.look(play.stage, block)
    if (day, index) == feed.CONFIRMED:
        ask_feed(play.calls, play.feed, block)
    if index == pairs.SWITCH_AT and day in (pairs.SWITCHED_ON, pairs.SWITCHED_OFF):
        play.pairs.switched.append(block)


def _liquidity(play: Play, day: int, index: int) -> None:
    """At most one change of liquidity in a block, before everything else in it."""
    stage, book, rng = play.stage, play.book, play.stage.rng
    if index % 12 == 5:
        name = rng.choice([name for name, plan in ALL_PLANS.items() if plan.wide_usd])
        pool = stage.pools[name]
        width = pool.spacing * rng.randint(2, 40)
        low = aligned(tick_at(stage.ratio(pool)), pool.spacing) - pool.spacing * rng.randint(0, 30)
        open_position(stage, book, name, rng.choice(stage.providers[1:]), (low, low + width), rng.randint(5, 60) * 1000)
    elif index % 6 == 2:
        position = _someone(play)
        kind = rng.random()
        if kind < 0.5:
            play.leavings.append(leave(stage, book, position, (0, 1)))
        elif kind < 0.8:
            play.leavings.append(leave(stage, book, position, (rng.randint(1, 4), 5)))
        else:
            grow(stage, position, rng.randint(1, 20) * 1000)
            book.touched.add(position.pool)
    elif day == DAYS and index > 40:
        _close_some(play)


def _someone(play: Play) -> Position:
    """An open position of an owner who does not merely keep the pool alive."""
    keeper = play.stage.providers[0]
    return play.stage.rng.choice([p for p in play.book.positions if not p.closed and p.owner != keeper])


def _close_some(play: Play) -> None:
    """On the last day: every position of the unpriced pool, then the concentrated ones of the others, one a block."""
    keeper = play.stage.providers[0]
    left = [p for p in play.book.positions if not p.closed]
    leaving = [p for p in left if p.pool == "nope_junk_3000"] + [p for p in left if p.owner != keeper]
    if leaving:
        play.leavings.append(leave(play.stage, play.book, leaving[0], (1, 1), burn=True))


def _bustle(play: Play, day: int, index: int, count: int) -> None:
    stage, rng = play.stage, play.stage.rng
    names = [name for name in ALL_PLANS if name != "nope_junk_3000" or day < DAYS]
    fresh = [name for name in names if name not in trading.TINY and name != "nope_junk_3000"]
    limited = rng.choice(fresh) if rng.random() < 0.1 else None
    for name in names:
        if name == limited:
            trading.limited_swap(stage, play.prices, name)
        elif rng.random() < 0.5:
            trading.arbitrage(stage, play.prices, name)
    for switch in schedule.SWITCHES:
        if switch.day == day and index == {"first": 0, "mid": count // 2, "last": count - 1}[switch.at]:
            _switch(play, switch)
    if rng.random() < 0.03:
        trading.failing_swap(stage, rng.choice(fresh))
    chosen = rng.choices(names, [ALL_PLANS[name].weight for name in names], k=rng.randint(3, 12))
    for number, name in enumerate(chosen):
        if name not in trading.TINY or name not in chosen[:number]:
            trading.swap(stage, play.prices, name)
    if day in schedule.HUGE and index == count // 3:
        trading.huge_swap(stage, *schedule.HUGE[day])
    if day in schedule.FLASHES and index == count // 4:
        _flash(play, day)


def _switch(play: Play, switch: Switch) -> None:
    """The fee switch, with swaps of the same pool on both sides of it in the same block."""
    stage = play.stage
    for _ in range(2):
        trading.swap(stage, play.prices, switch.pool)
    pool, values = stage.pools[switch.pool], switch.values
    stage.node.transact(stage.owner, pool.address, "setFeeProtocol(uint8,uint8)", *values)
    for _ in range(2):
        trading.swap(stage, play.prices, switch.pool)
    play.switches.append({"day": switch.day, "pool": switch.pool, "values": list(values), "at": switch.at})


def _flash(play: Play, day: int) -> None:
    name, whole0, whole1, tip = schedule.FLASHES[day]
    stage, pool = play.stage, play.stage.pools[name]
    units = [10 ** DECIMALS[stage.name_of(token)] for token in (pool.token0, pool.token1)]
    arguments = (pool.address, whole0 * units[0], whole1 * units[1], tip)
    stage.node.transact(stage.traders[0], stage.borrower, "borrow(address,uint256,uint256,uint256)", *arguments)
    play.flashes.append({"day": day, "pool": name, "amounts": [arguments[1], arguments[2]], "tip": tip})


def _farm_events(play: Play, day: int, index: int) -> None:
    stage = play.stage
    if index == 3 and day == 1:
        for number, user in enumerate(stage.farmers[:6]):
            farming.deposit(stage, 0, user, 1000 * (number + 1))
    if index == 3 and day == 2:
        for number, user in enumerate(stage.farmers[2:]):
            farming.deposit(stage, 1, user, 20_000 * (number + 1))
    if index == 30 and day in schedule.WEIGHTS:
        farming.shift_weights(stage, *schedule.WEIGHTS[day])
    if index == 20 and day == 11:
        farming.flee(stage, stage.farmers[4])


def _sweep(play: Play, day: int, index: int) -> tuple[str, tuple[int, int]] | None:
    """Sends a collectProtocol, one pool a block from the 20th on; returns pool and the treasury's prior balances."""
    stage, planned = play.stage, schedule.SWEEPS.get(day, ())
    if not 20 <= index < 20 + len(planned):
        return None
    name, numerator, denominator = planned[index - 20]
    pool = stage.pools[name]
    held = stage.node.call(pool.address, "protocolFees()->(uint128,uint128)")
    amounts = [MAX128 if numerator == denominator else part * numerator // denominator for part in held]
    stage.node.transact(stage.owner, pool.address, COLLECT_PROTOCOL, stage.treasury, *amounts)
    return name, _treasury(stage, name)


def _treasury(stage: Stage, name: str) -> tuple[int, int]:
    pool = stage.pools[name]
    held = [stage.node.call(token, BALANCE, stage.treasury)[0] for token in (pool.token0, pool.token1)]
    return held[0], held[1]


def _after(play: Play, day: int, block: int, swept: tuple[str, tuple[int, int]] | None) -> None:
    """Everything that is measured once the block stands."""
    stage = play.stage
    for name in play.book.touched:
        play.ticks[name] = initialised_ticks(stage, play.book, name)
    play.book.touched.clear()
    _count(play, block)
    for leaving in play.leavings:
        settle(stage, play.book, leaving, block)
    play.leavings.clear()
    if swept is not None:
        name, before = swept
        after = _treasury(stage, name)
        amounts = [after[i] - before[i] for i in (0, 1)]
        play.sweeps.append({"day": day, "block": block, "pool": name, "amounts": amounts})
    for entry in play.switches + play.flashes:
        if "block" not in entry:
            entry["block"] = block
            play.calls.ask(stage.pools[entry["pool"]].address, calldata("slot0()"), block)
    totals = farm_totals(stage)
    if not play.farm_blocks or play.farm_blocks[-1][1:] != totals:
        play.farm_blocks.append([block, *totals])
    play.prices.read(stage)


def _count(play: Play, block: int) -> None:
    """Adds the block's swaps and their steps, pool by pool."""
    by_address = {pool.address: name for name, pool in play.stage.pools.items()}
    question = {"fromBlock": hex(block), "toBlock": hex(block), "topics": [SWAP]}
    for log in play.stage.node.rpc("eth_getLogs", question):
        name = by_address[log["address"]]
        words = [int(log["data"][2 + 64 * i : 66 + 64 * i], 16) for i in range(5)]
        down = words[0] < 2**255 and (words[0] > 0 or words[1] >= 2**255)
        spacing = play.stage.pools[name].spacing
        play.steps[name] += count_steps(play.tick[name], words[2], down, spacing, play.ticks[name])
        play.swaps[name] += 1
        play.tick[name] = words[4] - 2**256 if words[4] >= 2**255 else words[4]


def _close_day(play: Play, day: int, blocks: tuple[int, int]) -> None:
    stage = play.stage
    ask_state(stage, play.calls, blocks[1])
    ask_pairs(play.calls, play.pairs, blocks[1])
    pools = {}
    for name in stage.pools:
        pools[name] = pool_state(stage, play.book, name) | {"swaps": play.swaps[name], "steps": play.steps[name]}
    started = GENESIS + (day - 1) * schedule.DAY
    entry = {"day": day, "start": started, "first_block": blocks[0], "last_block": blocks[1]}
    beside = {
        "pairs": pairs.pairs_state(stage, play.pairs),
        "staking": staking.staking_state(stage, play.staking),
    }
    play.days.append(entry | {"pools": pools, "farm": farm_state(stage)} | beside)
