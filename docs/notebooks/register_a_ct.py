# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# # Register a CT
#
# Where did the bones of a CT stand when a radiograph was taken? A virtual patient knows the answer, so that the
# result can be checked.

# %%
import numpy as np

import bonelift

patient = bonelift.virtual_patient(7, voxel_mm=1.0, whole_hand=False)
ct, labels = bonelift.virtual_ct(patient)
film = bonelift.virtual_radiograph(patient)
print(ct.values.shape, ct.spacing_mm, film.radiograph.pixels.shape)

# %% [markdown]
# A real CT is read with `bonelift.read_volume("ct-folder")` and `bonelift.read_labels("bones.seg.nrrd")`.
#
# ## From a rough start
#
# Without `start`, the packaged locator finds the wrist in the film and gives a start itself. Here a start is given, 2
# to 5 mm and 3 degrees off, as a person would place it.

# %%
turn = np.deg2rad(3.0)
start = film.camera_from_patient.copy()
start[:3, :3] = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]) @ start[:3, :3]
start[:3, 3] += [2.0, -1.0, 5.0]
(found,) = bonelift.register(ct, labels, film.radiograph, start=start)
print(found.bones, found.verdict, found.reason, f"trust {found.trust:.2f}")

# %% [markdown]
# ## Against the truth
#
# An error of a pose means little as six numbers. What counts is where it puts the bone: here the tip of the radial
# styloid, in the plane of the film and in depth. Depth is always the weak direction of one film.

# %%
styloid = np.append(patient.landmarks["radial_styloid_tip"], 1.0)
apart = ((found.camera_from_ct - film.camera_from_patient) @ styloid)[:3]
print(f"in the plane {np.hypot(*apart[:2]):.2f} mm, in depth {abs(apart[2]):.2f} mm")
assert found.verdict == "ok"
assert np.hypot(*apart[:2]) < 1.0

# %% [markdown]
# ## When not to trust it
#
# A start that is hopeless comes back with a verdict, not with a pose that looks good. Read `verdict` and `reason`,
# and look at the overlay that the command `bonelift register` writes.

# %%
far = film.camera_from_patient.copy()
far[:3, 3] += [60.0, 0.0, 0.0]
(lost,) = bonelift.register(ct, labels, film.radiograph, start=far)
print(lost.verdict, "-", lost.reason)
