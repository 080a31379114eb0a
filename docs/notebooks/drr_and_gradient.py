# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# # A DRR and its gradient
#
# A DRR (digitally reconstructed radiograph) is the line integral of a volume along the ray of each pixel. bonelift
# projects with fast kernels on the processor and gives the derivative with respect to the pose, so a pose can be
# found by following it.

# %%
import numpy as np

import bonelift

# %% [markdown]
# ## A volume with a known answer
#
# A block of 8 x 8 x 20 mm with an attenuation of 0.05 per mm. Seen along its long side, the line integral is 20 x
# 0.05 = 1.

# %%
values = np.zeros((24, 20, 30), dtype=np.float32)
values[8:16, 6:14, 5:25] = 0.05
world_from_voxel = np.eye(4)
world_from_voxel[:3, 3] = [-11.5, -9.5, -14.5]  # the world's origin is the middle of the block
block = bonelift.Volume(values, world_from_voxel)
camera = bonelift.film_camera(96, 96, pixel_spacing_mm=0.5, sdd_mm=1000.0)
camera_from_world = np.eye(4)
camera_from_world[:3, 3] = [0.0, 0.0, 950.0]  # 950 mm from the source, 50 mm in front of the detector
drr = bonelift.project(block, camera, camera_from_world)
print(drr.shape, drr.max())
assert abs(drr.max() - 1.0) < 0.02

# %% [markdown]
# For a CT, `bonelift.attenuation(ct, labels)` turns HU into attenuation per mm, of the two bones alone where labels
# are given.
#
# ## The gradient against a finite difference
#
# `project_with_gradient` gives, for each pixel, the derivative with respect to six numbers of a small motion in the
# camera's frame: three turns about the source (rad), then three shifts (mm). Number 3 is the shift along x.

# %%
camera_from_world[:3, :3] = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]  # not along the grid
image, gradient = bonelift.project_with_gradient(block, camera, camera_from_world)
step = 0.05
moved = [camera_from_world.copy() for _ in range(2)]
moved[0][0, 3] += step
moved[1][0, 3] -= step
finite = (bonelift.project(block, camera, moved[0]) - bonelift.project(block, camera, moved[1])) / (2 * step)
along_x = gradient[..., 3]
print(f"largest derivative {np.abs(along_x).max():.3f} per mm, difference {np.abs(along_x - finite).max():.4f}")
assert np.corrcoef(finite.ravel(), along_x.ravel())[0, 1] > 0.99

# %% [markdown]
# ## Follow the gradient to a pose
#
# The block was 2 mm further right. A few steps of Gauss-Newton find it.

# %%
target_pose = camera_from_world.copy()
target_pose[0, 3] += 2.0
target = bonelift.project(block, camera, target_pose)
x = 0.0
for _ in range(8):
    pose = camera_from_world.copy()
    pose[0, 3] += x
    image, gradient = bonelift.project_with_gradient(block, camera, pose)
    slope = gradient[..., 3]
    x += float((slope * (target - image)).sum() / (slope**2).sum())
    print(f"{x:.3f} mm")
assert abs(x - 2.0) < 0.05

# %% [markdown]
# In torch, `bonelift.project_torch` is an operation with gradients to voxels and pose, on any device.
# `bonelift.register` does this search for the bones of a CT, from several starts, and says how far to trust the
# answer: see the next notebook.
