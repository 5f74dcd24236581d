"""What each exit code means: one list, shown by `indexer --help` and kept by the tests."""

from __future__ import annotations

from collections.abc import Mapping

EXITS: Mapping[int, str] = {
    0: "done",
    1: "a fault that may go by: run it again; of status: a check that fails",
    2: "settings, manifests or arguments with mistakes: all are listed",
    3: "no endpoint can serve: wrong chain, history missing, plan exhausted",
    4: "the database is unreachable, too old, not ours, or newer than this",
    5: "the archive is damaged, or never held what is needed",
    130: "stopped by Ctrl-C or SIGTERM: the next run continues",
}


def epilog() -> str:
    """The list as the last lines of the help; the first character keeps click from folding them into one."""
    return "\b\nExit codes:\n" + "\n".join(f"{code:>5}  {meaning}" for code, meaning in EXITS.items())
