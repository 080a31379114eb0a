# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# # One film
#
# This notebook reconstructs radius and ulna from one radiograph and holds the result against the truth. The
# radiograph is the packaged one: simulated, of a virtual patient whom no packaged network has seen.

# %%
import bonelift

case = bonelift.demo_case()
film = case.radiograph
print(film.side, film.view, film.pixels.shape, f"{film.spacing_at_wrist_mm:.2f} mm a pixel at the wrist")

# %% [markdown]
# A film of your own is read with `bonelift.read_radiograph("wrist.dcm", side="right", view="pa")`. What the file says
# need not be repeated. What it does not say is an error until you give it: side, view and pixel size are never
# guessed.

# %%
result = bonelift.reconstruct(film)
print(result.verdict)
for flag in result.quality.flags:
    print(flag.severity, "-", flag.text)

# %% [markdown]
# First read the flags. Then look at the outline on the film: in a notebook, the last line `result` of a cell shows
# it. Only then look at numbers.

# %%
for bone, expected in result.expected_error_mm.items():
    print(f"{bone}: expects to lie {expected.rigid_mm:.2f} mm from the true surface, on average")

# %% [markdown]
# Here, and only here, the truth is known. The mean bone of the population stands beside the result: a method that
# does not beat it has read nothing from the film.

# %%
for bone in ("radius", "ulna"):
    ours = bonelift.compare_surfaces(result.bones[bone], case.truth[bone], align="rigid").asd_surface_mm
    mean = bonelift.compare_surfaces(case.mean_bone[bone], case.truth[bone], align="rigid").asd_surface_mm
    print(f"{bone}: {ours:.2f} mm, the mean bone {mean:.2f} mm (after rigid alignment)")
    assert 0 < ours < 1.5

# %% [markdown]
# The clinical measurements on the 3D bones, and the files. The bones are in the patient frame: x to the patient's
# left, y to the back, z to the head.

# %%
for name, measured in bonelift.measure(result.bones, result.side).items():
    print(f"{name:40s} {measured.value:7.1f}")
folder = result.save("one-film")
print(sorted(path.name for path in folder.iterdir()))
