"""The picture of `bonelift check`: the CT of each case from two sides with labels and landmarks, and its films."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.measure import find_contours

from bonelift.anatomy.landmark_names import NOTCH_VOLAR, STYLOID
from bonelift.errors import InputError
from bonelift.images import RADIUS, LabelMap, Radiograph, Volume
from bonelift.images.markups import read_landmarks
from bonelift.images.volume import LABEL_NAMES, occupied_box
from bonelift.report.contact_sheet import Level, Tile, contact_sheet
from bonelift.report.palette import lettering, outline_colour, png_bytes
from bonelift.storage.whole import write_whole, writing
from bonelift.study.checking import CaseCheck, StudyCheck
from bonelift.study.folder import StudyCase

Float = NDArray[np.float64]

SHEET_FILE = "check.png"
_HEIGHT_PX, _MARGIN_MM, _MOST_FILMS = 300, 12.0, 2
_POINT = (255, 90, 120)


class CheckSheet:
    """Gathers the small pictures of each case while the check reads it; nothing else is kept of a scan."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pictures: dict[str, list[Image.Image]] = defaultdict(list)

    def scan(self, case: StudyCase, ct: Volume | None, labels: LabelMap | None) -> None:
        """Take a case's CT and labels; nothing is drawn where one is missing or they do not fit."""
        if ct is None or labels is None or ct.values.shape != labels.labels.shape or not (labels.labels > 0).any():
            return
        try:
            landmarks = read_landmarks(self._folder / case.landmarks)
        except InputError:
            landmarks = {}
        self._pictures[case.case] += scan_pictures(ct, labels, landmarks)

    def film(self, case: StudyCase, radiograph: Radiograph) -> None:
        """Take one of a case's radiographs, as it is read: bones bright."""
        if sum(picture.info.get("film", False) for picture in self._pictures[case.case]) < _MOST_FILMS:
            picture = film_picture(radiograph)
            picture.info["film"] = True
            self._pictures[case.case].append(picture)

    def write(self, path: Path, check: StudyCheck) -> None:
        """Write the sheet as a PNG. Raises InputError where it cannot be written."""
        tiles = [_tile(case, self._pictures.get(case.case, [])) for case in check.cases]
        found = f"{check.count('error')} errors, {check.count('warning')} warnings"
        title = f"bonelift check: {len(check.cases)} cases, {found}"
        with writing(path):
            write_whole(path, png_bytes(contact_sheet(title, tiles)))


def _tile(case: CaseCheck, pictures: list[Image.Image]) -> Tile:
    level: Level = "error" if case.count("error") else "warning" if case.count("warning") else "ok"
    lines = [f"{finding.what}: {finding.text}" for finding in case.findings]
    return Tile(f"{case.case} ({case.patient}, {case.side})", pictures, lines, level)


def scan_pictures(ct: Volume, labels: LabelMap, landmarks: Mapping[str, Float]) -> list[Image.Image]:
    """Mean attenuation along the two voxel axes across the forearm, distal end up, with outlines and landmarks."""
    up, flip = _distal_axis(labels, landmarks)
    margin = np.ceil(_MARGIN_MM / ct.spacing_mm).astype(int)
    first, last = occupied_box(labels.labels > 0)
    first, last = np.maximum(first - margin, 0), np.minimum(last + margin, ct.values.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    dense = np.clip(np.asarray(ct.values[box], dtype=np.float32) + 1000, 0, 3000)
    return [
        _panel(dense, labels.labels[box], along, up, flip, ct.spacing_mm, _voxels(ct, landmarks) - first)
        for along in range(3)
        if along != up
    ]


def _distal_axis(labels: LabelMap, landmarks: Mapping[str, Float]) -> tuple[int, bool]:
    """The voxel axis along the shaft, and whether its first voxel is the distal one."""
    voxels = np.argwhere(labels.labels == RADIUS)[::13]
    if len(voxels) < 2:
        return 2, False
    up = int(np.argmax(np.ptp(voxels * labels.spacing_mm, axis=0)))
    if STYLOID not in landmarks:
        return up, False
    tip = np.linalg.inv(labels.world_from_voxel) @ [*landmarks[STYLOID], 1.0]
    return up, bool(tip[up] < voxels[:, up].mean())


def _voxels(ct: Volume, landmarks: Mapping[str, Float]) -> Float:
    """(N, 3) voxel coordinates of the two landmarks, as far as they are there."""
    points = [landmarks[name] for name in (STYLOID, NOTCH_VOLAR) if name in landmarks]
    at = np.array([[*point, 1.0] for point in points], dtype=np.float64).reshape(-1, 4)
    at = at @ np.linalg.inv(ct.world_from_voxel).T
    return np.asarray(at[:, :3], dtype=np.float64)


def _panel(
    dense: NDArray[np.float32],
    labels: NDArray[np.uint8],
    along: int,
    up: int,
    flip: bool,
    spacing_mm: Float,
    points: Float,
) -> Image.Image:
    across = 3 - along - up
    grey = dense.mean(axis=along)
    grey = grey if across < up else grey.T  # [across, up]
    low, high = np.percentile(grey, [2, 99.7])
    levels = (np.clip((grey - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
    scale = _HEIGHT_PX / (levels.shape[1] * spacing_mm[up])
    size = (max(1, round(levels.shape[0] * spacing_mm[across] * scale)), _HEIGHT_PX)
    image = Image.fromarray(levels.T if flip else levels.T[::-1]).resize(size).convert("RGB")
    draw = ImageDraw.Draw(image)

    def px(voxels: Float) -> list[tuple[float, float]]:
        row = (voxels[:, 1] + 0.5) * spacing_mm[up] * scale
        column = (voxels[:, 0] + 0.5) * spacing_mm[across] * scale
        return list(zip(column.tolist(), (row if flip else _HEIGHT_PX - row).tolist(), strict=True))

    for value, name in LABEL_NAMES.items():
        shadow = (labels == value).any(axis=along)
        shadow = np.pad(shadow if across < up else shadow.T, 1).astype(np.float32)
        for line in find_contours(shadow, 0.5):
            draw.line(px(line - 1), fill=outline_colour(name), width=2)
    for u, v in px(points[:, [across, up]]) if len(points) else []:
        draw.ellipse((u - 4, v - 4, u + 4, v + 4), outline=_POINT, width=2)
    return image


def film_picture(radiograph: Radiograph) -> Image.Image:
    """The film with bright bones, its view and side written on it."""
    low, high = np.percentile(radiograph.pixels, [1, 99.5])
    levels = (np.clip((radiograph.pixels - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(levels)
    image = image.resize((max(1, round(image.width * _HEIGHT_PX / image.height)), _HEIGHT_PX)).convert("RGB")
    text = f"{radiograph.view.upper() if radiograph.view == 'pa' else radiograph.view}, {radiograph.side}"
    ImageDraw.Draw(image).text((6, 4), text, fill=(255, 220, 120), font=lettering(14))
    return image
