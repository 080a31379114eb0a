"""What stands in the beam besides the patient: heel effect, collimator, image-intensifier circle, marker, beads.

Positions are fractions of the image's half width and half height (0 is the centre, 1 the border), so that one setting
serves any image; lengths are mm at the detector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.errors import InputError
from bonelift.phantom.accessories import Stroke, coverage
from bonelift.phantom.smoothing import blurred

Image = NDArray[np.floating]

Aperture = Literal["open", "rectangle", "circle"]

_GLYPHS = {
    "R": ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"),
    "L": ("#....", "#....", "#....", "#....", "#....", "#....", "#####"),
}


@dataclass(frozen=True)
class Marker:
    """A lead letter on a plastic strip. letter: R or L; centre: fractions of the half image; height_mm: 6 to 20;
    angle_rad: any; lead_g_cm2: 0.3 to 2; strip_g_cm2: plastic under it, 0 for none; mirrored: seen from behind."""

    letter: Literal["R", "L"]
    centre: tuple[float, float]
    height_mm: float
    angle_rad: float
    lead_g_cm2: float
    strip_g_cm2: float
    mirrored: bool


@dataclass(frozen=True)
class Field:
    """heel: relative fall of the open field per 100 mm along heel_angle_rad, 0 to 0.3.
    vignetting: relative fall at the border of the half image, 0 to 0.5.
    aperture: shape of the irradiated field. aperture_centre, aperture_half_size: fractions of the half image
    (a circle uses the first half size on the shorter side). aperture_angle_rad: rotation of the rectangle.
    penumbra_mm: standard deviation of the collimator's edge. leaf_transmission: 1e-4 to 0.2.
    shutter_mm: how far inside the collimated edge the image is blanked; None: not blanked.
    marker: a lead letter, or None. beads: number of steel beads of 1 to 2 mm. pads: number of plastic discs of 5 to
    8 mm. slab_g_cm2: extra plastic or table edge over half of the field; 0 for none. strokes: what is worn or lies
    about.
    """

    heel: float
    heel_angle_rad: float
    vignetting: float
    aperture: Aperture
    aperture_centre: tuple[float, float]
    aperture_half_size: tuple[float, float]
    aperture_angle_rad: float
    penumbra_mm: float
    leaf_transmission: float
    shutter_mm: float | None
    marker: Marker | None
    beads: int
    pads: int
    slab_g_cm2: float
    strokes: tuple[Stroke, ...] = ()

    def __post_init__(self) -> None:
        limits = {
            "heel": (0.0, 0.5),
            "vignetting": (0.0, 0.8),
            "penumbra_mm": (0.0, 50.0),
            "leaf_transmission": (0.0, 1.0),
            "beads": (0, 100),
            "pads": (0, 100),
            "slab_g_cm2": (0.0, 20.0),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not (np.isfinite(value) and low <= value <= high):
                raise InputError(f"X-ray field: {name} is {value}; expected {low} to {high}")
        if self.aperture not in ("open", "rectangle", "circle"):
            raise InputError(f"X-ray field: aperture is {self.aperture!r}; expected open, rectangle or circle")
        if min(self.aperture_half_size) <= 0:
            raise InputError(f"X-ray field: aperture_half_size is {self.aperture_half_size}; expected positive numbers")


def detector_coordinates_mm(shape_px: tuple[int, int], spacing_mm: float) -> tuple[Image, Image]:
    """x (1, W) and y (H, 1) in mm from the image centre."""
    rows, columns = shape_px
    x = ((np.arange(columns) - (columns - 1) / 2) * spacing_mm).astype(np.float32)[None, :]
    y = ((np.arange(rows) - (rows - 1) / 2) * spacing_mm).astype(np.float32)[:, None]
    return x, y


def inside_aperture_mm(field: Field, shape_px: tuple[int, int], spacing_mm: float) -> Image:
    """(H, W) distance inside the edge of the irradiated field, mm, negative outside; +inf for an open field."""
    if field.aperture == "open":
        return np.full(shape_px, np.inf, dtype=np.float32)
    x, y = detector_coordinates_mm(shape_px, spacing_mm)
    half_width, half_height = shape_px[1] * spacing_mm / 2, shape_px[0] * spacing_mm / 2
    dx = x - np.float32(field.aperture_centre[0] * half_width)
    dy = y - np.float32(field.aperture_centre[1] * half_height)
    if field.aperture == "circle":
        return np.float32(field.aperture_half_size[0] * min(half_width, half_height)) - np.hypot(dx, dy)
    cosine, sine = np.float32(np.cos(field.aperture_angle_rad)), np.float32(np.sin(field.aperture_angle_rad))
    along = np.float32(field.aperture_half_size[0] * half_width) - np.abs(cosine * dx + sine * dy)
    across = np.float32(field.aperture_half_size[1] * half_height) - np.abs(cosine * dy - sine * dx)
    return np.minimum(along, across)


def open_field(field: Field, shape_px: tuple[int, int], spacing_mm: float) -> Image:
    """(H, W) exposure without a patient: 1 at the centre of an unobstructed field."""
    x, y = detector_coordinates_mm(shape_px, spacing_mm)
    slope = field.heel / 100
    towards = np.float32(np.cos(field.heel_angle_rad)) * x + np.float32(np.sin(field.heel_angle_rad)) * y
    heel = np.clip(1 - np.float32(slope) * towards, 0.3, 1.7)
    half = min(shape_px) * spacing_mm / 2
    exposure = heel / (1 + np.float32(field.vignetting / half**2) * (x**2 + y**2))
    if field.aperture == "open":
        return exposure
    inside = inside_aperture_mm(field, shape_px, spacing_mm)
    edge = 1 / (1 + np.exp(-np.clip(inside * np.float32(1.7 / max(field.penumbra_mm, 0.05)), -30, 30)))
    leaf = np.float32(field.leaf_transmission)
    return exposure * (leaf + (1 - leaf) * edge)


def shuttered(field: Field, shape_px: tuple[int, int], spacing_mm: float) -> NDArray[np.bool_]:
    """(H, W) True where the image is blanked."""
    if field.shutter_mm is None or field.aperture == "open":
        return np.zeros(shape_px, dtype=bool)
    return inside_aperture_mm(field, shape_px, spacing_mm) < field.shutter_mm


def _letter(marker: Marker, shape_px: tuple[int, int], spacing_mm: float) -> tuple[Image, Image]:
    """(H, W) coverage 0..1 of the letter and of its strip."""
    glyph = np.array([[c == "#" for c in row] for row in _GLYPHS[marker.letter]], dtype=np.float32)
    if marker.mirrored:
        glyph = glyph[:, ::-1]
    x, y = detector_coordinates_mm(shape_px, spacing_mm)
    dx = x - marker.centre[0] * shape_px[1] * spacing_mm / 2
    dy = y - marker.centre[1] * shape_px[0] * spacing_mm / 2
    cosine, sine = np.cos(marker.angle_rad), np.sin(marker.angle_rad)
    cell_mm = marker.height_mm / glyph.shape[0]
    column = (cosine * dx + sine * dy) / cell_mm + (glyph.shape[1] - 1) / 2
    row = (cosine * dy - sine * dx) / cell_mm + (glyph.shape[0] - 1) / 2
    # Thresholding the interpolated grid rounds the strokes as a cast letter's are.
    letter = np.clip(4 * ndimage.map_coordinates(glyph, [row, column], order=1, mode="grid-constant") - 1, 0, 1)
    strip = (np.abs(column - 2) < 5) & (np.abs(row - 3) < 6)
    return blurred(letter.astype(np.float32), 0.15 / spacing_mm), strip.astype(np.float32)


def lead_and_plastic(
    field: Field, shape_px: tuple[int, int], spacing_mm: float, rng: np.random.Generator
) -> tuple[Image, Image, Image]:
    """(H, W) lead, steel and plastic in the beam, g/cm2. ``rng`` places beads, pads and the slab."""
    lead, steel, plastic = (np.zeros(shape_px, dtype=np.float32) for _ in range(3))
    if field.marker is not None:
        letter, strip = _letter(field.marker, shape_px, spacing_mm)
        lead += field.marker.lead_g_cm2 * letter
        plastic += field.marker.strip_g_cm2 * strip
    for stroke in field.strokes:
        target = steel if stroke.metal else plastic
        target += np.float32(stroke.mass_g_cm2) * coverage(stroke, shape_px, spacing_mm)
    if not (field.beads or field.pads or field.slab_g_cm2):
        return lead, steel, plastic
    x, y = detector_coordinates_mm(shape_px, spacing_mm)
    reach_x, reach_y = float(x.max()), float(y.max())
    for number in range(field.beads + field.pads):
        is_bead = number < field.beads
        radius_mm = rng.uniform(0.4, 1.0) if is_bead else rng.uniform(2.0, 4.5)
        inside = radius_mm**2 - (x - rng.uniform(-reach_x, reach_x)) ** 2 - (y - rng.uniform(-reach_y, reach_y)) ** 2
        if is_bead:
            steel += 2 * 0.786 * np.sqrt(np.maximum(inside, 0))  # chord in mm x 7.86 g/cm3 / 10
        else:
            plastic += rng.uniform(0.2, 1.0) * np.clip(inside / (2 * radius_mm * spacing_mm), 0, 1)
    if field.slab_g_cm2:
        angle = rng.uniform(-0.15, 0.15)
        edge = np.cos(angle) * x + np.sin(angle) * y - rng.uniform(-0.9, 0.9) * reach_x
        sign = np.float32(rng.choice([-1.0, 1.0]))
        plastic += field.slab_g_cm2 * np.clip(0.5 + sign * edge / rng.uniform(1, 8), 0, 1).astype(np.float32)
    return lead, steel, plastic
