"""The main job: wrist radiographs in, radius and ulna out. Each step is a function of frozen data.

Reading the files comes before it (:func:`bonelift.reconstruction.inputs.read_radiographs`), saving after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bonelift.images.radiograph import Radiograph
from bonelift.networks.model import WristModel
from bonelift.reconstruction.cut import cut
from bonelift.reconstruction.expected import expected_errors
from bonelift.reconstruction.fit import fit
from bonelift.reconstruction.judge import judge
from bonelift.reconstruction.locate import locate_wrist
from bonelift.reconstruction.measured import measurements_of
from bonelift.reconstruction.measurement_errors import known_errors
from bonelift.reconstruction.one_of_two import one_wrist
from bonelift.reconstruction.place import place
from bonelift.reconstruction.reading import read_wrist
from bonelift.reconstruction.reconsider import reconsider
from bonelift.reconstruction.result import Reconstruction
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.stopwatch import Stopwatch
from bonelift.reconstruction.suggest import suggest

STEPS = (
    "locate", "scale", "cut", "translate", "predict", "stand", "reconsider", "fit", "place", "measure", "judge",
    "suggest",
)  # fmt: skip


def reconstruct(
    radiographs: Sequence[Radiograph],
    model: WristModel,
    settings: JobSettings | None = None,
    clock: Stopwatch | None = None,
) -> Reconstruction:
    """The bones of one wrist from one or two of its radiographs.

    clock: told of each of STEPS as it begins, and returned as timings with what it timed before.
    Whatever could be read comes to an answer; how far to trust it is in ``quality``.
    """
    how, clock = settings or JobSettings(), clock or Stopwatch()
    with clock.step("locate"):
        chosen = [one_wrist(radiograph, model, how.locate, how.suggest) for radiograph in radiographs]
        radiographs = [one.radiograph for one in chosen]
        hypotheses = [locate_wrist(radiograph, model, how.locate) for radiograph in radiographs]
    reading = read_wrist([sightings[0] for sightings in hypotheses], model, how, clock)
    with clock.step("reconsider"):
        reading, tried = reconsider(reading, hypotheses, model, how)
    bones, stances = reading.bones, reading.stances
    with clock.step("fit"):
        bones, stances = fit(bones, stances, model, how.fit, how.seed) if bones else (None, ())
    with clock.step("place"):
        placed = place(bones, stances, how.seed) if bones else ()
    with clock.step("measure"):
        errors = known_errors(
            model.weights_sha256,
            bones.method if bones else "",
            [film.radiograph.view for film in reading.films],
            shared_cameras=len(stances) < len(reading.films),
        )
        measurements = measurements_of(bones, reading.films, placed, errors.table) if placed and bones else ()
    with clock.step("judge"):
        expected = expected_errors(bones, model) if bones else None
        quality = judge(reading, bones, placed, expected, model)
    with clock.step("suggest"):
        suggestions = ()
        if quality.doubtful:
            suggestions = suggest(radiographs, reading.agreements(), reading.sightings, tried, model, how)
    shown = reading.films or tuple(cut(sighting) for sighting in reading.missed)
    return Reconstruction(
        shown,
        reading.drrs,
        bones,
        placed,
        tried,
        measurements,
        errors,
        quality.remarked([*(one.remark for one in chosen if one.remark), *(one.text for one in suggestions)]),
        suggestions,
        expected,
        model.name,
        model.weights_sha256,
        how,
        dict(clock.seconds),
    )
