"""The virtual radiograph: polychromatic transmission, scatter, blur and noise, then a vendor's processing.

``expose`` is the whole of it; the parts are in spectrum (tube, attenuation), field (collimator, marker), detector
(scatter, blur, noise) and vendor (processing). ``draw_geometry`` places a wrist in front of an X-ray camera.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.drr.joseph import project
from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.phantom.detector import geometric_blur_mm, read_out, scatter
from bonelift.phantom.field import lead_and_plastic, open_field, shuttered
from bonelift.phantom.fine_texture import with_fine_texture
from bonelift.phantom.smoothing import blurred
from bonelift.phantom.spectrum import response, thin_metal_log_attenuation
from bonelift.phantom.vendor import displayed
from bonelift.phantom.xray_geometry import (
    FILM_SPREAD,
    LOCATOR_SPREAD,
    PoseSpread,
    WristGeometry,
    draw_geometry,
)
from bonelift.phantom.xray_settings import XraySettings, draw_settings

__all__ = [
    "FILM_SPREAD",
    "LOCATOR_SPREAD",
    "AbsorbingBody",
    "PoseSpread",
    "WristGeometry",
    "XraySettings",
    "detector_signal",
    "draw_geometry",
    "draw_settings",
    "expose",
    "mass_per_area",
]

Image = NDArray[np.floating]
Transform = NDArray[np.float64]

COARSEST_FINE_PIXEL_MM = 0.8
"""Pictures of larger pixels (at the wrist) are made from the body's overview alone."""
HALF_DEPTH_MM = 40.0
BLEND_MM = 6.0


class AbsorbingBody(Protocol):
    """Anything with the two basis materials on a grid: ``bonelift.phantom.body.Body`` is one.

    mineral_g_cm3, soft_g_cm3: (I, J, K) float32, g/cm3: bone mineral (hydroxyapatite), and everything else.
    radius_from_voxel: (4, 4), mm.
    """

    @property
    def mineral_g_cm3(self) -> NDArray[np.float32]: ...
    @property
    def soft_g_cm3(self) -> NDArray[np.float32]: ...
    @property
    def radius_from_voxel(self) -> NDArray[np.float64]: ...


def expose(
    body: AbsorbingBody,
    camera: XrayCamera,
    camera_from_radius: ArrayLike,
    rng: np.random.Generator,
    settings: XraySettings | None = None,
) -> Image:
    """(H, W) float32 pixels as a radiograph file would hold them: whole numbers, 0 .. 2^bits - 1.

    camera: intrinsics, image size and SDD; its world pose is not used. camera_from_radius: (4, 4) rigid, mm.
    settings: None draws them from ``rng``. Bone is bright unless the settings say MONOCHROME1.
    The same arguments and the same state of ``rng`` give the same image.
    """
    settings = draw_settings(rng) if settings is None else settings
    mineral, soft = mass_per_area(body, camera, camera_from_radius)
    magnification = camera.sdd_mm / float(np.asarray(camera_from_radius)[2, 3])
    spacing_mm = camera.detector_spacing_mm
    mineral = with_fine_texture(mineral, settings.fine_texture, spacing_mm, rng)
    signal, blanked = detector_signal(mineral, soft, spacing_mm, max(magnification, 1.0), rng, settings)
    return displayed(signal, blanked, settings.processing, spacing_mm)


def mass_per_area(body: AbsorbingBody, camera: XrayCamera, camera_from_radius: ArrayLike) -> tuple[Image, Image]:
    """(H, W) mineral and (H, W) everything else along each ray, g/cm2.

    A body with an ``overview`` is seen whole: where rays pass beyond its ends, the overview is seen instead.
    """
    pose = np.asarray(camera_from_radius, dtype=np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or pose[2, 3] <= 0:
        raise InputError("expose: camera_from_radius must be a finite (4, 4) pose in front of the source (z > 0)")
    overview = getattr(body, "overview", None)
    if overview is None:
        return _mass(body, camera, pose)
    pixel_mm = camera.detector_spacing_mm * pose[2, 3] / camera.sdd_mm
    share = _share_of_the_fine_body(body, camera, pose) if pixel_mm < COARSEST_FINE_PIXEL_MM else np.zeros(())
    if share.min() == 1:
        return _mass(body, camera, pose)
    mineral, soft = _mass(overview, camera, pose)
    if share.max() == 0:
        return mineral, soft
    fine_mineral, fine_soft = _mass(body, camera, pose)
    return mineral + share * (fine_mineral - mineral), soft + share * (fine_soft - soft)


def _mass(body: AbsorbingBody, camera: XrayCamera, camera_from_radius: Transform) -> tuple[Image, Image]:
    stack = np.stack([body.mineral_g_cm3, body.soft_g_cm3]).astype(np.float32, copy=False)
    camera_from_voxel = camera_from_radius @ body.radius_from_voxel
    integrals = project(stack, camera.image_from_camera, camera_from_voxel, camera.shape_px)
    return integrals[0] / 10, integrals[1] / 10  # g/cm3 * mm = 0.1 g/cm2


def _share_of_the_fine_body(body: AbsorbingBody, camera: XrayCamera, camera_from_radius: Transform) -> Image:
    """(H, W) 1 where a ray meets the forearm within the fine body, 0 where it may leave through one of its ends.

    Looks at where the ray passes the plane of the wrist. Rays are as deep as HALF_DEPTH_MM on either side of it, so a
    tilted forearm or an oblique ray needs more room to the end.
    """
    spacing_mm, first_mm = body.radius_from_voxel[2, 2], body.radius_from_voxel[2, 3]
    last_mm = first_mm + spacing_mm * (body.mineral_g_cm3.shape[2] - 1)
    columns, rows = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(camera.image_from_camera).T
    points = rays / rays[..., 2:] * camera_from_radius[2, 3]
    x_mm, z_mm = np.moveaxis((points - camera_from_radius[:3, 3]) @ camera_from_radius[:3, [0, 2]], -1, 0)
    room_mm = 5.0 + HALF_DEPTH_MM * (abs(camera_from_radius[2, 2]) + 0.1)
    to_end = np.minimum(z_mm - first_mm, last_mm - z_mm)
    if abs(camera_from_radius[2, 0]) < 0.5:  # a thumb may reach beyond the fine body's radial side
        to_end = np.minimum(to_end, x_mm - body.radius_from_voxel[0, 3] + room_mm - 8.0)
    return np.clip((to_end - room_mm) / BLEND_MM, 0, 1).astype(np.float32)


def detector_signal(
    mineral_g_cm2: Image,
    soft_g_cm2: Image,
    spacing_mm: float,
    magnification: float,
    rng: np.random.Generator,
    settings: XraySettings,
) -> tuple[Image, NDArray[np.bool_]]:
    """Detector signal (H, W), 1 = open field at the centre, and (H, W) True where the shutter blanks the image.

    spacing_mm: pixel side at the detector. magnification: SDD over source-to-wrist distance, >= 1.
    """
    beam, field, detector = settings.beam, settings.field, settings.detector
    shape_px = (mineral_g_cm2.shape[0], mineral_g_cm2.shape[1])
    table = response(beam)
    lead, steel, plastic = lead_and_plastic(field, shape_px, spacing_mm, rng)
    soft = soft_g_cm2 + plastic
    log_attenuation = table.of(mineral_g_cm2, soft)
    for metal, mass in (("lead", lead), ("steel", steel)):
        if mass.any():
            log_attenuation += thin_metal_log_attenuation(beam, metal, mass)
    primary = (open_field(field, shape_px, spacing_mm) * np.exp(-log_attenuation)).astype(np.float32)
    incident = blurred(
        primary + scatter(primary, soft + mineral_g_cm2, detector, spacing_mm),
        geometric_blur_mm(detector.focal_spot_mm, magnification) / spacing_mm,
    )
    signal = read_out(incident, detector, spacing_mm, table.quanta_per_signal, rng)
    return signal, shuttered(field, shape_px, spacing_mm)
