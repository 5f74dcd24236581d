"""What processes cost, seen from outside."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
LOOK = 0.02  # seconds between looks at a running process


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds from a process's start to its end, its CPU seconds, and its largest resident set in octets."""

    wall: float
    cpu: float
    peak: int


def run(command: Sequence[str], folder: Path) -> Cost:
    """Runs a Python program of this checkout to its end. Raises RuntimeError with what it said if it fails."""
    log = folder / "output.txt"
    with log.open("wb") as output:
        start = time.perf_counter()
        process = python(command, folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            usage, peak = _watch(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak)


def _watch(process: subprocess.Popen[bytes]) -> tuple[resource.struct_rusage, int]:
    """Waits for a process; its usage and the largest resident set seen.

    Not ru_maxrss: on Linux a child's begins with its parent's size, since they share memory until exec.
    """
    watched, peak = psutil.Process(process.pid), 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage, peak
        with suppress(psutil.Error):
            peak = max(peak, watched.memory_info().rss)
        time.sleep(LOOK)


def python(command: Sequence[str], folder: Path, **streams: object) -> subprocess.Popen[bytes]:
    """Starts a fresh Python on this checkout's packages, with no settings of the user's, in a folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("INDEXER_", "PYTHONDONTWRITE"))
    }
    environment: Mapping[str, str] = {**kept, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *command], cwd=folder, env=environment, **streams)  # type: ignore[call-overload,no-any-return]


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, of those it started and of those of them that ended."""
    root = psutil.Process(pid)
    times = root.cpu_times()
    total: float = (
        times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    )
    for child in root.children():
        with suppress(psutil.NoSuchProcess):
            own = child.cpu_times()
            total += own.user + own.system
    return total


@contextmanager
def metered(pids: Mapping[str, int]) -> Iterator[dict[str, float]]:
    """CPU seconds that processes spend within: filled in at the end, by name."""
    before = {name: cpu_of(pid) for name, pid in pids.items()}
    spent: dict[str, float] = {}
    yield spent
    spent.update({name: cpu_of(pid) - before[name] for name, pid in pids.items()})
