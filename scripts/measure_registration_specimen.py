"""Two calibrated cameras of a forearm specimen: do they agree on where model bones lie, and on their shape?

    BONELIFT_DATA=... python scripts/measure_registration_specimen.py --starts 6

There is no CT of the specimen (Autoscoper sample data, Brown University). The bones are the model's, fitted to both
films as `bonelift reconstruct` does it with two calibrated cameras. Measured are: whether the fit ends in the same
place and shape from perturbed starts; and whether each camera alone, to which the fitted bones are registered as one
rigid object with the settings of `bonelift register`, puts them where both together do. Prints one line an end and a
summary; writes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from bonelift.bench.register_trials import draw_start
from bonelift.errors import InputError
from bonelift.geometry import XrayCamera, apply_transform
from bonelift.geometry.camera_files import camera_from_file
from bonelift.images import Radiograph, View
from bonelift.images.reading import RadiographOptions
from bonelift.images.volume import BONES
from bonelift.networks.model import load_model
from bonelift.reconstruction.bones import SHOWN_ABOVE_MM, predict
from bonelift.reconstruction.fit import FitSettings, film_views, search_and_fit
from bonelift.reconstruction.inputs import ImageInput, read_radiographs
from bonelift.reconstruction.job import Reconstruction, reconstruct
from bonelift.registration import moving_bone
from bonelift.registration.chart import pose_chart
from bonelift.registration.ct_bone import CtBone, CutEnd, Part
from bonelift.registration.film_views import FilmView, dilated
from bonelift.registration.films import UNPOSITIONED, FilmPose, register_to_films
from bonelift.registration.nominal_bone import nominal_attenuation
from bonelift.registration.verdict import pose_verdict
from bonelift.report.rasterise import fill_mask
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
CAMERAS: tuple[tuple[str, View], ...] = (("cam02", "pa"), ("cam01", "lateral"))
"""Camera, and the view it is read as. The rays through matched beads cross 1063 and 1040 mm from the sources."""
FOREARM_PX = (slice(1250, 1560), slice(450, 1020))
"""Rows and columns in which both images show the forearm's beads."""


def image(folder: Path, camera: str, view: View) -> ImageInput:
    calibrated = camera_from_file(folder / f"xr_calib_wrist_{camera}.txt")
    options = RadiographOptions(side="right", view=view, camera=calibrated.camera, invert="yes")
    return ImageInput(folder / f"{camera}_0002.tif", options)


def parts(part: Part) -> tuple[str, ...]:
    return BONES if part == "both" else (part,)


def predicted_bone(result: Reconstruction, part: Part) -> tuple[CtBone, Float]:
    """The predicted bone or bones, with a nominal wall and filling, and world_from_bone where the film puts them."""
    assert result.bones is not None
    names = parts(part)
    made = [nominal_attenuation(result.bones.fields[BONES.index(name)], result.bones.grid) for name in names]
    bone_from_voxel = made[0][1]
    bone = moving_bone(np.sum([values for values, _ in made], axis=0), bone_from_voxel)
    points = np.concatenate([result.bones.surfaces[name].vertices for name in names])
    # The shaft is continued proximally by its last section; what lies beyond that is not compared.
    low = float(bone_from_voxel[2, 3])
    cut = CutEnd(np.array([0, 0, low]), np.array([0, 0, 1.0]), float(points[:, 2].max()) - low)
    placed = result.placed[0]
    pose = placed.world_from_radius if part == "both" else placed.world_from_bone[part]
    return CtBone(part, bone, bone, (cut,), points[:: len(points) // 1000]), pose


def as_it_is(radiograph: Radiograph) -> FilmView:
    return FilmView(radiograph.pixels.astype(np.float64), radiograph.camera, None, radiograph.spacing_at_wrist_mm)


def masked(view: FilmView, surfaces: Sequence[TriangleMesh], margin_mm: float) -> FilmView:
    """Compared within the outline of surfaces (shared world) grown by ``margin_mm``."""
    camera = view.camera
    filled = [fill_mask(camera.project(mesh.vertices)[mesh.faces], camera.shape_px) for mesh in surfaces]
    return replace(view, mask=dilated(np.logical_or.reduce(filled), margin_mm / view.pixel_mm))


def beads(radiographs: Sequence[Radiograph]) -> str:
    """The twelve lead beads on the forearm: how far apart their rays pass, and which side of camera 1's image the beads
    on the right of camera 2's lie on."""
    found = []
    for radiograph in radiographs:
        pixels = radiograph.pixels.astype(np.float64)
        sharp = (ndimage.gaussian_filter(pixels, 1.5) - ndimage.gaussian_filter(pixels, 5))[FOREARM_PX]
        peaks = np.argwhere(sharp == ndimage.maximum_filter(sharp, 9))
        strongest = peaks[np.argsort(-sharp[tuple(peaks.T)])[:12]]
        found.append((strongest + np.array([axis.start for axis in FOREARM_PX]))[:, ::-1].astype(np.float64))
    first, second = (radiograph.camera for radiograph in radiographs)
    apart = second.source_world - first.source_world
    rays = [np.array([c.back_project(p, 100.0) - c.source_world for p in points])
            for c, points in zip((first, second), found, strict=True)]  # fmt: skip
    across = np.cross(rays[0][:, None], rays[1][None])
    gaps = np.abs((across / np.linalg.norm(across, axis=-1, keepdims=True)) @ apart)
    rows, columns = linear_sum_assignment(gaps)
    right = found[0][rows, 0] > np.median(found[0][:, 0])
    where = found[1][columns, 0] < np.median(found[1][:, 0])
    return (
        f"rays of 12 beads pass at {median_and_largest(list(gaps[rows, columns]))} mm; of the {right.sum()} on the "
        f"right (ulnar) in camera 2, {(right & where).sum()} lie on the left in camera 1"
    )


def ray_gaps_mm(points: Float, cameras: list[XrayCamera], poses: list[Float]) -> Float:
    """(N,) distances between the two rays on which two cameras, each with its own pose of the bone, see its points."""
    sources = [camera.source_world for camera in cameras]
    rays = [apply_transform(pose, points) - source for pose, source in zip(poses, sources, strict=True)]
    across = np.cross(rays[0], rays[1])
    return np.abs((across / np.linalg.norm(across, axis=1, keepdims=True)) @ (sources[1] - sources[0]))


def distance_mm(points: Float, pose: Float, other: Float) -> float:
    """Mean distance in 3D between the bone's points at two poses."""
    return float(np.linalg.norm(apply_transform(pose, points) - apply_transform(other, points), axis=1).mean())


def in_plane_mm(points: Float, view: FilmView, pose: Float, other: Float) -> float:
    """Mean distance, in the image of a film and at the bone's size, between the bone's points at two poses."""
    apart = view.camera.project(apply_transform(pose, points)) - view.camera.project(apply_transform(other, points))
    return float(np.linalg.norm(apart, axis=1).mean() * view.pixel_mm)


def median_and_largest(values: Sequence[float] | Float) -> str:
    return f"median {np.median(values):.2f}, largest {np.max(values):.2f}"


def fits_from(result: Reconstruction, starts: int, seed: int) -> None:
    """The fit of the networks' guess from perturbed starts: its ends' surfaces beside the reconstruction's."""
    model, films = load_model(None), result.films
    if result.bones is None:
        raise SystemExit("no bones were reconstructed")
    views = film_views(films)
    wrist = result.placed[0].wrist.world_from_bone
    chart = pose_chart(views[0].camera, wrist, np.array([8.0, 0, -20]))
    guess = predict(result.drrs, [film.radiograph.view for film in films], model, None, [f.film.pixels for f in films])
    apart = []
    for trial in range(starts):
        start = chart.poses(draw_start(np.random.default_rng([seed, trial]), 10, 10, 30)[None])[0]
        try:
            fit = search_and_fit(guess, views, start, model, FitSettings())
        except InputError as error:
            print(f"{trial} fit: {error}", flush=True)
            continue
        gaps = []
        for name in BONES:
            ended = clip_below(fit.surfaces[name], SHOWN_ABOVE_MM).transformed(fit.wrist.world_from_radius)
            gaps.append(surface_distances(ended, result.bones.surfaces[name].transformed(wrist)).asd_surface_mm)
        apart.append(gaps)
        print(
            f"{trial} fit: similarity {' '.join(f'{value:.2f}' for value in fit.similarity_per_view)}; surfaces from "
            f"the reconstruction's, mm: radius {gaps[0]:.2f}, ulna {gaps[1]:.2f}",
            flush=True,
        )
    print(f"fits: {len(apart)} of {starts} starts lay in both images")
    for name, values in zip(BONES, np.transpose(apart), strict=True):
        print(
            f"fits: mean distance of the {name}'s surface from the reconstruction's, mm: {median_and_largest(values)}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mask-mm", type=float, help="compare within the reconstruction's outline grown by so much")
    parser.add_argument("--bones", choices=["both", "radius"], default="both", help="both: as one rigid object")
    arguments = parser.parse_args()
    folder = Path(os.environ["BONELIFT_DATA"]) / "specimen"
    radiographs = read_radiographs([image(folder, *each) for each in CAMERAS])
    print(beads(radiographs))
    result = reconstruct(radiographs, load_model(None))
    fits_from(result, arguments.starts, arguments.seed)
    bone, placed = predicted_bone(result, arguments.bones)
    distances = [f"{film.radiograph.source_to_object_mm:.0f}" for film in result.films]
    print(f"distance from source to wrist, where the rays through it meet, mm: {' and '.join(distances)}")
    films = [as_it_is(film.radiograph) for film in result.films]
    if arguments.mask_mm is not None:
        surfaces = [result.placed[0].bones_world[name] for name in parts(arguments.bones)]
        films = [masked(film, surfaces, arguments.mask_mm) for film in films]
    groups = {"both": films, "cam02 alone": films[:1], "cam01 alone": films[1:]}
    chart = pose_chart(films[0].camera, placed, bone.fine.centre_mm)
    found: dict[str, list[FilmPose]] = {name: [] for name in groups}
    for trial in range(arguments.starts):
        start = chart.poses(draw_start(np.random.default_rng([arguments.seed, trial]), 10, 10, 30)[None])[0]
        for name, views in groups.items():
            end = register_to_films(bone, views, start, UNPOSITIONED, seed=trial)
            found[name].append(end)
            step = chart.parameters(end.pose.world_from_bone)
            print(
                f"{trial} {name}: from the reconstruction's place {np.rad2deg(np.linalg.norm(step[:3])):.1f} deg, "
                f"{np.linalg.norm(step[3:5]):.1f} mm, depth {step[5]:.1f} mm; similarity "
                f"{' '.join(f'{value:.2f}' for value in end.pose.similarity_per_view)}, trust "
                f"{pose_verdict(end).trust:.2f}",
                flush=True,
            )
    cameras = [film.camera for film in films]
    poses = {name: [end.pose.world_from_bone for end in ends] for name, ends in found.items()}
    best = {name: max(ends, key=lambda end: end.pose.similarity).pose.world_from_bone for name, ends in found.items()}
    for name in groups:
        apart = [distance_mm(bone.points_mm, pose, best[name]) for pose in poses[name]]
        print(f"{name}: mean distance of points from those of its best end, mm: {median_and_largest(apart)}")
    one_view = list(zip(poses["cam02 alone"], poses["cam01 alone"], strict=True))
    gaps = [float(ray_gaps_mm(bone.points_mm, cameras, list(pair)).mean()) for pair in one_view]
    best_gap = ray_gaps_mm(bone.points_mm, cameras, [best["cam02 alone"], best["cam01 alone"]]).mean()
    print(
        f"rays of the same points by the one-view poses, mm apart: {median_and_largest(gaps)}; best ends {best_gap:.2f}"
    )
    for film, name in zip(films, ("cam02 alone", "cam01 alone"), strict=True):
        other = "cam01 alone" if name == "cam02 alone" else "cam02 alone"
        own = in_plane_mm(bone.points_mm, film, best["both"], best[name])
        across = in_plane_mm(bone.points_mm, film, best[name], best[other])
        print(f"in {name[:5]}, mm from its one-view pose: the two-view pose {own:.2f}, the other's {across:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
