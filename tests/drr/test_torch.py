"""The torch front: the same images and derivatives by both of its paths."""

import numpy as np
import pytest
import torch

from bonelift.drr import project, torch_drr
from bonelift.drr.torch_drr import project_torch
from bonelift.errors import InputError
from bonelift.geometry import rigid_from_vector
from builders.drr_scenes import centred_pose, film, smooth_volume

SHAPE_PX = (24, 28)
ROTATIONS = [(0.1, 0.2, 0.3), (1.4, 0.3, 0.1), (0.2, 1.5, 0.0), (0.785, 0.01, 0.02)]


def scene(device="cpu"):
    rng = np.random.default_rng(4)
    values = torch.from_numpy(smooth_volume(rng, (22, 18, 20), channels=2)).to(device)
    values[:, 0, 5:9] += 1.0  # something at a face, where both fade to zero over one voxel
    camera = torch.from_numpy(film(*SHAPE_PX, 2.0)).to(device)  # pyright: ignore[reportCallIssue]
    poses = np.stack([centred_pose((22, 18, 20), (1.5, 2.0, 1.7), rotation) for rotation in ROTATIONS])
    return values, camera, torch.from_numpy(poses).to(device)


RULES = pytest.mark.parametrize("rule", ["joseph", "simpson"])


@RULES
def test_sampling_agrees_with_the_compiled_kernels(rule):
    """The path that runs on a GPU, here on the CPU."""
    values, camera, poses = scene()
    images = project_torch(values, camera, poses, SHAPE_PX, rule=rule, path="sampling")
    expected = project(values.numpy(), camera.numpy(), poses.numpy(), SHAPE_PX, rule=rule)
    # float32 coordinates on a grid of 22 voxels: 1e-6 of a voxel.
    np.testing.assert_allclose(images.numpy(), expected, atol=1e-5 * np.abs(expected).max())


@RULES
def test_derivatives_of_both_paths_agree(rule):
    values, camera, poses = scene()
    weights = torch.from_numpy(np.random.default_rng(1).standard_normal((4, 2, *SHAPE_PX)).astype(np.float32))
    found = []
    for path in ("compiled", "sampling"):
        leaf, twist = values.clone().requires_grad_(), torch.zeros(4, 6, requires_grad=True)
        images = project_torch(leaf, camera, poses, SHAPE_PX, twist, rule, path)
        (images * weights).sum().backward()
        found.append((leaf.grad, twist.grad))
    for compiled, sampled in zip(*found, strict=True):
        assert compiled is not None and sampled is not None  # noqa: PT018
        np.testing.assert_allclose(compiled.numpy(), sampled.numpy(), atol=2e-4 * float(sampled.abs().max()))


def test_only_the_occupied_box_is_sampled_and_slices_come_in_batches(monkeypatch):
    values, camera, poses = scene()
    sparse = torch.zeros_like(values)
    sparse[:, 6:13, 5:9, 8:17] = values[:, 6:13, 5:9, 8:17]
    expected = project(sparse.numpy(), camera.numpy(), poses.numpy(), SHAPE_PX)
    monkeypatch.setattr(torch_drr, "SAMPLES_AT_ONCE", 3 * SHAPE_PX[0] * SHAPE_PX[1])
    for needs_gradient in (False, True):
        leaf = sparse.clone().requires_grad_(needs_gradient)
        images = project_torch(leaf, camera, poses, SHAPE_PX, path="sampling").detach()
        np.testing.assert_allclose(images.numpy(), expected, atol=1e-5 * np.abs(expected).max())
    empty = project_torch(torch.zeros_like(values), camera, poses, SHAPE_PX, path="sampling")
    assert (empty == 0).all()


def test_sampling_takes_any_twist():
    values, camera, poses = scene()
    twist = torch.tensor([[0.02, -0.03, 0.01, 2.0, -1.0, 5.0]]).expand(4, 6)
    images = project_torch(values, camera, poses, SHAPE_PX, twist, path="sampling")
    moved = rigid_from_vector(twist[0].double().numpy()) @ poses.numpy()
    expected = project(values.numpy(), camera.numpy(), moved, SHAPE_PX)
    # The twist is float32: 1e-7 of rotation at 950 mm is 1e-4 mm.
    np.testing.assert_allclose(images.numpy(), expected, atol=5e-4 * np.abs(expected).max())


def test_gradient_descent_on_the_twist_finds_the_pose_back():
    values, camera, poses = scene()
    target = project_torch(values, camera, poses[:1], SHAPE_PX)
    truth = poses[0].numpy()
    guess = rigid_from_vector([0, 0, 0, 0.8, -0.6, 0]) @ truth
    for _ in range(60):
        twist = torch.zeros(1, 6, requires_grad=True)
        loss = ((project_torch(values, camera, torch.from_numpy(guess)[None], SHAPE_PX, twist) - target) ** 2).mean()
        loss.backward()
        assert twist.grad is not None
        step = twist.grad[0].double().numpy() * np.array([0, 0, 0, 1, 1, 0])
        guess = rigid_from_vector(-0.2 * step / max(np.linalg.norm(step), 1.0)) @ guess
    assert np.abs(guess[:2, 3] - truth[:2, 3]).max() < 0.05


def test_wrong_calls_are_refused():
    values, camera, poses = scene()
    with pytest.raises(InputError, match="expected \\(C, I, J, K\\)"):
        project_torch(values[0], camera, poses, SHAPE_PX)
    with pytest.raises(InputError, match="differentiated at 0"):
        project_torch(values, camera, poses, SHAPE_PX, torch.ones(4, 6))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@RULES
def test_the_gpu_agrees_with_the_cpu(rule):
    found = []
    for device in ("cuda", "cpu"):
        values, camera, poses = scene(device)
        leaf, twist = values.clone().requires_grad_(), torch.zeros(4, 6, device=device, requires_grad=True)
        images = project_torch(leaf, camera, poses, SHAPE_PX, twist, rule)
        images.square().sum().backward()
        assert leaf.grad is not None
        assert twist.grad is not None
        found.append([part.detach().cpu().numpy() for part in (images, leaf.grad, twist.grad)])
    for on_gpu, on_cpu in zip(*found, strict=True):
        np.testing.assert_allclose(on_gpu, on_cpu, atol=5e-4 * np.abs(on_cpu).max())
