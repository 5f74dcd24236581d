"""The built wheel works with the sources gone: installed into a fresh environment, the demo runs from another folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Builds, installs and runs; raises on the first step that fails."""
    with tempfile.TemporaryDirectory(prefix="indexer-wheel-") as folder:
        place = Path(folder)
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, str(ROOT), cwd=place)
        (wheel,) = place.glob("*.whl")
        venv.create(place / "env", with_pip=True)
        python = str(place / "env" / "bin" / "python")
        run(python, "-m", "pip", "install", "-q", "-r", str(ROOT / "deploy" / "lock.txt"), cwd=place)
        run(python, "-m", "pip", "install", "-q", "--no-deps", str(wheel), cwd=place)
        shown = run(str(place / "env" / "bin" / "indexer"), "demo", "--data-dir", str(place / "data"), cwd=place)
        if "demo_farm" not in shown:
            raise SystemExit(f"the installed wheel's demo shows no table:\n{shown}")
    print("the installed wheel works")


def run(*command: str, cwd: Path) -> str:
    """Both outputs of a command; raises SystemExit with them if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
