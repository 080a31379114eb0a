"""What the drawn population promises: published sizes, detail of the stated strength, smooth surfaces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bonelift.anatomy import population
from bonelift.anatomy.measurements import Measurements, measure
from bonelift.anatomy.model_fit import fit_model
from bonelift.anatomy.population import SPREAD, Detail, draw_wrist
from bonelift.anatomy.shape_model import WristShape, load_shape_model
from bonelift.anatomy.surface_fit import surface_cloud
from bonelift.surface.mesh import TriangleMesh

COUNT = 40


@pytest.fixture(scope="module")
def wrists() -> list[WristShape]:
    return [draw_wrist(load_shape_model(), np.random.default_rng(4_000_000 + i), None) for i in range(COUNT)]


@pytest.fixture(scope="module")
def measured(wrists) -> list[Measurements]:
    return [measure(wrist.radius, wrist.ulna, wrist.landmarks) for wrist in wrists]


def _values(measured: list[Measurements], name: str) -> NDArray[np.float64]:
    values = np.array([getattr(row, name) for row in measured])
    return values[np.isfinite(values)]


@pytest.mark.parametrize(("name", "published"), [("radius_width_mm", 0.044), ("radius_depth_mm", 0.059)])
def test_width_and_depth_spread_as_published(measured, name, published):
    """Published SDs over adults, DESIGN section 2. An SD of 40 is known to 11 %; half as wide again is too wide."""
    values = _values(measured, name)
    assert 0.6 * published < values.std() / values.mean() < 1.5 * published


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("palmar_tilt_deg", 4.0, 13.8),
        ("radial_inclination_deg", 22.8, 24.1),
        ("ulnar_head_diameter_mm", 14.1, 15.8),
        ("ulnar_variance_mm", -0.9, 0.6),
        ("radius_width_mm", 27.1, 27.1),
    ],
)
def test_means_lie_at_the_published_ones(measured, name, low, high):
    """The published means (DESIGN section 2), 3 standard errors of our own mean either way. The real bones at hand have
    a tilt of 4 degrees and an ulnar head of 14.1 mm by our definitions; the population stands between them and what is
    published."""
    values = _values(measured, name)
    margin = 3 * values.std() / np.sqrt(len(values))
    assert low - margin < values.mean() < high + margin


@pytest.mark.parametrize("name", ["palmar_cortical_angle_medial_deg", "palmar_cortical_angle_lateral_deg"])
def test_the_palmar_cortical_angle_lies_within_a_published_deviation(measured, name):
    mean, deviation = {"medial": (148.3, 6.8), "lateral": (156.1, 7.0)}[name.split("_")[3]]
    assert abs(np.median(_values(measured, name)) - mean) < deviation


def test_size_ties_the_bones_of_a_person_and_their_widths(wrists, measured):
    """Correlations of 40 pairs have a standard error of (1 - r^2) / 6.2: 0.4 cannot come of independent draws."""
    size = [wrist.description["size"] for wrist in wrists]
    volumes = np.cbrt([[wrist.radius.volume_mm3, wrist.ulna.volume_mm3] for wrist in wrists])
    assert np.corrcoef(size, _values(measured, "radius_width_mm"))[0, 1] > 0.4
    assert np.corrcoef(volumes.T)[0, 1] > 0.4


def test_fields_have_the_stated_strength():
    """Without modes, the variance along the normal is the sum of the fields', to four standard errors of its draws."""
    bone = load_shape_model().radius
    detail = Detail(0.0, (20.0, 10.0, 5.0), (0.3, 0.4, 0.2), distal_gain=2.0, tangential=0.5)
    rng = np.random.default_rng(1)
    offsets = np.stack([population._detail(bone, rng, detail) for _ in range(120)])
    _, normals = population._field_places(bone)
    along = (offsets * normals).sum(axis=2)
    across = offsets - along[:, :, None] * normals
    height = bone.mean.vertices[:, 2]
    shaft, distal = height < -15, height > 0
    half_across = (across[:, shaft] ** 2).sum(axis=2).mean(axis=1)
    for squares, stated in (
        ((along[:, shaft] ** 2).mean(axis=1), 0.3**2 + 0.4**2 + 0.2**2),
        ((along[:, distal] ** 2).mean(axis=1), 0.3**2 + 0.4**2 + 0.4**2),
        # Two directions across the normal at half the strength: half the variance along it.
        (half_across - 0.5 * (along[:, shaft] ** 2).mean(axis=1), 0.0),
    ):
        error = squares.std(ddof=1) / np.sqrt(len(squares))
        assert error < 0.03  # a tenth of the variances: the draws are enough to tell
        assert abs(squares.mean() - stated) < 4 * error


def test_what_is_held_leaves_no_width_to_the_fields():
    """Width and depth taken back whole: what is left of their change is what widen's fade and the averaging miss."""
    model = load_shape_model()
    free = replace(
        SPREAD,
        width_held=0.0,
        width_mean=0.0,
        depth_mean=0.0,
        flare_deg=0.0,
        palmar_tilt_mean_deg=0.0,
        palmar_tilt_deg=0.0,
        inclination_mean_deg=0.0,
        inclination_deg=0.0,
    )
    changes = {
        held: np.array(
            [
                population._broadening(
                    model,
                    population._radius_offset(model, np.random.default_rng(i), replace(free, width_held=held), {}),
                )
                for i in range(40)
            ]
        )
        for held in (0.0, 1.0)
    }
    assert (changes[0.0].std(axis=0) > 0.02).all()
    assert (changes[1.0].std(axis=0) < 0.15 * changes[0.0].std(axis=0)).all()


def test_surfaces_stay_smooth(wrists):
    """No two neighbouring faces stand at more than 120 degrees to each other: a fold would turn one over."""
    for wrist in wrists[:12]:
        for bone in (wrist.radius, wrist.ulna):
            assert _sharpest_edge_cosine(bone) > -0.5


def _sharpest_edge_cosine(mesh: TriangleMesh) -> float:
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    order = np.lexsort(np.sort(edges, axis=1).T)  # a closed surface has each edge twice
    faces = (order % len(mesh.faces)).reshape(-1, 2)
    normals = mesh.area_normals_mm2 / np.linalg.norm(mesh.area_normals_mm2, axis=1, keepdims=True)
    distal = mesh.triangles[:, :, 2].mean(axis=1)[faces] > -90  # below lies the cap
    cosine = (normals[faces[:, 0]] * normals[faces[:, 1]]).sum(axis=1)
    return float(cosine[distal.all(axis=1)].min())


def test_a_fit_of_fixed_size_leaves_size_to_the_modes():
    """The mean bone made 4 % larger: one mode of 2 % relative size reads 2, and its surface fixes it wholly."""
    mean = load_shape_model().radius.mean
    centre = mean.vertices.mean(axis=0)
    larger = TriangleMesh(centre + 1.04 * (mean.vertices - centre), mean.faces)
    grow = 0.02 * (mean.vertices - centre)[None]
    fit = fit_model(mean, grow, surface_cloud(larger, 0.8), free_scale=False)
    assert fit.coefficients[0] == pytest.approx(2.0, abs=0.02)
    assert 0.99 < fit.known[0] <= 1.0
    absorbed = fit_model(mean, grow, surface_cloud(larger, 0.8))
    assert abs(absorbed.coefficients[0]) < 0.5
