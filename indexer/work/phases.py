"""When a feed's proxy pointed to which aggregator, as far as was seen: phases only go up, so each sight bounds all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from indexer.errors import EndpointLied
from indexer.ledger.feeds import Feed, Phase
from indexer.model import Evidence, Span, Step

Bound = int | None


class Timeline:
    """A feed's phases with the evidence so far, to which sights are added."""

    def __init__(self, feed: Feed, known: Iterable[Phase]) -> None:
        self.feed = feed
        self._phases = {phase.number: phase for phase in known}
        self._known = dict(self._phases)

    @property
    def phases(self) -> list[Phase]:
        """All of them, oldest first."""
        return [self._phases[number] for number in sorted(self._phases)]

    @property
    def learned(self) -> bool:
        """Whether anything was added to what was known."""
        return self._phases != self._known

    def get(self, number: int) -> Phase | None:
        """A phase, if it is known."""
        return self._phases.get(number)

    def name(self, phase: Phase) -> None:
        """Makes a phase known, or the decimals of one that is."""
        known = self._phases.get(phase.number, phase)
        self._phases[phase.number] = known if known.decimals is not None else replace(known, decimals=phase.decimals)

    def see(self, number: int, block: int) -> None:
        """The proxy pointed to a phase at the end of a block; 0: it was not there. Raises EndpointLied if it cannot."""
        for other in self._phases.values():
            if other.seen is None or other.number == number:
                continue
            if (other.seen.last >= block) if other.number < number else (other.seen.first <= block):
                raise EndpointLied(
                    f"{self.feed.id}: an endpoint says that its proxy was in phase {number} at block {block}, but it "
                    f"was in phase {other.number} at blocks {other.seen.first} to {other.seen.last}. Ask another "
                    "endpoint; if that one lied, delete the feed's rows in table feed_phase."
                )
        phase = self._phases.setdefault(number, Phase(number, None, None, block))
        seen = phase.seen if phase.seen is not None else Span(block, block)
        self._phases[number] = replace(phase, seen=Span(min(seen.first, block), max(seen.last, block)))

    def confirm(self, steps: Sequence[Step]) -> None:
        """Takes over what logs of the proxy say of when it began to point to an aggregator."""
        changes = Counter(step.block for step in steps)
        for step in {step.block: step for step in steps}.values():  # the last one of a block holds at its end
            fitting = [
                phase
                for phase in self._phases.values()
                if phase.aggregator is not None
                and int.from_bytes(phase.aggregator, "big") == step.values[0]
                and self._may_begin(phase.number, step.block)
            ]
            if len(fitting) == 1 and step.tx_hash is not None:
                number = fitting[0].number
                self.see(number, step.block)
                self.see(max(0, number - changes[step.block]), step.block - 1)
                log = Evidence(step.block, step.tx_hash, step.log_index)
                self._phases[number] = replace(self._phases[number], log=log)

    def covers(self, block: int) -> bool:
        """Whether it is known which phase the proxy was in at the end of a block."""
        return any(phase.seen is not None and phase.seen.first <= block <= phase.seen.last for phase in self.phases)

    def entry(self, number: int) -> tuple[Bound, Bound]:
        """The newest block known before a phase, the oldest one known in it or a later one; None where none is."""
        seen = [(phase.number, phase.seen) for phase in self._phases.values() if phase.seen is not None]
        before = max((span.last for other, span in seen if other < number), default=None)
        since = min((span.first for other, span in seen if other >= number), default=None)
        return before, since

    def unsettled(self, first: int) -> set[int]:
        """Middles of the stretches, not wholly before `first`, within which the proxy went to another phase."""
        entries = (self.entry(number) for number in self._phases if number > 0)
        return {
            (before + since) // 2
            for before, since in entries
            if before is not None and since is not None and since - before > 1 and since > first
        }

    def possible(self, number: int, target: Span) -> bool:
        """Whether the proxy may have pointed to a phase within the target."""
        (before, _), (_, later) = self.entry(number), self.entry(number + 1)
        first = target.first if before is None else max(before + 1, target.first)
        last = target.last if later is None else min(later - 1, target.last)
        return first <= last

    def _may_begin(self, number: int, block: int) -> bool:
        before, since = self.entry(number)
        return (before is None or before < block) and (since is None or block <= since)
