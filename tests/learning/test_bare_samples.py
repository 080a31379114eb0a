"""Bones alone: the same bones as those of a whole wrist, at a fraction of the cost."""

import numpy as np
import pytest

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.drr.subject import bone_attenuation
from bonelift.film.standard import film_from_landmarks
from bonelift.images import Radiograph
from bonelift.images.reading import OBJECT_TO_DETECTOR_MM
from bonelift.learning.bare_samples import bare_patient, generate_bare_samples
from bonelift.learning.samples import DrrSamples, SurfaceSamples, load_samples
from bonelift.learning.virtual_samples import VirtualSampleConfig, film_drr
from bonelift.phantom.bare_bones import bare_bones
from bonelift.phantom.body import draw_anatomy
from bonelift.phantom.ct import ScanSettings, scan
from bonelift.phantom.patient import make_patient
from bonelift.phantom.xray_geometry import PoseSpread, draw_geometry

SEED = 700_020
NOISELESS = ScanSettings(noise_hu=0.0)


@pytest.fixture(scope="module")
def patient():
    return make_patient(SEED, load_shape_model())


def test_bare_bones_project_like_those_of_a_whole_body(patient):
    """Same outline and bone quality; walls and textures are drawn anew, so thickness agrees only on average."""
    _, anatomy_seed, _ = np.random.SeedSequence(SEED).spawn(3)
    anatomy = draw_anatomy(patient.shape, np.random.default_rng(anatomy_seed))
    bare = bare_bones(patient.shape, anatomy, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    still = PoseSpread(0.0, 0.0, 0.0, 0.0, 0.0)
    geometry = draw_geometry(rng, "pa", (352, 288), 0.25, still)
    blank = np.zeros((352, 288), np.float32)
    assumed_mm = geometry.camera.sdd_mm - OBJECT_TO_DETECTOR_MM
    radiograph = Radiograph(blank, geometry.camera, "right", "pa", assumed_mm)
    film = film_from_landmarks(radiograph, geometry.origin_px, geometry.proximal_px)
    images = [
        film_drr(bone_attenuation(*scan(body, rng, NOISELESS)), film, geometry.camera_from_radius)
        for body in (patient.body, bare)
    ]
    whole, alone = images
    # One voxel of 0.6 mm along the outline of 100 mm of two bones is some 3 % of their area.
    overlap = 2 * ((whole > 0.02) & (alone > 0.02)).sum() / ((whole > 0.02).sum() + (alone > 0.02).sum())
    assert overlap > 0.97
    assert alone.sum() == pytest.approx(whole.sum(), rel=0.25)
    # Both run through to the film's lower edge.
    assert whole[-1].max() > 0.1
    assert alone[-1].max() > 0.1


def test_the_patient_is_the_same_one(patient):
    config = VirtualSampleConfig()
    bare = bare_patient(SEED, load_shape_model(), 2, config)
    np.testing.assert_array_equal(bare.shape.radius.vertices, patient.shape.radius.vertices)
    again = bare_patient(SEED, load_shape_model(), 2, config)
    np.testing.assert_array_equal(bare.drrs, again.drrs)
    assert bare.drrs.shape == (2, 160, 128)
    assert np.isfinite(bare.drrs).all()
    assert 0.3 < bare.drrs.max() < 3  # a few cm of bone at 0.02 to 0.06 /mm


@pytest.mark.parametrize(("first", "chunk"), [(2, 1), (1, 2)])
def test_chunks_are_kept_and_added_to(first, chunk, tmp_path):
    """Also after a chunk that ended a cohort and is shorter than the others."""
    generate_bare_samples(tmp_path, range(SEED, SEED + first), 2, chunk=chunk)
    before = load_samples(tmp_path, DrrSamples)
    generate_bare_samples(tmp_path, range(SEED, SEED + 3), 2, chunk=chunk)
    drrs, surfaces = load_samples(tmp_path, DrrSamples), load_samples(tmp_path, SurfaceSamples)
    assert drrs.patient.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(drrs.drr[: 2 * first], before.drr)
    whole = tmp_path / "whole"
    generate_bare_samples(whole, range(SEED, SEED + 3), 2)
    np.testing.assert_array_equal(surfaces.radius, load_samples(whole, SurfaceSamples).radius)
    np.testing.assert_array_equal(drrs.drr, load_samples(whole, DrrSamples).drr)
