"""``reconstruction.json`` held against its published schema."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from bonelift.reconstruction.result_json import SCHEMA_FILE


def schema_faults(content: dict[str, Any]) -> list[str]:
    """What the schema has against it; nothing for what agrees."""
    validator = Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    return [f"{error.json_path}: {error.message:.200}" for error in validator.iter_errors(content)]
