"""What the scripts that set methods side by side share: where their work may lie, and what made a row."""

from __future__ import annotations

import argparse
import platform
import subprocess
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def outside_the_repository(text: str) -> Path:
    """A folder given on the command line that may keep shapes read from data which must not enter the repository."""
    path = Path(text).resolve()
    if path.is_relative_to(REPOSITORY):
        raise argparse.ArgumentTypeError(f"{path.name}: lies in the repository; expected a folder outside of it")
    return path


def run_facts() -> str:
    """Commit, date and machine, for the rows that are made now."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return f"{commit.stdout.strip()}, {time.strftime('%Y-%m-%d')}, {platform.machine()}, one thread"
