"""Labelled transfers: the columns book what one transfer at a time books, and rules that contest are refused."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from indexer.chain.planner import Shape, shapes
from indexer.crosscheck import read_options
from indexer.documents import lines
from indexer.families import FAMILIES
from indexer.families.erc20_flows import DEAD, TRANSFER, ZERO, Erc20Flows, TransferRules
from indexer.families.interface import Family
from indexer.manifest import Deployment
from indexer.model import Basis, Classified, Context, Kind, Label, Side, Source
from indexer.work.classify import Matcher
from tests.families.columns import Booked, booked, expected, logs_of
from tests.families.plain import Labelled, Log, erc20_flows

NFT = "Transfer(address indexed from, address indexed to, uint256 indexed tokenId)"


def address(name: str) -> bytes:
    return sha256(name.encode()).digest()[:20]


TOKENS = (address("token"), address("other token"))
FOREIGN = address("foreign token")
PAYER, TREASURY, VAULT, USER = (address(name) for name in ("payer", "treasury", "vault", "user"))
NAMED = (PAYER, TREASURY, VAULT)
EVERYBODY = (ZERO, DEAD, *NAMED, USER)
CONTRACTS = {"tokens": TOKENS}
BURNT = Label(Kind.DISTRIBUTION, Source.BURN, Side.HOLDERS, Basis.PAID)
PRINTED = Label(Kind.INCENTIVE, Source.GAUGE, Side.SUPPLY, Basis.ACCRUED)
GRANTED = Label(Kind.INCENTIVE, Source.PARTNER_GRANT, Side.SUPPLY, Basis.PAID)
EARNED = Label(Kind.FEE, Source.REDEMPTION, Side.PROTOCOL, Basis.PAID)
LABELS = (BURNT, PRINTED, GRANTED, EARNED)


def rule(label: Label = BURNT, **ends: Any) -> dict[str, Any]:
    """A rule as a manifest's table; ends: addresses or words by sender and to."""
    named = {name: [_written(one) for one in held] for name, held in ends.items() if held is not None}
    table = {"kind": label.kind.value, "source": label.source.value, "side": label.side.value}
    table |= {"basis": label.basis.value, "why": "The contract does so."}
    return table | {"from" if name == "sender" else name: held for name, held in named.items()}


def _written(account: bytes | str) -> str:
    return account if isinstance(account, str) else str(to_checksum_address(account))


def configured(*rules: dict[str, Any]) -> TransferRules:
    return TransferRules.model_validate({"transfer": list(rules)})


def refusals(*rules: dict[str, Any]) -> list[str]:
    """What a manifest with these rules is told."""
    wrong: list[Any] = []
    assert read_options({"transfer": list(rules)}, FAMILIES["erc20_flows"], wrong) is None
    return lines("my.toml", wrong)


def classify(logs: list[Log], options: TransferRules) -> Classified:
    """From a node's answer with everything in it."""
    deployment = Deployment("a.b", "a", "b", "erc20_flows", 0, CONTRACTS, {}, "", bytes(32), options)
    matched = Matcher(logs_of(logs, (TRANSFER,))).match(deployment)
    assert not matched.faults
    return FAMILIES["erc20_flows"].configured(options).classify(CONTRACTS, matched.batches, Context())


def transfer(sender: bytes, recipient: bytes, value: int = 5, token: bytes = TOKENS[0], index: int = 0) -> Log:
    return Log("Transfer", token, 1, index, {"from": sender, "to": recipient, "value": value})


def found(options: TransferRules, *logs: Log) -> list[tuple[Label, int, bytes, bytes, int]]:
    return [row[4:] for row in booked(classify(list(logs), options))]


# ---------------------------------------------------------------- columns against one transfer at a time


class Written(NamedTuple):
    """A rule as written and as the plain form knows it."""

    table: dict[str, Any]
    plain: Labelled


def _end(word: str, meant: frozenset[bytes]) -> st.SearchStrategy[tuple[list[Any], frozenset[bytes]] | None]:
    def end(named: list[bytes], worded: bool) -> tuple[list[Any], frozenset[bytes]] | None:
        if not named and not worded:
            return None
        return [*named, *([word] if worded else [])], frozenset(named) | (meant if worded else frozenset())

    return st.builds(end, st.lists(st.sampled_from(NAMED), max_size=2, unique=True), st.booleans())


@st.composite
def written(draw: st.DrawFn) -> Written:
    senders = draw(_end("mint", frozenset({ZERO})))
    recipients = draw(_end("burn", frozenset({ZERO, DEAD})))
    label = draw(st.sampled_from(LABELS))
    ends = {name: None if end is None else end[0] for name, end in (("sender", senders), ("to", recipients))}
    means = [None if end is None else end[1] for end in (senders, recipients)]
    return Written(rule(label, **ends), Labelled(label, *means))


Rules = st.lists(written(), min_size=1, max_size=3)
Account = st.sampled_from(EVERYBODY)
Amount = st.sampled_from((0, 1, 2**255, 2**256 - 1)) | st.integers(0, 2**256 - 1)
Logs = st.lists(
    st.tuples(st.sampled_from((*TOKENS, *TOKENS, FOREIGN)), Account, Account, Amount, st.integers(0, 3)), max_size=12
)


def useless(one: Labelled) -> bool:
    """It names no end, or only itself."""
    neither = one.senders is None and one.recipients is None
    return neither or (one.senders == one.recipients and one.senders is not None and len(one.senders) == 1)


def contested(rules: list[Labelled]) -> bool:
    """By every pair of accounts: a later rule shares transfers with an earlier one, and not as its wider rest."""
    pairs = [{(a, b) for a in EVERYBODY for b in EVERYBODY if _reaches(one, a, b)} for one in rules]
    for later in range(len(rules)):
        for earlier in range(later):
            ends = [(one.senders is None, one.recipients is None) for one in (rules[earlier], rules[later])]
            crossed = sorted(ends) == [(False, True), (True, False)]
            if pairs[later] & pairs[earlier] and not crossed and not pairs[earlier] < pairs[later]:
                return True
    return False


def _reaches(one: Labelled, sender: bytes, recipient: bytes) -> bool:
    leaves = one.senders is None or sender in one.senders
    return leaves and (one.recipients is None or recipient in one.recipients)


@settings(max_examples=400)
@given(Rules, Logs)
def test_the_columns_book_what_single_transfers_book(rules: list[Written], drawn: list[tuple[Any, ...]]) -> None:
    """Any rules: refused if useless or contested, by every pair of accounts; else flow for flow the plain form."""
    plain = [one.plain for one in rules]
    try:
        options = configured(*(one.table for one in rules))
    except ValidationError:
        assert any(map(useless, plain)) or contested(plain)
        return
    assert not any(map(useless, plain))
    assert not contested(plain)
    logs = [
        Log("Transfer", token, block, index, {"from": sender, "to": recipient, "value": value})
        for index, (token, sender, recipient, value, block) in enumerate(drawn)
    ]
    by_hand: list[Booked] = expected((log, erc20_flows(log, TOKENS, plain)) for log in logs)
    assert booked(classify(logs, options)) == by_hand


# ---------------------------------------------------------------- what is a flow


def test_a_mint_to_somebody() -> None:
    options = configured(rule(PRINTED, sender=["mint"], to=[TREASURY]))
    logs = [transfer(ZERO, TREASURY), transfer(ZERO, USER, index=1), transfer(USER, TREASURY, index=2)]
    assert found(options, *logs) == [(PRINTED, 0, TOKENS[0], TOKENS[0], 5)]


def test_a_burn_goes_to_zero_or_to_the_dead() -> None:
    options = configured(rule(BURNT, to=["burn"]))
    logs = [transfer(USER, ZERO, 1), transfer(USER, DEAD, 2, index=1), transfer(DEAD, ZERO, 3, index=2)]
    assert [row[4] for row in found(options, *logs)] == [1, 2]


def test_what_moves_within_the_named_accounts_is_no_income() -> None:
    options = configured(rule(EARNED, to=[TREASURY, VAULT]))
    assert [row[4] for row in found(options, transfer(TREASURY, VAULT, 1), transfer(USER, VAULT, 2, index=1))] == [2]


def test_with_both_ends_named_it_is() -> None:
    options = configured(rule(EARNED, sender=[TREASURY, PAYER], to=[TREASURY, VAULT]))
    logs = [
        transfer(PAYER, TREASURY, 1),
        transfer(TREASURY, VAULT, 2, index=1),
        transfer(TREASURY, TREASURY, 3, index=2),
    ]
    assert [row[4] for row in found(options, *logs)] == [1, 2]


def test_an_exception_stands_before_its_rule() -> None:
    options = configured(rule(EARNED, sender=[PAYER], to=[TREASURY]), rule(GRANTED, sender=[PAYER]))
    logs = [transfer(PAYER, TREASURY, 1), transfer(PAYER, USER, 2, index=1)]
    assert [(row[0], row[1], row[4]) for row in found(options, *logs)] == [(EARNED, 0, 1), (GRANTED, 1, 2)]


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_rules_that_meet_by_chance_the_first_wins(turned: bool) -> None:
    """One names who pays, the other who receives; the one flow is never both."""
    rules = [rule(GRANTED, sender=[PAYER]), rule(EARNED, to=[TREASURY])]
    ((label, leg, *_),) = found(configured(*(rules[::-1] if turned else rules)), transfer(PAYER, TREASURY))
    assert (label, leg) == (EARNED if turned else GRANTED, 0)


def test_a_token_with_four_topics_is_another_shape() -> None:
    """An ERC-721 Transfer has the same topic0; its third value is a topic, no amount."""
    options = configured(rule(BURNT, to=["burn"]))
    deployment = Deployment("a.b", "a", "b", "erc20_flows", 0, CONTRACTS, {}, "", bytes(32), options)
    log = Log("Transfer", TOKENS[0], 1, 0, {"from": USER, "to": ZERO, "tokenId": 77})
    matched = Matcher(logs_of([log], (NFT,))).match(deployment)
    assert (matched.batches, matched.faults) == ({}, [])


def test_without_logs_there_is_nothing() -> None:
    assert classify([], configured(rule(to=["burn"]))) == Classified()


# ---------------------------------------------------------------- what is asked


def test_each_rule_asks_for_its_own_transfers_alone() -> None:
    """Bound to the tokens and to the ends that it names."""
    options = configured(rule(sender=["mint"], to=[VAULT]), rule(to=[TREASURY, "burn"]))
    one, other = FAMILIES["erc20_flows"].configured(options).subscriptions(CONTRACTS)
    assert (one.emitters, one.topics) == (TOKENS, {1: (bytes(32),), 2: (bytes(12) + VAULT,)})
    assert other.topics == {2: (bytes(12) + TREASURY, bytes(32), bytes(12) + DEAD)}
    assert all(isinstance(shape, Shape) and shape.emitters == tuple(sorted(TOKENS)) for shape in shapes([one, other]))
    assert len(shapes([one, other])) == 2


def test_its_kinds_are_those_of_its_rules() -> None:
    family: Family = Erc20Flows().configured(
        configured(rule(PRINTED, to=[VAULT]), rule(EARNED, to=[TREASURY]), rule(GRANTED, to=["burn"]))
    )
    assert family.kinds == {Kind.FEE: (Basis.PAID,), Kind.INCENTIVE: (Basis.ACCRUED, Basis.PAID)}
    assert Erc20Flows().kinds == {}
    assert Erc20Flows().configured(None).subscriptions(CONTRACTS) == ()


# ---------------------------------------------------------------- mistakes

UNCHECKED = "0x" + PAYER.hex()
TWO = "transfer[1]"
MISTAKES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no rule": ([], "options.transfer: must hold a rule: add one"),
    "too many": ([rule(to=["burn"])] * 101, "options.transfer: has too many entries: split it"),
    "neither end": ([rule()], "options.transfer[0]: names neither from nor to"),
    "to itself": ([rule(sender=[PAYER], to=[PAYER])], "options.transfer[0]: is from an address to itself"),
    "no checksum": ([rule(to=[UNCHECKED])], "options.transfer[0].to: 0x"),
    "a number": ([rule() | {"to": 5}], "options.transfer[0].to: must be an address in quotes"),
    "no address": ([rule(to=[])], "options.transfer[0].to: must name 1 to 1000 addresses"),
    "many addresses": ([rule(to=[PAYER] * 1001)], "options.transfer[0].to: must name 1 to 1000 addresses"),
    "twice": ([rule(to=[PAYER, PAYER])], "options.transfer[0].to: names an address twice: remove one"),
    "dead twice": ([rule(to=["burn", DEAD])], "options.transfer[0].to: names an address twice: remove one"),
    "mint as a recipient": ([rule(to=["mint"])], 'options.transfer[0].to: cannot be "mint": "mint" is a word for from'),
    "burn as a sender": ([rule(sender=["burn"])], 'options.transfer[0].from: cannot be "burn"'),
    "zero written out": ([rule(sender=[ZERO])], 'options.transfer[0].from: is the zero address: write "mint"'),
    "unknown key": ([rule(to=["burn"]) | {"until": 5}], "options.transfer[0].until: is not a key known here"),
    "its Python name": ([rule(to=["burn"]) | {"senders": "mint"}], "options.transfer[0].senders: is not a key known"),
    "unknown kind": ([rule(to=["burn"]) | {"kind": "gift"}], "options.transfer[0].kind: must be 'fee', 'incentive'"),
    "no proof": ([rule(to=["burn"]) | {"why": "trust me"}], "options.transfer[0].why: must be an https:// link"),
    "the same twice": ([rule(to=["burn"])] * 2, "options.transfer[1]: transfer[0] takes all that this one means"),
    "never reached": (
        [rule(to=[VAULT]), rule(sender=["mint"], to=[VAULT])],
        "options.transfer[1]: transfer[0] takes all that this one means, so it would find nothing",
    ),
    "shared in part": (
        [rule(to=[VAULT, PAYER]), rule(to=[VAULT, TREASURY])],
        "options.transfer[1]: transfer[0] means some of the same transfers: give each its own addresses",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_its_sentence(name: str) -> None:
    rules, sentence = MISTAKES[name]
    (line,) = refusals(*rules)
    assert line.startswith(f"my.toml: {sentence}")
    assert line.isascii()
    assert len(line) < 500


def test_options_that_are_missing_are_told() -> None:
    wrong: list[Any] = []
    assert read_options(None, FAMILIES["erc20_flows"], wrong) is None
    assert lines("my.toml", wrong) == ["my.toml: options.transfer: is missing: add it"]


HOSTILE = st.text(max_size=30) | st.sampled_from(
    (
        "'; DROP TABLE flow; --",
        "$1",
        "\0",
        "\x1b[31m",
        "{sentence}",
        "%s",
        "../../etc/passwd",
        "\u202eburn",
        "\uff10x00",
    )
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(("from", "to", "kind", "why", "source")) | HOSTILE, HOSTILE | st.lists(HOSTILE)))
def test_hostile_values_are_sentences(change: dict[str, Any]) -> None:
    """Whatever stands in a rule, it is refused in printable lines, or it was right."""
    wrong: list[Any] = []
    held = read_options({"transfer": [rule(to=["burn"]) | change]}, FAMILIES["erc20_flows"], wrong)
    assert (held is None) == bool(wrong)
    assert all(line.isascii() and line.isprintable() and len(line) < 1000 for line in lines("my.toml", wrong))
