"""Write requirements.lock (default install) and requirements-dev.lock from a clean environment's resolution.

Run by ``make lock``. Both files hold exact versions; the second is a superset of the first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch==2.13.0"
"""Held where the code was tested: a range would take the newest build, with gigabytes of CUDA libraries."""


def pip(python: Path, *arguments: str) -> str:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def frozen(python: Path) -> list[str]:
    lines = pip(python, "freeze", "--all", "--exclude-editable").splitlines()
    kept = [line.split("+cpu")[0] for line in lines if "==" in line]
    return sorted(line for line in kept if not line.lower().startswith(("pip==", "bonelift==")))


def main() -> int:
    header = "# Exact versions that `make` installs; written by scripts/lock_requirements.py\n"
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        pip(python, "install", TORCH, "setuptools>=77", str(ROOT))
        (ROOT / "requirements.lock").write_text(header + "\n".join(frozen(python)) + "\n")
        pip(python, "install", "-c", str(ROOT / "requirements.lock"), f"{ROOT}[dev]")
        (ROOT / "requirements-dev.lock").write_text(header + "\n".join(frozen(python)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
