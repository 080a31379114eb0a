"""Where the predicted bones lie in the X-ray's frame: where they were read, or matched to the bone-only images; never
moved for the eye.

First both bones are searched for as one rigid object (:func:`stand`); then, once nothing changes their shape any more,
each by itself (:func:`place`). Where the outlines of a film have corrected what was read from it, the bones lie where
they were read: on simulated films their outlines are nearer to the true ones there than where a search ends
(docs/results/placing.md). The searches are then the film's own word on that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.side import mirror_transform
from bonelift.film.standard import Film
from bonelift.geometry import invert_rigid
from bonelift.reconstruction.bones import BONES, SHOWN_ABOVE_MM, Bones
from bonelift.reconstruction.cut import PreparedFilm
from bonelift.registration import (
    FixedView,
    MovingBone,
    PoseResult,
    PoseSettings,
    project_bone,
    register,
)
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


_WRIST = PoseSettings(prior_sigma=(0.20, 0.20, 0.30, 12.0, 12.0, 8.0), starts_in_doubt=8)
_READ = PoseSettings(
    start_sigma=(0.04, 0.04, 0.02, 0.5, 0.5, 5.0),
    prior_sigma=(0.06, 0.06, 0.03, 0.6, 0.8, 8.0),
    cost_of_sigma=0.006,
    starts=3,
    starts_in_doubt=6,
    start_confirms=True,
)
_BONE = PoseSettings(
    prior_sigma=(0.04, 0.04, 0.06, 1.5, 1.5, 3.0),
    cost_of_sigma=0.01,
    starts=1,
    generations=0,
    coarse_factor=2,
)


@dataclass(frozen=True)
class PlaceSettings:
    """wrist: both bones as one, from several starts around the nominal pose of a positioned wrist. Depth is barely
    observable and a wrong size of the bones pulls it by decimetres, while a wrist on the detector can be off by 15 mm:
    hence its tight prior. On films of an unknown look the similarity has more false summits, and four starts may find
    the right one only once: hence the starts in doubt.
    read: the same around the pose that S and the outlines read from the image. On simulated films they are off by no
    more than the search itself, and by less in depth (docs/results/accuracy.md), and S knows wrists, where the
    similarity has false summits: hence the narrower prior. A search that ends where the wrist was read is confirmed by
    that.
    bone: then each by itself: the relative pose of radius and ulna was predicted too, and may be off by so much.
    """

    wrist: PoseSettings = _WRIST
    read: PoseSettings = _READ
    bone: PoseSettings = _BONE


@dataclass(frozen=True, eq=False)
class Stance:
    """Where the wrist stands in one film, or in several that share a world; both bones as one.

    views: what the bones are compared with, one for each film, in the canonical world of the first film.
    pose: canonical_from_radius in that world, right wrist, with the record of its search.
    bone_search: how each bone is then to be placed by itself in these views.
    read: (4, 4) canonical_from_radius as it was read from one film by itself, corrected by outlines; else None.
    """

    films: tuple[PreparedFilm, ...]
    views: tuple[FixedView, ...]
    pose: PoseResult
    bone_search: PoseSettings
    read: Float | None = None


@dataclass(frozen=True, eq=False)
class PlacedFilm:
    """The bones in one film's X-ray.

    wrist, bones: records of the searches, of both bones as one and of each by itself, in the canonical world of the
        first of the films that were compared together.
    canonical_from_bone: name -> (4, 4) pose in the canonical world of this film's camera.
    world_from_radius, world_from_bone: (4, 4) rigid, from the radius frame of the patient's own side (a left wrist's is
        the mirror image of a right one's, x -> -x) to the world of the radiograph's camera.
    bones_world: name -> mesh of the patient's own side in that world: what the overlay shows.
    projected: FILM_SHAPE, projection of both bones where the searches ended. weights: where the film shows the bones
        that the label grid knows.
    """

    wrist: PoseResult
    bones: Mapping[str, PoseResult]
    canonical_from_bone: Mapping[str, Float]
    world_from_radius: Float
    world_from_bone: Mapping[str, Float]
    bones_world: Mapping[str, TriangleMesh]
    projected: Float
    weights: Float


def stand(
    bones: Bones,
    films: Sequence[PreparedFilm],
    drrs: Sequence[NDArray[np.floating]],
    together: bool,
    settings: PlaceSettings,
    seed: int = 0,
) -> tuple[Stance, ...]:
    """The wrist registered as one to the bone-only images: of each film by itself, or of all ``together`` where their
    cameras share a world. Nothing stands where a bone came out empty.

    Where S read a pose from an image (``bones.motions``), the search of that image begins there; of several images
    together, the poses read are among the starts, for they disagree on the depth, which the images then tell.
    """
    if not bones.complete:
        return ()
    motions = bones.motions or (None,) * len(films)
    rows = list(zip(films, drrs, motions, strict=True))
    stances = []
    for group in [rows] if together else [[row] for row in rows]:
        first = group[0][0].film
        views = tuple(film_view(film.film, drr, first if together else None) for film, drr, _ in group)
        read = [
            invert_rigid(view.camera.camera_from_world) @ film.film.nominal_camera_from_radius() @ motion
            for view, (film, _, motion) in zip(views, group, strict=True)
            if motion is not None
        ]
        believed = None
        if len(read) == 1:
            pose = register(bones.wrist_solid, views, read[0], settings.read, seed=seed)
            believed = read[0] if bones.outline_signs else None
        else:
            start = first.nominal_camera_from_radius()
            pose = register(bones.wrist_solid, views, start, settings.wrist, seed=seed, guesses=read)
        stances.append(Stance(tuple(film for film, _, _ in group), views, pose, settings.bone, believed))
    return tuple(stances)


def place(bones: Bones, stances: Sequence[Stance], seed: int = 0) -> tuple[PlacedFilm, ...]:
    """Each bone where it was read, or placed by itself from where the wrist stands; one entry a film, in the order of
    the films. Bones whose shape was fitted after they were read are searched for."""
    return tuple(placed for stance in stances for placed in _placed(bones, stance, seed))


def _placed(bones: Bones, stance: Stance, seed: int) -> list[PlacedFilm]:
    radius, ulna = bones.solids["radius"], bones.solids["ulna"]
    at, search = stance.pose.world_from_bone, stance.bone_search
    radius_pose = register(radius, stance.views, at, search, [(ulna, at)], seed)
    ulna_pose = register(ulna, stance.views, at, search, [(radius, radius_pose.world_from_bone)], seed)
    searched = {"radius": radius_pose, "ulna": ulna_pose}
    read = None if bones.fitted else stance.read
    return [
        _placed_film(bones, stance.pose, searched, read, film, view.camera.camera_from_world)
        for film, view in zip(stance.films, stance.views, strict=True)
    ]


def _placed_film(
    bones: Bones,
    wrist: PoseResult,
    searched: Mapping[str, PoseResult],
    read: Float | None,
    film: PreparedFilm,
    canonical_from_first: Float,
) -> PlacedFilm:
    """read: where both bones lie, if not where the searches ended. canonical_from_first: from the canonical world that
    the poses are in to that of this film."""
    world_from_canonical = film.film.world_from_canonical
    found = {name: canonical_from_first @ searched[name].world_from_bone for name in BONES}
    canonical_from_radius = canonical_from_first @ (wrist.world_from_bone if read is None else read)
    canonical_from_bone = {name: found[name] if read is None else canonical_from_radius for name in BONES}
    # Right bones everywhere but in the result: two mirrors cancel, so the poses of a left wrist are rigid again.
    own_side = mirror_transform() if film.film.mirrored else np.eye(4)
    return PlacedFilm(
        wrist,
        searched,
        canonical_from_bone,
        world_from_canonical @ canonical_from_radius @ own_side,
        {name: world_from_canonical @ pose @ own_side for name, pose in canonical_from_bone.items()},
        {
            name: bones.surfaces[name].transformed(world_from_canonical @ pose)
            for name, pose in canonical_from_bone.items()
        },
        projection(bones.solids, film.film, found),
        film_weights(film.film),
    )


def projection(solids: Mapping[str, MovingBone], film: Film, canonical_from_bone: Mapping[str, Float]) -> Float:
    """FILM_SHAPE: line integrals of radius and ulna at poses (4, 4) in the canonical world of the film's camera."""
    parts = [project_bone(solids[name], film.camera, canonical_from_bone[name][None])[0] for name in BONES]
    return np.sum(parts, axis=0)


def film_view(film: Film, image: NDArray[np.floating], first: Film | None = None) -> FixedView:
    """What a registration compares on a film, in the canonical world of the film ``first`` (its own where None).

    image: FILM_SHAPE, bone bright: line integrals, or the film's own pixels.
    """
    camera = film.camera
    if first is not None:
        # Both worlds are mirrored alike, so that what is left between them is rigid.
        canonical_from_first = np.linalg.inv(film.world_from_canonical) @ first.world_from_canonical
        camera = replace(camera, camera_from_world=canonical_from_first)
    return FixedView(np.asarray(image, dtype=np.float64), camera, film_weights(film))


def film_weights(film: Film) -> Float:
    """FILM_SHAPE in [0, 1]: 0 outside of the recorded image, and fading to 0 below SHOWN_ABOVE_MM, where the label grid
    knows nothing, as the bone lies at its nominal pose."""
    end = np.array([0.0, 0.0, SHOWN_ABOVE_MM, 1.0])
    end_row = film.camera.project((film.nominal_camera_from_radius() @ end)[:3])[1]
    ramp = np.clip((end_row - np.arange(film.pixels.shape[0])) / 4, 0, 1)[:, None]
    return ramp * film.recorded
