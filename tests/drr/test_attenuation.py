"""HU, attenuation, and the parts of a CT that are projected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonelift.drr import project
from bonelift.drr.attenuation import MU_WATER_PER_MM, hu_from_mu, mu_from_hu, mu_water_per_mm
from bonelift.drr.subject import attenuation_stack, bone_attenuation
from bonelift.errors import InputError
from bonelift.images import LabelMap, Volume
from builders.drr_scenes import centred_pose, film


def test_water_is_zero_and_air_attenuates_nothing():
    np.testing.assert_allclose(mu_from_hu([0, -1000, -3024, 1000]), [0.019285, 0, 0, 0.03857], rtol=1e-5)


@given(st.floats(-999, 4000), st.floats(20, 150))
def test_hu_survives_the_round_trip(value_hu, energy_kev):
    mu = mu_water_per_mm(energy_kev)
    # float32 carries 24 bits: 5000 / 2**24, a few operations.
    assert hu_from_mu(mu_from_hu(value_hu, mu), mu) == pytest.approx(value_hu, abs=2e-3)


def test_water_agrees_with_an_independent_table():
    xraydb = pytest.importorskip("xraydb", reason="the train extra is not installed")
    for energy_kev in (20.0, 30.0, 35.0, 45.0, 60.0, 70.0, 100.0, 150.0):
        per_cm = xraydb.material_mu("H2O", energy_kev * 1000, density=1.0)
        # Two compilations of cross sections differ by 1 %; log-log interpolation adds 1.5 % between energies.
        assert 10 * mu_water_per_mm(energy_kev) == pytest.approx(per_cm, rel=0.025)


def arm():
    values_hu = np.full((8, 9, 10), 40.0)
    labels = np.zeros(values_hu.shape, np.uint8)
    labels[1:3, 2:5, 2:8], labels[5:7, 2:5, 2:8] = 1, 2
    values_hu[labels > 0] = 900.0
    return Volume(values_hu, np.eye(4)), LabelMap(labels, np.eye(4))


def test_parts_add_up():
    ct, labels = arm()
    stacks = {name: attenuation_stack(ct, labels, name) for name in ("bones", "each bone", "arm", "bones and rest")}
    assert [stack.shape[0] for stack in stacks.values()] == [1, 2, 1, 3]
    np.testing.assert_array_equal(stacks["each bone"].sum(axis=0), stacks["bones"][0])
    np.testing.assert_array_equal(stacks["bones and rest"].sum(axis=0), stacks["arm"][0])
    assert stacks["bones"].max() == pytest.approx(1.9 * MU_WATER_PER_MM)
    pose = centred_pose(ct.values.shape, 1.0, (1.3, 0.2, 0.1))
    images = {name: project(stack, film(20, 20, 1.0), pose, (20, 20)).sum(axis=0) for name, stack in stacks.items()}
    np.testing.assert_allclose(images["each bone"], images["bones"], atol=1e-6)
    np.testing.assert_allclose(images["bones and rest"], images["arm"], atol=1e-6)


def test_networks_and_the_drr_command_project_the_same_attenuation():
    ct, labels = arm()
    np.testing.assert_array_equal(bone_attenuation(ct, labels).values, attenuation_stack(ct, labels)[0])


def test_what_cannot_be_projected_is_said():
    ct, labels = arm()
    with pytest.raises(InputError, match="differ in shape or position"):
        attenuation_stack(ct, LabelMap(labels.labels[1:], np.eye(4)))
    with pytest.raises(InputError, match="differ in shape or position"):
        attenuation_stack(ct, LabelMap(labels.labels, np.diag([2.0, 1, 1, 1])))
    with pytest.raises(InputError, match="no voxel of ulna"):
        attenuation_stack(ct, LabelMap(np.minimum(labels.labels, 1), np.eye(4)))
    with pytest.raises(InputError, match="NaN"):
        attenuation_stack(Volume(np.where(labels.labels == 1, np.nan, 0.0), np.eye(4)), labels)
    with pytest.raises(InputError, match="20 to 150 keV"):
        mu_water_per_mm(5.0)
