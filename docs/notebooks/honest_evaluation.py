# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# # Honest evaluation
#
# Four habits make a number worth believing: no patient on both sides of a split, the mean bone beside every result,
# the alignment said, and every case counted. This notebook breaks each habit on purpose and shows what happens.

# %%
import numpy as np

import bonelift

patients = [bonelift.virtual_patient(seed, voxel_mm=3.0, whole_hand=False) for seed in range(4)]
radii = [patient.bones["radius"] for patient in patients]
mean_bone = bonelift.demo_case().mean_bone["radius"]  # of the whole population, which knows none of them


def distance_mm(predicted: bonelift.TriangleMesh, truth: bonelift.TriangleMesh, align: str = "rigid") -> float:
    """Mean distance between the surfaces."""
    return bonelift.compare_surfaces(predicted, truth, align=align).asd_surface_mm


def width_mm(bone: bonelift.TriangleMesh) -> float:
    """How wide the bone is: all that our toy method will know of a patient."""
    return float(np.ptp(bone.vertices[:, 0]))


# %% [markdown]
# ## A toy method
#
# It looks at the width of a bone and gives back the training bone whose width is nearest. It learns nothing about
# shape.


# %%
def nearest_by_width(training: list[bonelift.TriangleMesh], seen_width_mm: float) -> bonelift.TriangleMesh:
    return min(training, key=lambda bone: abs(width_mm(bone) - seen_width_mm))


# %% [markdown]
# ## Habit 1: no patient on both sides
#
# Each patient was scanned twice (a second scan is the same bone). If scans are divided and not patients, the second
# scan of a tested patient is in the training data, and the method that knows nothing looks perfect.

# %%
tested = range(2)
leaky, honest = [], []
for number in tested:
    others = [radius for other, radius in enumerate(radii) if other != number]
    with_second_scan = nearest_by_width([*others, radii[number]], width_mm(radii[number]))
    leaky.append(0.0 if with_second_scan is radii[number] else distance_mm(with_second_scan, radii[number]))
    honest.append(distance_mm(nearest_by_width(others, width_mm(radii[number])), radii[number]))
print(f"scans divided: {np.mean(leaky):.2f} mm; patients divided: {np.mean(honest):.2f} mm")
assert np.mean(leaky) < 0.05 < np.mean(honest)

# %% [markdown]
# ## Habit 2: the mean bone beside it
#
# An error below a millimetre sounds good. The mean bone, which is the same for everybody, reaches that as well. Skill
# is 1 - error / error of the mean bone: 0 means that nothing was read from the patient.

# %%
no_skill = [distance_mm(mean_bone, radii[number]) for number in tested]
skill = 1 - np.mean(honest) / np.mean(no_skill)
print(f"toy method {np.mean(honest):.2f} mm, mean bone {np.mean(no_skill):.2f} mm, skill {100 * skill:.0f} %")

# %% [markdown]
# ## Habit 3: say the alignment
#
# After rigid alignment only shape counts. As predicted, the place in the radius frame counts too. The two are
# different questions, and the same result has two numbers.

# %%
case = bonelift.demo_case()
as_predicted = distance_mm(mean_bone, case.truth["radius"], align="none")
rigid = distance_mm(mean_bone, case.truth["radius"])
print(f"mean bone on the demo's patient: as predicted {as_predicted:.2f} mm, rigid {rigid:.2f} mm")
assert rigid < as_predicted

# %% [markdown]
# ## Habit 4: count every case
#
# A method that gives up on the hard cases looks better on the rest. So a failure is a row of its own, and is never
# dropped.

# %%
errors = {number: value for number, value in zip(tested, honest, strict=True) if value < np.max(honest)}
easy = np.mean(list(errors.values()))
print(f"{len(errors)} of {len(tested)} cases: {easy:.2f} mm; all cases: {np.mean(honest):.2f} mm")
assert easy < np.mean(honest)

# %% [markdown]
# ## Your method in `evaluate`
#
# `bonelift.evaluate` keeps these habits for you: folds by patient in a file, the mean bone of the training patients
# in every table, both alignments, and failed rows listed. A method of your own becomes a scored row beside ours. It
# learns from each fold's training patients, and predicts for patients whom it never saw.


# %%
class MeanLabels:
    """Predicts the mean of the training patients' labels, whatever the film shows."""

    name = "mean-of-labels"
    inputs = ("film",)

    def learn(self, fold: bonelift.TrainingFold):
        mean = np.mean([case.load().labels for case in fold.training], axis=0)
        bones = bonelift.bones_from_labels(mean, fold.grid)
        return lambda images: bones


# %% [markdown]
# On a study of eight patients or more (see the notebook before this one), which takes a while:
#
# ```text
# outcome = bonelift.evaluate("study", "runs/mine", preset="laptop", methods=[MeanLabels()])
# print(outcome.report)
# ```
