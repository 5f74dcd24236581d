"""Events that a manifest labels: the columns book what one log at a time books, and every mistake has its sentence."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from indexer.crosscheck import read_options
from indexer.documents import lines
from indexer.families import FAMILIES
from indexer.families.event_rules import EventRules
from indexer.families.events import Events
from indexer.manifest import Deployment
from indexer.model import Basis, Classified, Context, Kind, Label, Side, Source
from indexer.work.classify import Matcher
from tests.families.columns import booked, expected, logs_of
from tests.families.plain import Log, Told, events


def address(name: str) -> bytes:
    return sha256(name.encode()).digest()[:20]


PAID = "Paid(address indexed to, uint256 amount)"
SPLIT = "Split(uint16 indexed kind, address indexed coin, bool indexed open, uint64 lp, int128 result, uint256 rest)"
GIVEN = "Given(bytes4 indexed reason, int24 indexed tick, uint256 indexed amount, address coin, int256 change)"
SIGNATURES = (PAID, SPLIT, GIVEN)
AMOUNTS = {  # bits, below zero where signed
    PAID: {"amount": 256},
    SPLIT: {"lp": 64, "result": -128, "rest": 256},
    GIVEN: {"amount": 256, "change": -256},
}
EMITTERS = (address("emitter"), address("other emitter"))
FOREIGN = address("foreign emitter")
COIN, USER, OTHER = (address(name) for name in ("coin", "user", "other"))
NATIVE, EEEE = bytes(20), b"\xee" * 20
CONTRACTS = {"emitters": EMITTERS}
PAYOUT = Label(Kind.DISTRIBUTION, Source.PAYOUT, Side.HOLDERS, Basis.PAID)
FEE = Label(Kind.FEE, Source.PERP_TRADE, Side.SUPPLY, Basis.ACCRUED)
LOST = Label(Kind.LOSS, Source.BAD_DEBT, Side.SUPPLY, Basis.ACCRUED)
WHY = "https://example.org/Source.sol"


def written(account: bytes) -> str:
    return str(to_checksum_address(account))


def rule(event: str = PAID, amount: str = "amount", token: bytes | str = COIN, label: Label = FEE, **more: Any) -> Any:
    """A rule as a manifest's table."""
    table = {"kind": label.kind.value, "source": label.source.value, "side": label.side.value}
    table |= {"basis": label.basis.value, "why": WHY, "event": event, "amount": amount}
    return table | {"token": written(token) if isinstance(token, bytes) else token} | more


def configured(*rules: dict[str, Any]) -> EventRules:
    return EventRules.model_validate({"event": list(rules)})


def refusals(*rules: dict[str, Any]) -> list[str]:
    wrong: list[Any] = []
    assert read_options({"event": list(rules)}, FAMILIES["events"], wrong) is None
    return lines("my.toml", wrong)


def classify(logs: list[Log], options: EventRules, *signatures: str) -> Classified:
    """From a node's answer with everything in it."""
    deployment = Deployment("a.b", "a", "b", "events", 0, CONTRACTS, {}, "", bytes(32), options)
    matched = Matcher(logs_of(logs, signatures or SIGNATURES)).match(deployment)
    assert not matched.faults
    return FAMILIES["events"].configured(options).classify(CONTRACTS, matched.batches, Context())


def found(options: EventRules, *logs: Log, signature: str = PAID) -> list[tuple[Label, int, bytes, bytes, int]]:
    return [row[4:] for row in booked(classify(list(logs), options, signature))]


def paid(amount: int, to: bytes = USER, index: int = 0, emitter: bytes = EMITTERS[0]) -> Log:
    return Log("Paid", emitter, 1, index, {"to": to, "amount": amount})


# ---------------------------------------------------------------- columns against one log at a time


class Written(NamedTuple):
    """A rule as written and as the plain form knows it."""

    table: dict[str, Any]
    plain: Told


VALUES: dict[str, dict[str, Any]] = {
    PAID: {"to": (USER, OTHER, NATIVE)},
    SPLIT: {"kind": (0, 1, 65535), "coin": (COIN, OTHER), "open": (False, True)},
    GIVEN: {"reason": (b"\0" * 4, b"\x01\0\0\0"), "tick": (-(2**23), -1, 0, 5), "amount": (0, 1, 2**256 - 1)},
}


COINS: dict[str, list[bytes | str]] = {PAID: [COIN, NATIVE], SPLIT: [OTHER, NATIVE, "coin"], GIVEN: [NATIVE, "coin"]}


def in_toml(value: int | bytes) -> Any:
    if isinstance(value, int):
        return value
    return f"0x{value.hex()}" if len(value) == 4 else written(value)


@st.composite
def rules_written(draw: st.DrawFn) -> Written:
    event = draw(st.sampled_from(SIGNATURES))
    amount = draw(st.sampled_from(sorted(AMOUNTS[event])))
    negative = AMOUNTS[event][amount] < 0 and draw(st.booleans())
    token = draw(st.sampled_from(COINS[event]))
    names = draw(st.lists(st.sampled_from(sorted(VALUES[event])), unique=True, max_size=2))
    where = {
        name: draw(st.lists(st.sampled_from(VALUES[event][name]), min_size=1, max_size=2, unique=True))
        for name in names
    }
    label = draw(st.sampled_from((PAYOUT, FEE, LOST)))
    table = rule(event, amount, "native" if token == NATIVE else token, label)
    table |= {"sign": "negative"} if negative else {}
    table |= {"where": {name: [in_toml(value) for value in held] for name, held in where.items()}} if where else {}
    plain = Told(label, event.split("(")[0], amount, negative, token, {k: frozenset(v) for k, v in where.items()})
    return Written(table, plain)


def contested(rules: list[Told]) -> bool:
    """Two of them book one amount of a log that both mean."""
    for later, one in enumerate(rules):
        for other in rules[:later]:
            if (one.event, one.amount, one.negative) == (other.event, other.amount, other.negative):
                shared = one.where.keys() & other.where.keys()
                if all(one.where[name] & other.where[name] for name in shared):
                    return True
    return False


def integer(bits: int) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (-bits - 1)), 2 ** (-bits - 1) - 1) if bits < 0 else (0, 2**bits - 1)
    return st.sampled_from((0, 1, low, high)) | st.integers(low, high)


@st.composite
def logs(draw: st.DrawFn) -> list[Log]:
    made = []
    for place in draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), unique=True, max_size=10)):
        event = draw(st.sampled_from(SIGNATURES))
        args = {name: draw(st.sampled_from(values)) for name, values in VALUES[event].items()}
        if event == PAID:
            args["amount"] = draw(integer(256))
        elif event == SPLIT:
            args |= {"coin": draw(st.sampled_from((COIN, OTHER, NATIVE, EEEE)))}
            args |= {name: draw(integer(bits)) for name, bits in (("lp", 64), ("result", -128), ("rest", 256))}
        else:
            args |= {"coin": draw(st.sampled_from((COIN, NATIVE, EEEE))), "change": draw(integer(-256))}
        made.append(Log(event.split("(")[0], draw(st.sampled_from((*EMITTERS, FOREIGN))), *place, args))
    return made


def encodable(log: Log) -> Log:
    """bytes4 as the octets of its whole word, which columns.word leaves as they are."""
    args = {name: value.ljust(32, b"\0") if name == "reason" else value for name, value in log.args.items()}  # type: ignore[union-attr]
    return Log(log.event, log.contract, log.block, log.index, args)


@settings(max_examples=300)
@given(st.lists(rules_written(), min_size=1, max_size=4), logs())
def test_the_columns_book_what_single_logs_book(rules: list[Written], made: list[Log]) -> None:
    """Any rules: refused if two book one amount, else flow for flow the plain form, whatever the widths and signs."""
    plain = [one.plain for one in rules]
    try:
        options = configured(*(one.table for one in rules))
    except ValidationError:
        assert contested(plain)
        return
    assert not contested(plain)
    by_hand = expected((log, events(log, EMITTERS, plain)) for log in made)
    assert booked(classify([encodable(log) for log in made], options)) == by_hand


# ---------------------------------------------------------------- what is a flow


def test_an_amount_in_a_named_token() -> None:
    logs = [paid(7), paid(0, index=1), paid(2**256 - 1, index=2), paid(5, index=3, emitter=FOREIGN)]
    assert found(configured(rule()), *logs) == [
        (FEE, 0, EMITTERS[0], COIN, 7),
        (FEE, 0, EMITTERS[0], COIN, 2**256 - 1),
    ]


@pytest.mark.parametrize(("sign", "amounts"), [("positive", [3]), ("negative", [4, 2**127])])
def test_one_sign_of_a_signed_amount_is_a_flow(sign: str, amounts: list[int]) -> None:
    """A negative amount counts by its size."""
    args = {"kind": 1, "coin": COIN, "open": 0, "lp": 0, "rest": 0}
    logs = [Log("Split", EMITTERS[0], 1, at, args | {"result": n}) for at, n in enumerate((3, -4, 0, -(2**127)))]
    options = configured(rule(SPLIT, "result", "coin", sign=sign))
    assert [row[4] for row in found(options, *logs, signature=SPLIT)] == amounts


def test_two_amounts_of_one_log_are_two_legs() -> None:
    log = Log("Split", EMITTERS[0], 1, 0, {"kind": 1, "coin": EEEE, "open": 1, "lp": 5, "result": 0, "rest": 6})
    options = configured(rule(SPLIT, "lp", "coin", FEE), rule(SPLIT, "rest", OTHER, PAYOUT))
    assert found(options, log, signature=SPLIT) == [
        (FEE, 0, EMITTERS[0], NATIVE, 5),
        (PAYOUT, 1, EMITTERS[0], OTHER, 6),
    ]


def test_rules_of_one_event_are_told_apart_by_their_values() -> None:
    options = configured(
        rule(where={"to": written(USER)}, label=FEE), rule(where={"to": [written(OTHER)]}, label=PAYOUT)
    )
    logs = [paid(1), paid(2, OTHER, index=1), paid(3, COIN, index=2)]
    assert [(row[0], row[1], row[4]) for row in found(options, *logs)] == [(FEE, 0, 1), (PAYOUT, 1, 2)]


def test_texts_and_lists_beside_the_amount_do_no_harm() -> None:
    """They are in the signature, decoded and left alone."""
    signature = "Noted(string indexed name, uint256 amount, string text, uint256[] more, (address,bytes)[] pairs)"
    one = FAMILIES["events"].configured(configured(rule(signature))).subscriptions(CONTRACTS)[0]
    assert one.topics == {}
    assert one.event.startswith(
        "Noted(string indexed name, uint256 amount, string text, uint256[] more, (address,bytes)"
    )


def test_each_rule_asks_for_its_values_alone() -> None:
    where = {"tick": [-1, 5], "reason": "0x01000000"}
    (one,) = FAMILIES["events"].configured(configured(rule(GIVEN, token="coin", where=where))).subscriptions(CONTRACTS)
    assert one.emitters == EMITTERS
    assert one.topics == {1: (b"\x01".ljust(32, b"\0"),), 2: (b"\xff" * 32, bytes(31) + b"\5")}


def test_the_way_an_event_is_written_makes_no_difference() -> None:
    """Spaces, line breaks, the word event and aliases of types."""
    loose = "event  Paid ( address indexed to,\n uint amount );"
    assert configured(rule(loose)).event[0].event == PAID
    assert configured(rule("Paid(address indexed, uint256)", "arg1")).event[0].amount == "arg1"


def test_its_kinds_are_those_of_its_rules() -> None:
    family = Events().configured(configured(rule(label=LOST), rule(SPLIT, "lp", label=FEE)))
    assert family.kinds == {Kind.FEE: (Basis.ACCRUED,), Kind.LOSS: (Basis.ACCRUED,)}
    assert Events().kinds == {}
    assert Events().configured(None).subscriptions(CONTRACTS) == ()


# ---------------------------------------------------------------- mistakes

AT = "options.event[0]"
MISTAKES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no rule": ([], "options.event: must hold a rule: add one"),
    "not an event": ([rule("Paid")], f"{AT}.event: Event signature 'Paid' ends where"),
    "unknown type": (
        [rule("Paid(uint257 amount)")],
        f"{AT}.event: Event signature 'Paid(uint257 amount)' has the unkn",
    ),
    "four indexed": (
        [rule(f"E({', '.join(f'uint indexed a{number}' for number in range(4))})")],
        f"{AT}.event: Event signature 'E(uint indexed a0, uint indexed a1, uint indexed a2, uint indexed a3)' has more",
    ),
    "not a text": ([rule() | {"event": 5}], f"{AT}.event: must be a text in quotes"),
    "not ASCII": ([rule("Pa\u0456d(uint256 amount)")], f"{AT}.event: must be an event as in the contract's source"),
    "too long": (
        [rule(f"E({'uint256 a,' * 200}uint256 amount)")],
        f"{AT}.event: must be an event as in the contract's",
    ),
    "unknown amount": ([rule(amount="value")], f"{AT}.amount: 'value' is no parameter of the event: use one of to, am"),
    "no parameter at all": (
        [rule("Paid()")],
        f"{AT}.amount: 'amount' is no parameter of the event: the event has none",
    ),
    "amount an address": ([rule(amount="to")], f"{AT}.amount: 'to' is address, no whole number: name the one that is"),
    "amount a list": ([rule("E(uint256[] amount)")], f"{AT}.amount: 'amount' is uint256[], no whole number"),
    "amount a text": ([rule("E(string amount)")], f"{AT}.amount: 'amount' is string, no whole number"),
    "amount a flag": ([rule("E(bool amount)")], f"{AT}.amount: 'amount' is bool, no whole number"),
    "sign without one": ([rule(sign="negative")], f"{AT}.sign: cannot be negative, since the amount has no sign"),
    "unknown sign": ([rule(sign="both")], f"{AT}.sign: must be 'positive' or 'negative'"),
    "token a number": ([rule() | {"token": 5}], f"{AT}.token: must be an address, the name of a parameter that holds"),
    "token no address": ([rule(token="amount")], f"{AT}.token: 'amount' is uint256, no address: name the parameter"),
    "token unknown": ([rule(token="coin")], f"{AT}.token: 'coin' is no parameter of the event: use one of to, amount"),
    "token zero": ([rule() | {"token": "0x" + "0" * 40}], f'{AT}.token: is the zero address: write "native"'),
    "token unchecked": ([rule() | {"token": "0x" + COIN.hex()}], f"{AT}.token: 0x"),
    "where a text": ([rule(where="x")], f"{AT}.where: must be a table"),
    "where unknown": ([rule(where={"who": 1})], f"{AT}.where.who: 'who' is no parameter of the event: use one of to"),
    "where not indexed": ([rule(where={"amount": 1})], f"{AT}.where.amount: is not indexed, and nodes find logs by"),
    "where hashed": (
        [rule("E(string indexed s, uint amount)", where={"s": "x"})],
        f"{AT}.where.s: is string, whose topic",
    ),
    "where empty": ([rule(where={"to": []})], f"{AT}.where.to: must have 1 to 1000 values"),
    "where no address": ([rule(where={"to": 7})], f"{AT}.where.to: must be an address in quotes"),
    "where too large": (
        [rule(SPLIT, "lp", where={"kind": 65536})],
        f"{AT}.where.kind: must be a whole number that fits u",
    ),
    "where too small": (
        [rule(GIVEN, where={"tick": -(2**23) - 1})],
        f"{AT}.where.tick: must be a whole number that fits in",
    ),
    "where a flag as number": ([rule(SPLIT, "lp", where={"kind": True})], f"{AT}.where.kind: must be a whole number"),
    "where a number as flag": ([rule(SPLIT, "lp", where={"open": 1})], f"{AT}.where.open: must be true or false"),
    "where short octets": (
        [rule(GIVEN, where={"reason": "0x0100"})],
        f"{AT}.where.reason: must be 0x and 8 hexadecimal",
    ),
    "the same amount twice": ([rule(), rule(label=LOST)], "options.event[1].amount: is booked by event[0] too"),
    "perhaps the same amount": (
        [rule(SPLIT, "lp", where={"kind": 1}), rule(SPLIT, "lp", where={"open": True})],
        "options.event[1].amount: is booked by event[0] too, and what is paid once is one flow",
    ),
    "the same event otherwise": (
        [rule(), rule("Paid(address to, uint256 indexed amount)")],
        "options.event[1].event: writes an event otherwise than event[0]",
    ),
    "unknown key": ([rule(scale=5)], f"{AT}.scale: is not a key known here"),
    "no proof": ([rule() | {"why": "so"}], f"{AT}.why: must be an https:// link"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_its_sentence(name: str) -> None:
    rules, sentence = MISTAKES[name]
    (line,) = refusals(*rules)
    assert line.startswith(f"my.toml: {sentence}"), line
    assert line.isascii()
    assert len(line) < 700


def test_what_cannot_be_read_is_told_once() -> None:
    """An unreadable event is one mistake: what refers to its parameters cannot be judged."""
    assert len(refusals(rule("Paid(", where={"to": 7}, token="coin"))) == 1


# ---------------------------------------------------------------- hostile texts

BOMBS = {
    "deep tuples": "E(" + "(" * 400 + "uint256" + ")" * 400 + " amount)",
    "deep lists": "E(uint256" + "[]" * 450 + " amount)",
    "a huge array": "E(uint256[999999999] x, uint256 amount)",
    "arrays of arrays": "E(uint256" + "[99999]" * 8 + " x, uint256 amount)",
    "many parameters": "E(" + ",".join(["uint8"] * 160) + ")",
    "a megabyte": "E(" + "uint8 a," * 125_000 + "uint256 amount)",
    "a megabyte of spaces": " " * 1_000_000,
    "brackets only": "(" * 999,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_once(name: str) -> None:
    lines = refusals(rule(BOMBS[name]))
    assert lines
    assert all(line.isascii() and line.isprintable() and len(line) < 1000 for line in lines)


HOSTILE = st.text(max_size=30) | st.sampled_from(
    ("'; DROP TABLE flow; --", "$1", "\0", "\x1b[31m", "{0}", "{sentence}", "%s", "\u202eamount", "\uff10x00", "native")
)


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(("event", "amount", "token", "sign", "where", "why")) | HOSTILE, HOSTILE, max_size=4
    )
)
def test_hostile_values_are_sentences(change: dict[str, Any]) -> None:
    wrong: list[Any] = []
    held = read_options({"event": [rule() | change]}, FAMILIES["events"], wrong)
    assert (held is None) == bool(wrong)
    assert all(line.isascii() and line.isprintable() and len(line) < 1000 for line in lines("my.toml", wrong))
