"""The one way in for radiographs: any clinical format, every fact checked and its origin kept."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera, default_film_camera
from bonelift.geometry.camera import DEFAULT_SDD_MM
from bonelift.geometry.plausible import PIXEL, SOURCE_TO_DETECTOR, SOURCE_TO_OBJECT, check_length
from bonelift.images.dicom_file import HEAD_BYTES, is_dicom
from bonelift.images.dicom_radiograph import read_dicom_radiograph
from bonelift.images.exposure import bones_look_bright, burnt_in_surround, exposed_box, fill_bright_surround
from bonelift.images.file_kinds import kind_of_file
from bonelift.images.missing_facts import FilmWithoutFacts, MissingFactsError, missing_facts
from bonelift.images.pixel_spacing import check_spacing
from bonelift.images.radiograph import GivenLandmarks, Hanging, Radiograph, Side, View
from bonelift.images.raster import is_raster, read_raster
from bonelift.images.recorded_image import MAX_FILE_BYTES, MAX_PIXELS, MIN_SIDE_PX, RecordedImage
from bonelift.origin import Origin
from bonelift.storage.input_files import file_size, read_head

OBJECT_TO_DETECTOR_MM = 30.0
"""Assumed distance of the wrist's centre from the detector it lies on."""
_SQUARE_TOLERANCE = 0.01
Invert = Literal["auto", "yes", "no"]


@dataclass(frozen=True)
class RadiographOptions:
    """What the caller knows about a radiograph; None: take it from the file, or fail naming the option.

    side, view: which wrist and which projection.
    pixel_spacing_mm: pixel side on the detector plane; overrides the header.
    sdd_mm: source-to-detector distance; overrides the header; 1000 where nothing says.
    source_to_object_mm: distance from the source to the wrist; overrides the header; sdd_mm - 30 where nothing says.
    source_to_object_from: where that distance is known from; None: from the option of that name.
    camera: calibrated camera of the whole image as recorded; overrides spacing and sdd_mm.
    roi: (x0, y0, x1, y1) px of the image as recorded, half open; only this part is kept.
    trim: without a roi, cut off what the collimator's blades cover; False keeps the image as recorded, as a mask that
        was drawn on it needs.
    frame: which image of a multi-frame file, counted from 1.
    hanging: whether the picture hangs as the source saw the wrist, or mirrored for display; None: read from the picture
        later on. A calibrated camera belongs to the picture as recorded.
    landmarks: (x, y, x, y) px of the image as recorded: where the axis of the radial shaft meets the distal joint
        surface, and a point of that axis some 40 mm up the forearm; None: found in the picture later on.
    overrule_header: the side and the view that are given hold against a header that says otherwise, instead of being an
        error.
    invert: "yes": bones are dark as displayed; "no": bones are bright; "auto": by the header, else by the pixels.
    """

    side: Side | None = None
    view: View | None = None
    pixel_spacing_mm: float | None = None
    sdd_mm: float | None = None
    source_to_object_mm: float | None = None
    source_to_object_from: Origin | None = None
    camera: XrayCamera | None = None
    roi: tuple[int, int, int, int] | None = None
    trim: bool = True
    frame: int | None = None
    invert: Invert = "auto"
    hanging: Hanging | None = None
    landmarks: tuple[float, float, float, float] | None = None
    overrule_header: bool = False

    def __post_init__(self) -> None:
        for option, value, choices in (
            ("--side", self.side, get_args(Side)),
            ("--view", self.view, get_args(View)),
            ("--invert", self.invert, get_args(Invert)),
            ("--hanging", self.hanging, get_args(Hanging)),
        ):
            if value is not None and (not isinstance(value, str) or value not in choices):
                raise InputError(f"{option} is {value!r:.40}; expected {' or '.join(choices)}")
        if self.pixel_spacing_mm is not None:
            check_spacing(self.pixel_spacing_mm, "--pixel-spacing-mm")
        if self.sdd_mm is not None:
            check_length(self.sdd_mm, SOURCE_TO_DETECTOR, "--sdd-mm")
        distance = self.source_to_object_mm
        if distance is not None:
            check_length(distance, SOURCE_TO_OBJECT, "--source-to-object-mm")
        if self.camera is not None and (self.pixel_spacing_mm is not None or self.sdd_mm is not None):
            raise InputError("--camera already holds the geometry; pass it without --pixel-spacing-mm and --sdd-mm")
        if self.camera is not None and self.hanging == "mirrored":
            raise InputError("--camera is of the picture as recorded; pass it without --hanging mirrored")


def read_radiograph(path: str | os.PathLike[str], options: RadiographOptions | None = None) -> Radiograph:
    """Read DICOM CR, DX or XA, PNG, JPEG or TIFF, by content whatever the name.

    Returns a Radiograph with bright bones, square pixels (unless ``options.camera`` says otherwise), an empty surround
    trimmed, and ``provenance`` for: file_format, display, frame, pixel_spacing, sdd, source_to_object, side, view,
    polarity, trim, camera, patient_age (of one who was not grown up; its value is the limit in years). Kinds other than
    "recorded" mark what the file did not say.

    Raises InputError, one line, for every file or option that does not make a radiograph with known side, view and
    millimetres.
    """
    path, options = Path(path), options or RadiographOptions()
    return radiograph_of(read_recorded(path, options.frame), path.name, options)


def radiograph_of(recorded: RecordedImage, name: str, options: RadiographOptions) -> Radiograph:
    """What a file or an array holds, weighed against what the caller knows of it; see :func:`read_radiograph`.

    name: starts every message. Raises InputError, one line.
    """
    height, width = recorded.pixels.shape
    if min(height, width) < MIN_SIDE_PX:
        raise InputError(f"{name}: is {width} x {height} pixels; expected at least {MIN_SIDE_PX} x {MIN_SIDE_PX}")
    if not np.isfinite(recorded.pixels).all():
        raise InputError(f"{name}: holds NaN or infinite pixels")
    _check_nothing_missing(name, recorded, options)
    facts = {
        key: Origin("recorded", text)
        for key, text in recorded.provenance.items()
        if key in {"file_format", "display", "frame"}
    }
    if recorded.patient_under is not None:
        text = f"under {recorded.patient_under} years, {recorded.provenance['patient_age']}"
        facts["patient_age"] = Origin("recorded", text, float(recorded.patient_under))
    side = _agreed(name, "side", options, recorded, facts)
    view = _agreed(name, "view", options, recorded, facts)
    camera, source_to_object_mm, spacing_mm = _geometry(name, recorded, options, facts)
    pixels, box = _bone_bright_pixels(name, recorded, options, facts)
    x0, y0, x1, y1 = box
    image_from_recorded = np.array([[1.0, 0, -x0], [0, 1, -y0], [0, 0, 1]])
    cropped = camera.viewed_through(image_from_recorded, x1 - x0, y1 - y0)
    radiograph = Radiograph(
        np.ascontiguousarray(pixels[y0:y1, x0:x1]),
        cropped,
        "left" if side == "left" else "right",
        "pa" if view == "pa" else "lateral",
        source_to_object_mm,
        facts,
        image_from_recorded=image_from_recorded,
        landmarks=_given_landmarks(name, options, recorded.pixels.shape, facts, image_from_recorded),
    )
    check_length(radiograph.spacing_at_wrist_mm, PIXEL, f"{name}: what a pixel covers at the wrist")
    if options.hanging is not None:
        radiograph = radiograph.hung(options.hanging, Origin("option", "option --hanging"))
    return radiograph if spacing_mm is None else _with_square_pixels(radiograph, spacing_mm, name)


def read_recorded(path: Path, frame: int | None = None) -> RecordedImage:
    """What the file itself says, before any option is weighed against it. Raises InputError for what is no film."""
    expected = "one radiograph file (DICOM, PNG, JPEG or TIFF)"
    file_size(path, expected, MAX_FILE_BYTES)
    head = read_head(path, expected, HEAD_BYTES)
    if is_raster(head):
        return read_raster(path, frame)
    if is_dicom(head):
        return read_dicom_radiograph(path, frame)
    kind = kind_of_file(head)
    what = f"is {kind}" if kind else "is not an image this program reads"
    raise InputError(f"{path.name}: {what}; expected DICOM, PNG, JPEG or TIFF")


def _check_nothing_missing(name: str, recorded: RecordedImage, options: RadiographOptions) -> None:
    """Raise MissingFactsError, which names all that is missing at once."""
    given = options.pixel_spacing_mm is not None or options.camera is not None
    missing = missing_facts(recorded, options.side, options.view, given)
    if not missing:
        return
    geometry = options.camera is None
    distance = recorded.source_to_object_mm or recorded.magnification or options.source_to_object_mm
    unsaid = {
        "--sdd-mm": geometry and options.sdd_mm is None and recorded.sdd_mm is None,
        "--source-to-object-mm": geometry and not distance,
        "--hanging": geometry and options.hanging is None,
        "--invert": options.invert == "auto" and recorded.bones_bright is None,
    }
    raise MissingFactsError([FilmWithoutFacts(name, missing, tuple(o for o, is_unsaid in unsaid.items() if is_unsaid))])


def _agreed(
    name: str,
    fact: Literal["side", "view"],
    options: RadiographOptions,
    recorded: RecordedImage,
    facts: dict[str, Origin],
) -> str:
    """The option or the header's fact; both must agree, or the option overrules. One is there."""
    given, header = (options.side, recorded.side) if fact == "side" else (options.view, recorded.view)
    origin = recorded.provenance.get(fact, "the header")
    if given is not None and header is not None and given != header:
        if options.overrule_header:
            facts[fact] = Origin("option", f"option --{fact}; it overrules {origin}, which says {header}")
            return given
        raise InputError(
            f"{name}: {origin} says {header}, which contradicts --{fact} {given}; correct the one in error, or pass "
            "--overrule-header"
        )
    facts[fact] = Origin("recorded", origin) if header is not None else Origin("option", f"option --{fact}")
    return header if header is not None else str(given)


def _geometry(
    name: str, recorded: RecordedImage, options: RadiographOptions, facts: dict[str, Origin]
) -> tuple[XrayCamera, float, tuple[float, float] | None]:
    """Camera of the whole image, source-to-object distance (mm), detector spacing (mm) unless the camera was given."""
    height, width = recorded.pixels.shape
    if options.camera is not None:
        if options.camera.shape_px != (height, width):
            raise InputError(
                f"{name}: is {width} x {height} pixels, but --camera is for {options.camera.width_px} x "
                f"{options.camera.height_px}; expected the whole image that was calibrated"
            )
        given = Origin("option", "option --camera")
        facts["camera"] = given
        facts["pixel_spacing"] = replace(given, value=options.camera.detector_spacing_mm)
        facts["sdd"] = replace(given, value=options.camera.sdd_mm)
        return options.camera, _source_to_object(name, recorded, options, options.camera.sdd_mm, facts), None
    sdd_mm = _sdd(recorded, options, facts)
    source_to_object_mm = _source_to_object(name, recorded, options, sdd_mm, facts)
    spacing_mm = _detector_spacing(name, recorded, options, source_to_object_mm / sdd_mm, facts)
    camera = default_film_camera(width, height, 1.0, sdd_mm)
    focal_px = np.array([sdd_mm / spacing_mm[1], sdd_mm / spacing_mm[0]])
    intrinsics = camera.image_from_camera.copy()
    intrinsics[[0, 1], [0, 1]] = focal_px
    return replace(camera, image_from_camera=intrinsics), source_to_object_mm, spacing_mm


def _sdd(recorded: RecordedImage, options: RadiographOptions, facts: dict[str, Origin]) -> float:
    if options.sdd_mm is not None:
        facts["sdd"] = Origin("option", "option --sdd-mm", options.sdd_mm)
        return options.sdd_mm
    if recorded.sdd_mm is not None and SOURCE_TO_DETECTOR.holds(recorded.sdd_mm):
        facts["sdd"] = Origin("recorded", recorded.provenance["sdd"], recorded.sdd_mm)
        return recorded.sdd_mm
    reason = "" if recorded.sdd_mm is None else f" ({recorded.provenance['sdd']} of {recorded.sdd_mm:g} mm ignored)"
    facts["sdd"] = Origin("assumed", f"assumed {DEFAULT_SDD_MM:g} mm{reason}", DEFAULT_SDD_MM)
    return DEFAULT_SDD_MM


def _source_to_object(
    name: str, recorded: RecordedImage, options: RadiographOptions, sdd_mm: float, facts: dict[str, Origin]
) -> float:
    """Option, calibrated magnification, recorded distance, or OBJECT_TO_DETECTOR_MM in front of the detector."""
    if options.source_to_object_mm is not None:
        if options.source_to_object_mm > sdd_mm:
            raise InputError(
                f"{name}: --source-to-object-mm {options.source_to_object_mm:g} lies behind the detector, which is "
                f"{sdd_mm:g} mm from the source"
            )
        facts["source_to_object"] = options.source_to_object_from or Origin(
            "option", "option --source-to-object-mm", options.source_to_object_mm
        )
        return options.source_to_object_mm
    if recorded.magnification is not None:
        distance_mm = sdd_mm / recorded.magnification
        facts["source_to_object"] = Origin("recorded", recorded.provenance["magnification"], distance_mm)
        return distance_mm
    if recorded.source_to_object_mm is not None and sdd_mm / 3 <= recorded.source_to_object_mm <= sdd_mm:
        facts["source_to_object"] = Origin(
            "recorded", recorded.provenance["source_to_object"], recorded.source_to_object_mm
        )
        return recorded.source_to_object_mm
    facts["source_to_object"] = on_the_detector(sdd_mm)
    return sdd_mm - OBJECT_TO_DETECTOR_MM


def on_the_detector(sdd_mm: float) -> Origin:
    """Of the distance of a wrist that nobody says to lie elsewhere than OBJECT_TO_DETECTOR_MM before the detector."""
    text = f"assumed: {OBJECT_TO_DETECTOR_MM:g} mm in front of the detector"
    return Origin("assumed", text, sdd_mm - OBJECT_TO_DETECTOR_MM)


def _detector_spacing(
    name: str, recorded: RecordedImage, options: RadiographOptions, detector_to_object: float, facts: dict[str, Origin]
) -> tuple[float, float]:
    """(between rows, between columns) mm on the detector plane."""
    if options.pixel_spacing_mm is not None:
        given = "option --pixel-spacing-mm, on the detector"
        facts["pixel_spacing"] = Origin("option", given, options.pixel_spacing_mm)
        return options.pixel_spacing_mm, options.pixel_spacing_mm
    if recorded.detector_spacing_mm is not None:
        facts["pixel_spacing"] = _recorded_spacing(recorded, recorded.detector_spacing_mm)
        return recorded.detector_spacing_mm
    if recorded.object_spacing_mm is None:
        raise InputError(f"{name}: {recorded.no_spacing_reason}, so millimetres are unknown; pass --pixel-spacing-mm")
    facts["pixel_spacing"] = _recorded_spacing(recorded, recorded.object_spacing_mm)
    rows, columns = recorded.object_spacing_mm
    return rows / detector_to_object, columns / detector_to_object


def _recorded_spacing(recorded: RecordedImage, spacing_mm: tuple[float, float]) -> Origin:
    return Origin("recorded", recorded.provenance["pixel_spacing"], spacing_mm[0])


def _bone_bright_pixels(
    name: str, recorded: RecordedImage, options: RadiographOptions, facts: dict[str, Origin]
) -> tuple[NDArray[np.float32], tuple[int, int, int, int]]:
    """The whole image with bright bones and a harmless surround, and the box (x0, y0, x1, y1) to keep of it."""
    surround = burnt_in_surround(recorded.pixels)
    if recorded.padding is not None:
        surround |= recorded.padding
    box = exposed_box(recorded.pixels, recorded.padding)
    if options.roi is not None:
        box = _checked_roi(name, options.roi, recorded.pixels.shape)
        facts["trim"] = Origin("option", "option --roi")
    elif not options.trim or min(box[2] - box[0], box[3] - box[1]) < MIN_SIDE_PX:
        box = (0, 0, recorded.pixels.shape[1], recorded.pixels.shape[0])
    if facts.get("trim") is None and box != (0, 0, recorded.pixels.shape[1], recorded.pixels.shape[0]):
        kept = f"inferred from the pixels: kept columns {box[0]} to {box[2]}, rows {box[1]} to {box[3]}"
        facts["trim"] = Origin("inferred", kept)
    bright, facts["polarity"] = _polarity(recorded, options, surround, box)
    pixels = recorded.pixels if bright else recorded.pixels.max() - recorded.pixels
    return fill_bright_surround(pixels, surround), box


def _polarity(
    recorded: RecordedImage,
    options: RadiographOptions,
    surround: NDArray[np.bool_],
    box: tuple[int, int, int, int],
) -> tuple[bool, Origin]:
    """Whether bones are bright in the recorded pixels, and how that is known; its value is 1 where they were dark."""
    if options.invert != "auto":
        bright, origin = options.invert == "no", Origin("option", "option --invert")
    elif recorded.bones_bright is not None:
        bright, origin = recorded.bones_bright, Origin("recorded", recorded.provenance["polarity"])
    else:
        x0, y0, x1, y1 = box
        seen = bones_look_bright(recorded.pixels[y0:y1, x0:x1], surround[y0:y1, x0:x1])
        assumed, inferred = Origin("assumed", "assumed: bones bright"), Origin("inferred", "inferred from the pixels")
        bright, origin = seen is not False, assumed if seen is None else inferred
    return bright, origin if bright else replace(origin, text=f"{origin.text} (bones were dark: inverted)", value=1.0)


def _checked_roi(name: str, roi: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    height, width = shape
    x0, y0, x1, y1 = roi
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height) or min(x1 - x0, y1 - y0) < MIN_SIDE_PX:
        raise InputError(
            f"{name}: --roi {x0},{y0},{x1},{y1} does not fit; expected x0,y0,x1,y1 within {width} x {height} pixels, "
            f"at least {MIN_SIDE_PX} each way"
        )
    return roi


def _given_landmarks(
    name: str,
    options: RadiographOptions,
    shape: tuple[int, ...],
    facts: dict[str, Origin],
    image_from_recorded: NDArray[np.float64],
) -> GivenLandmarks | None:
    """The landmarks that the caller gives, in the pixels that are kept."""
    if options.landmarks is None:
        return None
    (height, width), points = shape, np.asarray(options.landmarks, dtype=np.float64).reshape(2, 2)
    inside = np.isfinite(points).all() and (points >= -1).all() and (points <= [width, height]).all()
    if not inside or np.linalg.norm(points[1] - points[0]) < 1:
        given = ",".join(f"{value:g}" for value in points.ravel())
        raise InputError(
            f"{name}: --landmarks {given} are no two points of an image of {width} x {height} pixels; expected x,y of "
            "the joint end of the radial shaft's axis, then x,y of a point of it up the arm"
        )
    facts["landmarks"] = Origin("option", "option --landmarks")
    return GivenLandmarks(points[0], points[1]).moved(image_from_recorded)


def _stretched(pixels: NDArray[np.float32], count: int, scale: float) -> NDArray[np.float32]:
    """``count`` rows, interpolated linearly, ``scale`` of them in the place of one."""
    if count == len(pixels):
        return pixels
    # Pixel centres at integers: the first pixel's outer edge, at -0.5, stays where it is.
    at = np.clip((np.arange(count) + 0.5) / scale - 0.5, 0, len(pixels) - 1)
    below = np.minimum(at.astype(np.intp), max(len(pixels) - 2, 0))
    share = (at - below).astype(np.float32)[:, None]
    above = np.minimum(below + 1, len(pixels) - 1)
    return (pixels[below] * (np.float32(1) - share) + pixels[above] * share).astype(np.float32, copy=False)


def _with_square_pixels(radiograph: Radiograph, spacing_mm: tuple[float, float], name: str) -> Radiograph:
    """Resample an image whose pixels are oblong by more than 1 % to squares of the smaller side."""
    target_mm = min(spacing_mm)
    if max(spacing_mm) / target_mm <= 1 + _SQUARE_TOLERANCE:
        return radiograph
    rows, columns = radiograph.pixels.shape
    if rows * columns * max(spacing_mm) / target_mm > MAX_PIXELS:
        raise InputError(
            f"{name}: its pixels of {spacing_mm[0]:g} x {spacing_mm[1]:g} mm would become over {MAX_PIXELS // 10**6} "
            "million squares; check the pixel spacing"
        )
    row_scale, column_scale = spacing_mm[0] / target_mm, spacing_mm[1] / target_mm
    height, width = (max(1, math.floor(n * s)) for n, s in ((rows, row_scale), (columns, column_scale)))
    pixels = _stretched(_stretched(radiograph.pixels, height, row_scale).T, width, column_scale).T
    new_from_image = np.array(
        [[column_scale, 0, (column_scale - 1) / 2], [0, row_scale, (row_scale - 1) / 2], [0, 0, 1]]
    )
    resampled = Origin("inferred", f"oblong pixels resampled to {target_mm:g} mm squares", target_mm)
    return replace(
        radiograph,
        pixels=pixels,
        camera=radiograph.camera.viewed_through(new_from_image, width, height),
        image_from_recorded=new_from_image @ radiograph.image_from_recorded,
        landmarks=None if radiograph.landmarks is None else radiograph.landmarks.moved(new_from_image),
        provenance={**radiograph.provenance, "resampled": resampled},
    )
