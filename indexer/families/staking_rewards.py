"""StakingRewards: a reward streams to whoever stakes, at one rate until its period ends.

Rules: Synthetixio/synthetix, contracts/StakingRewards.sol, and Sky's port of it, sky-ecosystem/endgame-toolkit,
src/synthetix/StakingRewards.sol. notifyRewardAmount adds to the reward what a running period has left,
(periodFinish - now) x rewardRate, and begins a period of rewardsDuration at the floor of that / rewardsDuration.
setRewardsDuration during a period is refused by Synthetix; Sky spreads what is left over the new duration at once.
updateReward moves lastUpdateTime on while totalSupply is 0 and rewardPerToken stays: that time accrues to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from indexer.decode import wide
from indexer.documents import Document, SourceText, Whole
from indexer.errors import BadInput
from indexer.families.interface import (
    OPENING,
    Accrual,
    Answer,
    Arity,
    Batches,
    Contracts,
    NamedEmitters,
    Steps,
)
from indexer.families.reward_rate import RewardRate
from indexer.families.rules import booked
from indexer.model import (
    Address,
    Basis,
    Batch,
    Classified,
    Context,
    Flows,
    Kind,
    Label,
    Side,
    Source,
    Step,
    Stream,
    Subscription,
)

REWARD_ADDED = "RewardAdded(uint256 reward)"
REWARD_PAID = "RewardPaid(address indexed user, uint256 reward)"
STAKED = "Staked(address indexed user, uint256 amount)"
WITHDRAWN = "Withdrawn(address indexed user, uint256 amount)"
DURATION_UPDATED = "RewardsDurationUpdated(uint256 newDuration)"

ADDED, STAKE, WITHDRAWAL, DURATION = "reward_added", "staked", "withdrawn", "rewards_duration"
_EVENTS = ((REWARD_ADDED, ADDED, "reward"), (STAKED, STAKE, "amount"), (WITHDRAWN, WITHDRAWAL, "amount"),
           (DURATION_UPDATED, DURATION, "newDuration"))  # fmt: skip
_STATE = ("rewardRate", "periodFinish", "totalSupply", "rewardsDuration")
_WEEK = 604_800  # seconds: `rewardsDuration = 7 days` in both sources

_SOURCES: Mapping[Kind, tuple[Source, ...]] = {  # the first is what a manifest means that names none
    Kind.INCENTIVE: (Source.STAKING_REWARD, Source.LIQUIDITY_MINING, Source.GAUGE),
    Kind.EXTERNAL: (Source.PARTNER_GRANT, Source.BRIBE, Source.UPSTREAM_EMISSION),
    Kind.DISTRIBUTION: (Source.PAYOUT,),
    Kind.PRODUCTION: (Source.HASHRATE_PAYOUT,),
}


def _rewarded(kind: Kind) -> Kind:
    if kind not in _SOURCES:
        raise ValueError(f"cannot be {kind}, which no reward is: use one of {', '.join(_SOURCES)}")
    return kind


class Programme(Document):
    """What the reward is, which no log tells. why: what proves that it is that.

    duration: seconds of rewardsDuration before its first RewardsDurationUpdated.
    """

    kind: Annotated[Kind, AfterValidator(_rewarded)] = Kind.INCENTIVE
    source: Source | None = None
    side: Side | None = None
    duration: Annotated[Whole, Field(ge=1, lt=2**63)] = _WEEK
    why: SourceText

    @model_validator(mode="after")
    def _fits(self) -> Self:
        known = _SOURCES[self.kind]
        if self.source is not None and self.source not in known:
            raise ValueError(f"have source {self.source}, which kind {self.kind} never has: use {' or '.join(known)}")
        return self

    def label(self, basis: Basis) -> Label:
        """Of the reward; a distribution is to holders, all else to the supply side, unless it is said."""
        source = _SOURCES[self.kind][0] if self.source is None else self.source
        usual = Side.HOLDERS if self.kind is Kind.DISTRIBUTION else Side.SUPPLY
        return Label(self.kind, source, usual if self.side is None else self.side, basis)


_ACCRUAL = Accrual(
    tuple(event for event, _, _ in _EVENTS),
    tuple(f"{name}() returns (uint256)" for name in _STATE),
)
_UNSAID = Programme(why="The family itself, which is of no deployment.")


class StakingRewards(NamedEmitters):
    """RewardAdded as budgeted, RewardPaid as paid, and what accrues in between as streams; one leg."""

    name = "staking_rewards"
    version = 1
    contracts: Mapping[str, Arity] = {"pool": Arity.ONE, "token": Arity.ONE}
    options: type[Document] | None = Programme
    accrual: Accrual | None = _ACCRUAL

    def __init__(self, programme: Programme | None = None) -> None:
        self._programme = _UNSAID if programme is None else programme
        self.kinds: Mapping[Kind, tuple[Basis, ...]] = {self._programme.kind: tuple(Basis)}

    def configured(self, options: Document | None) -> StakingRewards:
        """With a deployment's programme."""
        return StakingRewards(options) if isinstance(options, Programme) else self

    def subscriptions(self, contracts: Contracts) -> tuple[Subscription, ...]:
        """What the pool says of rewards, stakes and its duration."""
        return tuple(Subscription(event, contracts["pool"]) for event in (*_ACCRUAL.events, REWARD_PAID))

    def steps(self, batches: Batches) -> list[Step]:
        """Every event that the rate or the stakes follow from: its amount, and the time of its block."""
        return [
            step
            for event, name, argument in _EVENTS
            if (batch := batches.get(event)) is not None
            for step in _steps(batch, name, argument)
        ]

    def classify(self, contracts: Contracts, batches: Batches, context: Context) -> Classified:
        """Rewards in the reward token: told to the pool (budgeted) and claimed from it (paid)."""
        token = np.frombuffer(contracts["token"][0], np.uint8)
        flows: list[Flows] = []
        for event, basis in ((REWARD_ADDED, Basis.BUDGETED), (REWARD_PAID, Basis.PAID)):
            batch = batches.get(event)
            if batch is not None:
                amount = batch.args["reward"]
                flows += booked(self._programme.label(basis), 0, batch.where, token, amount, ~wide.is_zero(amount))
        return Classified(flows)

    def opened(self, answers: Sequence[Answer], time: int) -> tuple[int, ...]:
        """Rate, end of the period, stakes and duration; before it is there a contract has those it will begin with."""
        told = [answer[0] for answer in answers if answer is not None]
        if not told:
            return (0, 0, 0, self._programme.duration, time)
        if len(told) < len(answers):
            missing = ", ".join(f"{name}()" for name, answer in zip(_STATE, answers, strict=True) if answer is None)
            raise BadInput(f"it does not answer {missing}, so it is no StakingRewards: correct the manifest.")
        return (*told, time)

    def streams(self, contracts: Contracts, steps: Steps) -> list[Stream]:
        """One stream for each time in which the rate was one and somebody staked."""
        (pool,), (token,) = contracts["pool"], contracts["token"]
        farm = RewardRate(pool, self._programme.duration)
        for at, step in enumerate(_in_order(pool, steps)):
            if step.name == OPENING:
                (farm.confirm if at else farm.open)(step)
            else:
                _RULES[step.name](farm, step)
        farm.settle(farm.finish)
        label = self._programme.label(Basis.ACCRUED)
        return [Stream(pool, token, label, one.rate, 1, one.first, one.last, one.evidence) for one in farm.pieces]


_RULES: Mapping[str, Callable[[RewardRate, Step], None]] = {
    ADDED: RewardRate.add,
    DURATION: RewardRate.change,
    STAKE: RewardRate.stake,
    WITHDRAWAL: RewardRate.withdraw,
}


def _in_order(pool: Address, steps: Steps) -> list[Step]:
    told = [step for name in (OPENING, *_RULES) for step in steps.get((pool, name), ())]
    return sorted(told, key=lambda step: (step.block, step.log_index))


def _steps(batch: Batch, name: str, argument: str) -> list[Step]:
    where, contract = batch.where, batch.where.contract
    return [
        Step(
            contract[row].tobytes(),
            name,
            int(where.block[row]),
            int(where.log_index[row]),
            (amount, int(where.time[row])),
            where.tx_hash[row].tobytes(),
        )
        for row, amount in enumerate(wide.to_ints(batch.args[argument]))
    ]
