"""Landmarks from 3D Slicer's markups (.mrk.json)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry.plausible import FARTHEST_MM
from bonelift.storage.input_files import read_json, understood

_EXPECTED = "Slicer markups (.mrk.json)"
_MOST_POINTS = 10_000
_LPS_FROM = {"LPS": np.array([1.0, 1, 1]), "RAS": np.array([-1.0, -1, 1])}


def read_landmarks(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Label -> position (3,) in LPS mm, of every placed control point with a label, of every list in the file.

    Points that share a label are told apart, "F (1)", "F (2)": none of them is the one that the label names.
    Raises InputError: not such a file, no points, units other than mm.
    """
    path = Path(path)
    name = path.name
    content = read_json(path, _EXPECTED)
    placed: list[tuple[str, NDArray[np.float64]]] = []
    with understood(name, f"is damaged or no markups file; expected {_EXPECTED}"):
        for markup in content["markups"]:
            system, units = markup.get("coordinateSystem"), markup.get("coordinateUnits", "mm")
            # The schema allows a code: ["mm", "UCUM", "millimeter"].
            unit = units[0] if isinstance(units, list) and units else units
            if system not in ("LPS", "RAS") or unit != "mm":
                raise InputError(f"{name}: coordinates are {system!a:.20} in {unit!a:.20}; expected LPS or RAS in mm")
            placed += [(label, at * _LPS_FROM[system]) for label, at in _placed_points(markup["controlPoints"], name)]
    labels = [label for label, _ in placed]
    landmarks: dict[str, NDArray[np.float64]] = {}
    for number, (label, position) in enumerate(placed):
        several = f" ({labels[:number].count(label) + 1})" if labels.count(label) > 1 else ""
        landmarks[label + several] = position
    if not landmarks:
        raise InputError(f"{name}: holds no placed points with a label; expected landmarks")
    return landmarks


def write_landmarks(path: str | os.PathLike[str], landmarks: Mapping[str, NDArray[np.float64]]) -> None:
    """Write label -> position (3,) in LPS mm as one list of fiducials that 3D Slicer opens."""
    points = [
        {"id": str(number), "label": label, "position": [float(x) for x in position], "positionStatus": "defined"}
        for number, (label, position) in enumerate(landmarks.items(), start=1)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    schema = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    content = {"@schema": f"{schema}markups-schema-v1.0.3.json#", "markups": [markup]}
    Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _placed_points(points: object, name: str) -> list[tuple[str, NDArray[np.float64]]]:
    """(label, position) of the points that were placed and named; others (Slicer's default label is "") say nothing."""
    placed = []
    with understood(name, "a control point is damaged; expected a label and a position"):
        for point in points if isinstance(points, list) else []:
            label = str(point.get("label", "")).strip()
            if not label or point.get("positionStatus", "defined") != "defined":
                continue
            position = np.array(point["position"], dtype=np.float64)
            if position.shape != (3,) or not (np.abs(position) < FARTHEST_MM).all():
                raise InputError(f"{name}: landmark {label!a:.60} is not at three numbers, in mm, of a scanner's world")
            placed.append((label, position))
    if len(placed) > _MOST_POINTS:
        raise InputError(f"{name}: holds {len(placed)} points; expected at most {_MOST_POINTS}")
    return placed
