"""Registration on real fluoroscopy: knee implants from perturbed starts, beside the poses that an operator set.

    BONELIFT_DATA=... python scripts/measure_registration_knee.py --starts 4

The files are those of JointTrack Machine Learning (ajensen1234/JTML, BSD-3): one film a pose, camera 1198 mm from the
detector, 0.373 mm pixels, y up, looking along -z; poses as Euler angles, R = Rz Rx Ry. The implants are solid metal;
the silhouettes that come with the films serve as drawn masks. Prints one line a registration and a summary; writes
nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from bonelift.bench.register_trials import draw_start
from bonelift.geometry import XrayCamera
from bonelift.registration.chart import pose_chart
from bonelift.registration.ct_bone import CtBone
from bonelift.registration.film_views import FilmView, bone_shadow
from bonelift.registration.films import register_to_films
from bonelift.registration.verdict import judge
from bonelift.registration.views import moving_bone
from bonelift.surface.files import read_mesh
from bonelift.surface.voxelize import occupancy, signed_distance_grid

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


def implant_bone(path: Path) -> CtBone:
    """The implant as solid metal; voxels of 0.8 mm for the refinement and 1.6 mm for the search."""
    mesh = read_mesh(path)
    levels = []
    for spacing_mm in (0.8, 1.6):
        first = mesh.vertices.min(axis=0) - 2 * spacing_mm
        i, j, k = np.ceil((mesh.vertices.max(axis=0) - first) / spacing_mm).astype(int) + 3
        grid = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
        grid[:3, 3] = first
        distance = signed_distance_grid(mesh, (int(i), int(j), int(k)), grid)
        levels.append(moving_bone(occupancy(distance, spacing_mm), grid))
    return CtBone("both", levels[0], levels[1], (), mesh.vertices[:: max(1, len(mesh.vertices) // 2000)])


def film(folder: Path, implant: str, frame: int, pixel_mm: float) -> FilmView:
    image = np.asarray(Image.open(folder / f"AT_K1_V1_{frame:04d}.tif"), dtype=np.float64)
    label = np.asarray(Image.open(folder / "Labels" / implant / f"AT_K1_V1_{frame:04d}_label_{implant}.tif"))
    label = label[..., 0] if label.ndim == 3 else label
    return FilmView(255.0 - image, camera(), label > label.max() / 2, pixel_mm)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=2, help="for each implant on each film")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(os.environ["BONELIFT_DATA"]) / "knee_implant"
    offsets = []
    for implant, mesh in IMPLANTS.items():
        bone = implant_bone(folder / mesh)
        for index, frame in enumerate(FRAMES):
            pose = operator_pose(folder, implant, index)
            view = film(folder, implant, frame, PIXEL_MM * float((pose @ [*bone.fine.centre_mm, 1])[2]) / SDD_MM)
            shadow = bone_shadow(bone.fine, view.camera, pose)
            assert view.mask is not None
            dice = 2 * (shadow & view.mask).sum() / (shadow.sum() + view.mask.sum())
            print(f"{implant} {frame}: Dice of the operator's silhouette {dice:.3f}", flush=True)
            chart = pose_chart(view.camera, pose, bone.fine.centre_mm)
            for trial in range(arguments.starts):
                rng = np.random.default_rng([arguments.seed, index, len(mesh), trial])
                start = chart.poses(draw_start(rng, 10, 10, 30)[None])[0]
                clock = time.process_time()
                found = register_to_films(bone, [view], start, seed=trial)
                step = chart.parameters(found.pose.world_from_bone)
                step[:3] = np.rad2deg(step[:3])
                offsets.append(step)
                told = "  ".join(f"{axis} {value:.2f}" for axis, value in zip(AXES, step, strict=True))
                print(
                    f"  {told}  similarity {found.pose.similarity:.2f} Dice {found.overlap:.3f} trust "
                    f"{judge(found).trust:.2f} CPU {time.process_time() - clock:.1f} s", flush=True,
                )  # fmt: skip
    table = np.abs(np.array(offsets))
    for axis, values in zip(AXES, table.T, strict=True):
        print(f"{axis}: median {np.median(values):.2f}, largest {values.max():.2f} (deg, mm; against the operator)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
