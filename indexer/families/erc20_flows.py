"""Transfers of named ERC-20 tokens that a manifest labels: mints to somebody, burns, payouts, a treasury's income.

Layout: https://eips.ethereum.org/EIPS/eip-20 (three topics; an ERC-721 Transfer has four and is another shape).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from indexer.decode import wide
from indexer.documents import Document, mistaken, parse_address
from indexer.families.interface import Arity, Batches, Contracts, NamedEmitters
from indexer.families.rules import MOST_RULES, Rule, among, booked, kinds_of
from indexer.model import Address, Basis, Classified, Context, Flows, Kind, Mask, Octets, Subscription

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
ZERO = bytes(20)  # EIP-20: a token which creates new tokens should trigger a Transfer from 0x0
DEAD = bytes.fromhex("000000000000000000000000000000000000dead")  # nobody's: holds what cannot be sent to zero
MOST_ACCOUNTS = 1000  # of one end: nodes refuse questions with many more topics

Accounts = tuple[Address, ...]


def _account(item: object, word: str, meant: Accounts) -> Accounts:
    if item == word:
        return meant
    if item in ("mint", "burn"):
        raise ValueError(f'cannot be "{item}": "mint" is a word for from, "burn" a word for to')
    if isinstance(item, str) and item.lower() == f"0x{ZERO.hex()}":
        raise ValueError(f'is the zero address: write "{word}"')
    return (parse_address(item),)


def _accounts(value: object, word: str, meant: Accounts) -> Accounts:
    """20 octets of each address of an end; `word` stands for those meant."""
    items = value if isinstance(value, list) else [value]
    if not 1 <= len(items) <= MOST_ACCOUNTS:
        raise ValueError(f"must name 1 to {MOST_ACCOUNTS} addresses")
    found = tuple(account for item in items for account in _account(item, word, meant))
    if len(set(found)) < len(found):
        raise ValueError("names an address twice: remove one")
    return found


class Transfer(Rule):
    """Which transfers: those from one of `senders` (None: anybody) to one of `recipients` (None: anybody)."""

    senders: Annotated[Accounts | None, BeforeValidator(lambda value: _accounts(value, "mint", (ZERO,)))] = Field(
        None, alias="from"
    )
    recipients: Annotated[Accounts | None, BeforeValidator(lambda value: _accounts(value, "burn", (ZERO, DEAD)))] = (
        Field(None, alias="to")
    )

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.senders is None and self.recipients is None:
            raise ValueError("names neither from nor to, and so means every transfer: name what makes these a flow")
        if self.senders == self.recipients and self.senders is not None and len(self.senders) == 1:
            raise ValueError("is from an address to itself, which moves nothing: correct one of them")
        return self

    def takes(self, sender: Octets, recipient: Octets) -> Mask:
        """(n,): which transfers are meant; within the accounts of a rule that names one end, nothing comes or goes."""
        if self.senders is None:
            return among(recipient, self.recipients or ()) & ~among(sender, self.recipients or ())
        if self.recipients is None:
            return among(sender, self.senders) & ~among(recipient, self.senders)
        return among(sender, self.senders) & among(recipient, self.recipients)

    def contest(self, earlier: Transfer) -> str | None:
        """What is wrong with this rule after that one, if both would take the same transfers.

        Nothing is where this one means all that the earlier one means and more (the earlier is its exception), or
        where each names another end (they may never meet): then the earlier one takes what both mean.
        """
        ends = [(self.senders, earlier.senders), (self.recipients, earlier.recipients)]
        if any(mine is not None and theirs is not None and not {*mine} & {*theirs} for mine, theirs in ends):
            return None
        if all(_covers(theirs, mine) for mine, theirs in ends):
            return "takes all that this one means, so it would find nothing: put the narrower rule first, or remove one"
        crossed = not any(mine is not None and theirs is not None for mine, theirs in ends)
        if crossed or all(_covers(mine, theirs) for mine, theirs in ends):
            return None
        return "means some of the same transfers: give each its own addresses"


def _covers(wider: Accounts | None, end: Accounts | None) -> bool:
    return wider is None or (end is not None and {*end} <= {*wider})


def _uncontested(rules: tuple[Transfer, ...]) -> tuple[Transfer, ...]:
    if not rules:  # not by min_length, which would also tell where a rule is wrong
        raise ValueError("must hold a rule: add one")
    for (at, earlier), (place, rule) in combinations(enumerate(rules), 2):
        if wrong := rule.contest(earlier):
            raise mistaken((place,), f"transfer[{at}] {wrong}")
    return rules


class TransferRules(Document):
    """The rules in order: a transfer belongs to the first that means it."""

    transfer: Annotated[tuple[Transfer, ...], Field(max_length=MOST_RULES), AfterValidator(_uncontested)]


class Erc20Flows(NamedEmitters):
    """Transfers that a rule means, in the token that emitted them; the leg is the rule's number."""

    name = "erc20_flows"
    version = 1
    contracts: Mapping[str, Arity] = {"tokens": Arity.MANY}
    options: type[Document] | None = TransferRules

    def __init__(self, rules: tuple[Transfer, ...] = ()) -> None:
        self._rules = rules
        self.kinds: Mapping[Kind, tuple[Basis, ...]] = kinds_of(rules)

    def configured(self, options: Document | None) -> Erc20Flows:
        """With a deployment's rules."""
        return Erc20Flows(options.transfer) if isinstance(options, TransferRules) else self

    def subscriptions(self, contracts: Contracts) -> tuple[Subscription, ...]:
        """The tokens' Transfer, once a rule, bound to its ends."""
        return tuple(Subscription(TRANSFER, contracts["tokens"], _topics(rule)) for rule in self._rules)

    def classify(self, contracts: Contracts, batches: Batches, context: Context) -> Classified:
        """Each transfer under the first rule that means it; zero amounts and transfers to oneself are left out."""
        batch = batches.get(TRANSFER)
        if batch is None:
            return Classified()
        sender, recipient, value = (batch.args[name] for name in ("from", "to", "value"))
        free = (sender != recipient).any(axis=1) & ~wide.is_zero(value)
        flows: list[Flows] = []
        for leg, rule in enumerate(self._rules):
            rows = free & rule.takes(sender, recipient)
            free &= ~rows
            flows += booked(rule.label, leg, batch.where, batch.where.contract, value, rows)
        return Classified(flows)


def _topics(rule: Transfer) -> dict[int, tuple[bytes, ...]]:
    ends = {1: rule.senders, 2: rule.recipients}
    return {at: tuple(bytes(12) + account for account in held) for at, held in ends.items() if held is not None}
