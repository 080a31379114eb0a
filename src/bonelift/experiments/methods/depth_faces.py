"""Depth maps of both faces of each bone: of the surface towards the source and of the one away from it.

A U-Net reads the bone-only image and tells, for each pixel and bone, whether its ray meets the bone, and at which
depths it enters and leaves. What lies between the two is bone. A ray that leaves a bone and enters it again is beyond
such maps. They are those of the bone in its nominal pose, as the labels of all methods are: what a wrist is turned by,
the network has to read by itself.

Source: Gu et al. 2024, "3DDX: bone surface reconstruction from a single standard-geometry radiograph via dual-face
depth estimation", arXiv:2409.16702. Theirs reads the film itself, of a fixed geometry, has a loss of its own for the
scale of depths, and completes surfaces by a shape model; here all methods read the same bone-only image, the loss is
that of the millimetres, and nothing is completed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bonelift.errors import InputError
from bonelift.experiments.methods.nominal import SOURCE_TO_OBJECT_MM, film_places, nominal_film_camera, nominal_pose
from bonelift.experiments.methods.on_ct_drrs import CtDrrs, Lesson, monai_nets, train_on_ct_drrs
from bonelift.experiments.own_methods import TrainingFold
from bonelift.geometry import invert_rigid
from bonelift.images import LabelGrid, View
from bonelift.images.volume import BONES
from bonelift.networks.own_network import WristImage
from bonelift.networks.tl_embedding import DRR_SCALE
from bonelift.networks.views import VIEW_CODES
from bonelift.reconstruction.bones import bone_surface
from bonelift.surface.mesh import TriangleMesh

BATCH = 8
CHANNELS = 4
"""In: bone-only image, place along columns and rows, view."""
MAPS = 3
"""Out, for each bone: logit of whether a ray meets it; depths of its faces towards the source and away from it, cm
behind the middle of a straight wrist."""
MM_PER_UNIT = 10.0
DEPTH_WEIGHT = 2.5
"""Of a centimetre of depth, beside the cross entropy of a pixel."""


@dataclass(frozen=True, eq=False)
class FaceMaps:
    """How voxels of a grid and pixels of a film of one view lie to each other, in the nominal pose.

    places: (I, J, K, 2) where voxels fall on the film, as grid_sample counts; depth_mm: (I, J, K) of voxels.
    along: (D, H, W, 3) points of the rays in the grid, as grid_sample counts; along_mm: (D,) their depths.
    """

    places: Tensor
    depth_mm: Tensor
    along: Tensor
    along_mm: Tensor

    def faces(self, occupancy: NDArray[np.uint8]) -> Tensor:
        """(2 * MAPS, H, W) float32 of labels (2, I, J, K): whether a ray meets each bone, and both depths, cm."""
        labels = torch.from_numpy(occupancy.astype(np.float32) / 255)[None]
        steps, rows, columns, _ = self.along.shape
        found = []
        # grid_sample counts (K, J, I) where the labels are (I, J, K); a point outside of the grid is empty.
        seen = functional.grid_sample(labels, self.along.reshape(1, steps, rows, columns, 3), align_corners=False)[0]
        for bone in seen:
            inside = bone >= 0.5
            meets = inside.any(dim=0)
            first = inside.float().argmax(dim=0)
            last = steps - 1 - inside.flip(0).float().argmax(dim=0)
            found += [meets.float(), self._crossing(bone, first, -1), self._crossing(bone, last, 1)]
        return torch.stack(found)

    def _crossing(self, seen: Tensor, inside: Tensor, outwards: int) -> Tensor:
        """Depth, cm, at which the label is one half between the sample ``inside`` and the next one outwards."""
        beyond = (inside + outwards).clamp(0, len(seen) - 1)
        high, low = seen.gather(0, inside[None])[0], seen.gather(0, beyond[None])[0]
        share = ((high - 0.5) / (high - low).clamp_min(1e-3)).clamp(0, 1)
        step_mm = self.along_mm[1] - self.along_mm[0]
        return (self.along_mm[inside] + outwards * share * step_mm) / MM_PER_UNIT

    def fields(self, maps: Tensor, spacing_mm: float) -> NDArray[np.float32]:
        """(2, I, J, K) soft labels in [0, 1] of maps (2 * MAPS, H, W)."""
        count, i, j, k = 2 * MAPS, *self.depth_mm.shape
        seen = functional.grid_sample(
            maps[None], self.places.reshape(1, i, j * k, 2), align_corners=False, padding_mode="border"
        ).reshape(count, i, j, k)
        fields = []
        for meets, front, back in seen.reshape(2, MAPS, i, j, k):
            within = torch.minimum(self.depth_mm - MM_PER_UNIT * front, MM_PER_UNIT * back - self.depth_mm)
            fields.append(torch.minimum(meets.sigmoid(), (0.5 + within / spacing_mm).clamp(0, 1)))
        return torch.stack(fields).numpy()


def face_maps(grid: LabelGrid, view: View, film_shape: tuple[int, int]) -> FaceMaps:
    rows, columns = film_shape
    camera = nominal_film_camera()
    pose = nominal_pose(camera, view)
    places = (2 * film_places(grid, view) + 1) / np.array([columns, rows]) - 1
    depth = grid.centres_mm() @ pose[2, :3] + pose[2, 3] - SOURCE_TO_OBJECT_MM
    step = grid.spacing_mm / 2
    along_mm = np.arange(depth.min() - step, depth.max() + 2 * step, step)
    pixels = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(np.float64)
    voxel_from_camera = invert_rigid(pose)
    first, extent = np.array(grid.first_centre_mm), np.array(grid.shape) * grid.spacing_mm
    along = []
    for mm in along_mm:
        points = camera.back_project(pixels, SOURCE_TO_OBJECT_MM + mm)
        in_radius = points @ voxel_from_camera[:3, :3].T + voxel_from_camera[:3, 3]
        share = 2 * (in_radius - first + grid.spacing_mm / 2) / extent - 1
        along.append(share[:, ::-1].reshape(rows, columns, 3))
    return FaceMaps(
        torch.from_numpy(places.astype(np.float32)),
        torch.from_numpy(depth.astype(np.float32)),
        torch.from_numpy(np.stack(along).astype(np.float32)),
        torch.from_numpy(along_mm.astype(np.float32)),
    )


@dataclass(frozen=True, eq=False)
class DepthFaces:
    """A network that tells depth maps, of one grid. geometry: view -> how its films and the grid lie."""

    network: nn.Module
    grid: LabelGrid
    geometry: dict[View, FaceMaps]
    updates: int = 0

    def maps(self, drr: NDArray[np.floating], view: NDArray[np.uint8]) -> Tensor:
        """(N, 2 * MAPS, H, W) of line integrals (N, H, W)."""
        image = torch.from_numpy(drr.astype(np.float32))[:, None] / DRR_SCALE
        count, _, rows, columns = image.shape
        x = torch.linspace(-1, 1, columns)[None, None, None, :].expand(count, 1, rows, columns)
        y = torch.linspace(-1, 1, rows)[None, None, :, None].expand(count, 1, rows, columns)
        which = torch.from_numpy(view.astype(np.float32))[:, None, None, None].expand_as(x)
        return self.network(torch.cat([image, x, y, which], dim=1))

    @torch.no_grad()
    def __call__(self, images: Sequence[WristImage]) -> dict[str, TriangleMesh]:
        """Bones of one image, or of several by the mean of their fields."""
        fields = []
        for image in images:
            if image.drr is None:
                raise InputError("depth maps: there is no bone-only image")
            maps = self.maps(image.drr[None], np.array([VIEW_CODES[image.view]], np.uint8))[0]
            fields.append(self.geometry[image.view].fields(maps, self.grid.spacing_mm))
        mean = np.mean(fields, axis=0)
        return {bone: bone_surface(field, self.grid) for bone, field in zip(BONES, mean, strict=True)}


def train_depth_faces(fold: TrainingFold) -> DepthFaces:
    """Train a U-Net of five levels, 16 to 256 channels, on the fold's CT-DRRs, or go on."""
    with torch.random.fork_rng():
        torch.manual_seed(fold.seed)
        network = monai_nets().UNet(2, CHANNELS, 2 * MAPS, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)
    views: tuple[View, ...] = get_args(View)
    geometry: dict[View, FaceMaps] = {}
    for view in views:
        geometry[view] = face_maps(fold.grid, view, fold.preset.tl.film_shape)
    depths = DepthFaces(network, fold.grid, geometry)
    of_code = {VIEW_CODES[view]: geometry[view] for view in views}

    @cache
    def faces(held: CtDrrs, patient: int, code: int) -> Tensor:
        return of_code[code].faces(held.occupancy[patient]).half()

    def truth(held: CtDrrs, rows: NDArray[np.int64]) -> Tensor:
        return torch.stack([faces(held, int(held.patient[row]), int(held.view[row])).float() for row in rows])

    def told(held: CtDrrs, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return depths.maps(held.drr[rows], held.view[rows]), truth(held, rows)

    lesson = Lesson(
        BATCH, lambda held, rows: face_loss(*told(held, rows)), lambda held, rows: face_metrics(*told(held, rows))
    )
    return replace(depths, updates=train_on_ct_drrs(fold, network, "depth_faces", lesson))


def face_loss(maps: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of where rays meet a bone, and the mean error of both depths where they do. Both (N, 2 * MAPS, H,
    W)."""
    cross_entropy, depth_cm = _errors(maps, truth)
    return cross_entropy + DEPTH_WEIGHT * depth_cm


def face_metrics(maps: Tensor, truth: Tensor) -> dict[str, float]:
    cross_entropy, depth_cm = _errors(maps, truth)
    return {"cross_entropy": float(cross_entropy), "depth_mm": float(depth_cm * MM_PER_UNIT)}


def _errors(maps: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    told = maps.reshape(len(maps), 2, MAPS, *maps.shape[2:])
    true = truth.reshape(told.shape)
    meets = true[:, :, 0]
    cross_entropy = functional.binary_cross_entropy_with_logits(told[:, :, 0], meets)
    off = (told[:, :, 1:] - true[:, :, 1:]).abs() * meets[:, :, None]
    return cross_entropy, off.sum() / (2 * meets.sum()).clamp_min(1)
