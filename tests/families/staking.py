"""StakingRewards once more, one second after the other, written from the contract's source: nothing is shared with the family."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from indexer.families.staking_rewards import ADDED, DURATION, STAKE


@dataclass
class Contract:
    """StakingRewards with Sky's setRewardsDuration; `earned` has each second's raw units with the event that set the rate."""

    rewards_duration: int
    now: int = 0
    period_finish: int = 0
    reward_rate: int = 0
    total_supply: int = 0
    setter: int = -1
    earned: dict[int, tuple[int, int]] = field(default_factory=dict)

    def wait_until(self, now: int) -> None:
        for second in range(self.now, now):
            if second < self.period_finish and self.total_supply > 0 and self.reward_rate > 0:
                self.earned[second] = (self.reward_rate, self.setter)
        self.now = now

    def notify_reward_amount(self, reward: int, number: int) -> None:
        if self.now >= self.period_finish:
            self.reward_rate = reward // self.rewards_duration
        else:
            leftover = (self.period_finish - self.now) * self.reward_rate
            self.reward_rate = (reward + leftover) // self.rewards_duration
        self.period_finish, self.setter = self.now + self.rewards_duration, number

    def set_rewards_duration(self, duration: int, number: int) -> None:
        if self.now < self.period_finish:
            self.reward_rate = (self.period_finish - self.now) * self.reward_rate // duration
            self.period_finish, self.setter = self.now + duration, number
        self.rewards_duration = duration

    @property
    def state(self) -> tuple[int, int, int, int]:
        return self.reward_rate, self.period_finish, self.total_supply, self.rewards_duration


class Happening(NamedTuple):
    """time: seconds from 0; name: of the step."""

    time: int
    name: str
    amount: int


def happen(contract: Contract, one: Happening, number: int) -> None:
    contract.wait_until(one.time)
    if one.name == ADDED:
        contract.notify_reward_amount(one.amount, number)
    elif one.name == DURATION:
        contract.set_rewards_duration(one.amount, number)
    else:
        contract.total_supply += one.amount if one.name == STAKE else -one.amount
        assert contract.total_supply >= 0
