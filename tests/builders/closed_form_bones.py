"""A radius and an ulna of closed form, in the radius frame: what a measurement must find is known by construction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

TIP, VOLAR, DORSAL = np.array([-14.0, 1, 12]), np.array([11.0, 5, 1.4]), np.array([11.0, -6, -1])
RIM_VOLAR, RIM_DORSAL = np.array([-2.0, 9, 0.5]), np.array([-1.0, -9, 3])
REFERENCE_Z = (1.4 - 1) / 2
HEAD, STYLOID_TIP = np.array([20.0, -3]), np.array([27.0, -3, 4.0])
TOP_Z, HEAD_RADIUS, OFF_AXIS_MM, BUMP_MM = 1.5, 8.0, 3.0, 4.0


def lofted(outlines: Float, heights: Float) -> TriangleMesh:
    """Closed mesh through ``outlines`` (L, N, 2), counter-clockwise, at ``heights`` (L,) from low to high."""
    levels, count, _ = outlines.shape
    rings = np.concatenate([outlines, np.broadcast_to(heights[:, None, None], (levels, count, 1))], axis=2)
    caps = rings[[0, -1]].mean(axis=1)
    here, after = np.arange(count), (np.arange(count) + 1) % count
    faces = []
    for level in range(levels - 1):
        a, b = level * count, (level + 1) * count
        faces += [np.column_stack([a + here, a + after, b + after]), np.column_stack([a + here, b + after, b + here])]
    low, high = levels * count, levels * count + 1
    top = (levels - 1) * count
    faces += [np.column_stack([after, here, np.full(count, low)])]
    faces += [np.column_stack([top + here, top + after, np.full(count, high)])]
    return TriangleMesh(np.concatenate([rings.reshape(-1, 3), caps]), np.concatenate(faces).astype(np.int32))


ANGLES = np.deg2rad(np.arange(0, 360, 2.0))
ROUND = np.column_stack([np.cos(ANGLES), np.sin(ANGLES)])


def ulna(half_axes: tuple[float, float] = (HEAD_RADIUS, HEAD_RADIUS)) -> TriangleMesh:
    """A head about HEAD, bulging towards the styloid as no circle does, on a shaft OFF_AXIS_MM beside it."""
    bump = BUMP_MM * np.cos(np.clip(ANGLES - np.where(np.pi < ANGLES, 2 * np.pi, 0), -0.7, 0.7) * np.pi / 1.4) ** 2
    head = ROUND * np.array(half_axes) + bump[:, None] * ROUND + HEAD
    shaft = 6 * ROUND + HEAD - [0, OFF_AXIS_MM]
    top = HEAD + 0.7 * (head - HEAD)
    return lofted(np.stack([shaft, shaft, head, head, top]), np.array([-80.0, -20, -15, TOP_Z - 1, TOP_Z]))


def notched_radius(depth_of_the_cut_mm: float = 3.5, grooved: bool = False) -> TriangleMesh:
    """A block whose side towards the ulna is hollowed along a chord of 10 mm: by a circle of 9 mm at the height where
    the notch is measured, and of 0.75 mm more a mm above. grooved: with a hollow beside it on the dorsal side, along a
    chord of 14 mm that also faces the ulna, as tendons lie in."""
    heights = np.arange(-20.0, 3, 0.5)
    outlines = []
    for height in heights:
        size = max(9 + 0.75 * (height - (REFERENCE_Z - depth_of_the_cut_mm)), 5.5)
        half = np.arcsin(5 / size)
        turn = np.linspace(half, -half, 25)
        middle = 11 + np.sqrt(size**2 - 25)
        arc = np.column_stack([middle - size * np.cos(turn), -size * np.sin(turn)])
        dorsal = [[2, -16.0], [4.5, -9.5]] if grooved else [[8, -9.0]]
        outlines.append(np.concatenate([dorsal, arc, [[8, 9.0], [-14, 9], [-14, -16 if grooved else -9]]]))
    return lofted(np.array(outlines), heights)


def flared_radius() -> TriangleMesh:
    """Open palmar and dorsal faces: flat along the shaft, and from z = -18 on flaring by 0.3 + 0.02 x mm a mm."""
    x, z = np.meshgrid(np.arange(-16.0, 14), np.arange(-44.25, 0, 0.5), indexing="ij")
    palmar = 8 + np.clip(z + 18, 0, None) * (0.3 + 0.02 * x)
    index = np.arange(x.size).reshape(x.shape)
    a, b, c, d = index[:-1, :-1].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel(), index[:-1, 1:].ravel()
    sheet = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    points = [np.column_stack([x.ravel(), y.ravel(), z.ravel()]) for y in (palmar, np.full(x.shape, -8.0))]
    return TriangleMesh(np.concatenate(points), np.concatenate([sheet, sheet[:, ::-1] + x.size]).astype(np.int32))


MARKS = {
    "radial_styloid_tip": TIP, "sigmoid_notch_volar": VOLAR, "sigmoid_notch_dorsal": DORSAL,
    "volar_rim": RIM_VOLAR, "dorsal_rim": RIM_DORSAL, "ulnar_styloid_tip": STYLOID_TIP,
}  # fmt: skip
