"""Cameras from files: bonelift's JSON and XMALab's "MayaCam 2.0" text.

JSON (``schema_version`` 1; unknown keys are refused, so that a misspelt one is noticed)::

    {
      "schema_version": 1,
      "image_size_px": [width, height],
      "sdd_mm": 1000.0,
      "intrinsics": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
      "camera_from_world": [[...], [...], [...], [0, 0, 0, 1]],
      "source_to_object_mm": 970.0,
      "assumed": {"source_to_object_mm": 970.0}
    }

``intrinsics`` may instead be ``{"detector_spacing_mm": s, "principal_point_px": [u, v]}``, s one pitch or [along
columns, along rows]; the principal point defaults to the image centre. ``camera_from_world`` defaults to the identity:
the world is then the camera frame. ``source_to_object_mm`` is optional; where nobody measured it, it stands under
``assumed`` instead, and counts as a guess wherever it is used. Axes as in :mod:`bonelift.geometry.camera`: x
right, y down, z from the source to the detector; pixel centres at integers.

XMALab uses the same axes (OpenCV's). Checked on its sample recording of a forearm: twelve beads picked on both films
meet to 0.05 mm (mean) as described here, and miss by 3 to 26 mm with rows counted upwards or a film mirrored.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry.camera import XrayCamera
from bonelift.geometry.plausible import (
    MAX_PIXELS,
    SOURCE_TO_DETECTOR,
    SOURCE_TO_OBJECT,
    LengthRange,
    check_length,
)
from bonelift.origin import Origin
from bonelift.storage.input_files import parse_json, read_text

Float = NDArray[np.float64]

SCHEMA_VERSION = 1
_MAX_FILE_BYTES = 1_000_000
_EXPECTED = "a camera file (bonelift JSON, or MayaCam 2.0 text of XMALab or Autoscoper)"
_JSON_KEYS = {
    "schema_version", "image_size_px", "sdd_mm", "intrinsics", "camera_from_world", "source_to_object_mm", "assumed",
}  # fmt: skip
_ASSUMED = "assumed"

UNKNOWN_PITCH_SDD_FACTOR = 1.25
"""Where the pixel pitch is not known, the detector is put at 1.25 times the depth of the calibration's origin."""


@dataclass(frozen=True)
class CameraFile:
    """What a camera file says.

    source_to_object_mm: distance from the source to the wrist where the file says or implies it, else None.
    origin: where the camera came from, for a report. distance_origin: the same of source_to_object_mm;
        assumed where the file only implies it.
    """

    camera: XrayCamera
    source_to_object_mm: float | None
    origin: str
    distance_origin: Origin


def camera_from_file(path: str | os.PathLike[str], detector_spacing_mm: float | None = None) -> CameraFile:
    """Read a camera from bonelift JSON or XMALab / MayaCam 2.0 text, whichever the content is.

    detector_spacing_mm: pixel pitch on the detector; only used for MayaCam files, which do not hold it (see
        :func:`read_mayacam`).

    Raises InputError for anything that is not such a file.
    """
    text = _read_text(Path(path))
    if text.lstrip().startswith(("{", "[")):
        return _camera_from_json(text, Path(path).name)
    return _camera_from_mayacam(text, Path(path).name, detector_spacing_mm)


def read_camera_json(path: str | os.PathLike[str]) -> CameraFile:
    """Read the JSON described at the top of this module. Raises InputError."""
    return _camera_from_json(_read_text(Path(path)), Path(path).name)


def write_camera_json(
    path: str | os.PathLike[str],
    camera: XrayCamera,
    source_to_object_mm: float | None = None,
    assumed: bool = False,
) -> None:
    """Write ``camera`` so that :func:`read_camera_json` returns it exactly. assumed: nobody measured the distance."""
    content: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "image_size_px": [camera.width_px, camera.height_px],
        "sdd_mm": camera.sdd_mm,
        "intrinsics": camera.image_from_camera.tolist(),
        "camera_from_world": camera.camera_from_world.tolist(),
    }
    if source_to_object_mm is not None:
        distance = {"source_to_object_mm": source_to_object_mm}
        content |= {_ASSUMED: distance} if assumed else distance
    Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_mayacam(path: str | os.PathLike[str], detector_spacing_mm: float | None = None) -> CameraFile:
    """Read XMALab's text: ``image size``, ``camera matrix``, ``rotation``, ``translation`` (world to camera, mm).

    The file holds focal lengths in pixels only. With ``detector_spacing_mm`` the source-to-detector distance is focal
    length times pitch. Without it that distance cannot be known, and nothing at the wrist depends on it (a pixel there
    is depth / focal length wide); the detector is then put at UNKNOWN_PITCH_SDD_FACTOR times the depth of the
    calibration's origin. The wrist is taken to lie at the depth of that origin, which the calibration object marked:
    within some 15 %, so a measured distance is worth giving where one is known.
    """
    return _camera_from_mayacam(_read_text(Path(path)), Path(path).name, detector_spacing_mm)


def _read_text(path: Path) -> str:
    return read_text(path, _EXPECTED, _MAX_FILE_BYTES)


def _camera_from_json(text: str, name: str) -> CameraFile:
    content = parse_json(text, name, _EXPECTED)
    if not isinstance(content, dict):
        raise InputError(f"{name}: is not a JSON object; expected a camera file")
    if "view-angle" in content or "vtk-schema" in str(content.get("@schema")):
        raise InputError(
            f"{name}: is a VTKCam file of Autoscoper, which is not read; export the camera as MayaCam 2.0 (XMALab and "
            "AutoscoperM write it)"
        )
    if content.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{name}: schema_version is {content.get('schema_version')!r:.40}; expected {SCHEMA_VERSION}")
    unknown = sorted(set(content) - _JSON_KEYS)
    if unknown:
        raise InputError(f"{name}: unknown key {unknown[0]!a:.60}; expected {', '.join(sorted(_JSON_KEYS))}")
    width, height = _image_size(_numbers(content, "image_size_px", (2,), name), name)
    sdd_mm = _length(content, "sdd_mm", SOURCE_TO_DETECTOR, name)
    camera_from_world = (
        _numbers(content, "camera_from_world", (4, 4), name) if "camera_from_world" in content else np.eye(4)
    )
    intrinsics = _intrinsics(content, sdd_mm, width, height, name)
    distance, origin = _distance(content, sdd_mm, name)
    camera = _camera(intrinsics, camera_from_world, width, height, sdd_mm, name)
    return CameraFile(camera, distance, f"camera file {name}", origin)


def _distance(content: dict[str, object], sdd_mm: float, name: str) -> tuple[float | None, Origin]:
    """Source to wrist in mm where the file says it, and where that is from."""
    key = "source_to_object_mm"
    assumed = content.get(_ASSUMED, {})
    if not isinstance(assumed, dict) or set(assumed) - {key} or (key in assumed and key in content):
        raise InputError(f"{name}: assumed is {str(assumed)!a:.60}; expected {key} there, or as a key of its own")
    holder = assumed if key in assumed else content
    if key not in holder:
        return None, Origin("recorded", "camera file")
    distance = _length(holder, key, SOURCE_TO_OBJECT, name)
    if distance > sdd_mm:
        raise InputError(f"{name}: {key} {distance:g} lies behind the detector at sdd_mm {sdd_mm:g}")
    if holder is assumed:
        return distance, Origin("assumed", "assumed, says the camera file", distance)
    return distance, Origin("recorded", "camera file", distance)


def _intrinsics(content: dict[str, object], sdd_mm: float, width: int, height: int, name: str) -> Float:
    given = content.get("intrinsics")
    if not isinstance(given, dict):
        return _numbers(content, "intrinsics", (3, 3), name)
    unknown = sorted(set(given) - {"detector_spacing_mm", "principal_point_px"})
    if unknown:
        raise InputError(
            f"{name}: unknown key {unknown[0]!a:.60} in intrinsics; expected detector_spacing_mm, principal_point_px"
        )
    spacing = given.get("detector_spacing_mm")
    shape = (2,) if isinstance(spacing, list) else ()
    spacing_mm = np.broadcast_to(_numbers(given, "detector_spacing_mm", shape, name), (2,))
    if not (spacing_mm > 0).all():
        raise InputError(f"{name}: detector_spacing_mm is {spacing}; expected a positive length in mm")
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    if "principal_point_px" in given:
        centre = _numbers(given, "principal_point_px", (2,), name)
    focal_px = sdd_mm / spacing_mm
    return np.array([[focal_px[0], 0, centre[0]], [0, focal_px[1], centre[1]], [0, 0, 1.0]])


def _numbers(content: dict[str, object], key: str, shape: tuple[int, ...], name: str) -> Float:
    wanted = " x ".join(str(n) for n in shape) or "one"
    if key not in content:
        raise InputError(f"{name}: no {key}; expected {wanted} numbers")
    try:
        values = np.array(content[key], dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{name}: {key} is not made of numbers; expected {wanted} numbers") from error
    if values.shape != shape or not np.isfinite(values).all():
        raise InputError(f"{name}: {key} has shape {values.shape} or is not finite; expected {wanted} finite numbers")
    return values


def _length(content: dict[str, object], key: str, allowed: LengthRange, name: str) -> float:
    return check_length(float(_numbers(content, key, (), name)), allowed, f"{name}: {key}")


def _image_size(size: Float, name: str) -> tuple[int, int]:
    if not all(value == round(value) and 1 <= value <= 100_000 for value in size.tolist()):
        raise InputError(f"{name}: image size is {size.tolist()}; expected width and height in whole pixels")
    if size.prod() > MAX_PIXELS:
        raise InputError(
            f"{name}: image size is {size.tolist()}; expected at most {MAX_PIXELS // 10**6} million pixels"
        )
    return int(size[0]), int(size[1])


def _camera(
    intrinsics: Float, camera_from_world: Float, width: int, height: int, sdd_mm: float, name: str
) -> XrayCamera:
    if not (intrinsics[0, 0] > 0 and intrinsics[1, 1] > 0 and np.allclose(intrinsics[2], [0, 0, 1])):
        raise InputError(
            f"{name}: camera matrix is {intrinsics.tolist()}; expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with "
            "positive focal lengths (rows count downwards)"
        )
    try:
        return XrayCamera(intrinsics, camera_from_world, width, height, sdd_mm)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _camera_from_mayacam(text: str, name: str, detector_spacing_mm: float | None) -> CameraFile:
    sections = _mayacam_sections(text, name)
    width, height = _image_size(_mayacam_numbers(sections, "image size", (1, 2), name)[0], name)
    intrinsics = _mayacam_numbers(sections, "camera matrix", (3, 3), name)
    camera_from_world = np.eye(4)
    camera_from_world[:3, :3] = _mayacam_numbers(sections, "rotation", (3, 3), name)
    camera_from_world[:3, 3] = _mayacam_numbers(sections, "translation", (3, 1), name)[:, 0]
    origin_depth_mm = float(camera_from_world[2, 3])
    if origin_depth_mm > 0:
        check_length(origin_depth_mm, SOURCE_TO_OBJECT, f"{name}: the depth of the calibration's origin")
    if detector_spacing_mm is not None:
        focal_px = math.sqrt(abs(intrinsics[0, 0] * intrinsics[1, 1]))
        sdd_mm, how = focal_px * detector_spacing_mm, "SDD from the given pixel pitch"
    elif origin_depth_mm > 0:
        sdd_mm, how = UNKNOWN_PITCH_SDD_FACTOR * origin_depth_mm, "SDD by convention: pixel pitch unknown"
    else:
        raise InputError(f"{name}: the calibration's origin lies behind the source; pass --pixel-spacing-mm")
    check_length(sdd_mm, SOURCE_TO_DETECTOR, f"{name}: source to detector ({how})")
    camera = _camera(intrinsics, camera_from_world, width, height, sdd_mm, name)
    distance = origin_depth_mm if 0 < origin_depth_mm <= sdd_mm else None
    implied = Origin("assumed", "assumed: the wrist is at the origin of the calibration", distance)
    return CameraFile(camera, distance, f"XMALab camera file {name} ({how})", implied)


def _is_mayacam_1(text: str) -> bool:
    """Five lines of three numbers: position, angles, principal point and focal length in another convention."""
    lines = [line.split(",") for line in text.splitlines() if line.strip()]
    if len(lines) != 5 or any(len(words) != 3 for words in lines):
        return False
    try:
        return all(math.isfinite(float(word)) for words in lines for word in words)
    except ValueError:
        return False


def _mayacam_sections(text: str, name: str) -> dict[str, list[str]]:
    """Section title -> its lines of numbers."""
    sections: dict[str, list[str]] = {}
    if _is_mayacam_1(text):
        raise InputError(
            f"{name}: is MayaCam 1.0 (five lines of three numbers), which is not read; open the calibration in XMALab "
            "and export it as MayaCam 2.0"
        )
    title = ""
    for line in (raw.strip() for raw in text.splitlines()):
        if not line:
            continue
        if line[0].isalpha():
            title = line.lower()
            if title in sections:
                raise InputError(f"{name}: section {title!r:.40} appears twice; expected an XMALab camera file")
            sections[title] = []
        elif title:
            sections[title].append(line)
        else:
            raise InputError(f"{name}: does not start with a section title; expected bonelift JSON or XMALab text")
    return sections


def _mayacam_numbers(sections: dict[str, list[str]], title: str, shape: tuple[int, int], name: str) -> Float:
    wanted = f"{shape[0]} line(s) of {shape[1]} number(s)"
    if title not in sections:
        raise InputError(f"{name}: no section {title!r}; expected bonelift JSON or XMALab (MayaCam 2.0) text")
    try:
        values = np.array([[float(number) for number in line.split(",")] for line in sections[title]])
    except ValueError as error:
        raise InputError(f"{name}: section {title!r} is not {wanted}") from error
    if values.shape != shape or not np.isfinite(values).all():
        raise InputError(f"{name}: section {title!r} is not {wanted}")
    return values
