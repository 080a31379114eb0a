"""The X-ray camera, and the files it is read from."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bonelift.errors import InputError
from bonelift.geometry import (
    XrayCamera,
    camera_from_file,
    compose,
    default_film_camera,
    rigid_from_vector,
    translation,
    write_camera_json,
)
from bonelift.geometry.camera import mirrored_camera
from bonelift.geometry.camera_files import UNKNOWN_PITCH_SDD_FACTOR, read_camera_json, read_mayacam

PROPERTY = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def _camera(pose: np.ndarray, focal: tuple[float, float] = (5000.0, 5100.0)) -> XrayCamera:
    intrinsics = np.array([[focal[0], 0, 300.5], [0, focal[1], 250.25], [0, 0, 1]])
    camera_from_world = compose(translation([0, 0, 900]), rigid_from_vector(pose))
    return XrayCamera(intrinsics, camera_from_world, 640, 480, 1000.0)


poses = arrays(np.float64, 6, elements=st.floats(-1.5, 1.5))
pixels = arrays(np.float64, (5, 2), elements=st.floats(-50, 700))
depths = arrays(np.float64, 5, elements=st.floats(100, 1500))


@PROPERTY
@given(poses, pixels, depths)
def test_projection_undoes_back_projection(pose: np.ndarray, at_px: np.ndarray, depth_mm: np.ndarray) -> None:
    camera = _camera(pose)
    world = camera.back_project(at_px, depth_mm)
    # 1e-12 relative rounding on focal lengths of 5000 px.
    np.testing.assert_allclose(camera.project(world), at_px, atol=1e-7)
    depth_again = world @ camera.camera_from_world[2, :3] + camera.camera_from_world[2, 3]
    np.testing.assert_allclose(depth_again, depth_mm, atol=1e-7)


@PROPERTY
@given(poses, pixels)
def test_points_of_a_ray_meet_at_the_source(pose: np.ndarray, at_px: np.ndarray) -> None:
    camera = _camera(pose)
    near, far = camera.back_project(at_px, 200.0), camera.back_project(at_px, 1000.0)
    np.testing.assert_allclose(camera.source_world + 5 * (near - camera.source_world), far, atol=1e-7)


@PROPERTY
@given(poses, arrays(np.float64, (2, 2), elements=st.floats(-2, 2)), pixels)
def test_another_pixel_grid_sees_the_same_rays(pose: np.ndarray, part: np.ndarray, at_px: np.ndarray) -> None:
    camera = _camera(pose)
    new_from_image = np.eye(3)
    new_from_image[:2, :2] = part + 5 * np.eye(2)
    new_from_image[:2, 2] = [-12.5, 40]
    world = camera.back_project(at_px, 900.0)
    expected = at_px @ new_from_image[:2, :2].T + new_from_image[:2, 2]
    np.testing.assert_allclose(camera.viewed_through(new_from_image, 10, 10).project(world), expected, atol=1e-6)


def test_a_clinical_film() -> None:
    camera = default_film_camera(101, 201, 0.2, 1000.0)
    # Halfway to the detector everything is magnified twice: 3 mm become 6 mm, 30 pixels of 0.2 mm.
    np.testing.assert_allclose(camera.project([3.0, -2.0, 500.0]), [50 + 30, 100 - 20])
    assert camera.detector_spacing_mm == pytest.approx(0.2)
    assert camera.shape_px == (201, 101)
    np.testing.assert_array_equal(camera.source_world, [0, 0, 0])
    assert np.isnan(camera.project([0.0, 0.0, -1.0])).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_from_camera": np.zeros((3, 3))}, "not an invertible 3x3"),
        ({"camera_from_world": np.diag([-1.0, 1, 1, 1])}, "not rigid"),
        ({"width_px": 0}, "expected positive pixels"),
        ({"sdd_mm": -1.0}, "expected a positive length"),
    ],
)
def test_impossible_cameras(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(default_film_camera(10, 10, 0.2), **change)


@PROPERTY
@given(poses)
def test_json_round_trip_is_exact(tmp_path_factory: pytest.TempPathFactory, pose: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("camera") / "camera.json"
    camera = _camera(pose)
    write_camera_json(path, camera, 870.5)
    for read in (read_camera_json, camera_from_file):
        found = read(path)
        np.testing.assert_array_equal(found.camera.image_from_camera, camera.image_from_camera)
        np.testing.assert_array_equal(found.camera.camera_from_world, camera.camera_from_world)
        assert (found.camera.shape_px, found.camera.sdd_mm) == (camera.shape_px, camera.sdd_mm)
        assert found.source_to_object_mm == 870.5


def _json(**changes: object) -> str:
    content: dict[str, object] = {
        "schema_version": 1,
        "image_size_px": [640, 480],
        "sdd_mm": 1000,
        "intrinsics": {"detector_spacing_mm": 0.2},
    }
    return json.dumps({key: value for key, value in (content | changes).items() if value is not None})


def test_short_json(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text(_json())
    np.testing.assert_array_equal(
        camera_from_file(path).camera.image_from_camera, [[5000, 0, 319.5], [0, 5000, 239.5], [0, 0, 1]]
    )
    path.write_text(_json(intrinsics={"detector_spacing_mm": [0.2, 0.25], "principal_point_px": [10, 20]}))
    np.testing.assert_array_equal(
        camera_from_file(path).camera.image_from_camera, [[5000, 0, 10], [0, 4000, 20], [0, 0, 1]]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "is not a JSON object"),
        (_json(schema_version=2), "schema_version is 2; expected 1"),
        (_json(sdd=3), "unknown key 'sdd'"),
        (_json(sdd_mm=None), "no sdd_mm"),
        (_json(sdd_mm=-3), "sdd_mm is -3"),
        (_json(sdd_mm="long"), "sdd_mm is not made of numbers"),
        (_json(image_size_px=[640.5, 480]), "whole pixels"),
        (_json(image_size_px=[640]), "has shape"),
        (_json(intrinsics=[[1, 2], [3]]), "intrinsics is not made of numbers"),
        (_json(intrinsics=[[-5000, 0, 1], [0, 5000, 1], [0, 0, 1]]), "positive focal lengths"),
        (_json(intrinsics={"detector_spacing_mm": 0}), "expected a positive length"),
        (_json(intrinsics={"pitch": 1}), "unknown key 'pitch' in intrinsics"),
        (_json(camera_from_world=np.diag([-1, 1, 1, 1]).tolist()), "not rigid"),
        (_json(source_to_object_mm=2000), "lies behind the detector"),
        ("image size\n640,480\n", "no section 'camera matrix'"),
        ("image size\n640\n", "section 'image size' is not"),
        ("1,2,3", "does not start with a section title"),
        ("image size\n1,2\nimage size\n1,2", "appears twice"),
        ("letter\ndear editor", "no section 'image size'"),
    ],
)
def test_wrong_camera_files(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "camera.txt"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        camera_from_file(path)
    message = str(caught.value)
    assert words in message
    assert message.startswith("camera.txt: ")
    assert "\n" not in message


def test_camera_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, words in (("missing", "no such file"), (".", "is a folder"), ("binary", "is no text")):
        with pytest.raises(InputError, match=words):
            camera_from_file(tmp_path / name)


MAYACAM = """image size
640,480

camera matrix
5000,0,320.5
0,5020,239.5
0,0,1

rotation
0,1,0
-1,0,0
0,0,1

translation
1.5
-2.5
800
"""


def test_mayacam(tmp_path: Path) -> None:
    path = tmp_path / "camera.txt"
    path.write_text(MAYACAM)
    found = camera_from_file(path)
    # The calibration's origin is seen at K t / t_z, 800 mm away.
    np.testing.assert_allclose(found.camera.project([0.0, 0, 0]), [320.5 + 5000 * 1.5 / 800, 239.5 - 5020 * 2.5 / 800])
    # World x goes to camera -y: upwards in the image.
    assert found.camera.project([10.0, 0, 0])[1] < found.camera.project([0.0, 0, 0])[1]
    assert found.source_to_object_mm == 800
    assert found.camera.sdd_mm == UNKNOWN_PITCH_SDD_FACTOR * 800
    assert "unknown" in found.origin
    assert read_mayacam(path, detector_spacing_mm=0.2).camera.sdd_mm == pytest.approx(0.2 * np.sqrt(5000 * 5020))


@pytest.mark.reference_data
@pytest.mark.skipif("BONELIFT_DATA" not in os.environ, reason="BONELIFT_DATA is not set")
def test_two_real_cameras_see_the_same_beads() -> None:
    folder = Path(os.environ["BONELIFT_DATA"]) / "specimen"
    one, two = (camera_from_file(folder / f"xr_calib_wrist_cam0{n}.txt").camera for n in (1, 2))
    # (column, row) px of five tantalum beads picked on both films, to about 1 px each: 0.17 mm at the wrist,
    # so 0.35 mm for two rays. With rows counted upwards they would miss by 3 to 23 mm.
    beads_one = np.array([(860.3, 1294.3), (839.9, 1322.7), (968.1, 1447.5), (978.7, 1448.8), (970.7, 1488.0)])
    beads_two = np.array([(800.1, 1339.4), (781.0, 1363.8), (508.5, 1437.4), (527.3, 1444.4), (509.9, 1479.1)])
    misses = []
    for seen_one, seen_two in zip(beads_one, beads_two, strict=True):
        rays = []
        for camera, seen in ((one, seen_one), (two, seen_two)):
            ray = camera.back_project(seen, 1000.0) - camera.source_world
            rays.append(ray / np.linalg.norm(ray))
        across = np.cross(*rays)
        misses.append(abs((two.source_world - one.source_world) @ across) / np.linalg.norm(across))
    assert max(misses) < 0.35


@PROPERTY
@given(pixels)
def test_a_mirrored_camera_sees_the_mirrored_point_in_the_mirrored_column(at_px: np.ndarray) -> None:
    camera = default_film_camera(101, 80, 0.4)
    point = camera.back_project(at_px, 700.0)
    column, row = camera.project(point).T
    np.testing.assert_allclose(
        mirrored_camera(camera).project(point * [-1, 1, 1]), np.column_stack([100 - column, row]), atol=1e-8
    )
