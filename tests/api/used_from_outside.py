"""A program as somebody would write it outside of the package; test_public_names.py has pyright check it strictly.

It is never run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import bonelift
from bonelift.networks.own_network import Predictor


def reconstruct_one(path: Path) -> float:
    radiograph = bonelift.read_radiograph(path, side="right", view="pa", pixel_spacing_mm=0.144)
    found: bonelift.Reconstruction = bonelift.reconstruct(radiograph, model=bonelift.load_model())
    assert found.verdict != "not usable"
    pose: NDArray[np.float64] = found.poses[0]["radius"]
    radius: bonelift.TriangleMesh = found.bones["radius"]
    folder: Path = found.save(path.with_suffix(""))
    truth = bonelift.read_mesh(folder / "radius.stl")
    apart = bonelift.compare_surfaces(radius, truth, align="rigid").asd_surface_mm
    inclination = bonelift.measure(found.bones, found.side)["radial inclination (3D)"].value
    expected = found.expected_error_mm["radius"].rigid_mm
    return apart + inclination + expected + float(pose[0, 3]) + found.quality.score


def drr(folder: Path) -> NDArray[np.float32]:
    ct, labels = bonelift.read_volume(folder / "ct.nrrd"), bonelift.read_labels(folder / "labels.seg.nrrd")
    camera: bonelift.XrayCamera = bonelift.read_camera(folder / "camera.json").camera
    bones: bonelift.Volume = bonelift.attenuation(ct, labels)
    _, gradient = bonelift.project_with_gradient(bones, camera)
    image = bonelift.project(bones, camera)
    values = torch.zeros(bones.values.shape, requires_grad=True)
    tensor: torch.Tensor = bonelift.project_torch(values, bones.world_from_voxel, camera)
    film = bonelift.read_radiograph(folder / "pa.png", camera=camera, side="left", view="pa")
    for row in bonelift.register(ct, labels, [film]):
        print(row.bones, row.verdict, row.camera_from_ct is None)
    return image + gradient[..., 0] + np.float32(tensor.ndim)


def virtual(seed: int) -> tuple[int, ...]:
    patient = bonelift.virtual_patient(seed)
    ct, labels = bonelift.virtual_ct(patient)
    film = bonelift.virtual_radiograph(patient, view="lateral")
    return film.radiograph.pixels.shape + ct.values.shape + labels.labels.shape


class Mean:
    name = "mean-of-labels"
    inputs = ("film",)

    def learn(self, fold: bonelift.TrainingFold) -> Predictor:
        mean = np.mean([case.load().labels for case in fold.training], axis=0)
        bones = bonelift.bones_from_labels(mean, fold.grid)

        def predict(images: Sequence[bonelift.WristImage]) -> Mapping[str, bonelift.TriangleMesh]:
            assert images[0].film is not None
            return bones

        return predict


def whole_study(folder: Path) -> Path:
    bonelift.simulate(folder, 8, seed=1)
    print(len(bonelift.read_study(folder).cases), bonelift.check_study(folder).count("error"))
    with bonelift.show_progress():
        bonelift.train(folder, folder / "run", preset="smoke")
        return bonelift.evaluate(folder, folder / "runs", preset="smoke", methods=[Mean()]).report
