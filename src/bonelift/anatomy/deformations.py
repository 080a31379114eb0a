"""Smooth, anatomically named deformations of the mean bones, all as displacements (V, 3) in mm.

``vertices`` is always the mean bone in the radius frame; displacements add, and are small against the bone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]


def smooth_step(values: Float, low: float, high: float) -> Float:
    """0 below ``low``, 1 above ``high``, a cubic between."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def bump(vertices: Float, centre: ArrayLike, width_mm: float) -> Float:
    """(V,) Gaussian of SD ``width_mm`` about ``centre``."""
    return np.exp(-((vertices - np.asarray(centre)) ** 2).sum(axis=1) / (2 * width_mm**2))


def tilt_joint(vertices: Float, inclination_rad: float, palmar_rad: float) -> Float:
    """Turn the distal joint surface: more radial inclination (styloid up) and more palmar tilt (palmar rim down)."""
    weight = smooth_step(vertices[:, 2], -20.0, -2.0)
    lift = -np.tan(inclination_rad) * (vertices[:, 0] - 4.0) - np.tan(palmar_rad) * vertices[:, 1]
    return np.outer(weight * lift, [0, 0, 1.0])


def widen(vertices: Float, width: float, depth: float, centre: ArrayLike) -> Float:
    """Relative change of width (x) and depth (y) of the metaphysis, about ``centre`` (x, y), fading up the shaft."""
    weight = smooth_step(vertices[:, 2], -45.0, -10.0)
    offset = vertices[:, :2] - np.asarray(centre)
    return np.column_stack([weight * width * offset[:, 0], weight * depth * offset[:, 1], np.zeros(len(vertices))])


def flare_palmar(vertices: Float, angle_rad: float) -> Float:
    """Turn the palmar cortex of the metaphysis outwards (+y) by ``angle_rad`` from z = -18 to -4, constant above."""
    rise = np.tan(angle_rad) * np.clip(vertices[:, 2] + 18.0, 0.0, 14.0)
    return np.outer(rise * smooth_step(vertices[:, 1], -4.0, 6.0), [0, 1.0, 0])


def swell(vertices: Float, centre: ArrayLike, radius_mm: float, relative: float) -> Float:
    """Scale the region within about ``radius_mm`` of ``centre`` by 1 + ``relative`` about it."""
    return relative * bump(vertices, centre, radius_mm)[:, None] * (vertices - np.asarray(centre))


def push(vertices: Float, centre: ArrayLike, width_mm: float, offset_mm: ArrayLike) -> Float:
    """Move the region around ``centre`` by ``offset_mm`` (3,), fading with a Gaussian."""
    return np.outer(bump(vertices, centre, width_mm), np.asarray(offset_mm))


def bow_shaft(vertices: Float, x_mm: float, y_mm: float) -> Float:
    """Bend the shaft: zero at and above z = -15, ``x_mm``, ``y_mm`` at z = -100, quadratic between."""
    reach = np.clip((-15.0 - vertices[:, 2]) / 85.0, 0.0, None) ** 2
    return np.column_stack([x_mm * reach, y_mm * reach, np.zeros(len(vertices))])


def girth(vertices: Float, axis_point: ArrayLike, relative: float) -> Float:
    """Relative change of the shaft's thickness below the metaphysis, about a line along z through ``axis_point``."""
    weight = 1 - smooth_step(vertices[:, 2], -40.0, -15.0)
    offset = vertices[:, :2] - np.asarray(axis_point)[:2]
    return np.column_stack([relative * weight[:, None] * offset, np.zeros(len(vertices))])


def random_field(rng: np.random.Generator, points: Float, length_mm: float, sd_mm: float, waves: int = 120) -> Float:
    """(V, 3) Gaussian random vector field with kernel sd^2 exp(-d^2 / (2 length^2)), by random Fourier features."""
    frequencies = rng.normal(0.0, 1.0 / length_mm, (3, waves))
    phases = rng.uniform(0, 2 * np.pi, waves)
    amplitudes = rng.normal(0.0, sd_mm * np.sqrt(2.0 / waves), (waves, 3))
    angles = (points @ frequencies + phases).astype(np.float32)
    return np.cos(angles).astype(np.float64) @ amplitudes
