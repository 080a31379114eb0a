"""Expected errors in mm against the distances of bones that are drawn with those errors."""

import numpy as np
import pytest

from bonelift.anatomy.shape_basis import PLACEMENT, fit_basis
from bonelift.anatomy.shape_uncertainty import expected_distance, vertex_sd_mm
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, rigid_between, rigid_from_vector
from bonelift.surface.mesh import TriangleMesh


def sphere(rings: int = 14, around: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A latitude-longitude ball of 10 mm whose middle lies at z = -10 mm."""
    polar, turn = np.meshgrid(
        np.linspace(0.15, np.pi - 0.15, rings), np.arange(around) * 2 * np.pi / around, indexing="ij"
    )
    points = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1).reshape(-1, 3)
    row, column = (grid.ravel() for grid in np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij"))
    beside = (column + 1) % around
    a, b, c, d = row * around + column, (row + 1) * around + column, (row + 1) * around + beside, row * around + beside
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    return 10 * points + [0, 0, -10.0], faces


@pytest.fixture(scope="module")
def basis():
    rng = np.random.default_rng(0)
    points, faces = sphere()
    bones = []
    for _ in range(60):
        unit = (points - [0, 0, -10.0]) / 10
        grown = 1 + 0.04 * rng.normal() * unit[:, 2] ** 2 + 0.03 * rng.normal() * unit[:, 0] * unit[:, 1]
        grown += 0.03 * rng.normal() * unit[:, 2] ** 3 + 0.02 * rng.normal()
        pose = rigid_from_vector(rng.normal(0, [0.03] * 3 + [0.4] * 3))
        bones.append(apply_transform(pose, 10 * grown[:, None] * unit + [0, 0, -10.0]))
    return fit_basis(np.stack(bones), faces, 4)


def drawn(basis, sd, count=400):
    rng = np.random.default_rng(1)
    return [basis.decode(sd * rng.normal(size=basis.length)).vertices for _ in range(count)]


def test_the_expected_distance_is_that_of_drawn_bones(basis):
    sd = np.concatenate([[0.5, 0.4, 0.6, 0.3], np.full(PLACEMENT, 0.4)])
    normals = TriangleMesh(basis.reference, basis.faces).vertex_normals
    distances, rigid = [], []
    for vertices in drawn(basis, sd):
        distances.append(np.sum(basis.weights * ((vertices - basis.reference) * normals).sum(1) ** 2))
        laid = apply_transform(rigid_between(vertices, basis.reference, basis.weights), vertices)
        rigid.append(np.sum(basis.weights * ((laid - basis.reference) * normals).sum(1) ** 2))
    told = expected_distance(basis, sd)
    # 400 draws of ten numbers tell a mean square to about 1 / sqrt(400 * 2) of a few effective ones: 7 % of the root.
    # Point-to-point alignment leaves a little more than the normals' own best motion: up to 8 % here.
    assert told.as_predicted_mm == pytest.approx(np.sqrt(2 / np.pi * np.mean(distances)), rel=0.08)
    assert told.rigid_mm == pytest.approx(np.sqrt(2 / np.pi * np.mean(rigid)), rel=0.15)
    assert told.rigid_mm < told.as_predicted_mm


def test_points_vary_as_drawn_bones_do(basis):
    sd = np.concatenate([[0.5, 0.4, 0.6, 0.3], np.zeros(PLACEMENT)])
    normals = TriangleMesh(basis.reference, basis.faces).vertex_normals
    moved = np.stack([((v - basis.reference) * normals).sum(1) for v in drawn(basis, sd, 600)])
    told = vertex_sd_mm(basis, sd)
    # The modes of a basis hold almost no rigid motion; 600 draws tell an SD to 3 %, the rest is that motion.
    close = np.abs(told - moved.std(0)) < 0.15 * moved.std(0) + 0.01
    assert close.mean() > 0.9


def test_what_no_mode_writes_comes_on_top(basis):
    nothing = np.zeros(basis.length)
    told = expected_distance(basis, nothing, outside_mm=0.2)
    assert told.rigid_mm == told.as_predicted_mm == pytest.approx(0.2 * np.sqrt(2 / np.pi))
    np.testing.assert_allclose(vertex_sd_mm(basis, nothing, outside_mm=0.2), 0.2)


@pytest.mark.parametrize("sd", [np.ones(3), np.full(10, np.nan), np.full(10, -1.0)])
def test_errors_that_do_not_fit_are_refused(basis, sd):
    with pytest.raises(InputError, match="expected errors of a shape code"):
        expected_distance(basis, sd)
