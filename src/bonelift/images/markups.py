"""Landmarks from 3D Slicer's markups (.mrk.json)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.voxel_data import read_file_bytes

_EXPECTED = "Slicer markups (.mrk.json)"
_LPS_FROM = {"LPS": np.array([1.0, 1, 1]), "RAS": np.array([-1.0, -1, 1])}


def read_landmarks(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Label -> position (3,) in LPS mm, of every placed control point of every list in the file.

    Raises InputError: not such a file, no points, a label twice, units other than mm.
    """
    path = Path(path)
    name = path.name
    try:
        content = json.loads(read_file_bytes(path, _EXPECTED))
        lists = [(m, m["controlPoints"]) for m in content["markups"]]
    except InputError:
        raise
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise InputError(f"{name}: is damaged or no markups file; expected {_EXPECTED}") from error
    landmarks: dict[str, NDArray[np.float64]] = {}
    for markup, points in lists:
        system, units = markup.get("coordinateSystem"), markup.get("coordinateUnits", "mm")
        if system not in ("LPS", "RAS") or units != "mm":
            raise InputError(f"{name}: coordinates are {system!r:.20} in {units!r:.20}; expected LPS or RAS in mm")
        for label, position in _placed_points(points, name):
            if label in landmarks:
                raise InputError(f"{name}: landmark {label!r:.60} is there twice; expected each once")
            landmarks[label] = position * _LPS_FROM[system]
    if not landmarks:
        raise InputError(f"{name}: holds no placed points; expected landmarks")
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
    placed = []
    try:
        for point in points if isinstance(points, list) else []:
            if point.get("positionStatus", "defined") == "defined":
                placed.append((str(point["label"]).strip(), np.array(point["position"], dtype=np.float64)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name}: a control point is damaged; expected a label and a position") from error
    for label, position in placed:
        if position.shape != (3,) or not np.isfinite(position).all():
            raise InputError(f"{name}: landmark {label!r:.60} is not at three finite numbers")
    return placed
