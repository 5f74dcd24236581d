"""A chain made up from a seed that has events of every family of the packaged catalogue, and their exact sums.

Numbers in capitals are logs for 1,000 wanted: what is rare on Ethereum comes more often here, so that each family
weighs something. The chain begins with a UTC day, and Uniswap v2's fee is switched on in it.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import numpy as np

from .blocks import SLOT, Part, Size
from .mixed_pools import Market
from .mixed_world import UNI, address, deployments, farms, feeds, priced_tokens
from .truth import FarmBook, Key
from .world import CHEF, DEVELOPERS, NOBODY, SUSHI, Ints, keccak, octets

SWITCH = deployments()["uniswap_v2.ethereum"]["options"]["fee_to"][0]["first_block"]
BASE_TIME = int(datetime(2025, 12, 26, tzinfo=UTC).timestamp())

CHEF_MINTS, HARVESTS = 10, 10
STAKES, WITHDRAWALS, CLAIMS, REWARDS = 20, 15, 20, 1
ANSWERS, BURNS, SERVED = 20, 5, 2
TRANSFERS = 100  # that no filter asks for
STAKED = 1 << 120  # at first, so that nobody can withdraw it all
DEAD = bytes.fromhex("000000000000000000000000000000000000dead")

HARVEST = keccak(b"Harvest(address,uint256,uint256)")
REWARD_ADDED, REWARD_PAID = keccak(b"RewardAdded(uint256)"), keccak(b"RewardPaid(address,uint256)")
STAKED_EVENT, WITHDRAWN = keccak(b"Staked(address,uint256)"), keccak(b"Withdrawn(address,uint256)")
ANSWER_UPDATED = keccak(b"AnswerUpdated(int256,uint256,uint256)")
SERVE = keccak(b"Serve(uint256)")


class MixedChain(Market):
    """The logs, and what an indexer must make of them. size: as of a Market."""

    def __init__(self, size: Size) -> None:
        super().__init__(size, SWITCH - size.blocks // 3, BASE_TIME)
        self._answered, self._farms = Counter[bytes](), FarmBook()
        self.parts = [*self._market(), *self._sushi(), *self._staked(), *self._others()]
        self._put_in_order()
        self._count_pools()

    @property
    def flows(self) -> dict[Key, tuple[int, int]]:
        """Sum and number of all flows that logs tell, by deployment, label and token."""
        return self._book.sums

    @property
    def answers(self) -> dict[bytes, int]:
        """Sum of all answers of the feeds that are read along, by token."""
        return dict(self._answered)

    def accrued(self) -> dict[Key, int]:
        """What the farms' rewards came to on all days but the last, which is not over."""
        return self._farms.accrued(self.time(self.size.blocks - 1) // 86_400 * 86_400)

    def time(self, block: int) -> int:
        """UTC seconds of a block counted from 0."""
        return self.base_time + SLOT * block

    def _sushi(self) -> list[Part]:
        """SUSHI minted to the chef and harvested, with mints to others that a question about those leaves out."""
        name, sushi, nobody = "sushiswap.ethereum.masterchef", self._address_ids([SUSHI]), self._address_ids([NOBODY])
        (harvester,) = deployments()[name]["contracts"]["harvesters"]
        count, harvests = self._logs(CHEF_MINTS), self._logs(HARVESTS)
        minted, mints = self._amount(count)
        paid, payments = self._amount(harvests)
        self._book.add_all((name, "incentive", "liquidity_mining", "supply", "accrued", SUSHI), mints)
        self._book.add_all((name, "incentive", "liquidity_mining", "supply", "paid", SUSHI), payments)
        farm = self._ids([number.to_bytes(32, "big") for number in range(60)])
        topics = [*self._user_topics(HARVEST, harvests, 1), self._some(farm, harvests)]
        return [
            self._transfers(self._blocks(count), sushi, nobody, CHEF, minted),
            self._transfers(self._blocks(count), sushi, nobody, DEVELOPERS, self._numbers(count)),
            self._part(self._blocks(harvests), self._address_ids([address(harvester)]), topics, [paid]),
        ]

    def _staked(self) -> list[Part]:
        """Each farm's first stake in the first blocks; then stakes, withdrawals, claims and rewards."""
        every = farms()
        pools = self._address_ids([farm.address for farm in every])
        begun = octets([STAKED.to_bytes(32, "big")] * len(every))
        opened = np.zeros(len(every), np.int64)
        parts = [self._part(opened, pools, self._user_topics(STAKED_EVENT, len(every), 1), [begun])]
        for event, share in ((STAKED_EVENT, STAKES), (WITHDRAWN, WITHDRAWALS)):
            count = self._logs(share)
            topics = self._user_topics(event, count, 1)
            parts.append(self._part(self._blocks(count), self._some(pools, count), topics, [self._numbers(count)]))
        claims, (words, amounts) = self._logs(CLAIMS), self._amount(self._logs(CLAIMS))
        at = self._dice.integers(0, len(every), claims)
        for number, amount in zip(at.tolist(), amounts, strict=True):
            self._book.add((every[number].deployment, *every[number].label, "paid", every[number].token), amount)
        parts.append(self._part(self._blocks(claims), pools[at], self._user_topics(REWARD_PAID, claims, 1), [words]))
        return [*parts, self._rewarded(pools)]

    def _rewarded(self, pools: Ints) -> Part:
        """RewardAdded, at most one a block; the first ones give each farm a reward."""
        every = farms()
        blocks = np.unique(self._blocks(max(len(every), self._logs(REWARDS))))
        at = np.arange(len(blocks)) % len(every)
        words, amounts = self._amount(len(blocks), 5)
        for number, farm, amount in zip(blocks.tolist(), at.tolist(), amounts, strict=True):
            one = every[farm]
            self._book.add((one.deployment, *one.label, "budgeted", one.token), amount)
            self._farms.add((one.deployment, *one.label, "accrued", one.token), self.time(number), amount)
        return self._part(blocks, pools[at], [self._ids([REWARD_ADDED])], [words])

    def _others(self) -> list[Part]:
        """Answers of feeds, UNI that is burned, SUSHI served, and transfers between users, which nobody asks for."""
        return [self._feeds(), self._burned(), self._served(), self._moved()]

    def _feeds(self) -> Part:
        every, wanted, count = list(feeds().values()), priced_tokens(), self._logs(ANSWERS)
        at, answers = self._dice.integers(0, len(every), count), self._dice.integers(1, 1 << 45, count)
        for number, answer in zip(at.tolist(), answers.tolist(), strict=True):
            if every[number][0] in wanted:
                self._answered[every[number][0]] += answer
        told = [self._ids([number.to_bytes(32, "big") for number in held]) for held in (answers.tolist(), range(count))]
        emitters = self._address_ids([aggregator for _, aggregator in every])[at]
        return self._part(self._blocks(count), emitters, [self._ids([ANSWER_UPDATED]), *told], [self._numbers(count)])

    def _burned(self) -> Part:
        name, count = "uniswap_burn.ethereum", self._logs(BURNS)
        words, amounts = self._amount(count)
        block, sink = self._blocks(count), self._address_ids([NOBODY, DEAD])
        for number, amount in zip(block.tolist(), amounts, strict=True):
            if self.base_block + number >= deployments()[name]["start_block"]:
                self._book.add((name, "distribution", "burn", "holders", "paid", UNI), amount)
        senders = self._some(self._users, count)
        return self._transfers(block, self._address_ids([UNI]), senders, self._some(sink, count), words)

    def _served(self) -> Part:
        name, count = "sushiswap.ethereum.served", self._logs(SERVED)
        (maker,) = deployments()[name]["contracts"]["emitters"]
        words, amounts = self._amount(count)
        self._book.add_all((name, "distribution", "payout", "holders", "paid", SUSHI), amounts)
        return self._part(self._blocks(count), self._address_ids([address(maker)]), [self._ids([SERVE])], [words])

    def _moved(self) -> Part:
        count, tokens = self._logs(TRANSFERS), self._address_ids([SUSHI, UNI, *(one.address for one in self.tokens)])
        sender, recipient = (self._some(self._users, count) for _ in range(2))
        return self._transfers(self._blocks(count), self._some(tokens, count), sender, recipient, self._numbers(count))
