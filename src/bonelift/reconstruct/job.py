"""The main job: wrist radiographs in, radius and ulna out. Each step is a function of frozen data, and runs once.

Reading comes before it (:func:`bonelift.reconstruct.inputs.read_radiographs`), saving after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bonelift.images.radiograph import Radiograph, View
from bonelift.networks.inference import translate
from bonelift.networks.model import WristModel
from bonelift.reconstruct.bones import measure_bones, predict
from bonelift.reconstruct.cut import cut
from bonelift.reconstruct.expected import expected_errors
from bonelift.reconstruct.fit import fit
from bonelift.reconstruct.judge import judge
from bonelift.reconstruct.locate import locate_wrist
from bonelift.reconstruct.place import place, stand
from bonelift.reconstruct.result import Reconstruction
from bonelift.reconstruct.scale import scale
from bonelift.reconstruct.settings import JobSettings
from bonelift.reconstruct.stopwatch import Stopwatch

STEPS = ("locate", "scale", "cut", "translate", "predict", "stand", "fit", "place", "measure", "judge")


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
        sightings = [locate_wrist(radiograph, model, how.locate) for radiograph in radiographs]
        seen, missed = [s for s in sightings if s.found], [s for s in sightings if not s.found]
    with clock.step("scale"):
        scaled = scale(seen, how.scale)
    with clock.step("cut"):
        films = tuple(cut(sighting) for sighting in scaled.sightings)
        pixels = [film.film.pixels for film in films]
        views: list[View] = [film.radiograph.view for film in films]
    with clock.step("translate"):
        drrs = tuple(translate(film, view, model) for film, view in zip(pixels, views, strict=True))
    with clock.step("predict"):
        bones = predict(drrs, views, model, how.method, pixels) if films else None
    with clock.step("stand"):
        stances = stand(bones, films, drrs, scaled.together, how.place, how.seed) if bones else ()
    with clock.step("fit"):
        bones, stances = fit(bones, stances, model, how.fit, how.seed) if bones else (None, ())
    with clock.step("place"):
        placed = place(bones, stances, how.seed) if bones else ()
    with clock.step("measure"):
        measurements = measure_bones(bones.surfaces) if placed and bones else ()
    with clock.step("judge"):
        quality = judge(films, drrs, bones, placed, missed, scaled.cameras_apart, model)
        expected = expected_errors(bones, model) if bones else None
    shown = films or tuple(cut(sighting) for sighting in missed)
    return Reconstruction(
        shown,
        drrs,
        bones,
        placed,
        measurements,
        quality,
        expected,
        model.name,
        model.weights_sha256,
        how,
        dict(clock.seconds),
    )
