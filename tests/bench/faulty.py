"""Answers that go wrong now and then, at the level of HTTP: what a busy or broken provider does to its clients."""

from __future__ import annotations

import argparse
import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from .http import Answering, Http, head

HANG = 20  # seconds that a hanging answer holds its connection before it closes it
_LIMITED = b'{"jsonrpc":"2.0","id":null,"error":{"code":429,"message":"Too many requests"}}'


@dataclass(slots=True)
class Faults:
    """Which of a hundred POSTs go wrong, and how; what was asked and what went wrong since.

    calls: JSON-RPC calls, each item of a batch as one; again: of those, ones that had been asked before.
    """

    rate: float = 0
    kinds: tuple[str, ...] = ()
    seed: int = 1
    calls: int = 0
    again: int = 0
    thrown: Counter[str] = field(default_factory=Counter)
    _seen: set[bytes] = field(default_factory=set)
    _dice: Random = field(default_factory=Random)

    def become(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Starts anew with other faults; the counters until now."""
        counted = {"calls": self.calls, "again": self.again, "thrown": dict(self.thrown)}
        self.rate, self.kinds, self.seed = float(wanted["rate"]), tuple(wanted["kinds"]) or MIXED, int(wanted["seed"])
        self.calls, self.again, self.thrown = 0, 0, Counter()
        self._seen, self._dice = set(), Random(self.seed)
        return counted

    def meet(self, body: bytes) -> str | None:
        """Counts a POST; the kind of fault that meets it, if one does."""
        asked = msgspec.json.decode(body)
        for one in asked if isinstance(asked, list) else [asked]:
            question = msgspec.json.encode([one["method"], one["params"]])
            self.calls += 1
            self.again += question in self._seen
            self._seen.add(question)
        if self._dice.random() * 100 >= self.rate:
            return None
        kind = self._dice.choice(self.kinds)
        self.thrown[kind] += 1
        return kind


class Faulty(Http):
    """One connection whose answers go wrong as told. PUT changes how, and gives the counters until then."""

    def __init__(self, answer: Answering, faults: Faults) -> None:
        super().__init__(answer)
        self._faults = faults

    def reply(self, method: bytes, body: bytes) -> None:
        """Answers, or does what the fault is."""
        if method == b"PUT":
            self.send([msgspec.json.encode(self._faults.become(msgspec.json.decode(body)))])
            return
        kind = self._faults.meet(body) if method == b"POST" else None
        if kind is None:
            super().reply(method, body)
        else:
            KINDS[kind](self, body)

    def limited(self, *told: bytes) -> None:
        """Too many requests. told: further lines of the head."""
        self.transport.writelines([head(len(_LIMITED), b"429 Too Many Requests", *told), _LIMITED])

    def failed(self) -> None:
        """An internal error, without JSON."""
        self.transport.writelines([head(4, b"500 Internal Server Error"), b"oops"])

    def reset(self) -> None:
        """Closes the connection with RST."""
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    def truncated(self, body: bytes) -> None:
        """Half of the answer, then the connection's end."""
        whole = b"".join(self.answer(b"POST", body))
        self.transport.writelines([head(len(whole)), whole[: len(whole) // 2]])
        self.transport.close()

    def hang(self, seconds: int) -> None:
        """Nothing at all, then the connection's end."""
        asyncio.get_running_loop().call_later(seconds, self.transport.close)


KINDS: Mapping[str, Callable[[Faulty, bytes], None]] = {
    "429": lambda one, _: one.limited(),
    "429 with Retry-After": lambda one, _: one.limited(b"Retry-After: 1"),
    "500": lambda one, _: one.failed(),
    "reset": lambda one, _: one.reset(),
    "truncated": lambda one, body: one.truncated(body),
    "hang for 20 s": lambda one, _: one.hang(HANG),
    "hang for ever": lambda one, _: None,
}
MIXED = tuple(KINDS)


def add_options(parser: argparse.ArgumentParser) -> None:
    """How many answers go wrong, and how."""
    parser.add_argument("--fail-rate", type=float, default=0, help="HTTP answers of a hundred that go wrong")
    parser.add_argument("--fail-kinds", nargs="*", choices=MIXED, default=(), help="by default all of them")
    parser.add_argument("--fail-seed", type=int, default=1)


def faults_of(options: argparse.Namespace) -> Faults:
    """What the options ask for."""
    faults = Faults()
    faults.become({"rate": options.fail_rate, "kinds": options.fail_kinds, "seed": options.fail_seed})
    return faults
