"""Line integrals against closed forms."""

import numpy as np
import pytest

from bonelift.drr import prepare, project
from bonelift.errors import InputError
from drr_scenes import centred_pose, film, radial_distance


@pytest.mark.parametrize("rotation", [(0, 0, 0), (0, np.pi / 2, 0), (np.pi / 2, 0, 0), (0.4, -0.9, 1.3), (2.5, 0.7, 0)])
def test_chords_of_a_ball(rotation):
    shape, spacing_mm, radius_mm = (61, 45, 71), (0.9, 1.2, 0.8), 20.0
    ball = np.clip(0.5 + (radius_mm - radial_distance(shape, spacing_mm)) / 1.5, 0, 1).astype(np.float32)
    camera, pose = film(81, 81, 0.7), centred_pose(shape, spacing_mm, rotation)
    image = project(ball[None], camera, pose, (81, 81))[0]
    rows, columns = np.mgrid[:81, :81]
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(camera).T
    miss_mm = 950.0 * np.linalg.norm(rays[..., :2], axis=-1) / np.linalg.norm(rays, axis=-1)
    chord_mm = 2 * np.sqrt(np.clip(radius_mm**2 - miss_mm**2, 0, None))
    inside = miss_mm < 0.85 * radius_mm
    # Interpolating a kink of slope 1/1.5 over a 1.2 mm voxel misplaces the rim by up to 1/1.5 * 1.2**2 / 8 = 0.12 mm,
    # divided by 0.53, the cosine at which the outermost of these rays crosses it, at both ends: 0.45 mm.
    assert np.abs(image - chord_mm)[inside].max() < 0.45
    assert abs((image - chord_mm)[inside].mean()) < 0.12
    assert (image[miss_mm > radius_mm + 3.0] == 0).all()


def test_poses_and_channels_come_back_in_order():
    rng = np.random.default_rng(0)
    values = rng.random((3, 9, 8, 7), dtype=np.float32)
    poses = np.stack([centred_pose((9, 8, 7), 2.0, r) for r in [(0, 0, 0), (0.3, 0, 1.0)]])
    images = project(values, film(24, 20, 2.0), poses, (24, 20))
    assert images.shape == (2, 3, 24, 20)
    for pose, stack in zip(poses, images, strict=True):
        for volume, image in zip(values, stack, strict=True):
            alone = project(volume[None], film(24, 20, 2.0), pose, (24, 20))[0]
            np.testing.assert_allclose(image, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": np.zeros((4, 4, 4), np.float32)}, "expected non-empty"),
        ({"values": np.full((1, 4, 4, 4), np.nan, np.float32)}, "NaN"),
        ({"camera_from_voxel": np.zeros((4, 4))}, "cannot be inverted"),
        ({"camera_from_voxel": np.eye(3)}, "expected \\(4, 4\\)"),
        ({"image_from_camera": np.zeros((3, 3))}, "invertible 3x3"),
        ({"shape_px": (0, 5)}, "expected \\(rows, columns\\)"),
        ({"box": ((0, 0, 0), (9, 1, 1))}, "inside the grid"),
    ],
)
def test_bad_input_is_one_clear_line(change, words):
    call = {
        "values": np.ones((1, 4, 4, 4), np.float32),
        "image_from_camera": film(6, 6),
        "camera_from_voxel": centred_pose((4, 4, 4), 1.0),
        "shape_px": (6, 6),
    }
    with pytest.raises(InputError, match=words) as caught:
        project(**{**call, **change})
    assert "\n" not in str(caught.value)


def test_an_empty_volume_casts_no_shadow():
    image = project(prepare(np.zeros((2, 5, 5, 5))), film(6, 6), centred_pose((5, 5, 5), 1.0), (6, 6))
    assert image.shape == (2, 6, 6)
    assert (image == 0).all()
