"""What classification needs and the archive never asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from indexer.archive.filters import Atom
from indexer.decode.signature import parse_event, parse_function
from indexer.errors import ArchiveUnusable
from indexer.families import FAMILIES
from indexer.model import Address, Span
from indexer.spans import merged

SHOWN = 50  # lines of a refusal
_REMEDY = "Nothing was changed. Run indexer reclassify --fetch, which asks the endpoints for just that."

Call = tuple[Address, bytes]


@dataclass(slots=True)
class Gaps:
    """Logs by their atom, and eth_calls with the block they are wanted at (None: any block would do).

    strict: what is missing is refused where it is met, not gathered.
    """

    strict: bool = False
    logs: dict[Atom, list[Span]] = field(default_factory=dict)
    calls: set[tuple[Call, int | None]] = field(default_factory=set)
    names: dict[bytes, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.logs or self.calls)

    def take(self, other: Gaps) -> None:
        """Adds what another one gathered."""
        for atom, spans in other.logs.items():
            self.logs.setdefault(atom, []).extend(spans)
        self.calls |= other.calls
        self.names |= other.names

    def note_logs(self, atoms: Iterable[Atom], events: Iterable[str], span: Span) -> None:
        """Logs of a span that no file answers for. events: signatures, which give topics their names."""
        self.names |= {parse_event(event).topic0: parse_event(event).name for event in events}
        for atom in atoms:
            self.logs.setdefault(atom, []).append(span)
        if self.strict:
            raise self.refusal()

    def note_calls(self, calls: Iterable[Call], block: int | None) -> None:
        """Questions whose answers no file has."""
        self.calls |= {(call, block) for call in calls}
        if self.strict:
            raise self.refusal()

    def refusal(self) -> ArchiveUnusable:
        """All of it, one a line."""
        lines = [*self._log_lines(), *self._call_lines()]
        more = [f"... and {len(lines) - SHOWN} more."] if len(lines) > SHOWN else []
        head = "The archive does not hold what these rules need:"
        return ArchiveUnusable("\n".join([head, *lines[:SHOWN], *more, _REMEDY]))

    def _log_lines(self) -> list[str]:
        found = [
            (_emitter(atom), self._topics(atom), span) for atom, spans in self.logs.items() for span in merged(spans)
        ]
        return [f"{who}, {topics}: blocks {span.first} to {span.last}" for who, topics, span in sorted(found)]

    def _call_lines(self) -> list[str]:
        functions = _functions()
        return sorted(
            f"0x{contract.hex()}, eth_call {functions.get(data[:4], '0x' + data.hex())}: "
            + ("was never asked" if block is None else f"was not asked at block {block}")
            for (contract, data), block in self.calls
        )

    def _topics(self, atom: Atom) -> str:
        further = "".join(f", topic{place} 0x{value.hex()}" for place, value in atom.further)
        return f"{self.names.get(atom.topic0, 'logs')} (0x{atom.topic0.hex()}){further}"


def _emitter(atom: Atom) -> str:
    return "any contract" if atom.emitter is None else f"0x{atom.emitter.hex()}"


def _functions() -> dict[bytes, str]:
    """Names of what families and tokens are asked, by selector."""
    texts: Sequence[str] = ["symbol() returns (string)", "decimals() returns (uint8)"]
    for family in FAMILIES.values():
        accrual = () if family.accrual is None else family.accrual.functions
        texts = [*texts, *family.questions, *(one.function for one in family.parameters), *accrual]
    return {parse_function(text).selector: text.partition(" returns")[0] for text in texts}
