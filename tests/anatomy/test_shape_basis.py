"""Shape and place of a bone as a code: what went in comes out, and each part holds only what it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonelift.anatomy.shape_basis import PLACEMENT, BoneBasis, basis_arrays, basis_from_arrays, fit_basis
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, rigid_from_vector
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh

MODES = 3
WRISTS = 24


def population(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """WRISTS radii: the mean bone, three smooth deformations of 0.4 mm SD, and small rigid motions."""
    mean = load_shape_model().radius.mean
    rng = np.random.default_rng(seed)
    waves = [0.4 * np.sin(mean.vertices @ rng.normal(0, 0.1, (3, 3)) + rng.uniform(0, 6, 3)) for _ in range(MODES)]
    bones = [
        apply_transform(
            rigid_from_vector(np.concatenate([rng.normal(0, 0.03, 3), rng.normal(0, 1.0, 3)])),
            mean.vertices + np.tensordot(rng.normal(size=MODES), waves, axes=1),
        )
        for _ in range(WRISTS)
    ]
    return np.stack(bones), mean.faces


@pytest.fixture(scope="module")
def bones() -> np.ndarray:
    return population()[0]


@pytest.fixture(scope="module")
def basis(bones: np.ndarray) -> BoneBasis:
    # Aligning bends the three waves a little into others: a few more modes hold that too.
    return fit_basis(bones, population()[1], MODES + 6)


def test_a_bone_comes_back_from_its_code(basis, bones):
    for bone in bones[:4]:
        decoded = basis.decode(basis.encode(bone)).vertices
        seen = bone[:, 2] > -40
        assert np.linalg.norm(decoded - bone, axis=1)[seen].max() < 0.02  # what nine modes leave of three waves


def test_codes_are_in_standard_deviations(basis, bones):
    codes = np.stack([basis.encode(bone) for bone in bones])
    # Placements turn about the same centre and are scaled by their SD; leading modes by theirs.
    np.testing.assert_allclose(codes[:, -PLACEMENT:].std(axis=0), 1.0, atol=0.02)
    np.testing.assert_allclose(codes[:, :MODES].std(axis=0), 1.0, atol=0.02)


@settings(max_examples=20, deadline=None)
@given(
    turn=st.tuples(*[st.floats(-0.3, 0.3)] * 3),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_moving_a_bone_changes_its_place_and_not_its_shape(turn, shift):
    bones, faces = population(1)
    basis = _CACHE.setdefault("basis", fit_basis(bones, faces, MODES))
    moved = apply_transform(rigid_from_vector([*turn, *shift]), bones[0])
    before, after = basis.encode(bones[0]), basis.encode(moved)
    np.testing.assert_allclose(after[:-PLACEMENT], before[:-PLACEMENT], atol=1e-9)
    expected = apply_transform(rigid_from_vector([*turn, *shift]), basis.decode(before).vertices)
    np.testing.assert_allclose(basis.decode(after).vertices, expected, atol=1e-9)
    # The same in parts: the shape stays in its pose, the placement is a motion, and replacing it gives the other code.
    np.testing.assert_allclose(basis.shape(after).vertices, basis.shape(before).vertices, atol=1e-9)
    np.testing.assert_allclose(basis.placed(before, basis.radius_from_reference(after)), after, atol=1e-9)


_CACHE: dict[str, BoneBasis] = {}


def test_metrics_are_mean_square_distances_of_the_surfaces(basis):
    as_predicted, rigid = basis.error_metrics()
    shift = np.zeros(basis.length)
    shift[-1] = 0.5 / basis.placement_sd[-1]  # 0.5 mm along z
    seen = basis.reference[:, 2] > -42
    normals = TriangleMesh(basis.reference, basis.faces).vertex_normals[seen]
    weights = basis.weights[seen] / basis.weights[seen].sum()
    assert shift @ as_predicted @ shift == pytest.approx(0.25 * weights @ normals[:, 2] ** 2)
    assert shift @ rigid @ shift == pytest.approx(0.0, abs=1e-12)

    shape = np.zeros(basis.length)
    shape[0] = 1.0
    # Along the normals, so close to what the surfaces are apart: the mean distance of a smooth field is below its
    # root mean square and above half of it.
    moved, still = (clip_below(basis.decode(code), -40.0) for code in (shape, np.zeros(basis.length)))
    rms = np.sqrt(shape @ as_predicted @ shape)
    assert 0.5 * rms < surface_distances(moved, still).asd_surface_mm < 1.05 * rms
    assert rigid[:-PLACEMENT, :-PLACEMENT].trace() <= as_predicted[:-PLACEMENT, :-PLACEMENT].trace() + 1e-12


def test_arrays_bring_the_basis_back(basis):
    again = basis_from_arrays(basis_arrays(basis))
    code = np.linspace(-1, 1, basis.length)
    np.testing.assert_allclose(again.decode(code).vertices, basis.decode(code).vertices, atol=1e-5)  # modes as float32


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("modes"),
        lambda arrays: arrays.update(modes=arrays["modes"][:, :-1]),
        lambda arrays: arrays.update(faces=arrays["faces"] + 10**6),
        lambda arrays: arrays.update(placement_sd=np.ones(5)),
    ],
)
def test_damaged_arrays_are_named(basis, change):
    arrays = basis_arrays(basis)
    change(arrays)
    with pytest.raises(InputError, match="shape basis"):
        basis_from_arrays(arrays)


def test_wrong_calls_are_refused(basis, bones):
    with pytest.raises(InputError, match="more wrists than modes"):
        fit_basis(bones[:3], basis.faces, 3)
    with pytest.raises(InputError, match="expected"):
        basis.decode(np.zeros(3))
