"""Other projectors, each behind one call: where it is installed, a function that renders a scene.

None of them is a dependency. Install what should be measured where Python finds it, for example
``pip install --no-deps --target peers itk itk-core itk-filtering itk-io itk-numerics itk-registration
itk-segmentation itk-rtk nanodrr torchio diffdrr jaxtyping wadler-lindig roma SimpleITK ...``, and plastimatch as a
system package.
"""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift.bench.scenes import SOURCE_TO_CENTRE_MM, Scene
from bonelift.errors import InputError

Image = NDArray[np.floating]
Render = Callable[[], tuple[Image, float, float]]
"""Renders once; returns the image (rows, columns), the wall-clock seconds and the processor seconds it took."""


@dataclass(frozen=True)
class Peer:
    """One projector of another package.

    model: how it integrates. module: what must import from ``package``. fraction: the part of the image's rows that
        is timed (the time is scaled up).
    """

    name: str
    package: str
    model: str
    build: Callable[[Scene, int], Render]
    module: str = ""
    fraction: float = 1.0

    def installed_version(self) -> str | None:
        """Its version, or None where it is not installed or does not import."""
        if self.package == "plastimatch":
            return _plastimatch_version()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if self.package == "itk-rtk":
                    _ = importlib.import_module("itk").RTK  # loaded on first access
                else:
                    importlib.import_module(f"{self.package}.{self.module}")
            return version(self.package)
        except (ImportError, PackageNotFoundError, AttributeError):
            return None


def timed(function: Callable[[], Image]) -> tuple[Image, float, float]:
    """The result of ``function``, its wall-clock seconds, and the processor seconds of all threads."""
    start, start_cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - start, time.process_time() - start_cpu


def rtk_joseph(scene: Scene, threads: int) -> Render:
    """itk-rtk's JosephForwardProjectionImageFilter; its frame looks along -z with the image's rows upwards."""
    itk: Any = importlib.import_module("itk")
    rtk: Any = itk.RTK
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)
    camera = scene.camera
    rtk_from_camera = np.diag([1.0, -1, -1, 1])
    rtk_from_camera[2, 3] = SOURCE_TO_CENTRE_MM
    rtk_from_voxel = rtk_from_camera @ scene.camera_from_voxel
    volume = itk.image_from_array(np.ascontiguousarray(scene.values.transpose(2, 1, 0)))
    spacing = np.linalg.norm(rtk_from_voxel[:3, :3], axis=0)
    volume.SetSpacing(spacing.tolist())
    volume.SetOrigin(rtk_from_voxel[:3, 3].tolist())
    volume.SetDirection(itk.matrix_from_array(rtk_from_voxel[:3, :3] / spacing))
    intrinsics = camera.image_from_camera
    pixel_mm = camera.sdd_mm / intrinsics[0, 0]
    blank = itk.image_from_array(np.zeros((1, camera.height_px, camera.width_px), dtype=np.float32))
    blank.SetSpacing([pixel_mm, pixel_mm, 1.0])
    last_row = camera.height_px - 1 - intrinsics[1, 2]
    blank.SetOrigin([-intrinsics[0, 2] * pixel_mm, -last_row * pixel_mm, 0.0])
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    geometry.AddProjection(SOURCE_TO_CENTRE_MM, camera.sdd_mm, 0.0)
    image_type = itk.Image[itk.F, 3]
    projector = rtk.JosephForwardProjectionImageFilter[image_type, image_type].New()
    projector.SetGeometry(geometry)
    projector.SetInput(0, blank)
    projector.SetInput(1, volume)
    projector.InPlaceOff()

    def render() -> Image:
        projector.Modified()
        projector.Update()
        return itk.array_view_from_image(projector.GetOutput())[0, ::-1]

    return lambda: timed(render)


def plastimatch(scene: Scene, threads: int) -> Render:
    """``plastimatch drr``: its own printed time, so without starting. It uses every core it finds.

    Its integrals are in value * cm and come back here in value * mm.
    """
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name)
    size, spacing = scene.values.shape, np.linalg.norm(scene.camera_from_voxel[:3, :3], axis=0)
    first = -(np.array(size) - 1) / 2 * spacing
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"Offset = {first[0]} {first[1]} {first[2]}\nElementSpacing = {spacing[0]} {spacing[1]} {spacing[2]}\n"
        f"DimSize = {size[0]} {size[1]} {size[2]}\nElementType = MET_FLOAT\nElementDataFile = LOCAL\n"
    )
    (path / "volume.mha").write_bytes(header.encode() + np.ascontiguousarray(scene.values.transpose(2, 1, 0)).tobytes())
    axes = (scene.camera_from_voxel[:3, :3] / spacing).T  # rows: i, j, k; columns: right, down, away
    camera = scene.camera
    pixel_mm = camera.sdd_mm / camera.image_from_camera[0, 0]
    command = ["plastimatch", "drr", "-i", "exact", "-P", "none", "-t", "pfm", "-O", str(path / "drr"),
               "--nrm", _words(-axes[:, 2]), "--vup", _words(-axes[:, 1]), "-o", "0 0 0",
               "--sad", str(SOURCE_TO_CENTRE_MM), "--sid", str(camera.sdd_mm),
               "-r", f"{camera.width_px} {camera.height_px}",
               "-z", f"{camera.width_px * pixel_mm} {camera.height_px * pixel_mm}",
               "-c", f"{camera.image_from_camera[0, 2]} {camera.image_from_camera[1, 2]}",
               str(path / "volume.mha")]  # fmt: skip

    def render() -> tuple[Image, float, float]:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        printed = re.search(r"Total time:\s*([\d.]+)", done.stdout)
        if printed is None:
            raise InputError(f"plastimatch printed no time: {done.stdout.strip()[-80:]!r}; expected 'Total time:'")
        _ = folder  # the temporary folder lives as long as this function
        pixels = np.frombuffer(
            (path / "drr0000.pfm").read_bytes()[-4 * camera.width_px * camera.height_px :], np.float32
        )
        return 10.0 * pixels.reshape(camera.shape_px), float(printed.group(1)), float("nan")

    return render


def _words(vector: NDArray[np.floating]) -> str:
    return " ".join(f"{component:.9f}" for component in vector)


def _plastimatch_version() -> str | None:
    if shutil.which("plastimatch") is None:
        return None
    done = subprocess.run(["plastimatch", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("plastimatch version ") or "unknown"


def nanodrr(scene: Scene, threads: int) -> Render:
    """nanodrr's render on the CPU: 500 trilinear samples a ray."""
    import torch

    module: Any = importlib.import_module("nanodrr.drr")
    subject_class: Any = importlib.import_module("nanodrr.data").Subject
    torch.set_num_threads(threads)
    image = torch.from_numpy(np.ascontiguousarray(scene.values.transpose(2, 1, 0)))[None, None]
    pose = torch.from_numpy(scene.camera_from_voxel)
    subject = subject_class(
        image,
        torch.zeros(1, 1, 1, 1, 1),
        pose.float(),
        torch.linalg.inv(pose).float(),
        subject_class._make_voxel_to_grid(image.shape),
        torch.zeros(3),
        max_label=0,
        convert_to_mu=False,
    )
    half_pixel = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    inverse = torch.from_numpy(np.linalg.inv(half_pixel @ scene.camera.image_from_camera)).float()[None]
    sdd = torch.tensor([scene.camera.sdd_mm], dtype=torch.float32)

    def render() -> Image:
        with torch.no_grad():
            result = module.render(subject, inverse, torch.eye(4)[None], sdd, *scene.camera.shape_px)
        return result[0, 0].numpy()

    return lambda: timed(render)


def diffdrr(renderer: str) -> Callable[[Scene, int], Render]:
    """DiffDRR's ``Siddon`` or ``Trilinear`` (500 points) renderer module, without its DRR class (torchvision)."""

    def build(scene: Scene, threads: int) -> Render:
        import torch

        torch.set_num_threads(threads)
        module: Any = getattr(importlib.import_module("diffdrr.renderers"), renderer)()
        rows, columns = np.mgrid[: scene.camera.height_px, : scene.camera.width_px]
        pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
        target_camera = (np.linalg.inv(scene.camera.image_from_camera) @ pixels).T * scene.camera.sdd_mm
        voxel_from_camera = np.linalg.inv(scene.camera_from_voxel)
        target = target_camera @ voxel_from_camera[:3, :3].T + voxel_from_camera[:3, 3]
        lengths = torch.from_numpy(np.linalg.norm(target_camera, axis=1)).float()[None, None]
        target = torch.from_numpy(target).float()[None]
        source = torch.from_numpy(voxel_from_camera[:3, 3]).float()[None, None]
        volume = torch.from_numpy(scene.values)

        def render() -> Image:
            with torch.no_grad():
                return module(volume, source, target, lengths).reshape(scene.camera.shape_px).numpy()

        return lambda: timed(render)

    return build


PEERS = (
    Peer("itk-rtk Joseph", "itk-rtk", "Joseph, bilinear", rtk_joseph),
    Peer("plastimatch exact", "plastimatch", "Siddon, constant voxels", plastimatch),
    Peer("nanodrr", "nanodrr", "500 trilinear samples", nanodrr, "drr", 0.04),
    Peer("DiffDRR Siddon", "diffdrr", "Siddon, constant voxels", diffdrr("Siddon"), "renderers", 0.04),
    Peer("DiffDRR Trilinear", "diffdrr", "500 trilinear samples", diffdrr("Trilinear"), "renderers", 0.04),
)
