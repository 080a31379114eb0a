"""The fourth input of Shiode et al. 2021: the segmented radiograph with the histogram of a DRR, and no network.

Grey levels of a film rise with the line integral but not in proportion to it, and soft tissue lies over the bone.
Matching the histogram inside the bones' outline undoes the first and leaves the second: it shows what pix2pix adds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.exposure import match_histograms

from bonelift.errors import InputError


def match_to_drr(film_pixels: ArrayLike, mask: ArrayLike, reference_drr: ArrayLike) -> NDArray[np.float32]:
    """The film inside ``mask`` with the grey-level distribution of the bones in ``reference_drr``; 0 outside.

    film_pixels: (rows, columns), finite, bone bright, any scale. mask: (rows, columns), non-zero on radius and ulna.
    reference_drr: dimensionless line integrals of bone alone, 0 where there is none; any shape: the patient's own
        registration-DRR as in the paper, or a stack of those of other patients. Only its values above 0 count.
    Returns (rows, columns) float32 line integrals: the order of the film's grey levels is kept, their quantiles are
    those of the reference. Source: Shiode et al. 2021, Methods (experiment 3); by scikit-image's match_histograms.

    Raises InputError: shapes differ, an empty mask, a reference without bone, values that are not finite.
    """
    film = np.asarray(film_pixels, dtype=np.float64)
    inside = np.asarray(mask) != 0
    reference = np.asarray(reference_drr, dtype=np.float64)
    if film.ndim != 2 or inside.shape != film.shape:
        raise InputError(
            f"histogram matching: film {film.shape} and mask {inside.shape}; expected one 2D shape for both"
        )
    if not (np.isfinite(film).all() and np.isfinite(reference).all()):
        raise InputError("histogram matching: film or reference DRR holds NaN or infinity; expected finite values")
    bone = reference[reference > 0]
    if not inside.any() or bone.size == 0:
        what = "the mask is empty" if not inside.any() else "the reference DRR shows no bone (no value above 0)"
        raise InputError(f"histogram matching: {what}; segment radius and ulna on both images first")
    matched = np.zeros(film.shape, dtype=np.float32)
    matched[inside] = match_histograms(film[inside], bone)
    return matched
