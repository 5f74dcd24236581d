"""The main job where some answers go wrong: the same ledger, and how fast beside a run without faults.

`python -m tests.bench.faults --swaps 500000 --runs 3` prints one markdown table. A ratio compares with the last run without
faults before it, at as many endpoints. `--each` adds every kind of fault by itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

from indexer.ledger.embedded import EmbeddedPostgres

from .chain import Chain
from .endtoend import Place, Result, index, place
from .faulty import MIXED
from .node import add_options, size_of


@dataclass(frozen=True, slots=True)
class Case:
    """What goes wrong: so many HTTP answers of a hundred, in these ways (none: all of them), at so many endpoints."""

    rate: float
    kinds: tuple[str, ...] = ()
    endpoints: int = 1

    @property
    def name(self) -> str:
        """As the table shows it."""
        what = f"{self.rate:g} % {self.kinds[0] if self.kinds else 'mixed'}" if self.rate else "no faults"
        return what if self.endpoints == 1 else f"{what}, {self.endpoints} endpoints"


@dataclass(frozen=True, slots=True)
class Run:
    """One run, with what the node counted: see faulty.Faults. beside: swaps/s of the run without faults before it."""

    result: Result
    counted: Mapping[str, Any]
    beside: float

    @property
    def faults(self) -> int:
        """HTTP answers that went wrong."""
        return sum(self.counted["thrown"].values())


def cases(rates: Sequence[float], *, each: bool, several: int) -> list[Case]:
    """The cases of a round in their order: each row of rates begins without faults, to be compared with."""
    rows = [Case(1), *(Case(1, (kind,)) for kind in MIXED if each), *[Case(1, endpoints=several)] * (several > 1)]
    return [
        replace(row, rate=rate) if rate else Case(0, endpoints=row.endpoints) for row in rows for rate in (0, *rates)
    ]


def rounds(where: Place, chain: Chain, wanted: Sequence[Case], seeds: Sequence[int]) -> dict[Case, list[Run]]:
    """All cases, once a seed. Raises endtoend.Wrong where a ledger is not what the chain holds."""
    found: dict[Case, list[Run]] = {}
    for seed in seeds:
        fair = 0.0
        for number, case in enumerate(wanted):
            _become(where.rpc, case, seed)
            result = index(where, chain, f"faults_{seed}_{number}", case.endpoints)
            counted = _become(where.rpc, Case(0), seed)
            fair = fair if case.rate else result.rate
            found.setdefault(case, []).append(Run(result, counted, fair))
    return found


def _become(rpc: str, case: Case, seed: int) -> dict[str, Any]:
    """Changes the node's faults; what it counted until then."""
    wanted = json.dumps({"rate": case.rate, "kinds": case.kinds, "seed": seed}).encode()
    with urlopen(Request(rpc, wanted, method="PUT"), timeout=60) as answer:
        return dict(json.load(answer))


Figure = Callable[[Run], float]
FIGURES: Mapping[str, tuple[str, Figure]] = {
    "swaps/s": (",.0f", lambda run: run.result.rate),
    "to no faults": (".2f", lambda run: run.result.rate / run.beside),
    "CPU s": (".2f", lambda run: run.result.cpu["reader"]),
    "requests": (",.0f", lambda run: run.counted["calls"]),
    "asked again": (",.0f", lambda run: run.counted["again"]),
    "refused": (",.0f", lambda run: run.result.asked["refused"]),
    "faults": (",.0f", lambda run: run.faults),
}


def table(found: Mapping[Case, Sequence[Run]]) -> str:
    """Markdown: a row a case, medians over its runs; the ratio also at its worst."""
    names = [*FIGURES, "worst to no faults"]
    lines = [f"| answers that go wrong | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for case, runs in found.items():
        cells = [format(median(figure(run) for run in runs), form) for form, figure in FIGURES.values()]
        cells.append(f"{min(run.result.rate / run.beside for run in runs):.2f}")
        lines.append(f"| {case.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str], server: EmbeddedPostgres | None = None) -> str:
    """Runs what the arguments ask for, in a Postgres of its own unless one is given; the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults", description=__doc__)
    add_options(parser)
    parser.add_argument("--runs", type=int, default=1, help="rounds, each with faults of another seed")
    parser.add_argument("--rates", type=float, nargs="+", default=[2, 10], help="answers of a hundred that go wrong")
    parser.add_argument("--each", action="store_true", help="also every kind of fault by itself")
    parser.add_argument("--several", type=int, default=3, help="also so many endpoints; 1: only one")
    options = parser.parse_args(arguments)
    chain = Chain(size_of(options))
    of_node = [f"--swaps={options.swaps}", f"--pools={options.pools}", f"--seed={options.seed}"]
    wanted = cases(options.rates, each=options.each, several=options.several)
    with place([*of_node, f"--blocks={chain.size.blocks}"], server) as where:
        found = rounds(where, chain, wanted, range(1, options.runs + 1))
    return "\n".join([f"{chain.size}; sums equal the truth in every run", "", table(found)])


if __name__ == "__main__":
    print(main(sys.argv[1:]))
