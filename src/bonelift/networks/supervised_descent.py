"""Corrections of a reading where its own bones fall on the film, by steps of supervised descent.

The first reading of S comes from the flattened map of the whole film, which has to learn where each edge lies for every
place and turn of the wrist. A step sees the film from the bones themselves: around each of some hundred points of the
surface, as read so far and projected as posed so far, it takes samples of the picture, and a linear map of all of them
gives the change of code and pose. There is one map for each step and view, found by ridge regression
(:mod:`bonelift.learning.descent`). The pose is not told to anybody; it is read so that the points lie where the picture
shows them.

Source: Xiong & De la Torre 2013, "Supervised descent method and its applications to face alignment", there with the
landmarks of a face in the plane; here the points are those of a shape model in space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bonelift.anatomy.shape_basis import PLACEMENT, SEEN_ABOVE_MM, BoneBasis
from bonelift.film.standard import standard_projection
from bonelift.networks.occluding_contour import POSE_SD
from bonelift.networks.views import VIEW_CODES

OFFSETS_PX = (
    (0.0, 0.0),
    *((sign * far * x, sign * far * y) for far in (2.0, 5.0) for x, y in ((1, 0), (0, 1)) for sign in (1, -1)),
)
"""Where the picture is sampled around a projected point, (columns, rows)."""


class ProjectedPoints(nn.Module):
    """Points of both bones' surfaces as a function of their codes, and where they fall on the standard film.

    lengths: numbers in the codes of radius and ulna. points: of each bone. film_shape: rows, columns.
    """

    projections: Tensor
    pose_sd: Tensor

    def __init__(self, lengths: tuple[int, int], points: int, film_shape: tuple[int, int]) -> None:
        super().__init__()
        self.lengths, self.film_shape = lengths, film_shape
        for number, length in enumerate(lengths):
            self.register_buffer(f"reference_{number}", torch.zeros(points, 3))
            self.register_buffer(f"modes_{number}", torch.zeros(length - PLACEMENT, 3 * points))
            self.register_buffer(f"centre_{number}", torch.zeros(3))
            self.register_buffer(f"placement_sd_{number}", torch.ones(PLACEMENT))
        by_code = sorted(VIEW_CODES, key=lambda view: VIEW_CODES[view])
        projections = np.stack([standard_projection(view) for view in by_code])
        # Made by from_numpy, they hold their numbers wherever the weights are still to come (the meta device).
        self.register_buffer("projections", torch.from_numpy(projections.astype(np.float32)), persistent=False)
        self.register_buffer("pose_sd", torch.from_numpy(np.array(POSE_SD, dtype=np.float32)), persistent=False)

    def take_bases(self, bases: Sequence[BoneBasis]) -> None:
        """Take the points from these bases of radius and ulna."""
        for number, basis in enumerate(bases):
            reference: Tensor = getattr(self, f"reference_{number}")
            chosen = spread_points(basis, len(reference))
            parts = {
                "reference": basis.reference[chosen] - basis.centre_mm,
                "modes": basis.modes[:, chosen].reshape(len(basis.modes), -1),
                "centre": basis.centre_mm,
                "placement_sd": basis.placement_sd,
            }
            for name, values in parts.items():
                getattr(self, f"{name}_{number}").copy_(torch.from_numpy(values))

    def points(self, codes: Tensor) -> Tensor:
        """(N, both bones' points, 3) mm in the radius frame, of codes (N, outputs)."""
        found, start = [], 0
        for number, length in enumerate(self.lengths):
            code = codes[:, start : start + length]
            start += length
            shape = (code[:, :-PLACEMENT] @ getattr(self, f"modes_{number}")).unflatten(1, (-1, 3))
            placement = code[:, -PLACEMENT:] * getattr(self, f"placement_sd_{number}")
            turned = (getattr(self, f"reference_{number}") + shape) @ rotations(placement[:, :3]).transpose(1, 2)
            found.append(turned + (placement[:, 3:] + getattr(self, f"centre_{number}"))[:, None])
        return torch.cat(found, dim=1)

    def on_film(self, points: Tensor, pose: Tensor, view: Tensor) -> Tensor:
        """(N, P, 2) (column, row) px of points (N, P, 3) in the radius frame at poses (N, POSE) in units of POSE_SD."""
        motion = pose * self.pose_sd
        moved = points @ rotations(motion[:, :3]).transpose(1, 2) + motion[:, None, 3:]
        return projected(moved, self.projections[view.long()])


class DescentStep(nn.Module):
    """One linear map for each view from features to a change of reading; 0 until it is fitted.

    features, numbers: of :func:`features` and of a reading.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, features: int, numbers: int) -> None:
        super().__init__()
        views = len(VIEW_CODES)
        self.register_buffer("weight", torch.zeros(views, features, numbers))
        self.register_buffer("bias", torch.zeros(views, numbers))

    @property
    def is_fitted(self) -> bool:
        """Whether it changes anything."""
        return bool(self.weight.any() or self.bias.any())

    def reset(self) -> None:
        """Change nothing again, so that it can be fitted anew."""
        self.weight.zero_()
        self.bias.zero_()

    def forward(self, features: Tensor, view: Tensor) -> Tensor:
        """The change of a reading (N, numbers)."""
        of_each = [features @ weight + bias for weight, bias in zip(self.weight, self.bias, strict=True)]
        change = of_each[0]
        for code in range(1, len(of_each)):
            change = torch.where((view == code)[:, None], of_each[code], change)
        return change


def feature_count(points: int, numbers: int, pictures: int = 1) -> int:
    """Length of :func:`features` of readings of ``numbers`` numbers and ``points`` points in all."""
    return pictures * points * len(OFFSETS_PX) + numbers


def features(pictures: Tensor, points_px: Tensor, reading: Tensor) -> Tensor:
    """(N, F) of pictures (N, 1 or 2, H, W), >= 0, around the projected points (N, P, 2), and the reading (N, numbers).

    The first picture is a DRR, of which the roots of the samples are taken: the rim of a bone, where the ray through it
    is short, then counts beside its middle. The second is a film, of which the samples themselves are taken.
    """
    rows, columns = pictures.shape[-2:]
    offsets = torch.tensor(OFFSETS_PX, dtype=points_px.dtype, device=points_px.device)
    places = (points_px[:, :, None] + offsets).flatten(1, 2)
    # grid_sample counts -1..1 across the outer edges (align_corners=False).
    across = 2 * (places[..., 0] + 0.5) / columns - 1
    down = 2 * (places[..., 1] + 0.5) / rows - 1
    grid = torch.stack([across, down], dim=-1)[:, None]
    sampled = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)[:, :, 0]
    return torch.cat([sampled[:, 0].clamp_min(0.0).sqrt(), sampled[:, 1:].flatten(1), reading], dim=1)


def projected(points: Tensor, px_from_mm: Tensor) -> Tensor:
    """(N, P, 2) px of points (N, P, 3) mm under projections (N, 3, 4)."""
    homogeneous = points @ px_from_mm[:, :, :3].transpose(1, 2) + px_from_mm[:, None, :, 3]
    return homogeneous[..., :2] / homogeneous[..., 2:]


def rotations(vectors: Tensor) -> Tensor:
    """(N, 3, 3) of rotation vectors (N, 3), rad."""
    square = (vectors * vectors).sum(dim=1)[:, None, None] + 1e-12
    angle = square.sqrt()
    x, y, z = vectors.unbind(1)
    none = torch.zeros_like(x)
    cross = torch.stack([none, -z, y, z, none, -x, -y, x, none], dim=1).unflatten(1, (3, 3))
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity + torch.sin(angle) / angle * cross + (1 - torch.cos(angle)) / square * (cross @ cross)


def spread_points(basis: BoneBasis, count: int) -> NDArray[np.int64]:
    """Numbers of ``count`` points of a basis, spread over the seen part: each the farthest from those before it."""
    seen = np.flatnonzero(basis.reference[:, 2] > SEEN_ABOVE_MM)
    places = basis.reference[seen]
    chosen = [int(np.argmax(places[:, 2]))]
    distance = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return seen[np.array(chosen)]
