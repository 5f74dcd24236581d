"""Event and function signatures, compiled from the words of a contract's source.

Types, canonical form, topic0 and selectors follow https://docs.soliditylang.org/en/latest/abi-spec.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from eth_utils.crypto import keccak

from indexer.decode.dynamic import AbiType, Array, Record, Run, Word, body_octets

_TOKEN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*|[0-9]+|\S")
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_SIZED = re.compile(r"(uint|int|bytes)([1-9][0-9]{0,2})?")
_LENGTH = re.compile(r"[1-9][0-9]{0,8}")
_DEEPEST = 8  # tuples in tuples, and brackets after one type
_LARGEST = 1 << 24  # octets: no contract emits so much in one log, such a type is a mistake
_INDEXED_AT_MOST = 3  # LOG4 carries four topics, the first is topic0


def canonical_type(abi: AbiType) -> str:
    """The type as it stands in a canonical signature."""
    match abi:
        case Word(("uint" | "int" | "bytes") as base, size):
            return f"{base}{size}"
        case Word(base, _):
            return base
        case Run(text):
            return "string" if text else "bytes"
        case Array(item, length):
            return f"{canonical_type(item)}[{'' if length is None else length}]"
        case Record(items):
            return f"({','.join(canonical_type(item) for item in items)})"


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of an event; type is canonical, a tuple is written '(a,b)'."""

    name: str
    type: str
    indexed: bool


@dataclass(frozen=True, slots=True)
class Event:
    """An event as its contract declares it."""

    name: str
    params: tuple[Param, ...]

    @property
    def canonical(self) -> str:
        """The text whose keccak is topic0."""
        return f"{self.name}({','.join(param.type for param in self.params)})"

    @property
    def topic0(self) -> bytes:
        """The 32 octets by which nodes filter this event."""
        return _digest(self.canonical)

    @property
    def indexed(self) -> tuple[Param, ...]:
        """The parameters that travel as topics."""
        return tuple(param for param in self.params if param.indexed)

    @property
    def plain(self) -> tuple[Param, ...]:
        """The parameters that travel in the data."""
        return tuple(param for param in self.params if not param.indexed)

    @property
    def topic_count(self) -> int:
        """How many topics a log of this event has, topic0 included."""
        return 1 + len(self.indexed)


@dataclass(frozen=True, slots=True)
class Function:
    """A function as its contract declares it; inputs and outputs are canonical types."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def canonical(self) -> str:
        """The text whose keccak starts with the selector."""
        return f"{self.name}({','.join(self.inputs)})"

    @property
    def selector(self) -> bytes:
        """The four octets that open the call's data."""
        return _digest(self.canonical)[:4]


@cache
def parse_event(text: str) -> Event:
    """Read '[event] Name(type [indexed] [name], ...)[;]'; a parameter without name is arg<position>.

    Raises ValueError with a sentence that quotes the text and names the fault.
    """
    words = _Words(f"Event signature {_quoted(text)}", text)
    words.skip("event")
    name = words.name("the event's name")
    params = tuple(Param(label, canonical_type(abi), indexed) for abi, indexed, label in words.params())
    words.end()
    if sum(param.indexed for param in params) > _INDEXED_AT_MOST:
        raise words.fault(f"has more than {_INDEXED_AT_MOST} indexed parameters")
    labels = [param.name for param in params]
    for label in labels:
        if labels.count(label) > 1:
            raise words.fault(f"uses the name {label!r} twice")
    return Event(name, params)


@cache
def parse_function(text: str) -> Function:
    """Read '[function] name(types) [view ...] [returns (types)][;]'; names of parameters are dropped.

    Raises ValueError with a sentence that quotes the text and names the fault.
    """
    words = _Words(f"Function signature {_quoted(text)}", text)
    words.skip("function")
    name = words.name("the function's name")
    inputs = words.types()
    while words.skip("external", "public", "internal", "view", "pure", "payable"):
        pass
    outputs = words.types() if words.skip("returns") else ()
    words.end()
    return Function(name, tuple(map(canonical_type, inputs)), tuple(map(canonical_type, outputs)))


@cache
def parse_type(text: str) -> AbiType:
    """Read one type, such as 'uint256' or '(address,bytes32[2])[]'; raises ValueError as parse_event does."""
    words = _Words(f"Type {_quoted(text)}", text)
    abi = words.type()
    words.end()
    return abi


@cache
def _digest(canonical: str) -> bytes:
    return bytes(keccak(text=canonical))


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:199] + "…")


class _Words:
    """The tokens of a signature, read from left to right."""

    def __init__(self, subject: str, text: str) -> None:
        self._subject = subject
        self._left: list[str] = _TOKEN.findall(text)[::-1]

    def fault(self, what: str) -> ValueError:
        return ValueError(f"{self._subject} {what}.")

    def skip(self, *choices: str) -> bool:
        found = bool(self._left) and self._left[-1] in choices
        if found:
            self._left.pop()
        return found

    def take(self, wanted: str) -> str:
        if not self._left:
            raise self.fault(f"ends where {wanted} should follow")
        return self._left.pop()

    def expect(self, *choices: str) -> str:
        wanted = " or ".join(map(repr, choices))
        found = self.take(wanted)
        if found not in choices:
            raise self.fault(f"has {found!r} where {wanted} should stand")
        return found

    def name(self, wanted: str) -> str:
        found = self.take(wanted)
        if not _NAME.fullmatch(found):
            raise self.fault(f"has {found!r} where {wanted} should stand")
        return found

    def end(self) -> None:
        self.skip(";")
        if self._left:
            raise self.fault(f"goes on with {self._left[-1]!r} after its end")

    def params(self, depth: int = 0) -> list[tuple[AbiType, bool, str]]:
        """A list in parentheses, each as (type, indexed, name)."""
        found: list[tuple[AbiType, bool, str]] = []
        self.expect("(")
        if self.skip(")"):
            return found
        while not found or self.expect(",", ")") == ",":
            abi = self.type(depth)
            self.skip("payable")
            indexed = self.skip("indexed")
            self.skip("memory", "calldata", "storage")
            named = bool(self._left) and _NAME.fullmatch(self._left[-1]) is not None
            found.append((abi, indexed, self._left.pop() if named else f"arg{len(found)}"))
        return found

    def types(self, depth: int = 0) -> tuple[AbiType, ...]:
        """A list in parentheses where nothing may be indexed."""
        params = self.params(depth)
        if any(indexed for _, indexed, _ in params):
            raise self.fault("marks something as indexed that is no parameter of an event")
        return tuple(abi for abi, _, _ in params)

    def type(self, depth: int = 0) -> AbiType:
        first = self.take("a type")
        if first == "tuple" and self._left and self._left[-1] == "(":
            first = self._left[-1]
        elif first == "(":
            self._left.append(first)
        abi = self._record(depth) if first == "(" else self._elementary(first)
        for _ in range(_DEEPEST + 1):
            if not self.skip("["):
                return abi
            abi = self._array(abi)
        raise self.fault(f"has a type with more than {_DEEPEST} brackets")

    def _record(self, depth: int) -> Record:
        if depth == _DEEPEST:
            raise self.fault(f"nests tuples deeper than {_DEEPEST}")
        items = self.types(depth + 1)
        if not items:
            raise self.fault("has a tuple without components")
        return Record(items)

    def _array(self, item: AbiType) -> Array:
        if self.skip("]"):
            return Array(item, None)
        length = self.take("an array's length")
        if not _LENGTH.fullmatch(length):
            raise self.fault(f"has {length!r} where an array's length should stand")
        self.expect("]")
        abi = Array(item, int(length))
        if body_octets(abi) > _LARGEST:
            raise self.fault(f"has the type {canonical_type(abi)}, larger than any log")
        return abi

    def _elementary(self, name: str) -> AbiType:
        match name:
            case "address":
                return Word("address", 20)
            case "bool":
                return Word("bool", 1)
            case "string" | "bytes":
                return Run(name == "string")
        sized = _SIZED.fullmatch(name)
        size = int(sized[2] or 256) if sized else 0
        match sized and sized[1]:
            case ("uint" | "int") as base if size % 8 == 0 and 8 <= size <= 256:
                return Word(base, size)
            case "bytes" if size <= 32:
                return Word("bytes", size)
        raise self.fault(
            f"has the unknown type {name!r} (integers take 8 to 256 bits in steps of 8, bytes 1 to 32; "
            "write address for a contract, uint8 for an enum)"
        )
