"""The demo's StakingRewards farm: what accrues with time, against the contract's own earned() and balances."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.golden.demo import ask
from tests.golden.recorded import DAY, GENESIS, Log, block_times, logs, state

STATE = state()
STAKING: str = STATE["contracts"]["staking"]
ADDED = "0xde88a922e0d3b88b24e9623efeb464919c6bf9f66857a65e2bfcf2ce87a9433d"
PAID = "0xe2403640ba68fed3a2f88b7557551d1993f84b99bb10ff833f0cf8db0c5e0486"
STAKED = "0x9e71bc8eea02a63969f509818f2dafb9254532904319f9dbda79b67bd34a5f3d"
WITHDRAWN = "0x7084f5476618d8e60b11ef0d7d3f06914655adb8793e28ff7f018d4c76d505d5"
DEPLOYMENT = "demo_farm.demo.staking"


def own() -> list[Log]:
    """The contract's logs."""
    return [log for log in logs() if log.address == STAKING]


def notified(day: int) -> int:
    """Raw FARM told by RewardAdded up to the end of a day."""
    return sum(log.words[0] for log in own() if log.topics[0] == ADDED and log.day <= day)


@pytest.fixture(scope="module")
def accrued(demo_url: str) -> dict[int, int]:
    """Raw FARM accrued by day, as closing cut it."""
    found = ask(
        demo_url,
        "SELECT day - date '2025-12-31' AS day, sum(amount) AS amount FROM flow_daily"
        " WHERE deployment = $1 AND basis = 'accrued' GROUP BY day",
        DEPLOYMENT,
    )
    return {row["day"]: int(row["amount"]) for row in found}


def still_to_come(day: dict[str, Any]) -> int:
    """What accrues between the day's last block, after which the contract was asked, and midnight."""
    contract = day["staking"]
    if not contract["totalSupply"]:
        return 0
    asked = block_times()[day["last_block"]]
    seconds = min(GENESIS + day["day"] * DAY, contract["periodFinish"]) - asked
    return int(contract["rewardRate"] * max(0, seconds))


def test_accrued_is_what_stakers_have_earned_and_taken_day_by_day(accrued: dict[int, int]) -> None:
    """earned() of all and what was taken (told minus what the contract still holds), to the contract's own rounding.

    StakingRewards rounds rewardPerToken down at each update: less than total stake / 10^18 units, and one a user.
    """
    booked, updates = 0, 0
    for day in STATE["days"]:
        contract = day["staking"]
        booked += accrued.get(day["day"], 0)
        updates += sum(log.day == day["day"] for log in own())
        told = sum(contract["earned"]) + notified(day["day"]) - contract["balance"] + still_to_come(day)
        lost = (updates + 1) * (12_000 + len(contract["earned"]))
        assert 0 <= booked - told <= lost, day["day"]
    assert booked > 600 * 10**18


def test_nothing_accrues_while_nobody_stakes(accrued: dict[int, int]) -> None:
    """What was told and accrued to nobody stays in the contract: two gaps, before the first stake and on day five."""
    gone = notified(14) - sum(accrued.values())
    rate, stakers, gaps, since = 0, 0, 0, 0
    for log in own():
        time = block_times()[log.block]
        if not stakers and rate and since < time:
            gaps += rate * (time - max(since, 0))
        since = time
        if log.topics[0] == ADDED and log.day in (2, 4):
            rate = {2: STATE["days"][1], 4: STATE["days"][3]}[log.day]["staking"]["rewardRate"]
        if log.day > 5:
            break
        stakers += log.words[0] if log.topics[0] == STAKED else -log.words[0] if log.topics[0] == WITHDRAWN else 0
    running = STATE["days"][-1]["staking"]
    unfinished = running["rewardRate"] * max(0, running["periodFinish"] - (GENESIS + 14 * DAY))
    assert gaps > 0
    assert 0 <= gone - gaps - unfinished < 10**7  # what dividing the reward by the duration leaves over, a period


def test_days_without_a_running_period_have_none(accrued: dict[int, int]) -> None:
    """The period that the top-up began ends on day seven, the next begins on day nine."""
    assert 8 not in accrued
    assert {2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14} == accrued.keys()


def test_programmes_are_budgeted_and_claims_are_paid_to_the_unit(demo_url: str) -> None:
    found = ask(
        demo_url,
        "SELECT block_number, log_index, basis::text, amount FROM flow WHERE deployment = $1",
        DEPLOYMENT,
    )
    booked = Counter((row["block_number"], row["log_index"], row["basis"], int(row["amount"])) for row in found)
    names = {ADDED: "budgeted", PAID: "paid"}
    assert booked == Counter(
        (log.block, log.index, names[log.topics[0]], log.words[0]) for log in own() if log.topics[0] in names
    )
    claimed = notified(14) - STATE["days"][-1]["staking"]["balance"]
    assert sum(amount for *_, basis, amount in booked if basis == "paid") == claimed
