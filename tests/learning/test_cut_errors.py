"""Films are cut with the error of a person's hand: so large, and none where none is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bonelift.drr.normalised_case import NormalisedCase, PosedRadiograph
from bonelift.images import Radiograph, Volume
from bonelift.learning import study_samples
from bonelift.learning.study_samples import film_sample
from bonelift.phantom.xray_geometry import draw_geometry
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
CUTS = 400


@pytest.fixture
def cuts(monkeypatch) -> list[tuple[Float, Float]]:
    """(origin, shaft point) px of every film that is cut; the film itself is left unmade."""
    seen: list[tuple[Float, Float]] = []

    class Enough(Exception):  # noqa: N818 - no error: what is watched has happened
        pass

    def noting(_radiograph, origin, shaft, _from_ulnar):
        seen.append((np.asarray(origin), np.asarray(shaft)))
        raise Enough

    monkeypatch.setattr(study_samples, "film_from_landmarks", noting)
    bones = Volume(np.zeros((4, 4, 4), np.float32), np.eye(4))
    nothing = TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    case = NormalisedCase(nothing, nothing, bones, np.array([20.0, -3, -5]), np.eye(4))
    rng = np.random.default_rng(6)
    geometry = draw_geometry(rng, "pa", ulnar_head_mm=case.ulnar_head_mm)
    blank = np.zeros(geometry.camera.shape_px, np.float32)
    radiograph = Radiograph(blank, geometry.camera, "right", "pa", geometry.source_to_object_mm)
    posed = PosedRadiograph(radiograph, geometry.camera_from_radius)
    for error_mm, error_deg, count in ((0.0, 0.0, 1), (1.5, 2.5, CUTS)):
        for _ in range(count):
            with pytest.raises(Enough):
                film_sample(case, posed, rng, error_mm, error_deg)
    return seen


def test_a_cut_is_off_by_the_errors_that_are_asked_for(cuts):
    (true_origin, true_shaft), *drawn = cuts
    true = true_shaft - true_origin
    spacing_mm = 0.25  # of draw_geometry's image at the wrist
    off_mm = spacing_mm * np.array([origin - true_origin for origin, _ in drawn])
    turns = []
    for origin, shaft in drawn:
        along = shaft - origin
        turns.append(np.rad2deg(np.arctan2(true[0] * along[1] - true[1] * along[0], true @ along)))
        assert np.linalg.norm(along) == pytest.approx(np.linalg.norm(true))
    # Standard deviations of 400 draws are known to 3.5 %; four such allowed. Means to 5 % of one deviation.
    np.testing.assert_allclose(off_mm.std(axis=0), 1.5, rtol=0.14)
    assert np.std(turns) == pytest.approx(2.5, rel=0.14)
    assert abs(np.mean(turns)) < 0.5
