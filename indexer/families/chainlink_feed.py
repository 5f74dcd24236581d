"""Chainlink price feeds: dollars of a token as the aggregators behind a proxy told them. Evidence of prices, no flows.

Rules: @chainlink/contracts 0.6.1, src/v0.6/AggregatorProxy.sol: the proxy numbers the aggregators it points to, one
after the other, as phases, and emits nothing; src/v0.7/dev/AggregatorProxy.sol emits AggregatorConfirmed, too. Answers
are told by the aggregators: src/v0.6/FluxAggregator.sol, and smartcontractkit/libocr, contract/OffchainAggregator.sol
and contract2/OCR2Aggregator.sol, `emit AnswerUpdated(median, ...)`. A contract that keeps several feeds
(@chainlink/contracts 1.5.0, src/v0.8/data-feeds/DataFeedsCache.sol) emits the same log for all of them and tells
decimals() to its proxies only: what does not tell everybody its decimals is therefore no aggregator to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from indexer.decode import wide
from indexer.documents import AddressText, Document, SourceText
from indexer.families.interface import Answer, Arity, Batches, Claim, Contracts, Parameter, Plain
from indexer.model import (
    Address,
    Answers,
    Basis,
    Classified,
    Context,
    Kind,
    Member,
    Step,
    Subscription,
)

ANSWER_UPDATED = "AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt)"
AGGREGATOR_CONFIRMED = "AggregatorConfirmed(address indexed previous, address indexed latest)"
DECIMALS = "decimals() returns (uint8)"
CONFIRMED = "aggregator"  # values: the address that the proxy points to from then on, as a number
_MOST_DECIMALS = 77  # more than any 256-bit integer has digits


class FeedOptions(Document):
    """token: what one whole unit of is worth the answer in dollars."""

    token: AddressText
    source: SourceText | None = None


class ChainlinkFeed(Plain):
    """Answers of the aggregator that a deployment has; a manifest names the proxy alone, its phases are asked of it."""

    name = "chainlink_feed"
    version = 1
    contracts: Mapping[str, Arity] = {"proxy": Arity.ONE}
    kinds: Mapping[Kind, tuple[Basis, ...]] = {}
    questions: Sequence[str] = (DECIMALS,)
    parameters: Sequence[Parameter] = ()
    options: type[Document] | None = FeedOptions

    def __init__(self, token: Address = bytes(20)) -> None:
        self.token = token

    def configured(self, options: Document | None) -> ChainlinkFeed:
        """The family with the token that the answers price."""
        return ChainlinkFeed(options.token) if isinstance(options, FeedOptions) else self

    def subscriptions(self, contracts: Contracts) -> tuple[Subscription, ...]:
        """Answers of the aggregator and changes of the proxy; nothing as long as no aggregator is known."""
        aggregator = contracts.get("aggregator", ())
        if not aggregator:
            return ()
        return (Subscription(ANSWER_UPDATED, aggregator), Subscription(AGGREGATOR_CONFIRMED, contracts["proxy"]))

    def anchor(self, contracts: Contracts) -> Address | None:
        """The proxy."""
        return contracts["proxy"][0]

    def announced(self, batches: Batches) -> list[Member]:
        """None: aggregators are asked of the proxy."""
        return []

    def admit(self, contracts: Contracts, contract: Address, answers: Sequence[Answer]) -> Claim | None:
        """An aggregator that tells everybody its decimals."""
        (told,) = answers
        return None if told is None or told[0] > _MOST_DECIMALS else Claim({"decimals": told[0]})

    def steps(self, batches: Batches) -> list[Step]:
        """Where the proxy pointed from each AggregatorConfirmed on."""
        batch = batches.get(AGGREGATOR_CONFIRMED)
        if batch is None:
            return []
        where, proxies = batch.where, batch.where.contract
        return [
            Step(
                proxies[row].tobytes(),
                CONFIRMED,
                int(where.block[row]),
                int(where.log_index[row]),
                (int.from_bytes(latest.tobytes(), "big"),),
                where.tx_hash[row].tobytes(),
            )
            for row, latest in enumerate(batch.args["latest"])
        ]

    def observed(self, parameter: str, answer: Answer) -> tuple[int, ...]:
        """Never asked."""
        return ()

    def classify(self, contracts: Contracts, batches: Batches, context: Context) -> Classified:
        """What known aggregators answered; an answer that is zero or negative is no price and left out."""
        batch = batches.get(ANSWER_UPDATED)
        if batch is None:
            return Classified()
        current, where = batch.args["current"], batch.where
        price = ~wide.is_negative(current) & ~wide.is_zero(current)
        found = []
        for at, emitter in enumerate(where.emitters):
            facts = context.members.get(emitter.tobytes())
            rows = price & (where.emitter == at)
            if facts is not None and rows.any():
                decimals = facts["decimals"]
                found.append(Answers(where.take(rows), self.token, current[rows], int(decimals)))
        return Classified(answers=found)
