"""What having seen a subject is worth, for docs/results/real-bones.md: networks that left it out beside one that did
not, trained alike."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from reference_bones import NOT_NORMAL, RADIUS_FILES, ULNA_FILES
from scipy.stats import t

from bonelift.experiments.real_bones_scores import RealBoneRow
from bonelift.experiments.surface_scores import Alignment
from bonelift.images.volume import BONES
from bonelift.networks.model import WristModel

WIDTH = 120
FILES = {"radius": RADIUS_FILES, "ulna": ULNA_FILES}
SECTION = r"""
## What having seen the subject is worth

{words}

{networks}

{how}

ASD in mm, *left out* less *seen*, paired over the bones that a population has (mean over insides first); beside it the
95 % interval of Student's t. Positive: worse for not having seen the subject.

{table}
"""
HOW = """{models} were trained from scratch, alike in everything but the population: the same numbers of patients and
updates, the same seeds, bases of their own patients. {control} has the whole population and is their control, because
training is short here and that of the packaged model was not: "left out" is to be compared with the control. A longer
training has more time to learn what its population knows of these bones, and the difference may change; that was not
measured. Films are read through the packaged translator, which learned from films of virtual patients of the whole
population, and so did the locator: on films, only the reading of shapes has not seen the subject. Leaving subjects out
also lowers the number of real bones that the population is built from (see the table). So the difference has two
parts that are not told apart here: not having seen the subject, and knowing fewer people. The mean of the others,
against which skill counts, is of all other subjects, also of those whom the network does not know. Some ten numbers
that say how strong modes and fields of the population are (`population.py`) were set on all of these bones and stay as
they are. {pose}"""
POSE = """No subject is left for {names} whose radius and ulna lie in one scan; there the mean pose of the ulna is that
of the packaged model, which says nothing of a bone's shape."""


@dataclass(frozen=True)
class Network:
    """Which network saw what, and how long it was trained. without: subjects or sources that its population lacks.
    bare, filmed: patients; updates: of S. None of these where its card alone tells. is_control: it has the whole
    population and was trained like those that left subjects out."""

    name: str
    without: tuple[str, ...] = ()
    bare: int | None = None
    filmed: int | None = None
    updates: int | None = None
    is_control: bool = False


def network_of_model(model: WristModel, without: set[str], is_control: bool = False) -> Network:
    """What the metadata of a model say of its training."""
    stages = {str(stage.get("stage")): stage.get("arguments", {}) for stage in model.metadata.get("training", [])}
    updates = stages.get("shape", {}).get("updates")
    if not updates:
        return Network(model.name, tuple(sorted(without)), is_control=is_control)
    bare, filmed = (stages.get(stage, {}).get("patients") for stage in ("bones", "films"))
    return Network(model.name, tuple(sorted(without)), bare, filmed, updates, is_control)


def left_out_section(rows: Sequence[RealBoneRow], networks: Sequence[Network]) -> str:
    """The section of the page; "" where no network is the control."""
    control = next((network.name for network in networks if network.is_control), None)
    if control is None:
        return ""
    blind = [(network.name, set(network.without)) for network in networks if network.without]
    posed = {"ControlSample1", "ControlSample2", "Yr4"}
    unposed = [name for name, without in blind if all(is_left_out(subject, without) for subject in posed)]
    return SECTION.format(
        networks=networks_table(networks),
        how=_filled(
            HOW.format(
                models=", ".join([*(name for name, _ in blind), control]),
                control=control,
                pose=POSE.format(names=", ".join(unposed)) if unposed else "",
            )
        ),
        table=difference_table(rows, control),
        words=_filled(f"{in_words(rows, control)} {beside_size(rows)}"),
    )


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def is_left_out(subject: str, without: set[str]) -> bool:
    """Whether the subject, or its source, is among those that a population was built without."""
    return bool(without & {subject, *(row.source for row in (*RADIUS_FILES, *ULNA_FILES) if row.subject == subject)})


def bones_of(bone: str, without: set[str]) -> int:
    """Number of real bones that a population is built from."""
    subjects = [row.subject for row in FILES[bone] if row.subject not in NOT_NORMAL[bone]]
    return sum(not is_left_out(subject, without) for subject in subjects)


def networks_table(networks: Sequence[Network]) -> str:
    """A line for each network."""
    lines = ["| network | population without | real radii, ulnae in it | patients: bare, with films | updates of S |"]
    lines.append("|" + " --- |" * 5)
    for network in networks:
        without = set(network.without)
        cells = [network.name, ", ".join(network.without) or "nobody"]
        cells.append(f"{bones_of('radius', without)}, {bones_of('ulna', without)}")
        trained = [f"{network.bare}, {network.filmed}", str(network.updates)] if network.updates else None
        lines.append(f"| {' | '.join([*cells, *(trained or ['as its card says', ''])])} |")
    return "\n".join(lines)


def paired(
    rows: Sequence[RealBoneRow], control: str, source: str, bone: str, alignment: Alignment
) -> tuple[np.ndarray, np.ndarray]:
    """(seen, left out) ASD of each bone that a population may have, by subject."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if (row.source, row.bone, row.alignment, row.gain) != (source, bone, alignment, 1.0):
            continue
        kind = "left out" if row.saw == "left out" else "seen" if row.model == control else ""
        if kind and row.subject not in NOT_NORMAL[bone]:
            found.setdefault(row.subject, {}).setdefault(kind, []).append(row.asd_surface_mm)
    both = [kinds for kinds in found.values() if len(kinds) == 2]
    means = np.array([[np.mean(kinds["seen"]), np.mean(kinds["left out"])] for kinds in both]).reshape(-1, 2)
    means = means[np.isfinite(means).all(axis=1)]
    return means[:, 0], means[:, 1]


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % interval (Student's t); NaN ends for fewer than two."""
    mean = float(differences.mean()) if len(differences) else float("nan")
    if len(differences) < 2:
        return mean, float("nan"), float("nan")
    half = float(t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences)))
    return mean, mean - half, mean + half


def _difference(seen: np.ndarray, left_out: np.ndarray) -> str:
    mean, low, high = interval(left_out - seen)
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def sources_of(rows: Sequence[RealBoneRow]) -> list[str]:
    return sorted({row.source for row in rows if row.source != "none"})


def difference_table(rows: Sequence[RealBoneRow], control: str) -> str:
    """A line for each source and bone."""
    head = ["input", "bone", "n", "seen, rigid", "left out, rigid", "difference", "as predicted: difference"]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for source in sources_of(rows):
        for bone in BONES:
            seen, left_out = paired(rows, control, source, bone, "rigid")
            cells = [source, bone, str(len(seen)), f"{seen.mean():.2f}", f"{left_out.mean():.2f}"]
            cells.append(_difference(seen, left_out))
            cells.append(_difference(*paired(rows, control, source, bone, "as predicted")))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def in_words(rows: Sequence[RealBoneRow], control: str) -> str:
    """The same for PA pictures and for two films, in a sentence."""
    found = []
    named = {"CT-DRR PA": "one PA CT-DRR", "film PA": "one PA film", "film PA and lateral": "a PA and a lateral film"}
    for source, what in named.items():
        if source not in sources_of(rows):
            continue
        parts = []
        for bone in BONES:
            mean, low, high = interval(np.subtract(*paired(rows, control, source, bone, "rigid")[::-1]))
            sure = "" if low > 0 or high < 0 else ", which may be nothing"
            parts.append(f"{mean:.2f} mm at the {bone} ({low:.2f} to {high:.2f}{sure})")
        found.append(f"from {what} {' and '.join(parts)}")
    return (
        "Bones are read better where the population holds the subject and its source. By how much, after rigid "
        f"alignment (95 % interval): {'; '.join(found)}."
    )


def beside_size(rows: Sequence[RealBoneRow]) -> str:
    """What the networks that left the subject out read, beside the mean of the others at the true size."""
    parts = []
    for bone in BONES:
        chosen = [row for row in rows if (row.bone, row.alignment, row.gain) == (bone, "rigid", 1.0)]
        sized = np.nanmean([row.asd_surface_mm for row in chosen if row.method == "the same at true size"])
        read = {
            source: np.nanmean([r.asd_surface_mm for r in chosen if (r.source, r.saw) == (source, "left out")])
            for source in sources_of(rows)
            if source.endswith("PA")
        }
        told = " and ".join(f"{mean:.2f} mm (one PA {source.split()[0]})" for source, mean in read.items())
        parts.append(f"the {bone} is {told} off, and the mean of the others at the true size {sized:.2f} mm")
    return f"Where it does not hold them, {'; '.join(parts)} (all bones of the bench)."
