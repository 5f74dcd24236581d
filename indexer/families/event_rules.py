"""The shape of a rule for an event: what a manifest may say, and a sentence for each mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from indexer.decode.dynamic import Word
from indexer.decode.signature import Param, parse_event, parse_type
from indexer.documents import Document, mistaken, parse_address, quoted
from indexer.families.rules import MOST_RULES, Rule
from indexer.model import Address

NATIVE: Address = bytes(20)  # stands in flows for the chain's own coin, which has no contract; 18 decimals
MOST_SIGNS = 1000  # of an event as written: what reading it costs grows with its square
MOST_VALUES = 1000  # of one parameter: nodes refuse questions with many more topics

Topics = tuple[bytes, ...]
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


def _signature(value: str) -> str:
    """The event in one form, 'Name(type indexed name, ...)', however it was written."""
    if len(value) > MOST_SIGNS or not value.isascii():
        raise ValueError(f"must be an event as in the contract's source, in at most {MOST_SIGNS} ASCII characters")
    try:
        event = parse_event(" ".join(value.split()))
    except ValueError as fault:
        raise ValueError(_short(str(fault))) from None
    params = [" ".join((param.type, *["indexed"] * param.indexed, param.name)) for param in event.params]
    return f"{event.name}({', '.join(params)})"


def _short(text: str) -> str:
    return text if len(text) <= 500 else f"{text[:400]} ... {text[-90:]}"


def _amount(value: str, info: ValidationInfo) -> str:
    param = _param(value, info)
    if param is not None and _integer(param) is None:
        raise ValueError(f"{quoted(value)} is {_short(param.type)}, no whole number: name the one that is the amount")
    return value


def _sign(value: str, info: ValidationInfo) -> str:
    param = _param(info.data["amount"], info) if "amount" in info.data else None
    if value == "negative" and param is not None and param.type.startswith("uint"):
        raise ValueError("cannot be negative, since the amount has no sign: remove the key")
    return value


def _token(value: object, info: ValidationInfo) -> Address | str:
    """An address, NATIVE, or the name of the parameter that holds one."""
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 pydantic reports ValueError
            'must be an address, the name of a parameter that holds one, or "native" for the chain\'s own coin'
        )
    if value.startswith("0x"):
        if value == f"0x{NATIVE.hex()}":
            raise ValueError('is the zero address: write "native" for the chain\'s own coin')
        return parse_address(value)
    names = [param.name for param in _params(info)]
    if value == "native" and value not in names:
        return NATIVE
    param = _param(value, info)
    if param is not None and param.type != "address":
        raise ValueError(
            f"{quoted(value)} is {_short(param.type)}, no address: name the parameter that holds the token"
        )
    return value


def _where(value: object, info: ValidationInfo) -> dict[str, Topics]:
    if not isinstance(value, dict):
        raise ValueError("must be a table")  # noqa: TRY004 pydantic reports ValueError
    found: dict[str, Topics] = {}
    for name, held in value.items():
        try:
            param = _param(name, info)
            found[name] = () if param is None else _topics(param, held)
        except ValueError as fault:
            raise mistaken((name,), str(fault)) from None
    return found


def _topics(param: Param, held: object) -> Topics:
    """The values a parameter may have, as they stand in its topic."""
    word = parse_type(param.type)
    if not param.indexed:
        raise ValueError("is not indexed, and nodes find logs by indexed parameters alone: remove it")
    if not isinstance(word, Word):
        raise ValueError(f"is {_short(param.type)}, whose topic is a hash: remove it")  # noqa: TRY004 no wrong type here
    items = held if isinstance(held, list) else [held]
    if not 1 <= len(items) <= MOST_VALUES:
        raise ValueError(f"must have 1 to {MOST_VALUES} values")
    return tuple(dict.fromkeys(_topic(word, item) for item in items))


def _topic(word: Word, item: object) -> bytes:
    match word.base:
        case "address":
            return bytes(32) if item == f"0x{NATIVE.hex()}" else bytes(12) + parse_address(item)
        case "bool":
            if isinstance(item, bool):
                return int(item).to_bytes(32, "big")
            raise ValueError("must be true or false")
        case "bytes":
            if isinstance(item, str) and _HEX.fullmatch(item) and len(item) == 2 + 2 * word.size:
                return bytes.fromhex(item[2:]).ljust(32, b"\0")
            raise ValueError(f"must be 0x and {2 * word.size} hexadecimal digits, in quotes")
    low, high = (-1 << word.size - 1, 1 << word.size - 1) if word.base == "int" else (0, 1 << word.size)
    if isinstance(item, int) and not isinstance(item, bool) and low <= item < high:
        return (item % 2**256).to_bytes(32, "big")
    raise ValueError(f"must be a whole number that fits {word.base}{word.size}")


def _params(info: ValidationInfo) -> tuple[Param, ...]:
    """Of the rule's event; none where it could not be read, which is told already."""
    return parse_event(info.data["event"]).params if "event" in info.data else ()


def _param(name: str, info: ValidationInfo) -> Param | None:
    """The parameter of this name, None where the event could not be read; raises ValueError if there is none."""
    if "event" not in info.data:
        return None
    params = {param.name: param for param in _params(info)}
    if name not in params:
        known = f"use one of {_short(', '.join(params))}" if params else "the event has none"
        raise ValueError(f"{quoted(name)} is no parameter of the event: {known}")
    return params[name]


def _integer(param: Param) -> Word | None:
    word = parse_type(param.type)
    return word if isinstance(word, Word) and word.base in ("uint", "int") else None


class EventRule(Rule):
    """What one parameter of an event says: `amount` in raw units of `token`.

    event: 'Name(type indexed name, ...)'. sign: which amounts of a signed type are flows; a negative one counts by its
    size. token: an address, NATIVE, or the name of the parameter that holds one. where: by indexed parameter the values
    it may have, as topics.
    """

    event: Annotated[str, AfterValidator(_signature)]
    amount: Annotated[str, AfterValidator(_amount)]
    sign: Annotated[Literal["positive", "negative"], AfterValidator(_sign)] = "positive"
    token: Annotated[Address | str, BeforeValidator(_token)]
    where: Annotated[Mapping[str, Topics], BeforeValidator(_where)] = Field(default_factory=dict)

    def contest(self, earlier: EventRule) -> tuple[str, str] | None:
        """The key and what is wrong with it, if both rules cannot stand side by side."""
        mine, theirs = parse_event(self.event), parse_event(earlier.event)
        if (mine.canonical, mine.topic_count) != (theirs.canonical, theirs.topic_count):
            return None
        if self.event != earlier.event:
            return "event", "writes an event otherwise than {0}: name its parameters and mark what is indexed alike"
        apart = any({*self.where[name]}.isdisjoint(earlier.where[name]) for name in self.where.keys() & earlier.where)
        if apart or (self.amount, self.sign) != (earlier.amount, earlier.sign):
            return None
        return "amount", "is booked by {0} too, and what is paid once is one flow: narrow or remove one of them"


def _uncontested(rules: tuple[EventRule, ...]) -> tuple[EventRule, ...]:
    if not rules:  # not by min_length, which would also tell where a rule is wrong
        raise ValueError("must hold a rule: add one")
    for (at, earlier), (place, rule) in combinations(enumerate(rules), 2):
        if contest := rule.contest(earlier):
            key, wrong = contest
            raise mistaken((place, key), wrong.format(f"event[{at}]"))
    return rules


class EventRules(Document):
    """The rules; several may book different amounts of one log."""

    event: Annotated[tuple[EventRule, ...], Field(max_length=MOST_RULES), AfterValidator(_uncontested)]
