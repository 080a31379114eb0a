"""What a run of ``evaluate`` will cost, before it begins: seconds of one processor core, from measured steps.

The seconds stand for one core of a server processor of 2021 without bfloat16 (docs/experiments.md, which also tells how
near such an estimate came); a machine of one's own may be twice as fast or as slow, and a GPU faster by far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bonelift.experiments.folds import ALL_PAIRS, Folds
from bonelift.experiments.presets import StudyPreset
from bonelift.experiments.run.folder import RunPaths
from bonelift.study.folder import StudyCase

SECONDS_AN_UPDATE: dict[str, dict[str, float]] = {
    "smoke": {"autoencoder": 0.06, "predictor": 0.06, "finetune": 0.08, "pix2pix": 0.03, "shape": 0.02},
    "small": {"autoencoder": 0.06, "predictor": 0.04, "finetune": 0.08, "pix2pix": 0.04, "shape": 0.06},
    "laptop": {"autoencoder": 0.74, "predictor": 0.51, "finetune": 0.80, "pix2pix": 0.68, "shape": 0.42},
    "paper": {"autoencoder": 22.6, "predictor": 6.5, "finetune": 14.2, "pix2pix": 0.62, "shape": 0.42},
}
"""Of the networks of each preset, by stage."""
IMAGES_S, CT_DRR_S, FILM_S = 6.0, 0.5, 0.5
"""Of each CT: reading and normalising it; then each of its random CT-DRRs, and each film that is cut."""
NETWORK_S = 5.0
"""Of each network beside its updates: its samples, its validation, what is kept of it."""
LONG_S = 4 * 86400.0
"""From here on hours are told as days, too, and a CPU is the wrong place for it."""
SCORE_S, PICTURE_S = 8.0, 4.6
"""Of each tested case: the mean bone and the grid's floor; then each image, read by both networks and scored."""


@dataclass(frozen=True)
class ExpectedCost:
    """Seconds of one core that are left to do. done: part of the whole that is there already, 0 to 1."""

    images_s: float
    networks_s: float
    scores_s: float
    done: float

    @property
    def total_s(self) -> float:
        return self.images_s + self.networks_s + self.scores_s


def expected_cost(
    paths: RunPaths, cases: Sequence[StudyCase], folds: Folds, names: Sequence[str], preset: StudyPreset
) -> ExpectedCost:
    """Of the folds ``names`` of a run that may have been begun."""
    images = {case.case: _images_s(case, preset) for case in cases}
    tested = [case for case in cases if folds.fold_testing(case.patient).name in names]
    scores = {case.case: _score_s(case, folds, preset) for case in tested}
    networks = {
        f"{group}/{network}": seconds
        for group in (*((ALL_PAIRS,) if folds.tests_others(names) else ()), *names)
        for network, seconds in network_seconds(preset).items()
        if network == "pix2pix" or group != ALL_PAIRS
    }
    done = {name for name in images if paths.images(name).is_dir()}
    scored = {name for name in scores if paths.scores(name).is_dir()}
    trained = {name for name in networks if (paths.run / f"{name}-done.json").is_file()}
    parts = [(images, done), (networks, trained), (scores, scored)]
    images_s, networks_s, scores_s = (
        sum(seconds for name, seconds in part.items() if name not in there) for part, there in parts
    )
    left_s = images_s + networks_s + scores_s
    whole = sum(sum(part.values()) for part, _ in parts)
    return ExpectedCost(images_s, networks_s, scores_s, 1 - left_s / whole if whole else 1.0)


def network_seconds(preset: StudyPreset) -> dict[str, float]:
    """What one network of each kind takes to train."""
    step, networks = SECONDS_AN_UPDATE[preset.networks.name], preset.networks
    tl = {
        "autoencoder": networks.autoencoder_training.loop.updates,
        "predictor": networks.predictor_training.loop.updates,
        "finetune": networks.finetune_training.loop.updates,
    }
    return {
        "tl": 3 * NETWORK_S + sum(step[stage] * updates for stage, updates in tl.items()),
        "pix2pix": NETWORK_S + step["pix2pix"] * networks.pix2pix_training.loop.updates,
        "shape": NETWORK_S + step["shape"] * networks.shape_training.loop.updates,
    }


def _images_s(case: StudyCase, preset: StudyPreset) -> float:
    posed = sum(radiograph.pose_file is not None for radiograph in case.radiographs)
    films = posed * preset.films_per_pair + len(case.radiographs) - posed
    return IMAGES_S + CT_DRR_S * preset.ct_drrs + FILM_S * films


def _score_s(case: StudyCase, folds: Folds, preset: StudyPreset) -> float:
    inputs = 3 if case.patient in folds.pairs else 1
    return SCORE_S + PICTURE_S * (preset.test_drrs + inputs * len(case.radiographs))


def in_a_sentence(cost: ExpectedCost, workers: int, device: str) -> str:
    """For a person, before the work begins."""
    parts = {"images": cost.images_s, "networks": cost.networks_s, "scores": cost.scores_s}
    split = ", ".join(f"{name} {_hours(seconds)}" for name, seconds in parts.items())
    ready = f"; {100 * cost.done:.0f} % is done already" if cost.done > 0.005 else ""
    shared = f", shared by {workers} processes" if workers > 1 else ""
    faster = ", for the networks much less on a GPU" if device != "cpu" else ""
    if device == "cpu" and cost.total_s > LONG_S:
        faster = ": too long without a GPU (--device cuda)"
    return (
        f"this will take about {_hours(cost.total_s)} of one processor core{shared}{faster} ({split}){ready}; "
        "an estimate, right within a factor of two or so; stopped in any way, the same command goes on"
    )


def _hours(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds > LONG_S:
        return f"{seconds / 3600:.0f} h ({seconds / 86400:.0f} days)"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
