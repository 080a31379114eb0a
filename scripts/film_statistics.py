"""Numbers that describe the look of a wrist film: grey levels, power spectrum, edges and contrast of the cortex.

Everything is measured on films cut along the bone and brought to FINE_SPACING_MM at the wrist, grey levels 0 and 1 at
the percentiles of ``normalise_film``: as a network sees them, at half its pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.film.sampling import sample
from bonelift.film.standard import FILM_SHAPE, FILM_SPACING_MM, film_from_landmarks, normalise_film
from bonelift.images.radiograph import Radiograph

Float = NDArray[np.float64]

FINER = 2
FINE_SPACING_MM = FILM_SPACING_MM / FINER
OCTAVES_PER_MM = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)
"""Edges of the bands of the spectrum, cycles per mm; the last is the Nyquist frequency of a fine film."""
SHAFT_MM = (12.0, 42.0)
"""Edges are measured this far proximal of the joint, where both walls of the radius stand free."""
PROFILE_MM = 4.0
PROFILE_STEP_MM = 0.125
SNAP_MM = 0.75
RUN_MM = 4.0
"""Profiles are averaged over runs of this length along the outline, so that noise does not set their width."""
CLEAR_MM = 5.0
"""Points of the radius nearer than this to the ulna's outline are left out."""


@dataclass(frozen=True, eq=False)
class FineFilm:
    """pixels: (320, 256) float32 of FINE_SPACING_MM; recorded: where the film lies inside the recorded image.
    radius, ulna: (N, 2) outlines as (column, row) of it, NaN where nothing is seen or known; None where not drawn."""

    pixels: NDArray[np.float32]
    recorded: NDArray[np.bool_]
    radius: Float | None = None
    ulna: Float | None = None


def fine_film(
    radiograph: Radiograph,
    origin_px: Sequence[float] | Float,
    proximal_px: Sequence[float] | Float,
    outlines_px: tuple[Float, Float] | None = None,
) -> FineFilm:
    """Cut as a standard film is. outlines_px: of radius and ulna in the radiograph."""
    film = film_from_landmarks(radiograph, origin_px, proximal_px)
    fine_from_film = np.array([[FINER, 0, (FINER - 1) / 2], [0, FINER, (FINER - 1) / 2], [0, 0, 1.0]])
    fine_from_image = fine_from_film @ film.film_from_image
    shape = (FINER * FILM_SHAPE[0], FINER * FILM_SHAPE[1])
    whole = np.asarray(radiograph.pixels, dtype=np.float64)
    pixels, recorded = sample(whole, np.linalg.inv(fine_from_image), shape)
    lines = [None, None]
    if outlines_px is not None:
        lines = [line @ fine_from_image[:2, :2].T + fine_from_image[:2, 2] for line in outlines_px]
    return FineFilm(normalise_film(pixels, recorded), recorded, *lines)


def film_statistics(film: FineFilm) -> dict[str, float]:
    """Every statistic by name; those of the cortex are NaN where no outline is known or fewer than three runs are."""
    return {**grey_levels(film), **spectrum(film), **noise(film), **cortex(film)}


def grey_levels(film: FineFilm) -> dict[str, float]:
    inside = film.pixels[film.recorded]
    levels = {f"grey level, percentile {p}": float(np.percentile(inside, p)) for p in (5, 25, 50, 75, 95)}
    return levels | {"share of the film that is black (below 0.02)": float((inside < 0.02).mean())}


def spectrum(film: FineFilm) -> dict[str, float]:
    """log10 of the mean power density (mm^2) in each octave, Hann window, mean taken out."""
    window = np.outer(*(np.hanning(n) for n in film.pixels.shape))
    values = film.pixels - np.average(film.pixels, weights=window)
    power = np.abs(np.fft.fft2(values * window)) ** 2 * FINE_SPACING_MM**2 / (window**2).sum()
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, FINE_SPACING_MM) for n in power.shape), indexing="ij"))
    bands = {}
    for low, high in pairwise(OCTAVES_PER_MM):
        inside = (frequency >= low) & (frequency < high)
        bands[f"spectrum {low:g} to {high:g} per mm, log10"] = float(np.log10(max(power[inside].mean(), 1e-12)))
    return bands


def noise(film: FineFilm) -> dict[str, float]:
    """Immerkaer 1996: a mask that cancels planes and quadratics; median for robustness. Holds fine texture, too."""
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    residual = ndimage.convolve(film.pixels.astype(float), mask)[film.recorded]
    return {"noise and finest texture": float(np.median(np.abs(residual)) / 0.6745 / 6)}


CORTEX = (
    "edge of the cortex, 10 to 90 %, mm",
    "step from soft tissue to cortex, grey level",
    "cortex over the middle of the shaft, grey level",
    "dark halo outside of the cortex, grey level",
)


def cortex(film: FineFilm) -> dict[str, float]:
    """Medians over runs along the free walls of the radius; see :func:`run_statistics`."""
    runs = [run_statistics(profile) for profile in wall_profiles(film)]
    known = [run for run in runs if run is not None]
    if len(known) < 3:
        return dict.fromkeys(CORTEX, float("nan"))
    middle = np.median(known, axis=0)
    return dict(zip(CORTEX, (float(value) for value in middle), strict=True))


def wall_profiles(film: FineFilm) -> list[Float]:
    """Mean profiles across the radius' outline, outside first, -PROFILE_MM to PROFILE_MM, one for each run."""
    if film.radius is None or film.ulna is None:
        return []
    origin_row = FINER * 60.0
    depth_mm = (film.radius[:, 1] - origin_row) * FINE_SPACING_MM
    use = np.isfinite(film.radius).all(axis=1) & (depth_mm > SHAFT_MM[0]) & (depth_mm < SHAFT_MM[1])
    other = film.ulna[np.isfinite(film.ulna).all(axis=1)]
    offset = np.linalg.norm(film.radius[:, None] - other[None], axis=2)
    use &= np.where(np.isfinite(offset), offset, np.inf).min(axis=1) * FINE_SPACING_MM > CLEAR_MM
    middle = np.nanmean(film.radius[use], axis=0) if use.any() else np.zeros(2)
    profiles = []
    for side in (-1, 1):
        points = film.radius[use & (np.sign(film.radius[:, 0] - middle[0]) == side)]
        points = points[np.argsort(points[:, 1])]
        if len(points) < 2:
            continue
        profiles += _runs(film, points, np.array([float(side), 0.0]))
    return profiles


def _runs(film: FineFilm, points: Float, outward: Float) -> list[Float]:
    """Profiles of one wall: resampled every half pixel along it, aligned to its steepest fall, averaged over runs."""
    rows = np.arange(points[0, 1], points[-1, 1], 0.5)
    columns = np.interp(rows, points[:, 1], points[:, 0])
    columns = ndimage.gaussian_filter1d(columns, 4.0, mode="nearest")
    tangent = np.gradient(columns, rows)
    normal = np.column_stack([np.ones_like(rows), -tangent]) / np.sqrt(1 + tangent**2)[:, None] * outward[0]
    reach = PROFILE_MM + SNAP_MM
    steps = np.arange(reach, -reach - 1e-9, -PROFILE_STEP_MM) / FINE_SPACING_MM
    places = np.column_stack([columns, rows])[:, None] + steps[None, :, None] * normal[:, None]
    seen = ndimage.map_coordinates(film.pixels, [places[..., 1], places[..., 0]], order=1, mode="nearest")
    inside = (places >= 0).all(axis=2) & (places <= np.array(film.pixels.shape[::-1]) - 1).all(axis=2)
    length = max(int(RUN_MM / FINE_SPACING_MM / 0.5), 1)
    most, profiles = round(SNAP_MM / PROFILE_STEP_MM), []
    for start in range(0, len(rows) - length + 1, length):
        if not inside[start : start + length].all():
            continue
        mean = seen[start : start + length].mean(axis=0)
        rise = np.gradient(ndimage.gaussian_filter1d(mean, 1.5))
        centre = len(mean) // 2
        shift = int(np.argmax(rise[centre - most : centre + most + 1])) - most
        profiles.append(mean[most + shift : len(mean) - most + shift])
    return profiles


def run_statistics(profile: Float) -> tuple[float, float, float, float] | None:
    """Edge width (mm), step, cortex over shaft, halo of one mean profile; None where no edge stands out.

    The wall's level is the largest within 2.5 mm inside of the edge, the shaft's the mean from 3 to 4 mm inside,
    the soft tissue's the mean from 2.5 to 4 mm outside. The edge runs from the darkest place within 1.5 mm outside to
    the wall's level. The halo is by how much that place is darker than the soft tissue.
    """
    along = np.arange(len(profile)) * PROFILE_STEP_MM - PROFILE_MM  # negative outside
    near = (along >= -1.5) & (along <= 2.5)
    peak_at = int(np.argmax(np.where((along >= 0) & (along <= 2.5), profile, -np.inf)))
    low_at = int(np.argmin(np.where((along >= -1.5) & (along <= 0), profile, np.inf)))
    peak, low = profile[peak_at], profile[low_at]
    soft = float(profile[along <= -2.5].mean())
    if peak - low < 0.03 or not near.any():
        return None
    rise = (profile[low_at : peak_at + 1] - low) / (peak - low)
    start = np.interp(0.1, np.maximum.accumulate(rise), along[low_at : peak_at + 1])
    end = np.interp(0.9, np.maximum.accumulate(rise), along[low_at : peak_at + 1])
    return float(end - start), float(peak - soft), float(peak - profile[along >= 3.0].mean()), float(soft - low)
