"""What a family is: which events it reads, and pure functions from decoded logs and their context to flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

from indexer.documents import Document
from indexer.model import Address, Basis, Batch, Classified, Context, Kind, Member, Step, Stream, Subscription

Contracts = Mapping[str, tuple[Address, ...]]
Batches = Mapping[str, Batch]  # by the event signature the family subscribed with
Steps = Mapping[tuple[Address, str], Sequence[Step]]  # by contract and parameter, oldest first
Answer = tuple[Any, ...] | None  # decoded outputs of an eth_call, None where it reverted


class Arity(StrEnum):
    """How many addresses a manifest gives for a contract role."""

    ONE = "exactly one"
    MANY = "one or more"
    OPTIONAL = "at most one"
    ANY = "any number"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that events change: at any block it is what the last `event` set, and `initial` before the first.

    function: the eth_call (with outputs) that shows it as of a block, for endpoints whose history of events is dear.
    """

    name: str
    event: str
    initial: tuple[int, ...]
    function: str


OPENING = "opening"  # the name of the step that keeps the state of an eth_call, later than any log of its block


@dataclass(frozen=True, slots=True)
class Accrual:
    """What streams follow from: all `events` of a contract since its start, or its state at a block and those after.

    functions: the eth_calls (with outputs) that show that state.
    """

    events: tuple[str, ...]
    functions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What must be true besides a contract's own words: calling `target` with `data` answers `expected`."""

    target: Address
    data: bytes
    expected: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """Facts that a contract tells of itself; proof: who must vouch for it, None if its address is proof enough."""

    facts: dict[str, int | bytes]
    proof: Proof | None = None


class Family(Protocol):
    """Contracts that behave alike. Everything here is pure: no I/O, no clock, no floats.

    kinds: the kinds of flow it recognises, each with the bases on which it sees them. options: the shape of the
    manifest's table deployment.options, None for a family without. accrual: None where every flow has its log.
    """

    name: str
    version: int
    contracts: Mapping[str, Arity]
    kinds: Mapping[Kind, tuple[Basis, ...]]
    questions: Sequence[str]
    parameters: Sequence[Parameter]
    options: type[Document] | None
    accrual: Accrual | None

    def configured(self, options: Document | None) -> Family:
        """The family with a deployment's options, whose kinds may depend on them; itself where it has none."""

    def subscriptions(self, contracts: Contracts) -> tuple[Subscription, ...]:
        """The events a deployment at these contracts wants."""

    def anchor(self, contracts: Contracts) -> Address | None:
        """The contract that decides who is a member where emitters are not bound, e.g. the factory."""

    def announced(self, batches: Batches) -> list[Member]:
        """Members that the logs themselves announce, e.g. PoolCreated."""

    def admit(self, contracts: Contracts, contract: Address, answers: Sequence[Answer]) -> Claim | None:
        """An unknown emitter's claim to be a member, from its answers to `questions`; None if it makes none."""

    def steps(self, batches: Batches) -> list[Step]:
        """Parameter changes that the logs tell."""

    def observed(self, parameter: str, answer: Answer) -> tuple[int, ...]:
        """A parameter's values from its eth_call's outputs; the initial ones where the call reverted."""

    def classify(self, contracts: Contracts, batches: Batches, context: Context) -> Classified:
        """Flows and trades of the members' logs; logs of contracts that context does not know are left out."""

    def opened(self, answers: Sequence[Answer], time: int) -> tuple[int, ...]:
        """The values of an OPENING step, from the answers to accrual.functions at a block's end. time: the block's.

        Raises BadInput where they are not those of such a contract.
        """

    def streams(self, contracts: Contracts, steps: Steps) -> list[Stream]:
        """What accrues with time, from all steps of the deployment's contracts since its start or since an OPENING.

        Raises BadInput where the steps contradict each other.
        """


class Plain:
    """What a family needs not say if it has no options and nothing accrues with time."""

    options: type[Document] | None = None
    accrual: Accrual | None = None

    def configured(self, options: Document | None) -> Self:
        """Itself."""
        return self

    def opened(self, answers: Sequence[Answer], time: int) -> tuple[int, ...]:
        """Never asked."""
        return ()

    def streams(self, contracts: Contracts, steps: Steps) -> list[Stream]:
        """None: every flow has its log."""
        return []


class NamedEmitters(Plain):
    """What a family needs not say if the manifest names every emitter and no parameter changes its rules."""

    questions: Sequence[str] = ()
    parameters: Sequence[Parameter] = ()

    def anchor(self, contracts: Contracts) -> Address | None:
        """None: nobody else can become a member."""
        return None

    def announced(self, batches: Batches) -> list[Member]:
        """None: all are named."""
        return []

    def admit(self, contracts: Contracts, contract: Address, answers: Sequence[Answer]) -> Claim | None:
        """Never asked."""
        return None

    def steps(self, batches: Batches) -> list[Step]:
        """None: there are no parameters."""
        return []

    def observed(self, parameter: str, answer: Answer) -> tuple[int, ...]:
        """Never asked."""
        return ()
