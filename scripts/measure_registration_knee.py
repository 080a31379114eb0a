"""Registration on real fluoroscopy: knee implants from perturbed starts, beside the poses that an operator set.

    BONELIFT_DATA=... python scripts/measure_registration_knee.py --starts 3

The files are those of JointTrack Machine Learning (ajensen1234/JTML, BSD-3): one film a pose, camera 1198 mm from the
detector, 0.373 mm pixels, y up, looking along -z; poses as Euler angles, R = Rz Rx Ry. The implants are solid metal;
the silhouettes that come with the films (they are those of the operator's poses) serve as masks, their outline moved by
2 px (SD) as if drawn. Prints one line a registration and a summary; writes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from bonelift.bench.register_trials import draw_start
from bonelift.geometry import XrayCamera, apply_transform
from bonelift.phantom.annotator import drawn_mask
from bonelift.registration.chart import pose_chart
from bonelift.registration.film_response import FilmResponse
from bonelift.registration.film_views import FilmView
from bonelift.registration.films import register_to_films
from bonelift.registration.metal import METAL, TITANIUM_PER_MM, metal_body
from bonelift.registration.verdict import pose_verdict
from bonelift.report.rasterise import fill_mask
from bonelift.surface.files import read_mesh
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
SDD_MM, PIXEL_MM = 1198.0, 0.373
FRAMES = (160, 170, 180)
IMPLANTS = {"fem": "KR_right_7_fem.stl", "tib": "KR_right_6_tib.stl"}
AXES = ("tilt x", "tilt y", "turn z", "right", "down", "depth")


def camera() -> XrayCamera:
    focal_px = SDD_MM / PIXEL_MM
    return XrayCamera(
        np.array([[focal_px, 0, 511.5], [0, focal_px, 511.5], [0, 0, 1.0]]), np.eye(4), 1024, 1024, SDD_MM
    )


def operator_pose(folder: Path, implant: str, index: int) -> Float:
    """camera_from_implant (4, 4) of a row of a .jts file."""
    lines = (folder / f"{implant}.jts").read_text().splitlines()[2:]
    x, y, z, z_deg, x_deg, y_deg = (float(cell) for cell in lines[index].split(","))
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("ZXY", [z_deg, x_deg, y_deg], degrees=True).as_matrix()
    pose[:3, 3] = x, y, z
    return np.diag([1.0, -1, -1, 1]) @ pose


def film(folder: Path, implant: str, frame: int, pixel_mm: float) -> FilmView:
    """The film, dense bright, and the silhouette that comes with it."""
    image = np.asarray(Image.open(folder / f"AT_K1_V1_{frame:04d}.tif"), dtype=np.float64)
    label = np.asarray(Image.open(folder / "Labels" / implant / f"AT_K1_V1_{frame:04d}_label_{implant}.tif"))
    label = label[..., 0] if label.ndim == 3 else label
    return FilmView(255.0 - image, camera(), label > label.max() / 2, pixel_mm)


def silhouette(mesh: TriangleMesh, view: FilmView, pose: Float) -> NDArray[np.bool_]:
    """(rows, columns): where the surface at a pose (4, 4) covers the film."""
    return fill_mask(view.camera.project(apply_transform(pose, mesh.vertices))[mesh.faces], view.camera.shape_px)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


def summary(name: str, steps: list[Float]) -> str:
    """Median and largest difference from the operator by axis, degrees and mm."""
    table = np.abs(np.array(steps))
    cells = [f"{axis} {np.median(v):.2f} ({v.max():.2f})" for axis, v in zip(AXES, table.T, strict=True)]
    return f"{name}, {len(table)}: {', '.join(cells)}; mean depth {np.array(steps)[:, 5].mean():+.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=3, help="for each implant on each film")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--saturation", type=float, default=TITANIUM_PER_MM,
        help="attenuation of the metal, 1/mm; 0: the film is taken to show the thickness itself (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--no-masks", action="store_true", help="nothing drawn on the films")
    arguments = parser.parse_args()
    settings = replace(METAL, pose=replace(METAL.pose, response=FilmResponse(arguments.saturation)))
    folder = Path(os.environ["BONELIFT_DATA"]) / "knee_implant"
    for implant, file in IMPLANTS.items():
        mesh = read_mesh(folder / file)
        body, steps = metal_body(mesh), []
        for index, frame in enumerate(FRAMES):
            pose = operator_pose(folder, implant, index)
            pixel_mm = PIXEL_MM * float((pose @ [*body.fine.centre_mm, 1])[2]) / SDD_MM
            given = film(folder, implant, frame, pixel_mm)
            assert given.mask is not None
            told = dice(silhouette(mesh, given, pose), given.mask)
            print(f"{implant} {frame}: Dice of the silhouette given and that of the operator's pose {told:.3f}")
            chart = pose_chart(given.camera, pose, body.fine.centre_mm)
            for trial in range(arguments.starts):
                rng = np.random.default_rng([arguments.seed, index, len(file), trial])
                start = chart.poses(draw_start(rng, 10, 10, 30)[None])[0]
                view = replace(given, mask=None if arguments.no_masks else drawn_mask(given.mask, rng))
                clock = time.process_time()
                found = register_to_films(body, [view], start, settings, seed=trial)
                step = chart.parameters(found.pose.world_from_bone)
                step[:3] = np.rad2deg(step[:3])
                steps.append(step)
                told = "  ".join(f"{axis} {value:.2f}" for axis, value in zip(AXES, step, strict=True))
                overlap = dice(silhouette(mesh, given, found.pose.world_from_bone), given.mask)
                print(
                    f"  {told}  similarity {found.pose.similarity:.2f} Dice {overlap:.3f} trust "
                    f"{pose_verdict(found).trust:.2f} CPU {time.process_time() - clock:.1f} s", flush=True,
                )  # fmt: skip
        print(summary(implant, steps), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
