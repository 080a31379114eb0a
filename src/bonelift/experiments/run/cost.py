"""What a run has cost so far, over all interruptions: each piece notes its own time and its process's peak memory."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bonelift.experiments.run.folder import RunPaths
from bonelift.learning.loop import CURVE_NAME
from bonelift.storage.input_files import MAX_JSON_BYTES, parse_json, read_json, read_text, understood

COST_FILE = "cost.json"
READ_S = "read_s: "
"""Before the name of a method in that file: processor seconds an image, mean over the case's images."""
LEARNED_FILE = "learned.json"
"""What learning a fold cost a method that somebody brought, and whether it failed."""


@dataclass(frozen=True)
class Cost:
    """pieces: how many were done. seconds: of their processes, added up. peak_mib: of the largest process."""

    step: str
    pieces: int
    seconds: float
    peak_mib: float


def write_cost(folder: Path, started: float, read_s: Mapping[str, Sequence[float]] | None = None) -> None:
    """Note in ``folder`` what a piece cost that began at ``started`` (time.monotonic). read_s: of each method, the
    processor seconds in which it made the bones of each image."""
    cost = {"seconds": round(time.monotonic() - started, 2), "peak_mib": peak_mib()}
    cost |= {f"{READ_S}{method}": round(sum(of) / len(of), 3) for method, of in (read_s or {}).items() if of}
    (folder / COST_FILE).write_text(json.dumps(cost) + "\n", encoding="utf-8")


def peak_mib() -> float:
    """Most memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def run_costs(paths: RunPaths) -> list[Cost]:
    """Of images, networks and scores. Training time is that of the learning curves, which goes on after a stop."""
    images, scores = (list(_noted(paths.run.glob(f"{part}/[!.]*/{COST_FILE}"))) for part in ("images", "scores"))
    minutes = [_minutes(path) for path in sorted(paths.run.glob(f"*/*/{CURVE_NAME}"))]
    networks = [entry["peak_mib"] for entry in _noted(paths.run.glob("*/*-done.json"))]
    return [
        _sum("images", images),
        Cost("training stages", len(minutes), 60 * sum(minutes), max(networks, default=0.0)),
        _sum("scores", scores),
        *(
            _sum(f"method {folder.name}", list(_noted(_pieces_of(folder))))
            for folder in sorted(paths.methods.glob("[!.]*"))
        ),
    ]


def _pieces_of(method: Path) -> Iterator[Path]:
    yield from method.glob(f"*/{LEARNED_FILE}")
    yield from method.glob(f"scores/[!.]*/{COST_FILE}")


def _sum(step: str, entries: list[Mapping[str, float]]) -> Cost:
    seconds = sum(entry["seconds"] for entry in entries)
    return Cost(step, len(entries), seconds, max((entry["peak_mib"] for entry in entries), default=0.0))


def _noted(paths: Iterator[Path]) -> Iterator[Mapping[str, float]]:
    for path in sorted(paths):
        noted = read_json(path, f"what a step cost ({path}); delete its folder and run again")
        with understood(str(path), "does not say what a step cost; delete its folder and run again"):
            yield {"seconds": float(noted.get("seconds", 0.0)), "peak_mib": float(noted["peak_mib"])}


def _minutes(curve: Path) -> float:
    """Of training, from the last line of a learning curve."""
    lines = read_text(curve, "a learning curve", MAX_JSON_BYTES).splitlines() if curve.stat().st_size else []
    with understood(str(curve), "is no learning curve; delete its folder and run again"):
        return float(parse_json(lines[-1], curve.name, "a learning curve", nan=True)["minutes"]) if lines else 0.0
