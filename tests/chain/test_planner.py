"""Subscriptions become few filters: nothing wanted is missed, nothing of strangers is fetched for a bound event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.chain.planner import Shape, shapes
from indexer.decode.signature import parse_event
from indexer.errors import BadInput
from indexer.model import Span, Subscription

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
SWAP = "Swap(address indexed sender, uint256 amount)"
FLASH = "Flash(address indexed sender, uint256 amount)"
CREATED = "Created(address indexed pool)"
SET = "Set(uint256 value)"
FIRST, SECOND, THIRD = (bytes([number]) * 20 for number in (1, 2, 3))
ZERO, ONE, TWO = (bytes(31) + bytes([number]) for number in (0, 1, 2))
SPAN = Span(16, 31)


def topic0(event: str) -> bytes:
    return parse_event(event).topic0


def kinds(*events: str) -> tuple[bytes, ...]:
    return tuple(sorted(topic0(event) for event in events))


# ---------------------------------------------------------------- the rules, one by one


def test_events_of_any_contract_share_one_filter() -> None:
    """Two protocols that want Swap and Flash of whomever are one request."""
    found = shapes([Subscription(SWAP, None), Subscription(FLASH, None), Subscription(SWAP, None)])
    assert found == [Shape(None, (kinds(SWAP, FLASH),))]


def test_events_of_named_contracts_share_one_filter() -> None:
    """The union of addresses, the union of events, each once and sorted."""
    found = shapes([Subscription(SWAP, (SECOND, FIRST)), Subscription(SET, (FIRST,))])
    assert found == [Shape((FIRST, SECOND), (kinds(SWAP, SET),))]


def test_bound_and_unbound_questions_stay_apart() -> None:
    """An event wanted of one contract is not asked of all, even where another event is."""
    found = shapes([Subscription(SWAP, None), Subscription(SET, (FIRST,))])
    assert sorted(found, key=repr) == sorted([Shape(None, (kinds(SWAP),)), Shape((FIRST,), (kinds(SET),))], key=repr)


def test_a_rare_event_joins_the_question_to_any_contract() -> None:
    """A factory's PoolCreated beside Swap of any pool: one request, not two."""
    found = shapes([Subscription(SWAP, None), Subscription(CREATED, (FIRST,), rare=True)])
    assert found == [Shape(None, (kinds(SWAP, CREATED),))]


def test_a_rare_event_stays_bound_where_there_is_nothing_to_join() -> None:
    """Alone, beside bound questions, or beside one whose topics are constrained, it saves no request."""
    rare = Subscription(CREATED, (FIRST,), rare=True)
    assert shapes([rare]) == [Shape((FIRST,), (kinds(CREATED),))]
    assert shapes([rare, Subscription(SET, (SECOND,))]) == [Shape((FIRST, SECOND), (kinds(CREATED, SET),))]
    beside = shapes([rare, Subscription(SWAP, None, {1: (ONE,)})])
    assert Shape((FIRST,), (kinds(CREATED),)) in beside
    assert len(beside) == 2


def test_a_rare_event_with_constrained_topics_stays_bound() -> None:
    """Its constraint would otherwise be lost or bind its neighbours."""
    found = shapes([Subscription(SWAP, None), Subscription(CREATED, (FIRST,), {1: (ONE,)}, rare=True)])
    assert Shape((FIRST,), (kinds(CREATED), (ONE,))) in found


def test_constraints_at_the_same_positions_merge() -> None:
    """Mints (from 0x0) of two tokens are one request; a constraint on another position is another."""
    mints = [Subscription(TRANSFER, (FIRST,), {1: (ZERO,)}), Subscription(TRANSFER, (SECOND,), {1: (ZERO, ONE)})]
    burns = Subscription(TRANSFER, (FIRST,), {2: (ZERO,)})
    found = shapes([*mints, burns])
    assert found == [
        Shape((FIRST, SECOND), (kinds(TRANSFER), (ZERO, ONE))),
        Shape((FIRST,), (kinds(TRANSFER), None, (ZERO,))),
    ]


@pytest.mark.parametrize("topics", [{}, {1: (ZERO,)}])
def test_transfer_of_any_contract_is_refused(topics: dict[int, tuple[bytes, ...]]) -> None:
    """It is most of what a chain emits; an NFT's Transfer has the same topic0."""
    for event in (TRANSFER, "Transfer(address indexed a, address indexed b, uint256 indexed id)"):
        with pytest.raises(BadInput, match="name the token in the manifest"):
            shapes([Subscription(event, None, topics)])


def test_transfer_called_rare_is_not_asked_of_any_contract_either() -> None:
    """The other way to the same mistake."""
    found = shapes([Subscription(SWAP, None), Subscription(TRANSFER, (FIRST,), rare=True)])
    assert Shape((FIRST,), (kinds(TRANSFER),)) in found
    assert Shape(None, (kinds(SWAP),)) in found


def test_a_subscription_to_nobody_asks_nothing() -> None:
    """An empty address list means any contract to a node: it must never be sent."""
    assert shapes([Subscription(SWAP, ())]) == []
    assert shapes([Subscription(SWAP, ()), Subscription(SET, (FIRST,))]) == [Shape((FIRST,), (kinds(SET),))]


def test_a_filter_is_what_eth_get_logs_takes() -> None:
    """Hexadecimal everywhere, null for any topic, no address for any contract."""
    bound = Shape((FIRST,), ((ONE,), None, (TWO, ZERO)))
    assert bound.filter(SPAN) == {
        "fromBlock": "0x10",
        "toBlock": "0x1f",
        "address": ["0x" + "01" * 20],
        "topics": [["0x" + ONE.hex()], None, ["0x" + TWO.hex(), "0x" + ZERO.hex()]],
    }
    assert "address" not in Shape(None, ((ONE,),)).filter(SPAN)


@pytest.mark.parametrize(("most", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (4, [3, 2]), (5, [5]), (9, [5])])
def test_many_addresses_are_asked_in_parts(most: int, sizes: list[int]) -> None:
    """Every address once, at most so many at a time, the same topics."""
    emitters = tuple(bytes([number]) * 20 for number in range(5))
    parts = Shape(emitters, ((ONE,),)).split(most)
    assert [len(part.emitters or ()) for part in parts] == sizes
    assert tuple(emitter for part in parts for emitter in part.emitters or ()) == emitters
    assert {part.topics for part in parts} == {((ONE,),)}


def test_a_question_is_narrow_by_what_it_names() -> None:
    """A few contracts or a further topic; neither any contract's events nor those of thousands."""
    crowd = tuple(number.to_bytes(20, "big") for number in range(1, 2000))
    kind = kinds(SWAP)
    assert Shape((FIRST,), (kind,)).narrow
    assert Shape(None, (kind, None, (ONE,))).narrow
    assert not Shape(None, (kind,)).narrow
    assert not Shape(crowd, (kind,)).narrow


def test_a_question_to_any_contract_cannot_be_split() -> None:
    """There are no addresses to split."""
    assert Shape(None, ((ONE,),)).split(1) == [Shape(None, ((ONE,),))]


# ---------------------------------------------------------------- any subscriptions, any logs

EVENTS = (SWAP, FLASH, CREATED, SET, TRANSFER)
EMITTERS = st.lists(st.sampled_from([FIRST, SECOND, THIRD]), max_size=3).map(tuple)
VALUES = st.lists(st.sampled_from([ZERO, ONE, TWO]), min_size=1, max_size=2).map(tuple)
SUBSCRIPTIONS = st.lists(
    st.builds(
        Subscription,
        st.sampled_from(EVENTS),
        st.one_of(st.none(), EMITTERS),
        st.dictionaries(st.integers(1, 3), VALUES, max_size=2),
        st.booleans(),
    ).filter(lambda one: not (one.emitters is None and one.event == TRANSFER)),
    max_size=6,
)
LOGS = st.tuples(
    st.sampled_from([FIRST, SECOND, THIRD, bytes(20)]),
    st.tuples(st.sampled_from(EVENTS).map(topic0), *(st.sampled_from([ZERO, ONE, TWO]) for _ in range(3))),
)
Log = tuple[bytes, tuple[bytes, ...]]


def answers(question: dict[str, Any], log: Log) -> bool:
    """What a node does with a filter, from the specification of eth_getLogs."""
    emitter, topics = log
    if question.get("address") and "0x" + emitter.hex() not in question["address"]:
        return False
    asked = question["topics"]
    return len(asked) <= len(topics) and all(
        values is None or values == [] or "0x" + topic.hex() in values
        for values, topic in zip(asked, topics, strict=False)
    )


def wants(one: Subscription, log: Log) -> bool:
    emitter, topics = log
    return (
        topics[0] == topic0(one.event)
        and (one.emitters is None or emitter in one.emitters)
        and all(topics[position] in values for position, values in one.topics.items())
    )


@settings(max_examples=200, deadline=None)
@given(SUBSCRIPTIONS, st.lists(LOGS, max_size=20))
def test_every_wanted_log_is_fetched(subscriptions: list[Subscription], logs: list[Log]) -> None:
    """Whatever is merged, no subscription loses a log."""
    questions = [shape.filter(SPAN) for shape in shapes(subscriptions)]
    for log in logs:
        if any(wants(one, log) for one in subscriptions):
            assert any(answers(question, log) for question in questions), log


@settings(max_examples=200, deadline=None)
@given(SUBSCRIPTIONS, SUBSCRIPTIONS, st.lists(LOGS, max_size=20))
def test_a_question_within_another_finds_nothing_else(
    some: list[Subscription], more: list[Subscription], logs: list[Log]
) -> None:
    for one in shapes(some):
        assert one.within(one)
        for other in (wider for wider in shapes([*some, *more]) if one.within(wider)):
            found = [log for log in logs if answers(one.filter(SPAN), log)]
            assert all(answers(other.filter(SPAN), log) for log in found)


@settings(max_examples=200, deadline=None)
@given(SUBSCRIPTIONS, st.lists(LOGS, max_size=20))
def test_bound_events_are_not_fetched_from_strangers(subscriptions: list[Subscription], logs: list[Log]) -> None:
    """Only an event that somebody wants of any contract, or a rare one, may come from a contract that nobody named."""
    questions = [shape.filter(SPAN) for shape in shapes(subscriptions)]
    named = {emitter for one in subscriptions for emitter in one.emitters or ()}
    anyones = {topic0(one.event) for one in subscriptions if one.emitters is None or one.rare} - {topic0(TRANSFER)}
    for log in logs:
        if log[0] not in named and log[1][0] not in anyones:
            assert not any(answers(question, log) for question in questions), log


@settings(max_examples=200, deadline=None)
@given(SUBSCRIPTIONS)
def test_no_more_questions_than_kinds_of_constraint(subscriptions: list[Subscription]) -> None:
    """One question per set of constrained positions and boundness at most, the same whatever the order."""
    found = shapes(subscriptions)
    asking = [one for one in subscriptions if one.emitters != ()]
    assert len(found) <= len({(one.emitters is None, frozenset(one.topics)) for one in asking})
    assert set(found) == set(shapes(subscriptions[::-1]))
    assert len(set(found)) == len(found)
