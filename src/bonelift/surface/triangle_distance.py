"""The one exact kernel: the point of a triangle next to a given point."""

from __future__ import annotations

import numba


@numba.njit(inline="always", fastmath=True)
def closest_on_triangle(px, py, pz, ax, ay, az, abx, aby, abz, acx, acy, acz):  # pragma: no cover - compiled
    """(squared distance in mm^2, s, t): the point of the triangle next to P is ``A + s AB + t AC``.

    Degenerate triangles are allowed.

    Source: Ericson 2005, Real-Time Collision Detection, section 5.1.5 (Voronoi regions of the triangle).
    """
    apx, apy, apz = px - ax, py - ay, pz - az
    d1 = abx * apx + aby * apy + abz * apz
    d2 = acx * apx + acy * apy + acz * apz
    s, t = 0.0, 0.0
    if d1 > 0.0 or d2 > 0.0:
        bb = abx * abx + aby * aby + abz * abz
        cc = acx * acx + acy * acy + acz * acz
        bc = abx * acx + aby * acy + abz * acz
        d3, d4 = d1 - bb, d2 - bc
        d5, d6 = d1 - bc, d2 - cc
        vc = d1 * d4 - d3 * d2
        vb = d5 * d2 - d1 * d6
        va = d3 * d6 - d5 * d4
        if d3 >= 0.0 and d4 <= d3:
            s = 1.0
        elif vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
            s = d1 / bb if bb > 0.0 else 0.0
        elif d6 >= 0.0 and d5 <= d6:
            t = 1.0
        elif vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
            t = d2 / cc if cc > 0.0 else 0.0
        elif va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
            along = (d4 - d3) + (d5 - d6)
            t = (d4 - d3) / along if along > 0.0 else 0.0
            s = 1.0 - t
        else:
            total = va + vb + vc
            if total > 0.0:
                s = vb / total
                t = vc / total
    dx = apx - s * abx - t * acx
    dy = apy - s * aby - t * acy
    dz = apz - s * abz - t * acz
    return dx * dx + dy * dy + dz * dz, s, t
