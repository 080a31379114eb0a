"""What a reader needs to judge a measurement and to repeat it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path


def provenance() -> dict[str, str]:
    """Command, commit, date and machine: what a reader needs to judge the numbers and repeat them."""
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "command": " ".join(["bonelift", *sys.argv[1:]]),
        "commit": commit or "not a checkout",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": f"{os.getloadavg()[0]:.1f} (runnable processes, one minute, at the end)",
        "python": platform.python_version(),
    }
