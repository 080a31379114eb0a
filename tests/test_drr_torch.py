"""The torch front: the same images and derivatives by both of its paths."""

import numpy as np
import pytest
import torch

from bonelift.drr import project
from bonelift.drr.torch_drr import project_by_sampling, project_torch
from bonelift.errors import InputError
from bonelift.geometry import rigid_from_vector
from drr_scenes import centred_pose, film, smooth_volume

SHAPE_PX = (24, 28)
ROTATIONS = [(0.1, 0.2, 0.3), (1.4, 0.3, 0.1), (0.2, 1.5, 0.0), (0.785, 0.01, 0.02)]


def scene(device="cpu"):
    rng = np.random.default_rng(4)
    values = torch.from_numpy(smooth_volume(rng, (22, 18, 20), channels=2)).to(device)
    values[:, 0, 5:9] += 1.0  # something at a face, where both fade to zero over one voxel
    camera = torch.from_numpy(film(*SHAPE_PX, 2.0)).to(device)  # pyright: ignore[reportCallIssue]
    poses = np.stack([centred_pose((22, 18, 20), (1.5, 2.0, 1.7), rotation) for rotation in ROTATIONS])
    return values, camera, torch.from_numpy(poses).to(device)


def test_sampling_agrees_with_the_compiled_kernels():
    values, camera, poses = scene()
    images = project_by_sampling(values, camera, poses, SHAPE_PX)
    expected = project(values.numpy(), camera.numpy(), poses.numpy(), SHAPE_PX)
    # float32 coordinates on a grid of 22 voxels: 1e-6 of a voxel.
    np.testing.assert_allclose(images.numpy(), expected, atol=1e-5 * np.abs(expected).max())


def test_derivatives_of_both_paths_agree():
    values, camera, poses = scene()
    weights = torch.from_numpy(np.random.default_rng(1).standard_normal((4, 2, *SHAPE_PX)).astype(np.float32))
    found = []
    for path in ("compiled", "sampling"):
        leaf, twist = values.clone().requires_grad_(), torch.zeros(4, 6, requires_grad=True)
        if path == "compiled":
            images = project_torch(leaf, camera, poses, SHAPE_PX, twist)
        else:
            from bonelift.drr.torch_drr import _matrix_from_twist

            images = project_by_sampling(leaf, camera, _matrix_from_twist(twist).double() @ poses, SHAPE_PX)
        (images * weights).sum().backward()
        found.append((leaf.grad, twist.grad))
    for compiled, sampled in zip(*found, strict=True):
        assert compiled is not None and sampled is not None  # noqa: PT018
        np.testing.assert_allclose(compiled.numpy(), sampled.numpy(), atol=2e-4 * float(sampled.abs().max()))


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
def test_the_gpu_agrees_with_the_cpu():
    on_gpu = project_torch(*scene("cuda"), SHAPE_PX).cpu().numpy()
    on_cpu = project_torch(*scene(), SHAPE_PX).numpy()
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4 * np.abs(on_cpu).max())
