"""The patient frame against what is known of an arm that hangs with its palm forward."""

import numpy as np
import pytest

from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.geometry.patient_frame import GLTF_FROM_PATIENT, PATIENT_FROM_OWN_SIDE, patient_from_radius
from bonelift.phantom.patient import make_patient

LEFT, POSTERIOR, SUPERIOR = np.eye(3)
LATERAL = {"right": -LEFT, "left": LEFT}


@pytest.mark.parametrize("side", ["right", "left"])
def test_directions_of_a_hanging_arm(side) -> None:
    """The radius frame of a right wrist is +x ulnar, +y palmar, +z distal; its mirror is the left wrist."""
    turn = patient_from_radius(side)[:3, :3]
    np.testing.assert_allclose(turn @ [0, 0, 1], -SUPERIOR)  # distal is inferior
    np.testing.assert_allclose(turn @ [0, 1, 0], -POSTERIOR)  # palmar is anterior
    np.testing.assert_allclose(turn @ [-1, 0, 0], LATERAL[side])  # radial is lateral
    assert np.linalg.det(turn) == (1 if side == "right" else -1)  # a left wrist is a mirrored right one
    # The radius frame of the own side is right-handed on both sides, so that poses of it are rigid.
    own_from_radius = PATIENT_FROM_OWN_SIDE @ patient_from_radius(side)
    np.testing.assert_allclose(own_from_radius[:3, :3], np.diag([1.0 if side == "right" else -1.0, 1, 1]))


@pytest.mark.parametrize("side", ["right", "left"])
def test_landmarks_of_a_wrist_lie_where_an_anatomist_looks_for_them(side) -> None:
    """Independent of how the frame is built: what is known of the bones themselves."""
    shape = make_patient(4711, load_shape_model()).shape
    patient = patient_from_radius(side)
    radius, ulna = shape.radius.transformed(patient), shape.ulna.transformed(patient)
    styloid = radius.vertices[radius.vertices[:, 2].argmin()]  # the end of the radius that is farthest down
    centre, ulna_centre = radius.vertices.mean(axis=0), ulna.vertices.mean(axis=0)
    assert (styloid - centre) @ LATERAL[side] > 5
    assert (centre - ulna_centre) @ LATERAL[side] > 10  # the ulna is medial
    # The shafts run up to the elbow; the radius is broadest at the wrist.
    widths = [np.ptp(radius.vertices[near] @ LEFT) for near in (_near(radius, 30.0), _near(radius, 5.0))]
    assert widths[0] < 0.8 * widths[1]
    # The distal joint surface faces palmar: the dorsal rim stands farther distal. A single wrist may have little of it
    # (SD 4 degrees of tilt), and none at its highest points; the mean of twelve has.
    wrists = [sample_wrist(load_shape_model(), np.random.default_rng(seed)) for seed in range(12)]
    assert np.mean([_dorsal_ahead_mm(wrist.radius.transformed(patient)) for wrist in wrists]) > 0.3
    assert radius.volume_mm3 > 0
    assert ulna.volume_mm3 > 0


def _dorsal_ahead_mm(radius) -> float:
    middle = radius.vertices[np.abs((radius.vertices - radius.vertices.mean(axis=0)) @ LEFT) < 3]
    dorsal, palmar = middle[middle[:, 1] > 4], middle[middle[:, 1] < -4]
    return palmar[:, 2].min() - dorsal[:, 2].min()


def _near(mesh, height_mm: float):
    return np.abs(mesh.vertices[:, 2] - height_mm) < 3


def test_gltf_stands_upright_as_a_pa_film_hangs() -> None:
    """+Y up, +Z to the viewer, +X to the viewer's right; 1 mm is 0.001. Fingers up, seen from the back of the hand."""
    turn = 1000 * GLTF_FROM_PATIENT[:3, :3]
    np.testing.assert_allclose(turn @ -SUPERIOR, [0, 1, 0])
    np.testing.assert_allclose(turn @ POSTERIOR, [0, 0, 1])
    np.testing.assert_allclose(turn @ LATERAL["right"], [-1, 0, 0])  # a right thumb points to the left of the picture
    assert np.linalg.det(turn) == pytest.approx(1)
