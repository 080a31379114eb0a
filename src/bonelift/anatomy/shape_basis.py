"""A bone as a short code: how it is shaped, in modes of a population, and how it lies in the radius frame.

Label grids hold shape and place in one latent. Here both are told apart: corresponding points of many wrists are laid
on their mean (Procrustes, no scale), what is left is shape, and its principal modes are the code; the rigid motion
taken out is the placement. Errors can then be charged for what they are, in mm of surface.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from bonelift.errors import InputError
from bonelift.geometry import (
    apply_transform,
    compose,
    invert_rigid,
    rigid_between,
    rigid_from_vector,
    translation,
    vector_from_rigid,
)
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

SEEN_ABOVE_MM = -42.0
"""Radius-frame height above which a bone is scored; what lies below is carried along."""
BELOW_WEIGHT = 0.02
PLACEMENT = 6
"""Numbers of a placement: rotation vector (rad) about the centre, translation (mm)."""


@dataclass(frozen=True, eq=False)
class BoneBasis:
    """reference: (V, 3) mean bone at its mean place in the radius frame, mm; faces: (F, 3).

    modes: (K, V, 3) displacements of one standard deviation each, mm, in the pose of ``reference``.
    centre_mm: (3,) about which placements turn. placement_sd: (6,) rad and mm, of one unit of code.
    weights: (V,) area that each point stands for, small below SEEN_ABOVE_MM; sums to 1.
    """

    reference: Float
    faces: NDArray[np.int32]
    modes: Float
    centre_mm: Float
    placement_sd: Float
    weights: Float

    @property
    def length(self) -> int:
        """Numbers in a code: shape in SD, then placement in SD."""
        return len(self.modes) + PLACEMENT

    @cached_property
    def _shape_from_offset(self) -> Float:
        """(K, V, 3): what an offset from the reference is multiplied with to give its share of each mode."""
        weighted = self.modes * self.weights[None, :, None]
        return weighted / np.einsum("kvx,kvx->k", weighted, self.modes)[:, None, None]

    def encode(self, points: Float) -> Float:
        """(V, 3) points of a bone in the radius frame, mm, to its code (length,)."""
        radius_from_reference = rigid_between(self.reference, points, self.weights)
        laid = apply_transform(invert_rigid(radius_from_reference), points)
        shape = np.tensordot(self._shape_from_offset, laid - self.reference, axes=2)
        return np.concatenate([shape, self._placement(radius_from_reference) / self.placement_sd])

    def decode(self, code: NDArray[np.floating]) -> TriangleMesh:
        """Code (length,) to the bone in the radius frame, mm."""
        return self.shape(code).transformed(self.radius_from_reference(code))

    def shape(self, code: NDArray[np.floating]) -> TriangleMesh:
        """The bone of a code (length,) in the pose of ``reference``, mm: its shape without its placement."""
        modes = self._checked(code)[:-PLACEMENT]
        return TriangleMesh(self.reference + np.tensordot(modes, self.modes, axes=1), self.faces)

    def radius_from_reference(self, code: NDArray[np.floating]) -> Float:
        """(4, 4) placement of a code (length,): from the pose of ``reference`` to the radius frame."""
        step = rigid_from_vector(self._checked(code)[-PLACEMENT:] * self.placement_sd)
        return compose(translation(self.centre_mm), step, translation(-self.centre_mm))

    def placed(self, code: NDArray[np.floating], radius_from_reference: Float) -> Float:
        """The code (length,) with another placement (4, 4): the inverse of :meth:`radius_from_reference`."""
        return np.concatenate(
            [self._checked(code)[:-PLACEMENT], self._placement(radius_from_reference) / self.placement_sd]
        )

    def _checked(self, code: NDArray[np.floating]) -> Float:
        values = np.asarray(code, dtype=np.float64)
        if values.shape != (self.length,):
            raise InputError(f"shape code of {values.shape} numbers; expected ({self.length},)")
        return values

    def _placement(self, radius_from_reference: Float) -> Float:
        centred = compose(translation(-self.centre_mm), radius_from_reference, translation(self.centre_mm))
        return vector_from_rigid(centred)

    def error_metrics(self) -> tuple[Float, Float]:
        """(as predicted, after rigid alignment): matrices M (length, length) in mm^2.

        For a small difference d of two codes, d' M d is the mean square distance of the surfaces along the normals of
        the reference, over the seen part: in the radius frame, and after the best rigid motion of the bone.
        """
        seen = self.reference[:, 2] > SEEN_ABOVE_MM
        points = self.reference[seen]
        normals = TriangleMesh(self.reference, self.faces).vertex_normals[seen]
        root = np.sqrt(self.weights[seen] / self.weights[seen].sum())[:, None]
        shape = root * np.einsum("kvx,vx->vk", self.modes[:, seen], normals)
        turns = np.cross(points - self.centre_mm, normals)
        rigid = root * np.concatenate([turns, normals], axis=1) * self.placement_sd
        columns = np.concatenate([shape, rigid], axis=1)
        as_predicted = columns.T @ columns
        basis = np.linalg.qr(rigid)[0]
        left = columns - basis @ (basis.T @ columns)
        return as_predicted, left.T @ left


def fit_basis(points: NDArray[np.floating], faces: NDArray[np.int32], count: int) -> BoneBasis:
    """Basis of one bone from corresponding points (P, V, 3) of P wrists, radius frame, mm; ``count`` modes.

    Principal components under the area that each point stands for. Raises InputError for fewer wrists than modes.
    """
    if len(points) <= count:
        raise InputError(f"shape basis: {len(points)} wrists for {count} modes; expected more wrists than modes")
    shapes = np.asarray(points, dtype=np.float64)
    reference = shapes.mean(axis=0)
    weights = _point_weights(TriangleMesh(reference, faces))
    laid = shapes
    for _ in range(3):
        poses = [rigid_between(reference, shape, weights) for shape in shapes]
        laid = np.stack([apply_transform(invert_rigid(pose), shape) for pose, shape in zip(poses, shapes, strict=True)])
        reference = np.asarray(laid.mean(axis=0), dtype=np.float64)
    modes = _principal_modes(laid - reference, weights, count)
    seen = reference[:, 2] > SEEN_ABOVE_MM
    centre = np.asarray(np.average(reference[seen], axis=0, weights=weights[seen]), dtype=np.float64)
    basis = BoneBasis(reference, np.asarray(faces, dtype=np.int32), modes, centre, np.ones(PLACEMENT), weights)
    placements = np.stack([basis._placement(rigid_between(reference, shape, weights)) for shape in shapes])
    return BoneBasis(reference, basis.faces, modes, centre, placements.std(axis=0), weights)


def basis_arrays(basis: BoneBasis) -> dict[str, NDArray[np.generic]]:
    """What a file of the basis holds, by field name; modes as float32."""
    return {
        "reference": basis.reference,
        "faces": basis.faces,
        "modes": basis.modes.astype(np.float32),
        "centre_mm": basis.centre_mm,
        "placement_sd": basis.placement_sd,
        "weights": basis.weights,
    }


def basis_from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> BoneBasis:
    """The inverse of :func:`basis_arrays`; raises InputError where fields are missing or do not fit each other."""
    try:
        fields = {
            name: np.asarray(arrays[name], dtype=np.float64)
            for name in ("reference", "modes", "centre_mm", "placement_sd", "weights")
        }
        faces = np.asarray(arrays["faces"], dtype=np.int32)
    except (KeyError, ValueError) as error:
        raise InputError(f"shape basis: {error} is missing or no array; expected a basis of this version") from error
    count = len(fields["reference"])
    shapes = {"reference": (count, 3), "centre_mm": (3,), "placement_sd": (PLACEMENT,), "weights": (count,)}
    fits = all(fields[name].shape == shape for name, shape in shapes.items()) and fields["modes"].shape[1:] == (
        count,
        3,
    )
    if not fits or faces.ndim != 2 or faces.shape[1] != 3 or not 0 <= faces.min() <= faces.max() < count:
        raise InputError("shape basis: its arrays do not fit each other; expected a basis of this version")
    return BoneBasis(faces=faces, **fields)


def _point_weights(mesh: TriangleMesh) -> Float:
    area = np.zeros(len(mesh.vertices))
    for corner in range(3):
        np.add.at(area, mesh.faces[:, corner], mesh.face_areas_mm2 / 3)
    area *= np.where(mesh.vertices[:, 2] > SEEN_ABOVE_MM - 4.0, 1.0, BELOW_WEIGHT)
    return area / area.sum()


def _principal_modes(offset: Float, weights: Float, count: int) -> Float:
    """(count, V, 3) of one SD each, from (P, V, 3) offsets, by the Gram matrix of the P shapes."""
    flat = (offset * np.sqrt(weights)[None, :, None]).reshape(len(offset), -1)
    gram = flat @ flat.T / len(flat)
    last = len(gram) - 1
    vectors = np.asarray(eigh(gram, subset_by_index=[last - count + 1, last])[1], dtype=np.float64)[:, ::-1]
    # Scores of a mode are sqrt(P values) times its vector; a unit direction times the SD of its scores is the mode.
    return np.asarray(np.tensordot(vectors.T / np.sqrt(len(flat)), offset, axes=1), dtype=np.float64)
