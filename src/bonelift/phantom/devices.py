"""What a surgeon puts on an arm or into it: casts, plates, wires, external fixators. For tests of what is flagged.

None of it is in the films that the networks learn from: a result on such a film has to say what is in it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.geometry import apply_transform
from bonelift.phantom.accessories import Stroke
from bonelift.phantom.body import Body
from bonelift.phantom.xray_geometry import WristGeometry
from bonelift.phantom.xray_settings import XraySettings

Float = NDArray[np.float64]

CastMaterial = Literal["plaster", "fibreglass"]
Metalwork = Literal["plate", "wires", "fixator"]
CASTS: tuple[CastMaterial, ...] = get_args(CastMaterial)
METALWORK: tuple[Metalwork, ...] = get_args(Metalwork)
Device = CastMaterial | Metalwork

_SHELL_MM: dict[CastMaterial, tuple[float, float]] = {"plaster": (4.0, 8.0), "fibreglass": (3.0, 5.0)}
_SHELL_G_CM3: dict[CastMaterial, tuple[float, float]] = {"plaster": (0.50, 0.45), "fibreglass": (0.10, 0.45)}
"""Mineral and soft. A gram of gypsum attenuates about as half a gram of apatite and half a gram of water do; of glass
fibres in resin a fifth counts as mineral."""
_PADDING_MM = (2.0, 6.0)
_PADDING_G_CM3 = 0.03
_CAST_END_MM = (45.0, 70.0)
"""Distal end, before the knuckles; the proximal end lies beyond the film."""


def with_device(
    body: Body, settings: XraySettings, geometry: WristGeometry, rng: np.random.Generator, device: Device
) -> tuple[Body, XraySettings]:
    """The arm and the settings of an exposure in this geometry, with the device in the beam."""
    if device in ("plaster", "fibreglass"):
        return with_cast(body, rng, device), settings
    strokes = metalwork(geometry, rng, device)
    return body, replace(settings, field=replace(settings.field, strokes=strokes))


def with_cast(body: Body, rng: np.random.Generator, material: CastMaterial) -> Body:
    """The same arm in a cast of one thickness, over padding, from the end of the body to the palm."""
    shell_mm, padding_mm = rng.uniform(*_SHELL_MM[material]), rng.uniform(*_PADDING_MM)
    end_mm = rng.uniform(*_CAST_END_MM)
    made = _wrapped(body, material, shell_mm, padding_mm, end_mm)
    overview = None if body.overview is None else _wrapped(body.overview, material, shell_mm, padding_mm, end_mm)
    return replace(made, overview=overview)


def _wrapped(body: Body, material: CastMaterial, shell_mm: float, padding_mm: float, end_mm: float) -> Body:
    spacing = body.spacing_mm
    room = int(np.ceil((shell_mm + padding_mm) / spacing)) + 2
    around = ((room, room), (room, room), (0, 0))
    mineral, soft = np.pad(body.mineral_g_cm3, around), np.pad(body.soft_g_cm3, around)
    radius_from_voxel = body.radius_from_voxel.copy()
    radius_from_voxel[:2, 3] -= room * spacing
    last = int(np.clip((end_mm - radius_from_voxel[2, 3]) / spacing, 0, soft.shape[2]))
    # A bandage goes around hollows of the arm and not into them.
    tissue = soft[:, :, :last] + mineral[:, :, :last] > 0.05
    arm = tissue | np.asarray(ndimage.binary_closing(tissue, iterations=max(round(3 / spacing), 1)), dtype=np.bool_)
    off_mm = np.asarray(ndimage.distance_transform_edt(~arm, sampling=spacing))
    padded = (off_mm > 0) & (off_mm <= padding_mm)
    shell = np.clip((off_mm - padding_mm) / spacing, 0, 1) * np.clip((padding_mm + shell_mm - off_mm) / spacing, 0, 1)
    of_mineral, of_soft = _SHELL_G_CM3[material]
    mineral[:, :, :last] += np.where(arm, 0, of_mineral * shell).astype(np.float32)
    soft[:, :, :last] += np.where(arm, 0, of_soft * shell + _PADDING_G_CM3 * padded).astype(np.float32)
    return Body(mineral, soft, np.pad(body.labels, around), radius_from_voxel)


def metalwork(geometry: WristGeometry, rng: np.random.Generator, kind: Metalwork) -> tuple[Stroke, ...]:
    """Steel as it is seen on this film: a plate along the radius, two wires through its styloid, or a rod beside the
    arm that two pins hold to the shaft and two to the hand."""
    if kind == "plate":
        return (_bar(geometry, [0, 0, -8], [0, 0, -55], rng.uniform(8, 12), rng.uniform(1.6, 2.4)),)
    if kind == "wires":
        starts = rng.uniform([-14, -3, -2], [-9, 3, 6], (2, 3))
        ends = rng.uniform([2, -4, -50], [10, 4, -35], (2, 3))
        return tuple(
            _bar(geometry, start, end, rng.uniform(1.4, 2.0), 1.2, soft=True)
            for start, end in zip(starts, ends, strict=True)
        )
    beside = rng.uniform(-45, -28)
    rod = _bar(geometry, [beside, 0, 75], [beside, 0, -110], rng.uniform(8, 11), rng.uniform(1.5, 3.0), soft=True)
    pins = []
    for z in (*(rng.uniform(48, 58) + np.array([0, 14])), *(rng.uniform(-75, -60) + np.array([0, -20]))):
        pins.append(_bar(geometry, [beside, 0, z], [8, 0, z - 4], rng.uniform(2.5, 4.0), 2.0, soft=True))
        pins.append(_bar(geometry, [beside, 0, z - 9], [beside, 0, z + 9], 18.0, 3.0))
    return (rod, *pins)


def _bar(
    geometry: WristGeometry, start_mm: object, end_mm: object, width_mm: float, mass: float, soft: bool = False
) -> Stroke:
    """From one point of the radius frame to another; soft: round, so that its mass fades towards its edges."""
    half = np.array([geometry.camera.width_px, geometry.camera.height_px]) / 2
    ends = np.array([start_mm, end_mm], dtype=np.float64)
    start, end = (geometry.camera.project(apply_transform(geometry.camera_from_radius, ends)) + 0.5) / half - 1
    return Stroke(
        "bracelet",
        (float(start[0]), float(start[1])),
        (float(end[0]), float(end[1])),
        0.0,
        float(width_mm),
        float(mass),
        metal=True,
        link_mm=0.0,
        soft=soft,
    )
