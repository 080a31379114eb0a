"""Small text files: written whole or not at all, and JSON without the NaN that JSON does not have."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str) -> None:
    """Write UTF-8 as it is; an earlier file at ``path`` is replaced only whole. Raises OSError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def as_json_gives_it(value: Any) -> Any:
    """What a JSON file holding ``value`` is read as: lists for tuples."""
    return json.loads(json.dumps(value))


def without_nan(value: Any) -> Any:
    """JSON has no NaN: an undefined number becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return value
