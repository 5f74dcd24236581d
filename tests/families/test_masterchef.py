"""MasterChef: the batch form equals the plain one; mints to users, to developers and of others are not incentives."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.families.interface import Family
from indexer.families.masterchef import HARVEST, TRANSFER, MasterChef
from indexer.manifest import Deployment
from indexer.model import Basis, Classified, Context, Kind
from indexer.work.classify import Matcher
from tests.families.columns import batches, booked, expected, logs_of
from tests.families.plain import HARVESTED, MINTED, Log, masterchef

FAMILY: Family = MasterChef()
NOBODY = bytes(20)


def address(name: str) -> bytes:
    return sha256(name.encode()).digest()[:20]


CHEF, TOKEN, OTHER_TOKEN, USER = (address(name) for name in ("chef", "token", "other token", "user"))
HARVESTERS = (address("v2"), address("mini"))
CONTRACTS = {"chef": (CHEF,), "token": (TOKEN,), "harvesters": HARVESTERS}
DEPLOYMENT = Deployment("farm.demo", "farm", "demo", "masterchef", 0, CONTRACTS, {}, "", bytes(32))

Amount = st.sampled_from((0, 1, 2**32, 2**255, 2**256 - 1)) | st.integers(0, 9) | st.integers(0, 2**256 - 1)
Account = st.sampled_from((NOBODY, CHEF, USER))
Place = st.tuples(st.integers(0, 3), st.integers(0, 5))


@st.composite
def logs(draw: st.DrawFn) -> list[Log]:
    """Transfers among nobody, the chef and a user, and harvests, of our contracts and of others."""
    found = []
    for place in draw(st.lists(Place, unique=True, max_size=12)):
        if draw(st.booleans()):
            contract, event = draw(st.sampled_from((TOKEN, TOKEN, OTHER_TOKEN))), "Transfer"
            args: dict[str, int | bytes] = {"from": draw(Account), "to": draw(Account), "value": draw(Amount)}
        else:
            contract, event = draw(st.sampled_from((*HARVESTERS, USER))), "Harvest"
            args = {"user": draw(Account), "pid": draw(Amount), "amount": draw(Amount)}
        found.append(Log(event, contract, *place, args))
    return found


def classify(found: list[Log]) -> Classified:
    """From a node's answer with everything in it: the subscriptions leave what is ours, the family books it."""
    matched = Matcher(logs_of(found, (TRANSFER, HARVEST))).match(DEPLOYMENT)
    assert not matched.faults
    return FAMILY.classify(CONTRACTS, matched.batches, Context())


@settings(deadline=None)
@given(logs())
def test_the_batch_form_books_what_the_plain_form_books(found: list[Log]) -> None:
    plain = expected((log, masterchef(log, CHEF, TOKEN, HARVESTERS)) for log in found)
    assert booked(classify(found)) == plain


def transfer(sender: bytes, recipient: bytes, value: int, token: bytes = TOKEN) -> Log:
    return Log("Transfer", token, 1, 0, {"from": sender, "to": recipient, "value": value})


def test_a_mint_to_the_chef_is_accrued() -> None:
    (row,) = booked(classify([transfer(NOBODY, CHEF, 2**256 - 1)]))
    assert row[4:] == (MINTED, 0, TOKEN, TOKEN, 2**256 - 1)


def test_a_harvest_is_paid_in_the_reward_token() -> None:
    log = Log("Harvest", HARVESTERS[1], 1, 0, {"user": USER, "pid": 7, "amount": 5})
    (row,) = booked(classify([log]))
    assert row[4:] == (HARVESTED, 0, HARVESTERS[1], TOKEN, 5)


@pytest.mark.parametrize(
    "log",
    [
        transfer(NOBODY, USER, 5),  # the developers' tenth
        transfer(USER, CHEF, 5),
        transfer(CHEF, USER, 5),
        transfer(NOBODY, CHEF, 5, OTHER_TOKEN),
        transfer(NOBODY, CHEF, 0),
        Log("Harvest", USER, 1, 0, {"user": USER, "pid": 0, "amount": 5}),
    ],
    ids=["to developers", "deposit", "payout", "other token", "nothing", "other harvester"],
)
def test_what_is_no_incentive_of_this_chef_makes_no_flow(log: Log) -> None:
    assert booked(classify([log])) == []


def test_mints_are_asked_for_by_their_topics_and_harvests_by_their_emitters() -> None:
    mints, harvests = FAMILY.subscriptions(CONTRACTS)
    assert (mints.event, mints.emitters) == (TRANSFER, (TOKEN,))
    assert mints.topics == {1: (bytes(32),), 2: (bytes(12) + CHEF,)}
    assert (harvests.event, harvests.emitters, harvests.topics) == (HARVEST, HARVESTERS, {})


@pytest.mark.parametrize("contracts", [{"chef": (CHEF,), "token": (TOKEN,)}, CONTRACTS | {"harvesters": ()}])
def test_without_harvesters_only_mints_are_asked_for(contracts: dict[str, tuple[bytes, ...]]) -> None:
    assert [one.event for one in FAMILY.subscriptions(contracts)] == [TRANSFER]


def test_nobody_is_a_member_and_nothing_changes() -> None:
    found = batches([transfer(NOBODY, CHEF, 5)], (TRANSFER, HARVEST))
    assert (FAMILY.anchor(CONTRACTS), FAMILY.announced(found), FAMILY.steps(found)) == (None, [], [])
    assert (FAMILY.admit(CONTRACTS, USER, []), FAMILY.observed("", None)) == (None, ())
    assert (FAMILY.questions, FAMILY.parameters) == ((), ())


def test_incentives_are_seen_accrued_and_paid() -> None:
    assert FAMILY.kinds == {Kind.INCENTIVE: (Basis.ACCRUED, Basis.PAID)}


def test_without_logs_there_is_nothing() -> None:
    assert FAMILY.classify(CONTRACTS, {}, Context()) == Classified([])
