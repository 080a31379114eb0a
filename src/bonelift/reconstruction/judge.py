"""How far to trust a reconstruction, from what the pipeline itself can see; the truth is never used.

The score is the product of factors in [0, 1], one for each check below, so that one bad sign is enough to pull it
down; of two films the geometric mean counts, so that two good ones score no lower than one. It orders results; it is no
probability. Each factor falls linearly from 1 at its good value to 0 at its bad one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_uncertainty import ExpectedDistance
from bonelift.film.standard import FILM_ORIGIN_PX, FILM_SPACING_MM, Film
from bonelift.images.patient_age import CHILD_UNDER
from bonelift.images.radiograph import Radiograph, View
from bonelift.networks.model import WristModel
from bonelift.networks.outlines import OutlineSigns
from bonelift.reconstruction.agreement import film_agreement
from bonelift.reconstruction.beyond_the_film import BeyondSettings
from bonelift.reconstruction.bones import BONES, Bones
from bonelift.reconstruction.cut import PreparedFilm
from bonelift.reconstruction.devices import DeviceSigns, device_signs
from bonelift.reconstruction.growth_plate import growth_plate_contrast
from bonelift.reconstruction.locate import Sighting
from bonelift.reconstruction.place import PlacedFilm
from bonelift.reconstruction.reading import Reading
from bonelift.registration.similarity import intensity_correlation
from bonelift.report.content import Flag
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

ADULT_WIDTH_MM = {"radius": (20.0, 37.0), "ulna": (10.0, 24.0)}
"""Width of the distal end along x for any adult: published means 27 and 16 mm, more than three SD either way."""
NO_SPREAD_KNOWN = "whether the input is unusual was not checked: the model does not say how its training codes spread"
NO_ERROR_TOLD = "no error in mm is expected of these bones: the method or the model does not tell its errors"
EXPECTED_ERROR_MM = (0.6, 1.2)
"""Mean surface distance after rigid alignment: what lowers no score, and what leaves none. The mean bone of all adults
lies some 0.7 mm from one of them."""
BEYOND_THE_JOINT_MM = (5.0, 15.0)
"""How far the image reaches beyond the joint: what leaves no score, and what lowers none. The styloid alone reaches 10
mm; where a film is cut off at the joint, bones are found some mm too far up the arm and the rest looks right."""
NOT_USABLE_BELOW, DOUBTFUL_BELOW = 0.45, 0.5
"""Scores. Set on virtual adults, of whom few come below, and on films of children, who must
(docs/results/real-films.md)."""
OUTLINE_STEP = (0.05, 0.2)
"""Mean square of what a film's outlines ask of its reading, in SD: what lowers no score, and what leaves none. Of 40
virtual films all but three have less than 0.05 and one 0.1; given as the other view, 0.05 to 0.26."""
HARDLY_SEEN_MM = {"radius": 0.48, "ulna": 0.72}
"""How unsure a film is of a bone's outline, mean SD, from which on it is remarked. Set on 48 virtual patients, read by
the packaged model: the one lateral of 63 whose radius is more than 1 mm off there has 0.58, all others at most 0.39;
the three whose ulna is have 0.77 to 0.98, all others at most 0.67. PA films have at most 0.33 and 0.55, and one ulna of
129 is so far off (0.38). Real films are less sure of outlines that lie just as well (docs/results/adult-films.md), so
that the score does not follow from it."""
HIDDEN = (BeyondSettings().least_hidden, 0.8)
"""Of a bone's distal end, what a film does not show: what lowers no score, and what leaves none."""
ULNA_ACROSS_MM = {"pa": (14.0, 8.0), "lateral": (17.0, 25.0)}
"""How far the ulnar head lies from the shaft axis of the radius, in the picture: what lowers no score, and what leaves
none. Of the same films 15 to 29 mm in PA, 16 mm and less in laterals."""
GROWTH_PLATE = (0.2, 0.6)
"""Contrast of the darkest line across the radius: what lowers no score, and what leaves none. Virtual adults have less
than 0."""
METAL = (0.20, 0.30)
"""Contrast of a bar within the shaft of the radius: what lowers no score, and what leaves none. Set on 44 virtual films
of both views without metal (at most 0.16), 20 with a plate (0.24 and more) and 20 with wires (four less than that); an
ulna that lies over the radius in a lateral of a toy wrist has 0.23."""
ROD = (0.60, 0.90)
"""The same of a bar of 50 mm around the wrist: of 44 films without metal one has 0.57 and the others at most 0.41; 1.06
and more where the rod of an external fixator is on the film."""
SHELL = (0.08, 0.22)
"""The same of a bar of 40 mm beside the bones: of 44 films without a cast at most 0.04, and of nine with letters,
chains or bright lines of a collimator beside the arm at most 0.10; of ten in plaster eight have 0.29 and more, and of
ten in fibreglass two 0.21 and more."""


Verdict = Literal["no objection", "doubtful", "not usable"]
"""What the flags come to. no objection: nothing but remarks. doubtful: a warning, which a low score as a whole gives
too. not usable: a severe flag."""


@dataclass(frozen=True)
class Check:
    """One sign. factor: in [0, 1], its part of the score. flag: what to say, or None when all is well."""

    name: str
    value: float
    factor: float
    flag: Flag | None


@dataclass(frozen=True)
class Quality:
    """score: 0 (useless) to 1. checks: all that were made, in order; flags: what they and the input facts say."""

    score: float
    checks: tuple[Check, ...]
    flags: tuple[Flag, ...]

    @property
    def verdict(self) -> Verdict:
        severities = {flag.severity for flag in self.flags}
        return "not usable" if "severe" in severities else "doubtful" if "warning" in severities else "no objection"

    @property
    def doubtful(self) -> bool:
        """Whether the score as a whole says that the answer should be checked before any use, or is of none."""
        return self.score < DOUBTFUL_BELOW

    def remarked(self, texts: Iterable[str]) -> Quality:
        """The same with further warnings, which come first."""
        return replace(self, flags=(*(Flag("warning", text) for text in texts), *self.flags))


@dataclass(frozen=True)
class FilmEvidence:
    """What one film says about the result.

    presence: locator's probability of an upright wrist; peak: least share of a landmark's heatmap
    near its peak. coverage: part of the film inside the image; beyond_joint_mm: how far that reaches beyond the joint.
    drr, projected: FILM_SHAPE bone-only image and the projection of the placed bones; weights: where they are compared.
    similarity, pose_reason: of the registration.
    film: FILM_SHAPE, the film itself, which no network has touched.
    plate: :func:`growth_plate_contrast` of the radius; NaN in a lateral, where it is not looked for.
    ulna_across_mm: how far the ulnar head was seen from the shaft axis of the radius, either way.
    outlines: what its outlines say (``Bones.outline_signs``); None where none were read.
    devices: signs of metal and of a cast.
    hidden: name -> the part of a bone that it does not show (``Reading.hidden``).
    """

    view: View
    presence: float
    peak: float
    coverage: float
    beyond_joint_mm: float
    drr: Float
    projected: Float
    weights: Float
    similarity: float
    pose_reason: str
    film: Float
    plate: float
    ulna_across_mm: float
    outlines: OutlineSigns | None
    devices: DeviceSigns
    hidden: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return view_name(self.view)


def judge(
    reading: Reading,
    bones: Bones | None,
    placed: Sequence[PlacedFilm],
    expected: Mapping[str, ExpectedDistance] | None,
    model: WristModel,
) -> Quality:
    """Checks of every film, of the bones, and of what was left out or assumed on the way.

    bones: as they were placed, None where no wrist was seen in any image. placed: in parallel with the films; nothing
    where a bone came out empty. expected: error that each bone expects of itself; None where none is told.
    """
    if bones is None:
        return nothing_found(min(sighting.presence for sighting in reading.missed))
    films = reading.films
    signs = bones.outline_signs or (None,) * len(films)
    hidden = reading.hidden or ({},) * len(films)
    # Without placed bones there is no evidence of any film.
    of_each = zip(films, reading.drrs, placed, signs, hidden, strict=bool(placed))
    evidence = [
        film_evidence(film, drr, where, bones.surfaces, told, unseen) for film, drr, where, told, unseen in of_each
    ]
    of_films = [check for film in evidence for check in film_checks(film)]
    of_bones = [*_bone_checks(bones.surfaces), _code_check(bones, model), *_error_checks(expected)]
    checks = [*of_films, *of_bones]
    score = float(_product(of_films) ** (1 / max(len(evidence), 1)) * _product(of_bones))
    checks += [_left_out(sighting) for sighting in reading.missed]
    checks += _age_checks([film.radiograph for film in films])
    if reading.cameras_apart:
        checks.append(_CAMERAS_APART)
    flags = [check.flag for check in checks if check.flag is not None]
    radiographs = [film.radiograph for film in films]
    flags = [*_verdict(score), *flags, *_mirrored(radiographs), *_turned(films), *_assumptions(radiographs)]
    return Quality(score, tuple(checks), tuple(flags))


def _product(checks: Iterable[Check]) -> float:
    return math.prod(check.factor for check in checks)


def _verdict(score: float) -> list[Flag]:
    """What the score says as a whole, where it says something. Nearly all virtual adults have more."""
    if score < NOT_USABLE_BELOW:
        return [Flag("severe", f"quality {score:.2f}: the bones shown are not this patient's; do not use them")]
    if score < DOUBTFUL_BELOW:
        return [Flag("warning", f"quality {score:.2f}: doubtful; check the outlines on the radiograph before any use")]
    return []


def film_evidence(
    film: PreparedFilm,
    drr: NDArray[np.floating],
    placed: PlacedFilm,
    surfaces: Mapping[str, TriangleMesh],
    outlines: OutlineSigns | None = None,
    hidden: Mapping[str, float] | None = None,
) -> FilmEvidence:
    """Gather what :func:`judge` asks of one film."""
    poses = [placed.wrist, *placed.bones.values()]
    is_pa = film.radiograph.view == "pa"
    return FilmEvidence(
        film.radiograph.view,
        film.presence,
        float(film.located.peak_share.min()),
        film.film.coverage,
        beyond_the_joint_mm(film.film),
        np.asarray(drr, dtype=np.float64),
        placed.projected,
        placed.weights,
        min(pose.similarity for pose in poses),
        next((pose.reason for pose in poses if not pose.converged), ""),
        np.asarray(film.film.pixels, dtype=np.float64),
        growth_plate_contrast(film.film, placed.canonical_from_bone["radius"], surfaces["radius"])
        if is_pa
        else math.nan,
        film.sighting.ulnar_head_across_mm,
        outlines,
        device_signs(film.film, film.radiograph, placed.canonical_from_bone, surfaces),
        hidden or {},
    )


def nothing_found(presence: float) -> Quality:
    """The verdict on images in which the locator sees no wrist."""
    text = (
        f"no wrist was found in the image (confidence {presence:.2f}), turned and hung in any way, so no bone was "
        "reconstructed"
    )
    flag = Flag("severe", text)
    return Quality(0.0, (Check("wrist found", presence, 0.0, flag),), (flag,))


def _left_out(sighting: Sighting) -> Check:
    """Of an image in which no wrist was seen while another showed one."""
    name = view_name(sighting.radiograph.view)
    text = f"{name}: no wrist was found in the image (confidence {sighting.presence:.2f}), so it was left out"
    return Check(f"wrist found, {name}", sighting.presence, 1.0, Flag("warning", text))


def _age_checks(radiographs: Sequence[Radiograph]) -> list[Check]:
    """Of a patient who was not grown up, where a file says so; the youngest age of several counts. The score stays that
    of the pictures: the flag says enough."""
    under = [age.value for age in (r.provenance.get("patient_age") for r in radiographs) if age and age.value]
    if not under:
        return []
    child = min(under) <= CHILD_UNDER
    text = f"the file says that the patient was under {min(under):.0f} years old: "
    text += (
        "the model knows no bones of children; do not use this result"
        if child
        else "growth plates may be open, and the model knows adults alone"
    )
    return [Check("patient's age, under (years)", min(under), 1.0, Flag("severe" if child else "warning", text))]


_CAMERAS_APART = Check(
    "cameras share a world",
    0.0,
    1.0,
    Flag(
        "warning",
        "the rays through the wrist in both images do not meet: the cameras' poses are missing or belong to another "
        "recording, so each image was used by itself",
    ),
)


def _code_check(bones: Bones, model: WristModel) -> Check:
    """Whether the bones are as unusual as next to none that the model has learned from."""
    distance = latent_distance(bones.code, model.metadata, "shape_code" if bones.method == "shape" else "latent")
    if distance is None:
        return Check("latent distance", math.nan, 1.0, Flag("info", NO_SPREAD_KNOWN))
    text = f"the shape code lies {distance:.1f} times as far out as 99 % of the training patients' codes"
    return _falling("latent distance", distance, 1.0, 2.5, text)


def _error_checks(expected: Mapping[str, ExpectedDistance] | None) -> list[Check]:
    """What the reader of the film expects its own error to be, after rigid alignment of each bone."""
    if expected is None:
        return [Check("expected error (mm)", math.nan, 1.0, Flag("info", NO_ERROR_TOLD))]
    checks = []
    for name, distance in expected.items():
        text = f"the {name} is expected to lie {distance.rigid_mm:.1f} mm from the true bone's surface on average"
        checks.append(_falling(f"expected error, {name} (mm)", distance.rigid_mm, *EXPECTED_ERROR_MM, text))
    return checks


def latent_distance(latent: NDArray[np.floating], metadata: Mapping[str, Any], entry: str = "latent") -> float | None:
    """Distance of the shape code from the training codes' mean in units of their 99th percentile; None if not known.

    metadata: of the model; its ``entry`` ("latent" for P's, "shape_code" for S's) holds "mean", "sd" (lists) and
    "distance_99" where training wrote them.
    """
    known = metadata.get(entry)
    if not isinstance(known, Mapping) or not {"mean", "sd", "distance_99"} <= known.keys():
        return None
    offset = (latent - np.asarray(known["mean"])) / np.maximum(np.asarray(known["sd"]), 1e-6)
    return float(np.sqrt((offset**2).mean()) / known["distance_99"])


def view_name(view: View) -> str:
    return "PA view" if view == "pa" else "lateral view"


def film_checks(film: FilmEvidence) -> list[Check]:
    where = film.name
    overlap = support_overlap(film.drr, film.projected, film.weights)
    likeness = float(intensity_correlation(film.drr, film.projected, film.weights))
    checks = [
        _rising(f"wrist found, {where}", film.presence, 0.0, 0.9, f"{where}: unsure whether this is a wrist"),
        _rising(f"landmarks, {where}", film.peak, 0.1, 0.5, f"{where}: the landmarks were hard to find"),
        _rising(f"coverage, {where}", film.coverage, 0.4, 0.85, f"{where}: part of the wrist is outside the image"),
        _rising(
            f"image beyond the joint (mm), {where}",
            film.beyond_joint_mm,
            *BEYOND_THE_JOINT_MM,
            f"{where}: the wrist is cut off: the image ends near the joint, mm beyond it",
        ),
        _rising(
            f"overlap, {where}", overlap, 0.6, 0.97, f"{where}: the bones' projection and the bones seen overlap badly"
        ),
        _rising(
            f"likeness, {where}", likeness, 0.6, 0.95, f"{where}: the bones' projection looks unlike the bones seen"
        ),
        _rising(f"pose, {where}", film.similarity, 0.3, 0.8, f"{where}: the pose matches the image badly"),
    ]
    agreement = film_agreement(film.film, film.projected, film.weights)
    text = f"{where}: the film itself does not show the edges of the placed bones"
    checks.append(_rising(f"film agreement, {where}", agreement, 0.25, 0.7, text))
    checks.append(ulna_across_check(film.view, film.ulna_across_mm))
    checks += [_hidden_check(name, share, where) for name, share in film.hidden.items()]
    if film.outlines is not None:
        checks += _outline_checks(film.outlines, where)
    if not math.isnan(film.plate):
        text = (
            f"{where}: a dark line crosses the end of the radius, as an open growth plate does; the model knows no "
            "bones of children"
        )
        checks.append(_falling(f"growth plate, {where}", film.plate, *GROWTH_PLATE, text))
    checks += _device_checks(film.devices, film.view)
    if film.pose_reason:
        flag = Flag("warning", f"{where}: the pose was not confirmed ({film.pose_reason})")
        checks.append(Check(f"pose confirmed, {where}", 0.0, 0.5, flag))
    return checks


def _device_checks(found: DeviceSigns, view: View) -> list[Check]:
    where = view_name(view)
    metal = (
        f"{where}: a straight bar in the shaft of the radius is brighter than its walls, as a plate or a wire is; the "
        "model knows no metal"
    )
    rod = (
        f"{where}: a long straight bar lies over or beside the arm, as the rod of an external fixator or a splint "
        "does; what it hides was not seen"
    )
    shell = (
        f"{where}: a straight band beside the bones is brighter than soft tissue, as the wall of a cast or of a splint "
        "is; the model knows no casts"
    )
    of_rod = _falling(f"rod, {where}", found.rod, *ROD, rod)
    of_shell = _falling(f"cast, {where}", found.shell, *SHELL, shell)
    if of_rod.factor == 0:  # so bright a bar is steel, and it is seen as a band beside the bones, too
        of_shell = replace(of_shell, flag=None)
    checks = [_falling(f"metal in the radius, {where}", found.metal, *METAL, metal), of_rod, of_shell]
    # A device is there or it is not: below the level at which it is named it takes nothing from the score.
    return [check if check.flag else replace(check, factor=1.0) for check in checks]


def _hidden_check(bone: str, share: float, where: str) -> Check:
    """Always remarked from HIDDEN[0] on, where the bone is no longer read (``BeyondSettings.least_hidden``)."""
    text = (
        f"{where}: {100 * share:.0f} % of the end of the {bone} lie beyond the picture or behind a collimator; an "
        "average bone is shown there, and it follows the film where the film shows it"
    )
    check = _graded(f"hidden part of the {bone}, {where}", share, HIDDEN[1], HIDDEN[0], text)
    return replace(check, flag=check.flag or (Flag("warning", text) if share >= HIDDEN[0] else None))


def _outline_checks(told: OutlineSigns, where: str) -> list[Check]:
    text = f"{where}: the outlines seen are not those of the bones that were read ({told.step:.2f})"
    checks = [_falling(f"outlines, {where}", told.step, *OUTLINE_STEP, text)]
    for name, sd_px in zip(BONES, told.sd_px, strict=True):
        sd_mm = sd_px * FILM_SPACING_MM
        text = f"{where}: the outline of the {name} is hardly seen; it may be off by {sd_mm:.1f} mm"
        flag = Flag("info", text) if sd_mm >= HARDLY_SEEN_MM[name] else None  # NaN: hidden, which is said
        checks.append(Check(f"outline of the {name}, unsure by (mm), {where}", sd_mm, 1.0, flag))
    return checks


def ulna_across_check(view: View, across_mm: float) -> Check:
    """Whether the ulnar head was seen where the view has it.

    across_mm: from the shaft axis of the radius, either way.
    """
    where, (good, bad) = view_name(view), ULNA_ACROSS_MM[view]
    text = f"{where}: the ulnar head lies {abs(across_mm):.0f} mm from the axis of the radius, as in the other view"
    return _graded(f"ulnar head from the axis (mm), {where}", abs(across_mm), bad, good, text)


def _bone_checks(bones: Mapping[str, TriangleMesh]) -> list[Check]:
    checks = []
    for name, (least, most) in ADULT_WIDTH_MM.items():
        mesh = bones.get(name)
        if mesh is None or mesh.is_empty:
            checks.append(Check(f"{name} present", 0.0, 0.0, Flag("severe", f"no {name} was reconstructed")))
            continue
        width = distal_width_mm(mesh)
        plausible = least <= width <= most
        text = (
            f"the {name} is {width:.0f} mm wide at the wrist; adults have {least:.0f} to {most:.0f} mm: "
            "a child, a wrong pixel spacing, or a failed reconstruction"
        )
        checks.append(
            Check(
                f"{name}, extent of its distal 15 mm across the shaft (mm)",
                width,
                1.0 if plausible else 0.2,
                None if plausible else Flag("severe", text),
            )
        )
    return checks


def _mirrored(radiographs: Sequence[Radiograph]) -> list[Flag]:
    """Of pictures that were found to hang mirrored: a wrong side looks the same."""
    flags = []
    for radiograph in radiographs:
        if radiograph.hangs_mirrored and radiograph.provenance["hanging"].kind == "inferred":
            other = "right" if radiograph.side == "left" else "left"
            text = (
                f"{view_name(radiograph.view)}: taken for a {radiograph.side} wrist whose picture hangs mirrored; a "
                f"{other} wrist as recorded looks the same: if it is one, pass --side {other}"
            )
            flags.append(Flag("info", text))
    return flags


def _turned(films: Sequence[PreparedFilm]) -> list[Flag]:
    """Of pictures that lie on their side or upside down."""
    flags = []
    for film in films:
        clockwise = film.located.turn_deg % 360
        if 45 < clockwise < 315:
            lies = "upside down" if 135 < clockwise < 225 else "on its side"
            text = f"the picture lies {lies}: it was turned by {clockwise:.0f} degrees clockwise to be read"
            flags.append(Flag("info", f"{view_name(film.radiograph.view)}: {text}"))
    return flags


def _assumptions(radiographs: Sequence[Radiograph]) -> list[Flag]:
    """What no radiograph said and was assumed instead; of several images the last assumption is told."""
    names = {
        "pixel_spacing": "pixel spacing",
        "sdd": "source-to-detector distance",
        "source_to_object": "distance of the wrist from the source",
        "polarity": "polarity",
    }
    assumed = {
        fact: origin for radiograph in radiographs for fact, origin in radiograph.provenance.items() if origin.assumed
    }
    return [
        Flag("info", f"the {name} was not recorded: {assumed[fact].text}")
        for fact, name in names.items()
        if fact in assumed
    ]


def beyond_the_joint_mm(film: Film) -> float:
    """How far the recorded image reaches distally beyond where the film has the joint line, mm, beside the shaft axis;
    at most the 30 mm that a film shows there."""
    column, row = (round(at) for at in FILM_ORIGIN_PX[film.view])
    beside = film.recorded[:row, column - 16 : column + 17]
    return float(beside.sum(axis=0).mean() * FILM_SPACING_MM)


def support_overlap(drr: Float, projected: Float, weights: Float) -> float:
    """Dice coefficient of where the two images show bone: above a tenth of their 99th percentile, weighted."""
    seen, predicted = (image > 0.1 * np.percentile(image, 99) for image in (drr, projected))
    total = (weights * seen).sum() + (weights * predicted).sum()
    return float(2 * (weights * (seen & predicted)).sum() / total) if total > 0 else 0.0


def distal_width_mm(mesh: TriangleMesh) -> float:
    """Extent along x of what lies within 15 mm of the mesh's distal end (radius frame)."""
    z = mesh.vertices[:, 2]
    return float(np.ptp(mesh.vertices[z > z.max() - 15.0, 0]))


def _rising(name: str, value: float, bad: float, good: float, text: str) -> Check:
    """More is better. The text is followed by the value."""
    return _graded(name, value, bad, good, f"{text} ({value:.2f})")


def _falling(name: str, value: float, good: float, bad: float, text: str) -> Check:
    """Less is better."""
    return _graded(name, value, bad, good, text)


def _graded(name: str, value: float, bad: float, good: float, text: str) -> Check:
    """0 at ``bad``, 1 at ``good``, whichever is more; warned about below 0.6, severe below 0.2."""
    factor = float(np.clip((value - bad) / (good - bad), 0, 1)) if np.isfinite(value) else 0.0
    severity = "severe" if factor < 0.2 else "warning"
    return Check(name, value, factor, Flag(severity, text) if factor < 0.6 else None)
