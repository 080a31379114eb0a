"""The published schema: valid itself, the same in package and documentation, and strict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from jsonschema import Draft202012Validator

from bonelift.geometry.patient_frame import PATIENT_FROM_OWN_SIDE
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.measured import measure_bones, measurement_rows
from bonelift.reconstruction.result_json import SCHEMA_FILE, SCHEMA_VERSION

SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def test_it_is_a_schema_of_the_version_that_is_written_and_the_documentation_has_it() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION
    published = Path(__file__).parents[2] / "docs" / "reconstruction.schema.json"
    assert published.read_bytes() == SCHEMA_FILE.read_bytes()


def part(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})


def test_measurements_as_they_are_written_agree_and_damaged_ones_do_not() -> None:
    rows = measurement_rows(measure_bones(load_demo_case().truth))
    assert rows
    for row in rows:
        assert part("measurement").is_valid(row)
    spoilt = [rows[0] | {"unit": "inch"}, rows[0] | {"value": "12"}, rows[0] | {"colour": "red"}]
    spoilt.append({key: value for key, value in rows[0].items() if key != "unit"})
    assert not any(part("measurement").is_valid(row) for row in spoilt)


def test_a_matrix_has_four_rows_of_four_numbers() -> None:
    matrix = np.asarray(PATIENT_FROM_OWN_SIDE).tolist()
    assert part("matrix4").is_valid(matrix)
    assert not part("matrix4").is_valid(matrix[:3])
    assert not part("matrix4").is_valid([row[:3] for row in matrix])
    assert not part("matrix3").is_valid(matrix)
