"""``bonelift bench reconstruct``: seconds of each step on films of virtual patients, and of the whole command."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.bench.provenance import provenance
from bonelift.errors import InputError
from bonelift.images import Radiograph, View
from bonelift.networks.model import load_model
from bonelift.phantom.patient import make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.job import STEPS, reconstruct
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.stopwatch import Stopwatch

CASES = ("PA film", "PA film shown mirrored", "lateral film", "PA and lateral film")
_CACHE = "NUMBA_CACHE_DIR"


@dataclass(frozen=True)
class ReconstructBenchSettings:
    """patients: virtual ones, whose films are read. repeats: of the whole command. seed: of the first patient."""

    patients: int = 6
    repeats: int = 3
    seed: int = 973_000

    def __post_init__(self) -> None:
        if min(self.patients, self.repeats) < 1 or self.seed < 0:
            raise InputError(f"bench: patients and repeats must be positive and the seed 0 or above; got {self}")


@dataclass(frozen=True)
class ReconstructBench:
    """seconds: case -> step -> one number a patient, the model loaded and the kernels compiled. command_s: the whole
    command on the packaged film, "kernels compiled" and "not compiled" -> one number a repeat. mib: the most memory
    that it held; NaN where the system does not tell. provenance: how it was measured."""

    settings: ReconstructBenchSettings
    seconds: dict[str, dict[str, list[float]]]
    command_s: dict[str, list[float]]
    mib: float
    model: str
    provenance: dict[str, str]

    def median(self, case: str, step: str) -> float:
        return float(np.median(self.seconds[case][step]))

    def totals(self, case: str) -> list[float]:
        """Of each patient, all steps."""
        return [float(sum(row)) for row in zip(*self.seconds[case].values(), strict=True)]


def run_reconstruct_bench(settings: ReconstructBenchSettings) -> ReconstructBench:
    """Every case of each patient once, after one that is not counted; then the command."""
    model = load_model(None)
    seconds: dict[str, dict[str, list[float]]] = {case: {step: [] for step in STEPS} for case in CASES}
    for number in range(settings.patients):
        for case, films in films_of(settings.seed + number):
            if number == 0:
                reconstruct(films, model)  # compiles kernels, fills caches
            clock = Stopwatch()
            reconstruct(films, model, JobSettings(), clock)
            for step in STEPS:
                seconds[case][step].append(clock.seconds.get(step, 0.0))
    command_s, mib = _whole_command(settings.repeats)
    return ReconstructBench(settings, seconds, command_s, mib, model.name, provenance())


def films_of(seed: int) -> Iterator[tuple[str, list[Radiograph]]]:
    """Each of CASES with its films, of one virtual patient: a right wrist at a known distance."""
    patient = make_patient(seed, load_shape_model())
    views: tuple[View, ...] = get_args(View)
    pa, lateral = (
        simulated_film(patient, np.random.default_rng([seed, number]), view, "right")[0]
        for number, view in enumerate(views)
    )
    mirrored = replace(pa, pixels=np.ascontiguousarray(pa.pixels[:, ::-1]))
    shown: Sequence[list[Radiograph]] = ([pa], [mirrored], [lateral], [pa, lateral])
    yield from zip(CASES, shown, strict=True)


def _whole_command(repeats: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of ``bonelift reconstruct`` on the packaged film in processes of their own, and MiB at most."""
    image = load_demo_case().image
    found: dict[str, list[float]] = {"kernels compiled": [], "not compiled": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repeats):
            for state, times in found.items():
                cache = Path(folder) / ("kernels" if state == "kernels compiled" else f"kernels-{number}")
                if state == "kernels compiled" and not cache.exists():
                    _run_once(image.path, Path(folder) / "first", cache)
                times.append(_run_once(image.path, Path(folder) / f"{state}-{number}", cache))
    return found, _most_memory_mib()


def _run_once(film: Path, out: Path, cache: Path) -> float:
    command = [sys.executable, "-m", "bonelift", "reconstruct", str(film), "--side", "right", "--view", "pa",
               "--pixel-spacing-mm", "0.2", "--out", str(out), "--quiet"]  # fmt: skip
    start = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, _CACHE: str(cache)}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InputError(f"bench: bonelift reconstruct ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return time.perf_counter() - start


def _most_memory_mib() -> float:
    """The most that a child process held."""
    try:
        import resource  # no such module on Windows
    except ImportError:
        return float("nan")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def markdown(result: ReconstructBench) -> str:
    """The page: medians by step, the whole command, how it was measured."""
    facts, settings = result.provenance, result.settings
    lines = [
        "# Seconds of a reconstruction, by step",
        "",
        f"`{facts['command']}` at commit {facts['commit']}, {facts['date']}; {facts['machine']}, load {facts['load']}, "
        f"Python {facts['python']}; model `{result.model}`.",
        "",
        f"Films of {settings.patients} virtual patients (seeds from {settings.seed}), 1000 x 1300 pixels, in one "
        "process: the model is loaded and the kernels are compiled. Median over the patients, s; in brackets the most "
        "of one.",
        "",
        f"| step | {' | '.join(CASES)} |",
        "|---|" + "---:|" * len(CASES),
    ]
    for step in STEPS:
        cells = [f"{result.median(case, step):.2f} ({max(result.seconds[case][step]):.2f})" for case in CASES]
        lines.append(f"| {step} | {' | '.join(cells)} |")
    totals = [f"{np.median(result.totals(case)):.2f} ({max(result.totals(case)):.2f})" for case in CASES]
    lines += [
        f"| **all** | {' | '.join(totals)} |",
        "",
        "A film that leaves doubt where the wrist is, or that does not agree with its bones, is read several times "
        "(`reconsider`).",
        "",
        "The whole command on the packaged film, in a process of its own: Python, libraries, model, reading, "
        f"reconstruction, and the files that it writes; {settings.repeats} runs.",
        "",
        "| | s, median | s, each | bar, s |",
        "|---|---:|---|---:|",
    ]
    for state, bar in (("kernels compiled", 6), ("not compiled", 10)):
        times = result.command_s[state]
        each = ", ".join(f"{value:.1f}" for value in times)
        lines.append(f"| {state} | {np.median(times):.1f} | {each} | {bar} |")
    lines += ["", f"Most memory of such a process: {result.mib:.0f} MiB (bar: 1536)."]
    return "\n".join(lines) + "\n"
