"""What a file answers is exactly the logs that its filters ask for; what it does not is asked, and hardly more."""

from __future__ import annotations

from itertools import product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from indexer.archive.filters import Atom, Filter, Wanted, as_json, fingerprint, from_json
from indexer.decode.signature import parse_event
from indexer.model import Subscription

EVENTS = ("Paid(address indexed who, uint256 indexed kind)", "Set(uint256 indexed value)")
TOPIC0 = [parse_event(event).topic0 for event in EVENTS]
EMITTERS = [bytes([number]) * 20 for number in range(1, 4)]
STRANGER = b"\xee" * 20  # whom no filter and no subscription names
VALUES = [bytes([number]) * 32 for number in range(1, 3)]
OTHER = b"\xdd" * 32

Log = tuple[bytes, bytes, bytes, bytes]  # emitter, topic0, topic1, topic2
LOGS: list[Log] = list(product([*EMITTERS, STRANGER], [*TOPIC0, OTHER], [*VALUES, OTHER], [*VALUES, OTHER]))

some_emitters = st.none() | st.lists(st.sampled_from(EMITTERS), min_size=1, max_size=3, unique=True).map(tuple)
some_values = st.none() | st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True).map(tuple)
some_topics = st.lists(st.sampled_from(TOPIC0), min_size=1, max_size=2, unique=True).map(tuple)
filters = st.builds(
    lambda emitters, topic0, further: Filter(emitters, (topic0, *further)),
    some_emitters, some_topics, st.lists(some_values, max_size=2),
)  # fmt: skip
subscriptions = st.builds(
    lambda event, emitters, one, two: Subscription(
        EVENTS[event], emitters, {at: values for at, values in ((1, one), (2, two)) if values is not None}
    ),
    st.integers(0, 1), some_emitters, some_values, some_values,
)  # fmt: skip


def asked(one: Filter) -> set[Log]:
    """What an endpoint would answer, one log at a time."""
    return {
        log
        for log in LOGS
        if (one.emitters is None or log[0] in one.emitters)
        and all(values is None or log[1 + at] in values for at, values in enumerate(one.topics))
    }


def of_atom(atom: Atom) -> set[Log]:
    return {
        log
        for log in LOGS
        if (atom.emitter is None or log[0] == atom.emitter)
        and log[1] == atom.topic0
        and all(log[1 + place] == value for place, value in atom.further)
    }


def of(one: Subscription) -> set[Log]:
    topic0 = parse_event(one.event).topic0
    return {
        log
        for log in LOGS
        if log[1] == topic0
        and (one.emitters is None or log[0] in one.emitters)
        and all(log[1 + place] in values for place, values in one.topics.items())
    }


@settings(max_examples=100)
@given(st.lists(subscriptions, min_size=1, max_size=3), st.lists(filters, max_size=3))
@example([Subscription(EVENTS[0], None)], [Filter(None, (tuple(TOPIC0),))])
@example([Subscription(EVENTS[0], None)], [Filter(tuple(EMITTERS), (tuple(TOPIC0),))])
@example(
    [Subscription(EVENTS[0], tuple(EMITTERS), {2: (VALUES[0],)})], [Filter(None, ((TOPIC0[0],), None, tuple(VALUES)))]
)
def test_an_atom_is_answered_if_one_filter_asked_for_all_its_logs(
    wanted: list[Subscription], held: list[Filter]
) -> None:
    """Compared with every log of a small chain, strangers and other values among them."""
    whole = Wanted(wanted)
    mask = whole.answered(fingerprint(held), held)
    for number, atom in enumerate(whole.atoms):
        assert bool(mask >> number & 1) == any(of_atom(atom) <= asked(one) for one in held), atom
    assert set(whole.outside(mask)) == {atom for n, atom in enumerate(whole.atoms) if not mask >> n & 1}


@settings(max_examples=100)
@given(st.lists(subscriptions, min_size=1, max_size=3), st.lists(filters, max_size=3))
def test_what_is_lacking_and_what_is_held_are_all_that_is_wanted(
    wanted: list[Subscription], held: list[Filter]
) -> None:
    """Every log is in a file or asked for; nothing is asked that nobody wants, and nothing if all is held."""
    whole = Wanted(wanted)
    mask = whole.answered(b"", held)
    lacking = whole.lacking(mask)
    found = set().union(*map(asked, held)) | set().union(*map(of, lacking))
    logs = set().union(*map(of, wanted))
    assert logs <= found
    assert set().union(*map(of, lacking)) <= logs
    assert (lacking == []) == (mask == whole.all)
    assert all(one.emitters != () and all(one.topics.values()) for one in lacking)


def test_only_the_contracts_and_values_that_are_missing_are_asked() -> None:
    """Two of three contracts, and one of two values, are in the archive."""
    first, second, third = EMITTERS
    wanted = Wanted(
        [Subscription(EVENTS[0], (first, second, third)), Subscription(EVENTS[1], None, {1: tuple(VALUES)})]
    )
    held = [Filter((first, second), ((TOPIC0[0],),)), Filter(None, ((TOPIC0[1],), (VALUES[0],)))]
    assert wanted.lacking(wanted.answered(b"", held)) == [
        Subscription(EVENTS[0], (third,)),
        Subscription(EVENTS[1], None, {1: (VALUES[1],)}),
    ]


def test_a_subscription_of_nobody_wants_nothing() -> None:
    wanted = Wanted([Subscription(EVENTS[0], ())])
    assert (wanted.atoms, wanted.all, wanted.lacking(0)) == ([], 0, [])


@given(st.lists(filters, max_size=3), st.randoms())
def test_filters_survive_as_json_whatever_their_order(held: list[Filter], dice: object) -> None:
    again = from_json(as_json(held))
    assert {
        (None if one.emitters is None else frozenset(one.emitters), tuple(map(_set, one.topics))) for one in again
    } == {(None if one.emitters is None else frozenset(one.emitters), tuple(map(_set, one.topics))) for one in held}
    assert fingerprint(again) == fingerprint(list(reversed(held))) == fingerprint(held)
    assert len(fingerprint(held)) == 32


def _set(values: tuple[bytes, ...] | None) -> frozenset[bytes] | None:
    return None if values is None else frozenset(values)
