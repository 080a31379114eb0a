"""The standard film: a right wrist, fingers up, at a fixed scale, that every network reads.

A film is a crop of a radiograph, rotated upright and, for a left wrist, mirrored. Its camera looks at the *canonical
world*: the camera frame of the X-ray, mirrored for a left wrist, so that the bones in it are always right bones.

A lateral may be taken from either side. Films show the palm to the left, as a right wrist's lateral with the source on
the radial side does; one with the source on the ulnar side is mirrored as a picture only: its bones and its canonical
world stay as they are, and the nominal pose is turned by half a turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.errors import InputError
from bonelift.film.sampling import sample, smoothed_for
from bonelift.geometry import XrayCamera
from bonelift.images.radiograph import Radiograph, View

Float = NDArray[np.float64]

FILM_SHAPE = (160, 128)
"""Rows, columns."""
FILM_SPACING_MM = 0.5
"""Pixel side at the wrist (not at the detector)."""
FILM_ORIGIN_PX: dict[View, tuple[float, float]] = {"pa": (48.0, 60.0), "lateral": (64.0, 60.0)}
"""(column, row) at which the origin of the radius frame is put."""
STANDARD_DISTANCE_MM = 965.0
"""From the X-ray source to the wrist, of :func:`standard_projection`."""

_CAMERA_FROM_RADIUS_AXES: dict[View, Float] = {
    # Rows: image right, image down, away from the source. PA: ulnar, proximal, palmar.
    "pa": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    # Lateral, source on the radial side: dorsal, proximal, ulnar.
    "lateral": np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]),
}
_FROM_ULNAR_AXES = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
"""The same of a lateral with the source on the ulnar side; its film shows image right on the left."""
_MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Film:
    """A standard film.

    pixels: FILM_SHAPE float32, bone bright; 0 and 1 are the 1st and 99.5th percentile of the crop, clipped to [0, 1.2].
    camera: views the canonical world, which is the (mirrored, if ``mirrored``) camera frame of the radiograph.
    film_from_image: (3, 3) homography of (column, row) px from the radiograph to the film.
    world_from_canonical: (4, 4) from the canonical world to the radiograph's world; determinant -1 if ``mirrored``.
    recorded: FILM_SHAPE, where the film lies inside the recorded image.
    from_ulnar: a lateral with the source on the ulnar side.
    """

    pixels: NDArray[np.float32]
    camera: XrayCamera
    film_from_image: Float
    world_from_canonical: Float
    mirrored: bool
    view: View
    source_to_object_mm: float
    recorded: NDArray[np.bool_]
    from_ulnar: bool = False

    def px_from_radius(self, canonical_from_radius: Float) -> Float:
        """(3, 4) px of the film from mm of the radius frame of a right wrist, posed in the canonical world (4, 4)."""
        return self.camera.image_from_camera @ canonical_from_radius[:3]

    @property
    def coverage(self) -> float:
        """Fraction of the film that lies inside the recorded image."""
        return float(self.recorded.mean())

    def nominal_camera_from_radius(self) -> Float:
        """(4, 4) pose of an exactly positioned wrist: origin at FILM_ORIGIN_PX and the nominal depth."""
        return nominal_camera_from_radius(self.camera, self.view, self.source_to_object_mm, self.from_ulnar)


def nominal_camera_from_radius(
    camera: XrayCamera, view: View, source_to_object_mm: float, from_ulnar: bool = False
) -> Float:
    """(4, 4) pose of a wrist that lies straight in the beam, with its origin on FILM_ORIGIN_PX of ``camera``."""
    camera_from_image = np.linalg.inv(camera.image_from_camera)
    column, row = FILM_ORIGIN_PX[view]

    def direction(u: float, v: float) -> Float:
        ray = camera_from_image @ [u, v, 1.0]
        return ray / ray[2]

    ray = direction(column, row)
    forward = ray / np.linalg.norm(ray)
    down = direction(column, row + 1) - ray
    down -= (down @ forward) * forward
    down /= np.linalg.norm(down)
    camera_from_view = np.column_stack([np.cross(down, forward), down, forward])
    pose = np.eye(4)
    pose[:3, :3] = camera_from_view @ (_FROM_ULNAR_AXES if from_ulnar else _CAMERA_FROM_RADIUS_AXES[view])
    pose[:3, 3] = ray * source_to_object_mm
    return pose


def standard_projection(view: View) -> Float:
    """(3, 4) px of the film from mm of the radius frame, of a wrist that lies straight before a usual X-ray tube.

    What is unusual about a film's own camera (its distance, a beam that is centred elsewhere) is, over a wrist's depth,
    within 0.1 mm of another pose before this one.
    """
    rows, columns = FILM_SHAPE
    focal_px = STANDARD_DISTANCE_MM / FILM_SPACING_MM
    intrinsics = np.array([[focal_px, 0, (columns - 1) / 2], [0, focal_px, (rows - 1) / 2], [0, 0, 1]])
    camera = XrayCamera(intrinsics, np.eye(4), columns, rows, STANDARD_DISTANCE_MM)
    return intrinsics @ nominal_camera_from_radius(camera, view, STANDARD_DISTANCE_MM)[:3]


def film_from_landmarks(
    radiograph: Radiograph, origin_px: ArrayLike, proximal_px: ArrayLike, from_ulnar: bool = False
) -> Film:
    """Cut the standard film out of a radiograph.

    origin_px: (column, row) of the origin of the radius frame (shaft axis meets distal articular surface).
    proximal_px: (column, row) of a point of the radial shaft axis further up the forearm; only its direction counts.
    from_ulnar: a lateral with the source on the ulnar side.
    """
    if from_ulnar and radiograph.view != "lateral":
        raise InputError(f"film: from_ulnar belongs to laterals, and this is a {radiograph.view} view")
    origin = np.asarray(origin_px, dtype=np.float64)
    down = np.asarray(proximal_px, dtype=np.float64) - origin
    length = np.linalg.norm(down)
    if not np.isfinite(length) or length < 1:
        raise InputError("film: origin and proximal point coincide; expected two points along the radial shaft")
    down /= length
    mirrored = radiograph.side == "left"
    flipped = (mirrored != from_ulnar) != radiograph.hangs_mirrored
    right = np.array([down[1], -down[0]]) * (-1.0 if flipped else 1.0)
    scale = radiograph.spacing_at_wrist_mm / FILM_SPACING_MM
    film_from_image = np.eye(3)
    film_from_image[:2, :2] = scale * np.stack([right, down])
    film_from_image[:2, 2] = np.asarray(FILM_ORIGIN_PX[radiograph.view]) - film_from_image[:2, :2] @ origin

    whole = np.asarray(radiograph.pixels, dtype=np.float64)
    image_from_film = np.linalg.inv(film_from_image)
    pixels, recorded = sample(smoothed_for(whole, image_from_film), image_from_film, FILM_SHAPE)
    mirror = _MIRROR if mirrored else np.eye(3)
    height, width = FILM_SHAPE
    camera = XrayCamera(
        film_from_image @ radiograph.camera.image_from_camera @ mirror,
        np.eye(4),
        width,
        height,
        radiograph.camera.sdd_mm,
    )
    world_from_canonical = radiograph.camera.world_from_camera.copy()
    world_from_canonical[:3, :3] = world_from_canonical[:3, :3] @ mirror
    return Film(
        normalise_film(pixels, recorded),
        camera,
        film_from_image,
        world_from_canonical,
        mirrored,
        radiograph.view,
        radiograph.source_to_object_mm,
        recorded,
        from_ulnar,
    )


def normalise_film(pixels: NDArray[np.floating], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Percentiles 1 and 99.5 of the pixels ``inside`` go to 0 and 1; values clip to [0, 1.2], outside is 0."""
    if not inside.any():
        return np.zeros(pixels.shape, dtype=np.float32)
    low, high = np.percentile(pixels[inside], [1.0, 99.5])
    scaled = np.clip((pixels - low) / max(high - low, 1e-6), 0.0, 1.2)
    return np.where(inside, scaled, 0.0).astype(np.float32)
