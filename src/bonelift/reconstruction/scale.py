"""How far the wrist is from the source, and with it the scale: calibrated cameras tell where it was only assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry import apply_transform, nearest_to_rays
from bonelift.images import Radiograph
from bonelift.origin import Origin
from bonelift.reconstruction.locate import Sighting


@dataclass(frozen=True)
class ScaleSettings:
    """largest_gap_mm: the locator finds the wrist to some millimetres; where rays through it pass farther apart, the
    cameras share no world. least_crossing_deg: rays that cross at less say nothing of that."""

    largest_gap_mm: float = 20.0
    least_crossing_deg: float = 10.0


@dataclass(frozen=True, eq=False)
class Scaled:
    """Sightings with the best known distance of the wrist.

    meeting_world: (3,) mm, where the rays through the wrist meet in the world that the cameras share; None where there
        is but one image, a camera is not calibrated, or the rays say that the cameras share no world.
    cameras_apart: whether there are several calibrated cameras whose rays do not meet.
    """

    sightings: tuple[Sighting, ...]
    meeting_world: NDArray[np.float64] | None
    cameras_apart: bool

    @property
    def together(self) -> bool:
        """Whether the cameras share a world."""
        return self.meeting_world is not None


def scale(sightings: Sequence[Sighting], settings: ScaleSettings) -> Scaled:
    """Sightings of one wrist, its distance from each source taken from where the rays meet if it was only assumed."""
    if len(sightings) < 2 or not all("camera" in sighting.radiograph.provenance for sighting in sightings):
        return Scaled(tuple(sightings), None, False)
    meeting = where_rays_meet(sightings, settings)
    if meeting is None:
        return Scaled(tuple(sightings), None, True)
    return Scaled(tuple(_rescaled(sighting, meeting) for sighting in sightings), meeting, False)


def where_rays_meet(sightings: Sequence[Sighting], settings: ScaleSettings) -> NDArray[np.float64] | None:
    """(3,) mm in the world of the calibrated cameras; None where the rays through the wrist hardly cross, pass far from
    each other, or meet behind a source or a detector."""
    cameras = [sighting.radiograph.camera for sighting in sightings]
    sources = np.stack([camera.source_world for camera in cameras])
    ends = [
        camera.back_project(sighting.located.origin_px, sighting.radiograph.source_to_object_mm)
        for camera, sighting in zip(cameras, sightings, strict=True)
    ]
    rays = np.stack(ends) - sources
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    crossing_deg = np.rad2deg(np.arccos(np.clip(np.abs(rays @ rays.T), 0, 1))).max()
    point = nearest_to_rays(sources, rays, np.mean(ends, axis=0))
    along = ((point - sources) * rays).sum(axis=1)
    gap_mm = np.linalg.norm(point - sources - along[:, None] * rays, axis=1).max() * 2
    before_detector = all(0 < depth <= camera.sdd_mm for depth, camera in zip(along, cameras, strict=True))
    meets = crossing_deg >= settings.least_crossing_deg and gap_mm <= settings.largest_gap_mm and before_detector
    return point if meets else None


def _rescaled(sighting: Sighting, meeting_world: NDArray[np.float64]) -> Sighting:
    """The landmarks stay where they were seen: they are pixels."""
    known = sighting.radiograph.provenance.get("source_to_object")
    if known is None or not known.assumed:
        return sighting
    return replace(sighting, radiograph=at_distance(sighting.radiograph, meeting_world))


def at_distance(radiograph: Radiograph, point_world: NDArray[np.float64]) -> Radiograph:
    """The radiograph with its wrist at the distance of a point (3,) of its camera's world."""
    depth_mm = float(apply_transform(radiograph.camera.camera_from_world, point_world)[2])
    origin = Origin("from rays", f"where the rays through the wrist meet: {depth_mm:.0f} mm", depth_mm)
    return replace(
        radiograph, source_to_object_mm=depth_mm, provenance={**radiograph.provenance, "source_to_object": origin}
    )
