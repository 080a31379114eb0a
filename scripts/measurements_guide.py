"""docs/measurements.md, from what the code knows of each measurement and the packaged table of errors.

python scripts/measurements_guide.py     (scripts/measure_measurements.py does it, too, when it is done)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bonelift.anatomy.measurement_facts import MEASUREMENTS, MeasurementFacts
from bonelift.reconstruction.measurement_errors import TABLE_FILE, MeasurementError

GUIDE = Path("docs/measurements.md")
PAGE = """# Measurements

`bonelift reconstruct` gives two kinds of numbers, and each name says which:

- **3D**: on the reconstructed bones, in the frame of the radius. They do not depend on how the wrist lay.
- **film**: what a reader would take off that very film: the bones as they lay before the X-ray, projected onto the
  detector. They hold the turn and tilt of the wrist and the film's magnification, as a reader's own numbers do.

The two differ where the wrist was not exactly positioned: a degree of supination adds about 0.4 degrees of palmar tilt
on a lateral film, and fingers that point one degree towards the source take 0.1 mm off the ulnar variance
([results/measurements-pose.md](results/measurements-pose.md)).

**Expected error** is the mean absolute error on virtual patients that no network saw, through whole simulated films;
**bias** is the mean of measured minus true. Beside them stands the error of answering every patient with the mean of
the others. Where a measurement is not clearly better than that mean, it has **no skill**: the report greys it, and it
should not be read as this patient's. {known} Real bones with a truth, and a second computation of each number:
[results/measurements-real-bones.md](results/measurements-real-bones.md).

The **normal range** is that of healthy adults in the publication that is named. A value outside of it is not yet a
finding: look at the expected error first. The numbers are no diagnosis; this is research software.

In `reconstruction.json` the entries stand under `measurements` ([reconstruction-json.md](reconstruction-json.md)).

Words: the *shaft* is the axis of the radius; the *central reference point* lies midway between the volar and dorsal
edges of the sigmoid notch, where the lunate facet ends; *distal* is towards the fingers, *palmar* (volar) towards the
palm.

{sections}
## How they are found

Landmarks are the outermost points of the surface in a direction that their anatomy names, near where the mean wrist has
them (`anatomy/landmarks.py`). The 3D measurements are in `anatomy/measurements.py`, those of a film in
`anatomy/film_measurements.py`. Each is held in the tests against bones of closed form and against a second, independent
computation on virtual bones ([results/measurements-real-bones.md](results/measurements-real-bones.md) shows how far the
two are apart). The drawings show a virtual patient (seed 982000) and are made by `scripts/draw_measurements.py`; this
page is made by `scripts/measurements_guide.py`.
"""
INPUT_NAMES = {"pa": "one PA film", "lateral": "one lateral film", "pa and lateral": "PA and lateral film"}


def write_guide() -> None:
    told = json.loads(TABLE_FILE.read_text(encoding="utf-8")) if TABLE_FILE.exists() else None
    known = (
        "No table of errors is packaged yet: `python scripts/measure_measurements.py` makes it. Until then the result "
        "says that its errors are not known."
        if told is None
        else f"The packaged table speaks for the model `{told['model']['name']}` (seeds {told['seeds']}, commit "
        f"{told['commit']}); with another model the result says that its errors are not known. All numbers: "
        "[results/measurements.md](results/measurements.md)."
    )
    sections = [
        f"## {title}\n\n" + "\n".join(section(facts, told) for facts in MEASUREMENTS.values() if facts.kind == kind)
        for kind, title in (("3D", "In 3D"), ("film", "As on the film"))
    ]
    GUIDE.write_text(PAGE.format(sections="\n".join(sections), known=known), encoding="utf-8")


def section(facts: MeasurementFacts, told: dict[str, Any] | None) -> str:
    normal = facts.no_range if facts.normal is None else (
        f"{facts.normal.low:g} to {facts.normal.high:g} {facts.unit} ({facts.normal.source})"
    )  # fmt: skip
    lines = [
        f"### {facts.name}\n",
        f"![Drawing: {facts.name}](images/measurements/{facts.key}.png)\n",
        f"{facts.definition}\n",
        f"- Source: {facts.source}.",
        f"- Normal: {normal}.",
        *([] if told is None else [errors(facts, told)]),
    ]
    return "\n".join(lines) + "\n"


def errors(facts: MeasurementFacts, told: dict[str, Any]) -> str:
    lines = ["", f"| input | expected error, {facts.unit} | bias | the mean's error | |", "|---|---|---|---|---|"]
    for name, part in told["inputs"].items():
        if facts.key not in part["measurements"]:
            continue
        error = MeasurementError(**part["measurements"][facts.key])
        lines.append(
            f"| {INPUT_NAMES[name]} ({part['patients']}) | {error.mean_abs:.2f} | {error.bias:+.2f} "
            f"| {error.no_skill:.2f} | {'' if error.has_skill else '**no skill**'} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    write_guide()
