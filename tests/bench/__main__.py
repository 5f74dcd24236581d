"""`python -m tests.bench [NAME] [options]`: one benchmark, the end to end one by default; `--help` after a name explains it.

Each starts what it needs on this machine, checks what was made against the truth, and prints one table.
"""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = {
    "endtoend": "a node's logs to a closed ledger: speed, cost, memory, by stage; --peer adds the plain way",
    "again": "reclassifying against reading",
    "mixed": "a stream of all packaged protocols",
    "cost": "eth_getLogs against the fewest that would do, under providers' limits",
    "faults": "speed while answers go wrong",
    "workers": "several processes",
    "refresh": "closing and refreshing at the size of five years",
}


def main() -> None:
    """Runs the one that is named."""
    arguments = sys.argv[1:]
    name = arguments.pop(0) if arguments and arguments[0] in NAMES else "endtoend"
    if name == "endtoend" and not arguments:
        told = "\n".join(f"  {one:10} {about}" for one, about in NAMES.items())
        print(f"There are\n{told}\nRunning endtoend.\n", file=sys.stderr)
    print(import_module(f"tests.bench.{name}").main(arguments))


if __name__ == "__main__":
    main()
