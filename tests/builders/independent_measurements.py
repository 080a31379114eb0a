"""The 3D measurements a second time, by other means: sampled surfaces, rays, callipers, geometric circles.

Nothing of bonelift.anatomy.measurements is used; definitions are taken from docs/measurements.md. Landmarks are given.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import ConvexHull

from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


def independent_measurements(radius: TriangleMesh, ulna: TriangleMesh, marks: Mapping[str, Float]) -> dict[str, float]:
    """Field of Measurements -> value."""
    bones = {name: trimesh.Trimesh(mesh.vertices, mesh.faces) for name, mesh in (("r", radius), ("u", ulna))}
    tip, volar, dorsal = (marks[n] for n in ("radial_styloid_tip", "sigmoid_notch_volar", "sigmoid_notch_dorsal"))
    reference = volar + 0.5 * (dorsal - volar)
    styloid = marks["ulnar_styloid_tip"]
    centre = _head_centre(bones["u"], styloid)
    facing = _facing(bones["u"], styloid[2] - 7.5, centre, 0.5 * (volar + dorsal)[:2] - centre)
    x_medial, x_lateral = (tip[0] + share * (volar[0] - tip[0]) for share in (0.58, 0.25))
    return {
        "radial_inclination_deg": _above_level(reference - tip, "xz"),
        "palmar_tilt_deg": _above_level(marks["volar_rim"] - marks["dorsal_rim"], "yz"),
        "radial_height_mm": float((tip - reference) @ [0, 0, 1]),
        "ulnar_variance_mm": _dome_top(bones["u"], styloid, centre) - reference[2],
        "radius_width_mm": float(np.linalg.norm(np.cross([0, 0, 1], volar - tip))),
        "radius_depth_mm": float((marks["volar_rim"] - marks["dorsal_rim"]) @ [0, 1, 0]),
        "ulnar_head_diameter_mm": _least_width(_outline(bones["u"], styloid[2] - 8.0)),
        "ulnar_head_radius_mm": _circle(facing)[1],
        "sigmoid_notch_radius_mm": _notch_radius(bones["r"], volar, dorsal),
        "ulnar_head_offset_mm": _off_shaft(bones["u"], np.array([*centre, styloid[2] - 9.0])),
        "palmar_cortical_angle_medial_deg": _cortical_angle_deg(bones["r"], x_medial),
        "palmar_cortical_angle_lateral_deg": _cortical_angle_deg(bones["r"], x_lateral),
    }


def _above_level(direction: Float, plane: str) -> float:
    """Degrees by which ``direction`` falls below the level in a plane of the frame; via complex numbers."""
    across = direction["xyz".index(plane[0])]
    return -float(np.degrees(np.angle(complex(across, direction[2]))))


def _outline(mesh: trimesh.Trimesh, z: float) -> Float:
    """(N, 2) points 0.05 mm apart along the cut at height z."""
    pieces = np.asarray(trimesh.intersections.mesh_plane(mesh, [0, 0, 1], [0, 0, z]))[:, :, :2]
    steps = np.linspace(0, 1, max(2, int(np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1).max() / 0.05)))
    return (pieces[:, None, 0] + steps[None, :, None] * (pieces[:, None, 1] - pieces[:, None, 0])).reshape(-1, 2)


def _circle(points: Float) -> tuple[Float, float]:
    """Geometric least squares: distances of the points from the circle."""
    start = [*points.mean(axis=0), np.ptp(points, axis=0).max() / 2]
    found = least_squares(lambda p: np.hypot(*(points - p[:2]).T) - p[2], start, x_scale="jac").x
    return found[:2], float(abs(found[2]))


def _head_centre(ulna: trimesh.Trimesh, styloid: Float) -> Float:
    points = _outline(ulna, styloid[2] - 9.0)
    middle = points.mean(axis=0)
    away = (middle - styloid[:2]) / np.linalg.norm(middle - styloid[:2])
    return _circle(points[(points - middle) @ away > -1.0])[0]


def _facing(ulna: trimesh.Trimesh, z: float, centre: Float, toward: Float) -> Float:
    """The part of the outline within 60 degrees of ``toward``."""
    points = _outline(ulna, z)
    turn = np.angle(((points - centre) @ [1, 1j]) / complex(*toward))
    return points[np.abs(turn) < np.pi / 3]


def _dome_top(ulna: trimesh.Trimesh, styloid: Float, centre: Float) -> float:
    """Height of the most distal of 20000 points drawn on the surface beside the styloid."""
    distal = ulna.submesh([ulna.triangles[:, :, 2].min(axis=1) > styloid[2] - 9], append=True)
    points, _ = trimesh.sample.sample_surface(distal, 20_000, seed=1)
    away = (centre - styloid[:2]) / np.linalg.norm(centre - styloid[:2])
    offset = points[:, :2] - centre
    head = (offset @ away > 0.5) & (np.hypot(*offset.T) < 8)
    return float(points[head, 2].max())


def _least_width(points: Float) -> float:
    """Rotating callipers: the least width has a side of the hull on one jaw."""
    hull = points[ConvexHull(points).vertices]
    sides = np.roll(hull, -1, axis=0) - hull
    normals = np.column_stack([-sides[:, 1], sides[:, 0]]) / np.linalg.norm(sides, axis=1)[:, None]
    return float(np.ptp(hull @ normals.T, axis=0).min())


def _off_shaft(ulna: trimesh.Trimesh, point: Float) -> float:
    """Distance from the line through the centres of the cuts (a shaft's are convex), from z = -60 to -25 every 5 mm."""
    centres = []
    for z in np.arange(-60.0, -24.9, 5.0):
        outline = _outline(ulna, z)
        hull = outline[ConvexHull(outline).vertices]
        triangles = np.stack([np.broadcast_to(hull[0], hull[1:-1].shape), hull[1:-1], hull[2:]], axis=1)
        edge_1, edge_2 = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
        area = edge_1[:, 0] * edge_2[:, 1] - edge_1[:, 1] * edge_2[:, 0]
        centres.append([*(triangles.mean(axis=1) * area[:, None]).sum(axis=0) / area.sum(), z])
    along = np.polyfit(np.array(centres)[:, 2], np.array(centres)[:, :2], 1)
    direction = np.array([*along[0], 1.0]) / np.linalg.norm([*along[0], 1.0])
    return float(np.linalg.norm(np.cross(direction, point - np.array([*along[1], 0.0]))))


def _notch_radius(radius: trimesh.Trimesh, volar: Float, dorsal: Float) -> float:
    """Circle through what rays from the ulnar side meet between the two corners of the cut, its middle eight tenths.

    The corners are where a straight ruler laid on the ulnar side of the cut touches it.
    """
    points = _outline(radius, 0.5 * (volar + dorsal)[2] - 3.5)
    chord = (volar - dorsal)[:2]
    along = chord / np.linalg.norm(chord)
    out = np.array([along[1], -along[0]])
    out = out if out[0] > 0 else -out
    local = np.column_stack([(points - 0.5 * (volar + dorsal)[:2]) @ axis for axis in (along, out)])
    half = np.linalg.norm(chord) / 2
    best, ends = 0.0, None
    hull = local[ConvexHull(local).vertices]
    for start, end in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        length = float(np.linalg.norm(end - start))
        leans = abs((end - start)[1]) / length
        if start[1] + end[1] > 2 * local[:, 1].mean() and leans < 0.8 and abs((start + end)[0]) / 2 < half:
            best, ends = (length, (start, end)) if length > best else (best, ends)
    if ends is None or best < 4.0:
        return float("inf")
    start, end = sorted(ends, key=lambda p: p[0])
    side = (end - start) / best
    into = np.array([side[1], -side[0]])
    into = into if into[1] < 0 else -into
    share, depth = (local - start) @ side / best, (local - start) @ into
    arc = local[(share > 0.1) & (share < 0.9) & (depth < best / 2)]
    middle, size = _circle(arc)
    return size if (middle - arc.mean(axis=0)) @ into < 0 else float("inf")


def _cortical_angle_deg(radius: trimesh.Trimesh, x: float) -> float:
    """Rays from the palm every 0.25 mm meet the palmar cortex; two straight lines through where they do."""
    slopes = []
    for low, high in ((-38.0, -22.0), (-14.0, -6.0)):
        z = np.arange(low + 0.125, high, 0.25)
        cut = np.asarray(trimesh.intersections.mesh_plane(radius, [1, 0, 0], [x, 0, 0]))[:, :, 1:]
        y = np.array([_outermost(cut, height) for height in z])
        met = np.isfinite(y)  # a plane near the side of a narrow shaft misses it in part
        slopes.append(np.polyfit(z[met], y[met], 1)[0])
    return 180.0 - float(np.degrees(np.arctan(slopes[1]) - np.arctan(slopes[0])))


def _outermost(cut: Float, z: float) -> float:
    """The largest y at height z of segments (S, 2, 2) of (y, z); NaN where there is none."""
    (y0, z0), (y1, z1) = cut[:, 0].T, cut[:, 1].T
    crosses = (z0 - z) * (z1 - z) <= 0
    share = (z - z0[crosses]) / np.where(z1 == z0, 1, z1 - z0)[crosses]
    return float(np.max(y0[crosses] + share * (y1 - y0)[crosses])) if crosses.any() else float("nan")
