# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# # A virtual cohort and a trained model
#
# A study folder holds the CTs, labels, landmarks and films of many wrists. A virtual cohort looks just like a
# hospital's own data, and everything that follows is the same for both.

# %%
from pathlib import Path

import bonelift

study = Path("study")
bonelift.simulate(study, 3, seed=1)
for case in bonelift.read_study(study).cases:
    print(case.case, case.patient, case.side, case.ct, len(case.radiographs), "film")

# %% [markdown]
# The call can be interrupted and goes on when it is made again. Your own data come in with `bonelift import` instead:
# see the guide for a lab.
#
# ## Train
#
# The preset `smoke` is for seeing that everything fits together. It takes seconds, and what it makes is useless: its
# bones are empty or wrong. The preset `laptop` takes hours. `target` names one network; without it all are trained,
# in order.

# %%
outcome = bonelift.train(study, "run", preset="smoke", target="pix2pix")
print(outcome)

# %% [markdown]
# One patient of the three validates and trains nothing. Patients are divided, never wrists or films: `run/split.json`
# says who is where.

# %%
print(Path("run/split.json").read_text()[:400])

# %% [markdown]
# When locator, pix2pix and tl are there, `run/model` is a model folder: `bonelift.load_model("run/model")` reads it,
# and `bonelift.reconstruct(film, model=...)` uses it.
