"""The anatomy of a case: labels on bone, landmarks on the radius, and whether the wrist has the side recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.anatomy.automatic_landmarks import SHORTEST_MM, side_evidence
from bonelift.anatomy.landmark_names import NOTCH_VOLAR, STYLOID
from bonelift.errors import InputError
from bonelift.images import RADIUS, ULNA, LabelMap, Volume
from bonelift.images.markups import read_landmarks
from bonelift.images.volume import LABEL_NAMES, occupied_box
from bonelift.study.findings import Finding
from bonelift.study.folder import StudyCase
from bonelift.surface.label_surface import label_surface
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.nearest import build_tree, find_nearest

Float = NDArray[np.float64]

REACH_MM, FAR_MM = 2.5, 6.0
"""A landmark farther from the radius's surface is worth a look, or is an error."""
REFERENCE_LINE_MM = (18.0, 42.0)
LEAST_CONTRAST_HU, LOW_CONTRAST_HU = 150.0, 300.0
SHIFTS_MM = (-6.0, -3.0, 3.0, 6.0)
BETTER_ELSEWHERE = 1.1
"""Virtual wrists have a rim contrast of 900 to 1200 HU, which falls by a fifth when labels move 3 mm along the shaft
and by two thirds across it; a label that gains by moving lies beside its bone, however dense that is."""
WHOLE_SHARE = 0.97


def check_bones(folder: Path, case: StudyCase, ct: Volume, labels: LabelMap) -> tuple[list[Finding], dict[str, Any]]:
    """Findings about bones, landmarks and side, and numbers for the table."""
    findings: list[Finding] = []
    facts: dict[str, Any] = {}
    for value, name in LABEL_NAMES.items():
        rim = rim_contrast(ct, labels, value)
        facts[f"{name}_contrast_hu"] = round(rim.here_hu)
        findings += _label_findings(name, rim, whole_share(labels, value))
    radius, ulna = label_surface(labels, RADIUS), label_surface(labels, ULNA)
    facts["radius_mm"] = round(_length(radius), 1)
    if facts["radius_mm"] < SHORTEST_MM:
        text = f"only {facts['radius_mm']:.0f} mm of radius are labelled; its shaft axis needs {SHORTEST_MM:.0f} mm"
        findings.append(Finding("error", "labels", text))
        return findings, facts
    try:
        landmarks = read_landmarks(folder / case.landmarks)
    except InputError as error:
        return [*findings, Finding("error", "landmarks", " ".join(str(error).split()))], facts
    found, reach = landmark_findings(radius, landmarks)
    findings += found
    facts["landmark_reach_mm"] = reach
    findings += side_findings(radius, ulna, landmarks, case.side, facts)
    return findings, facts


@dataclass(frozen=True)
class RimContrast:
    """How a label lies on its bone: mean HU of its outermost millimetre less the median of the shell 2 to 3 mm outside.

    here_hu: where the label is. best_hu: the largest after moving it by a few mm; best_shift_mm: (3,) that move along
    the voxel axes, 0 where it lies best as it is.
    """

    here_hu: float
    best_hu: float
    best_shift_mm: tuple[float, float, float]


def rim_contrast(ct: Volume, labels: LabelMap, value: int) -> RimContrast:
    """Contrast of one label's rim on the CT of the same grid, here and moved by SHIFTS_MM along each axis."""
    inside = labels.labels == value
    first, last = occupied_box(inside)
    margin = np.ceil(4.0 / ct.spacing_mm).astype(int)
    first, last = np.maximum(first - margin, 0), last + margin
    box = tuple(slice(low, high) for low, high in zip(first, last, strict=True))
    inside = inside[box]
    depth = np.asarray(ndimage.distance_transform_edt(inside, ct.spacing_mm))
    outside = np.asarray(ndimage.distance_transform_edt(~inside, ct.spacing_mm))
    coarsest = float(ct.spacing_mm.max())
    rim = np.argwhere(inside & (depth <= max(1.0, coarsest))) + first
    around = (outside > 2.0) & (outside <= 3.0 + coarsest) & (labels.labels[box] == 0)
    shell = np.argwhere(around) + first
    shifts = [np.zeros(3)] + [s * axis for s in SHIFTS_MM for axis in np.eye(3)]
    contrasts = [_contrast_at(ct, rim, shell, np.rint(shift / ct.spacing_mm).astype(int)) for shift in shifts]
    best = int(np.argmax(contrasts))
    x, y, z = (float(v) for v in shifts[best])
    return RimContrast(contrasts[0], contrasts[best], (x, y, z))


def _contrast_at(ct: Volume, rim: NDArray[np.intp], shell: NDArray[np.intp], offset: NDArray[np.intp]) -> float:
    """rim, shell: (N, 3) voxels, both moved by ``offset``; those that leave the CT do not count."""
    values = []
    for voxels in (rim, shell):
        moved = voxels[:: max(1, len(voxels) // 40_000)] + offset
        moved = moved[((moved >= 0) & (moved < ct.values.shape)).all(axis=1)]
        values.append(np.asarray(ct.values[tuple(moved.T)], dtype=np.float64))
    if min(len(v) for v in values) == 0:
        return 0.0
    # The median of the shell: carpal bones fill a part of it distally.
    return float(values[0].mean() - np.median(values[1]))


def whole_share(labels: LabelMap, value: int) -> float:
    """The part of a label's voxels in its largest connected piece."""
    pieces = np.zeros(labels.labels.shape, dtype=np.int32)
    ndimage.label(labels.labels == value, output=pieces)
    counts = np.bincount(pieces.ravel())[1:]
    return float(counts.max() / counts.sum())


def _label_findings(bone: str, rim: RimContrast, share: float) -> list[Finding]:
    findings = []
    moved = float(np.abs(rim.best_shift_mm).sum())
    if rim.best_hu > BETTER_ELSEWHERE * max(rim.here_hu, 1.0) and rim.best_hu > LEAST_CONTRAST_HU:
        axis = "ijk"[int(np.argmax(np.abs(rim.best_shift_mm)))]
        text = (
            f"the {bone}'s label fits the bone better {moved:.0f} mm further along axis {axis} ({rim.here_hu:.0f} "
            f"against {rim.best_hu:.0f} HU denser than its surroundings); check that it belongs to this CT"
        )
        findings.append(Finding("error", "overlap", text))
    elif rim.here_hu < LOW_CONTRAST_HU:
        text = (
            f"the rim of the {bone}'s label is {rim.here_hu:.0f} HU denser than its surroundings, expected several "
            "hundred: it does not lie on bone; check that it belongs to this CT"
        )
        findings.append(Finding("error" if rim.here_hu < LEAST_CONTRAST_HU else "warning", "overlap", text))
    if share < WHOLE_SHARE:
        text = (
            f"{100 * (1 - share):.0f} % of the {bone}'s label lie apart from its largest piece; clean the segmentation"
        )
        findings.append(Finding("warning", "labels", text))
    return findings


def landmark_findings(radius: TriangleMesh, landmarks: Mapping[str, Float]) -> tuple[list[Finding], float | None]:
    """Both landmarks there, near the radius and a radius's width apart; and the farthest distance, mm."""
    missing = [name for name in (STYLOID, NOTCH_VOLAR) if name not in landmarks]
    if missing:
        return [Finding("error", "landmarks", f"no {' and no '.join(missing)}; import the case again")], None
    findings = []
    points = np.stack([landmarks[STYLOID], landmarks[NOTCH_VOLAR]])
    distances = find_nearest(points, build_tree(radius)).distance_mm
    for name, distance in zip((STYLOID, NOTCH_VOLAR), distances, strict=True):
        if distance > REACH_MM:
            level = "error" if distance > FAR_MM else "warning"
            text = f"{name} lies {distance:.1f} mm from the radius's surface; place it on the bone of this CT"
            findings.append(Finding(level, "landmarks", text))
    line = float(np.linalg.norm(points[1] - points[0]))
    low, high = REFERENCE_LINE_MM
    if not low <= line <= high:
        text = f"styloid and notch lie {line:.0f} mm apart; expected {low:.0f} to {high:.0f} mm; check which is which"
        findings.append(Finding("error", "landmarks", text))
    return findings, round(float(distances.max()), 2)


def landmark_side(radius: TriangleMesh, ulna: TriangleMesh, landmarks: Mapping[str, Float]) -> tuple[str, float]:
    """The side that landmarks, shaft and ulnar head make, and by how many mm they make it.

    Both landmarks lie palmar of the shaft and of the ulnar head; which way palmar is of the line from the styloid to
    the notch, seen along the shaft towards the fingers, tells right from left. In virtual wrists the ulnar head lies 10
    to 20 mm dorsal of the line.
    """
    tip, notch = landmarks[STYLOID], landmarks[NOTCH_VOLAR]
    centre = radius.vertices.mean(axis=0)
    shaft = np.linalg.svd(radius.vertices - centre, full_matrices=False)[2][0]
    shaft = shaft if (tip - centre) @ shaft > 0 else -shaft
    across = notch - tip - ((notch - tip) @ shaft) * shaft
    palmar_of_right = np.cross(shaft, across / max(float(np.linalg.norm(across)), 1e-9))
    heights = ulna.vertices @ shaft
    head = ulna.vertices[heights > heights.max() - 20.0].mean(axis=0)
    palmar_mm = float((tip - head) @ palmar_of_right)
    return ("right" if palmar_mm > 0 else "left"), abs(palmar_mm)


def side_findings(
    radius: TriangleMesh, ulna: TriangleMesh, landmarks: Mapping[str, Float], side: str, facts: dict[str, Any]
) -> list[Finding]:
    """The recorded side against the radius's shape, and against landmarks and ulna; a mirrored scan shows in both."""
    findings = []
    try:
        evidence = side_evidence(radius, ulna)
    except InputError as error:
        return [Finding("warning", "side", " ".join(str(error).split()))]
    facts["shape_side"] = evidence.side
    near, far = sorted((evidence.as_right_mm, evidence.as_left_mm))
    if evidence.side is None:
        text = f"the radius's shape does not tell its side ({near:.1f} and {far:.1f} mm from the mean bone); look at it"
        findings.append(Finding("warning", "side", text))
    elif evidence.side != side:
        text = (
            f"recorded as {side}, but the radius has the shape of a {evidence.side} one ({near:.1f} mm against "
            f"{far:.1f} mm from the mean bone): wrong side, or a mirrored scan"
        )
        findings.append(Finding("error", "side", text))
    if STYLOID in landmarks and NOTCH_VOLAR in landmarks:
        shown, by_mm = landmark_side(radius, ulna, landmarks)
        facts["landmark_side"] = shown
        if shown != side:
            level = "error" if by_mm > 3.0 else "warning"
            text = (
                f"recorded as {side}, but landmarks and ulna make a {shown} wrist (the ulnar head lies "
                f"{by_mm:.0f} mm on the wrong side of the reference line): wrong side, a mirrored scan, or the notch's "
                "dorsal edge taken for its volar one"
            )
            findings.append(Finding(level, "side", text))
    return findings


def _length(bone: TriangleMesh) -> float:
    centre = bone.vertices.mean(axis=0)
    return float(np.ptp(bone.vertices @ np.linalg.svd(bone.vertices - centre, full_matrices=False)[2][0]))
