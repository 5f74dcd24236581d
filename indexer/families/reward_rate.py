"""The figures that a StakingRewards contract keeps, followed from its events: what they made accrue, and when.

Sources and rules: see staking_rewards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from indexer.errors import BadInput
from indexer.model import Address, Evidence, Step


class Piece(NamedTuple):
    """rate raw units a second from `first` to before `last` (UTC seconds); evidence: what set the rate."""

    rate: int
    first: int
    last: int
    evidence: Evidence


@dataclass(slots=True)
class RewardRate:
    """rewardRate, periodFinish, totalSupply and rewardsDuration of one pool, and the pieces told until `since`.

    Every step's last value is the time of its block; the one before is the event's amount.
    """

    pool: Address
    duration: int
    rate: int = 0
    finish: int = 0
    supply: int = 0
    since: int = 0
    evidence: Evidence = field(default_factory=lambda: Evidence(0))
    pieces: list[Piece] = field(default_factory=list)

    def open(self, step: Step) -> None:
        """The state that the contract told, where no event before is known."""
        self.rate, self.finish, self.supply, self.duration, self.since = step.values
        self.evidence = Evidence(step.block)

    def confirm(self, step: Step) -> None:
        """Raises BadInput where the contract told another state than its events had made of it."""
        told = step.values[:4]
        if told != (self.rate, self.finish, self.supply, self.duration):
            raise BadInput(
                f"Pool 0x{self.pool.hex()}, block {step.block}: rewardRate, periodFinish, totalSupply and "
                f"rewardsDuration are {', '.join(map(str, told))}, but its events make them {self.rate}, "
                f"{self.finish}, {self.supply}, {self.duration}. Correct option duration, or if the contract has other "
                "rules than StakingRewards leave it out."
            )

    def add(self, step: Step) -> None:
        """RewardAdded: what is left of the period joins the reward."""
        self._restart(step.values[0], self.duration, step)

    def change(self, step: Step) -> None:
        """RewardsDurationUpdated: what is left of the period is spread anew; without a period nothing changes yet."""
        duration, now = step.values
        if now < self.finish:
            self._restart(0, duration, step)
        self.duration = duration

    def stake(self, step: Step) -> None:
        """Staked: with the first stake the time for nobody ends."""
        amount, now = step.values
        if self.supply == 0:
            self.settle(now)
        self.supply += amount

    def withdraw(self, step: Step) -> None:
        """Withdrawn: with the last stake accruing ends."""
        amount, now = step.values
        if amount > self.supply:
            raise self._other(step, "more was withdrawn than staked")
        if amount == self.supply:
            self.settle(now)
        self.supply -= amount

    def settle(self, now: int) -> None:
        """Tells what accrued until now."""
        last = min(now, self.finish)
        if self.rate and self.supply and self.since < last:
            piece = Piece(self.rate, self.since, last, self.evidence)
            if self.pieces and (self.pieces[-1].last, self.pieces[-1].evidence) == (piece.first, piece.evidence):
                piece = piece._replace(first=self.pieces.pop().first)  # all left and somebody came in one second
            self.pieces.append(piece)
        self.since = now

    def _restart(self, reward: int, duration: int, step: Step) -> None:
        now = step.values[-1]
        if duration == 0:
            raise self._other(step, "a period of no seconds began")
        self.settle(now)
        self.rate = (reward + max(self.finish - now, 0) * self.rate) // duration
        self.finish = now + duration
        self.evidence = Evidence(step.block, step.tx_hash, step.log_index)

    def _other(self, step: Step, what: str) -> BadInput:
        return BadInput(
            f"Pool 0x{self.pool.hex()}, block {step.block}, log {step.log_index}: {what}, which StakingRewards does "
            "not allow. If the contract has other rules leave it out; else its events came incomplete: read it again."
        )
