"""What a study found, in one sentence and one figure, and what its failed rows mean in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bonelift.experiments.results.tables import Line
from bonelift.reconstruction.bones import BONES

NO_SKILL, FLOOR = "no skill", "floor"
_SMOKE = (
    "This run only tried the machinery: the preset smoke trains each network for seconds, and no number here says "
    "anything about the method. The TL net then makes empty or shapeless bones. The shape regressor answers with about "
    "the mean bone of its bases, whatever the image shows."
)


@dataclass(frozen=True)
class Bar:
    """One bar of the summary's figure. kind: "film", "drr" or "none" (the mean bone, which needs no image). mean_mm,
    sd_mm: over patients; NaN where no bone was made. percent: of the longest bar."""

    bone: str
    label: str
    kind: str
    mean_mm: float
    sd_mm: float
    percent: float


@dataclass(frozen=True)
class FailureReason:
    """Rows that failed for one reason. note: as the rows have it. words: what it means and what helps."""

    note: str
    words: str
    rows: int
    cases: tuple[str, ...]


def summary_bars(lines: Sequence[Line], alignment: str = "as predicted") -> list[Bar]:
    """The bars of experiment 2: each input of each network, and the mean bone beside them."""
    shown = [line for line in lines if line.alignment == alignment and not line.label.startswith(FLOOR)]
    means = [line.means["asd_paper_mm"].mean for line in shown]
    longest = max((mean for mean in means if np.isfinite(mean)), default=float("nan"))
    return [
        Bar(line.bone, line.label, _kind(line.label), mean, line.means["asd_paper_mm"].sd, 100 * mean / longest)
        for line, mean in zip(shown, means, strict=True)
    ]


def summary_sentence(lines: Sequence[Line], preset: str, alignment: str = "as predicted") -> str:
    """What came out, for a person: of each bone the best network that reads films, against the mean bone."""
    said = [words for bone in BONES if (words := _of_bone(lines, bone, alignment))]
    if not said:
        said = ["No bone was reconstructed from a radiograph or a DRR, so there is nothing to compare yet."]
    return " ".join([*([_SMOKE] if preset == "smoke" else []), *said])


def _of_bone(lines: Sequence[Line], bone: str, alignment: str) -> str:
    made = [
        line
        for line in lines
        if (line.bone, line.alignment) == (bone, alignment) and np.isfinite(line.means["asd_paper_mm"].mean)
    ]
    from_films = [line for line in made if _kind(line.label) == "film"]
    read = from_films or [line for line in made if _kind(line.label) == "drr"]
    if not read:
        return ""
    best = min(read, key=lambda line: line.means["asd_paper_mm"].mean)
    told, skill = best.means["asd_paper_mm"], best.means["skill_paper"].mean
    source = "a radiograph" if from_films else "a CT-DRR"
    patients = "1 patient" if told.count == 1 else f"{told.count} patients"
    return f"From {source}, the {bone} came out {told.mean:.2f} mm from the truth (mean of {patients}){_skill(skill)}."


def _skill(skill: float) -> str:
    """How much nearer than the mean bone, which needs no image."""
    if not np.isfinite(skill):
        return ""
    percent = f"{abs(skill) * 100:.0f} %"
    if percent == "0 %":
        return ": as far as the mean bone, which needs no image"
    return f": {percent} {'nearer' if skill > 0 else 'farther'} than the mean bone, which needs no image"


def _kind(label: str) -> str:
    """What a line of experiment 2 was read from: "film" or "drr"; "none" for the mean bone and the grid's floor."""
    if label.startswith((NO_SKILL, FLOOR)):
        return "none"
    return "film" if "GAN-DRR" in label else "drr"


def explain_failure(note: str) -> str:
    """What the note of a failed row means, and what helps."""
    if note == "no surface":
        return (
            "The network's answer has no surface: its field reaches one half nowhere. A network that has learned too "
            "little makes such an empty bone; the preset smoke nearly always does. Train longer (preset laptop or "
            "paper)."
        )
    if "shows no bone on the film" in note:
        return (
            "The bones lie outside the part of the film that was cut out, so there is nothing to compare. Look at the "
            "pose of this radiograph and at its landmarks."
        )
    return (
        "These rows could not be scored: images of the case could not be made or read, or a method gave no whole bone "
        "of it. The reason is named."
    )


def failure_reasons(failed: Iterable[tuple[str, str, int]]) -> list[FailureReason]:
    """(case, note, number of rows) by reason, the most frequent first."""
    by_note: dict[str, list[tuple[str, int]]] = {}
    for case, note, count in failed:
        by_note.setdefault(note, []).append((case, count))
    reasons = [
        FailureReason(note, explain_failure(note), sum(n for _, n in cases), tuple(case for case, _ in cases))
        for note, cases in by_note.items()
    ]
    return sorted(reasons, key=lambda reason: -reason.rows)
