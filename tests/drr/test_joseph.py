"""Line integrals against closed forms."""

from functools import partial

import numpy as np
import pytest

from bonelift.drr import prepare, project
from bonelift.errors import InputError
from builders.drr_scenes import centred_pose, film, radial_distance


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


def test_a_crop_or_a_mirrored_image_is_the_same_xray():
    rng = np.random.default_rng(7)
    values = rng.random((1, 14, 12, 16), dtype=np.float32)
    camera, pose = film(40, 36, 1.0), centred_pose((14, 12, 16), 1.8, (0.5, 0.2, -0.4))
    image = project(values, camera, pose, (40, 36))[0]

    def seen_through(new_from_image, shape_px):
        return project(values, np.asarray(new_from_image, float) @ camera, pose, shape_px)[0]

    # The same rays in another order of pixels; positions are rounded to 2**-20 voxel, weights in float32.
    same = partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-5)
    crop = seen_through([[1, 0, -7], [0, 1, -11], [0, 0, 1]], (20, 18))
    same(crop, image[11:31, 7:25])
    mirrored = seen_through([[-1, 0, 35], [0, 1, 0], [0, 0, 1]], (40, 36))
    same(mirrored, image[:, ::-1])
    turned = seen_through([[0, 1, 0], [-1, 0, 35], [0, 0, 1]], (36, 40))
    same(turned, np.rot90(image))
    # A homography has no scale and no sign.
    same(seen_through(-3.0 * np.eye(3), (40, 36)), image)
    # A mirrored world seen by a mirrored camera: what a left wrist goes through.
    flip = np.diag([-1.0, 1, 1, 1])
    same(project(values, camera @ flip[:3, :3], flip @ pose, (40, 36))[0], image)


def test_what_is_skipped_was_empty():
    rng = np.random.default_rng(9)
    for rotation in rng.uniform(-3, 3, (12, 3)):
        shape = tuple(rng.integers(5, 40, 3))
        sparse = (rng.random((1, *shape)) * (rng.random((1, *shape)) < 0.002)).astype(np.float32)
        pose = centred_pose(shape, rng.uniform(0.5, 1.5, 3), rotation)
        image = project(sparse, film(48, 44, 0.8), pose, (48, 44))
        # One speck too small to count marks every block as occupied, so that nothing is skipped.
        everywhere = project(sparse + np.float32(1e-30), film(48, 44, 0.8), pose, (48, 44))
        np.testing.assert_allclose(image, everywhere, rtol=1e-5, atol=1e-6)


def test_threads_do_not_change_a_pixel():
    values = np.random.default_rng(2).random((1, 20, 20, 20), dtype=np.float32)
    call = (film(50, 50), centred_pose((20, 20, 20), 1.0, (0.4, 0.1, 0.9)), (50, 50))
    np.testing.assert_array_equal(project(values, *call, threads=3), project(values, *call))


def test_a_box_hides_what_lies_outside():
    values = np.random.default_rng(2).random((1, 20, 22, 24), dtype=np.float32)
    box = ((3, 5, 7), (14, 11, 20))
    inside = np.zeros_like(values)
    inside[:, 3:14, 5:11, 7:20] = values[:, 3:14, 5:11, 7:20]
    call = (film(50, 50), centred_pose((20, 22, 24), 1.0, (0.4, 0.1, 0.9)), (50, 50))
    np.testing.assert_allclose(project(values, *call, box=box), project(inside, *call), rtol=1e-5, atol=1e-5)


def test_only_what_lies_in_front_of_the_source_counts():
    values = np.ones((1, 41, 41, 41), np.float32)
    pose = centred_pose((41, 41, 41), 1.0, depth_mm=0.25)
    # From the centre along k: slices at 0.25, 1.25, ... 20.25 mm, one mm each.
    assert project(values, film(1, 1), pose, (1, 1))[0, 0, 0] == pytest.approx(21.0)
    behind = centred_pose((41, 41, 41), 1.0, depth_mm=-100.0)
    assert (project(values, film(30, 30), behind, (30, 30)) == 0).all()


def test_a_wide_fan_marches_along_all_three_axes():
    ball = np.clip(10.5 - radial_distance((31, 31, 31), (1.0, 1.0, 1.0)), 0, 1).astype(np.float32)
    # A source 30 mm from the centre looks along the diagonal: no axis is longest for all rays.
    pose = centred_pose((31, 31, 31), 1.0, (0.6, -0.6, 0.2), depth_mm=30.0)
    camera = np.array([[20.0, 0, 20], [0, 20.0, 20], [0, 0, 1]])
    image = project(ball[None], camera, pose, (41, 41))[0]
    rows, columns = np.mgrid[:41, :41]
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(camera).T
    miss_mm = 30.0 * np.linalg.norm(rays[..., :2], axis=-1) / np.linalg.norm(rays, axis=-1)
    inside = miss_mm < 8.0
    # The rim is a ramp of one voxel around 10 mm: each of its two kinks shifts a crossing by at most 1/8 voxel.
    chord_mm = 2 * np.sqrt(10.0**2 - miss_mm[inside] ** 2)
    assert np.abs(image[inside] - chord_mm).max() < 2 * 0.125 / 0.6
