"""JSON as it is: without the NaN that it does not have, with lists for tuples."""

from __future__ import annotations

import json
import math
from typing import Any


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
