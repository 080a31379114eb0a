"""Where the predicted bones lie in the X-ray's frame: matched to the bone-only image, never moved for the eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.side import mirror_transform
from bonelift.images.film import Film
from bonelift.reconstruct.bones import BONES, Bones
from bonelift.reconstruct.prepare import PreparedFilm, where_rays_meet
from bonelift.registration import (
    FixedView,
    MovingBone,
    PoseResult,
    PoseSettings,
    moving_bone,
    project_bone,
    register,
)
from bonelift.registration.nominal_bone import nominal_attenuation
from bonelift.registration.similarity import Similarity
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

WRIST_SETTINGS = PoseSettings(prior_sigma=(0.20, 0.20, 0.30, 12.0, 12.0, 8.0))
"""Both bones as one: several starts around the nominal pose of a positioned wrist.

Depth is barely observable and a wrong size of the bones pulls it by decimetres, while a wrist on the detector can be
off by 15 mm: hence its tight prior."""
BONE_SETTINGS = PoseSettings(
    prior_sigma=(0.04, 0.04, 0.06, 1.5, 1.5, 3.0),
    cost_of_sigma=0.01,
    starts=1,
    generations=0,
    coarse_factor=2,
)
"""Then each by itself: the relative pose of radius and ulna was predicted too, and may be off by so much."""
_EDGES: Similarity = "local_gradient_correlation"
FILM_SEARCH = PoseSettings(
    start_sigma=(0.25, 0.20, 0.10, 4.0, 4.0, 15.0),
    prior_sigma=(0.35, 0.35, 0.30, 12.0, 12.0, 25.0),
    cost_of_sigma=0.0005,
    starts=3,
    generations=20,
    coarse_factor=3,
    similarity=_EDGES,
    last_iterations=0,
)
"""Predicted bones on the films of several calibrated cameras, before they are fitted: a view that the networks read
wrongly leaves the wrist tilted by up to 20 degrees, which the films themselves tell."""
FILM_SEARCH_RADIUS = PoseSettings(
    start_sigma=(0.03, 0.03, 0.03, 0.7, 0.7, 1.0),
    prior_sigma=(0.15, 0.15, 0.30, 4.0, 4.0, 6.0),
    cost_of_sigma=0.001,
    starts=2,
    population=12,
    generations=12,
    coarse_factor=2,
    fine_factor=1,
    similarity=_EDGES,
    last_iterations=4,
)
FILM_SEARCH_ULNA = replace(FILM_SEARCH_RADIUS, start_sigma=(0.05, 0.05, 0.15, 1.5, 1.5, 3.0))
"""Then the radius, and the ulna beside it: its place is the part of a prediction that is off most."""
FITTED_WRIST_SETTINGS = replace(
    WRIST_SETTINGS, similarity=_EDGES, cost_of_sigma=0.0005, start_sigma=(0.08, 0.08, 0.06, 2.0, 2.0, 8.0)
)
FITTED_BONE_SETTINGS = replace(BONE_SETTINGS, similarity=_EDGES)
"""The same for bones fitted to the films themselves, which show soft tissue and carpals: edges, evened in strength."""
_COMPARED_ABOVE_MM = -40.0
"""Radius-frame height below which the label grid knows nothing; the image further down the forearm does not count."""


@dataclass(frozen=True, eq=False)
class PlacedWrist:
    """Poses against one film, or against several that share a world.

    wrist: both bones as one rigid object. bones: "radius", "ulna" -> its own pose, from the radius frame.
    All poses are canonical_from_radius: in the canonical world of the films' cameras, right wrist.
    """

    wrist: PoseResult
    bones: Mapping[str, PoseResult]


@dataclass(frozen=True, eq=False)
class PlacedFilm:
    """The bones in one film's X-ray.

    canonical_from_bone: name -> (4, 4) pose in the canonical world of this film's camera.
    world_from_radius, world_from_bone: (4, 4) rigid, from the radius frame of the patient's own side (a left wrist's is
        the mirror image of a right one's, x -> -x) to the world of the radiograph's camera.
    bones_world: name -> mesh of the patient's own side in that world: what the overlay shows.
    projected: FILM_SHAPE, projection of both bones where they were placed. weights: where it was compared.
    """

    wrist: PlacedWrist
    canonical_from_bone: Mapping[str, Float]
    world_from_radius: Float
    world_from_bone: Mapping[str, Float]
    bones_world: Mapping[str, TriangleMesh]
    projected: Float
    weights: Float


def filled(bones: Bones) -> dict[str, MovingBone]:
    """The predicted bones, radius and ulna by name, as they can be projected: with a wall and an inside."""
    return {
        name: moving_bone(*nominal_attenuation(field, bones.grid))
        for name, field in zip(BONES, bones.fields, strict=True)
    }


def as_one(radius: MovingBone, ulna: MovingBone) -> MovingBone:
    """Both bones, :func:`filled` on one grid, as one rigid object."""
    return moving_bone(radius.volume.values[0] + ulna.volume.values[0], radius.bone_from_voxel)


def place(
    radius: MovingBone,
    ulna: MovingBone,
    views: Sequence[FixedView],
    canonical_from_start: Float,
    seed: int = 0,
    wrist_settings: PoseSettings | None = None,
    bone_settings: PoseSettings | None = None,
) -> PlacedWrist:
    """Register the predicted bones (:func:`filled`) to bone-only images (:func:`bone_view`), or, with other settings
    than WRIST_SETTINGS and BONE_SETTINGS, to what those are for.

    canonical_from_start: (4, 4), usually the nominal pose of the first film.
    """
    bone_settings = bone_settings or BONE_SETTINGS
    wrist = register(as_one(radius, ulna), views, canonical_from_start, wrist_settings or WRIST_SETTINGS, seed=seed)
    at = wrist.world_from_bone
    radius_pose = register(radius, views, at, bone_settings, [(ulna, at)], seed)
    ulna_pose = register(ulna, views, at, bone_settings, [(radius, radius_pose.world_from_bone)], seed)
    return PlacedWrist(wrist, {"radius": radius_pose, "ulna": ulna_pose})


def bone_view(
    film: Film, drr: NDArray[np.floating], recorded: NDArray[np.bool_], first: Film | None = None
) -> FixedView:
    """A film's bone-only image as a registration sees it, in the canonical world of ``first`` (its own where None).

    drr: FILM_SHAPE line integrals. recorded: FILM_SHAPE, where the film lies inside the recorded image.
    Weights fade to 0 below the label grid's proximal end, as the bone lies at its nominal pose.
    """
    end = np.array([0.0, 0.0, _COMPARED_ABOVE_MM, 1.0])
    end_row = film.camera.project((film.nominal_camera_from_radius() @ end)[:3])[1]
    ramp = np.clip((end_row - np.arange(drr.shape[0])) / 4, 0, 1)[:, None]
    camera = film.camera
    if first is not None:
        # Both worlds are mirrored alike, so that what is left between them is rigid.
        canonical_from_first = np.linalg.inv(film.world_from_canonical) @ first.world_from_canonical
        camera = replace(camera, camera_from_world=canonical_from_first)
    return FixedView(np.asarray(drr, dtype=np.float64), camera, ramp * recorded)


def share_a_world(films: Sequence[PreparedFilm]) -> bool:
    """Whether there are several films whose calibrated cameras share a world, by the wrist that is seen in all."""
    return where_rays_meet(films) is not None


def place_on_films(
    bones: Bones,
    solids: Mapping[str, MovingBone],
    films: Sequence[PreparedFilm],
    drrs: Sequence[NDArray[np.floating]],
) -> tuple[PlacedFilm, ...]:
    """Place the bones on each film: by itself, or on all together where their calibrated cameras share a world.

    solids: the same bones, :func:`filled`.
    """
    if not share_a_world(films):
        return tuple(_place_on_one(bones, solids, film, drr) for film, drr in zip(films, drrs, strict=True))
    first = films[0].film
    views = [bone_view(film.film, drr, film.recorded, first) for film, drr in zip(films, drrs, strict=True)]
    wrist = place(solids["radius"], solids["ulna"], views, first.nominal_camera_from_radius())
    return tuple(
        placed_film(bones, solids, wrist, film, view, view.camera.camera_from_world)
        for film, view in zip(films, views, strict=True)
    )


def _place_on_one(
    bones: Bones, solids: Mapping[str, MovingBone], film: PreparedFilm, drr: NDArray[np.floating]
) -> PlacedFilm:
    view = bone_view(film.film, drr, film.recorded)
    wrist = place(solids["radius"], solids["ulna"], [view], film.film.nominal_camera_from_radius())
    return placed_film(bones, solids, wrist, film, view, np.eye(4))


def placed_film(
    bones: Bones,
    solids: Mapping[str, MovingBone],
    wrist: PlacedWrist,
    film: PreparedFilm,
    view: FixedView,
    canonical_from_first: Float,
) -> PlacedFilm:
    """A placed wrist in one film. view: where it was compared. canonical_from_first: from the canonical world that the
    poses are in to that of this film."""
    world_from_canonical = film.film.world_from_canonical
    canonical_from_bone = {name: canonical_from_first @ wrist.bones[name].world_from_bone for name in BONES}
    # Right bones everywhere but in the result: two mirrors cancel, so the poses of a left wrist are rigid again.
    own_side = mirror_transform() if film.film.mirrored else np.eye(4)
    world_from_wrist = world_from_canonical @ canonical_from_first @ wrist.wrist.world_from_bone
    projected = sum(project_bone(solids[name], film.film.camera, canonical_from_bone[name][None])[0] for name in BONES)
    return PlacedFilm(
        wrist,
        canonical_from_bone,
        world_from_wrist @ own_side,
        {name: world_from_canonical @ pose @ own_side for name, pose in canonical_from_bone.items()},
        {
            name: bones.surfaces[name].transformed(world_from_canonical @ pose)
            for name, pose in canonical_from_bone.items()
        },
        np.asarray(projected),
        np.ones(view.image.shape) if view.weights is None else view.weights,
    )
