"""The measurements of a result: names, errors of the model in use alone, words beside the numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bonelift.anatomy.measurement_facts import MEASUREMENTS
from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.reconstruction import measurement_errors
from bonelift.reconstruction.measured import (
    NO_SKILL,
    MeasuredValue,
    measure_bones,
    measure_film,
    measurement_rows,
    uniquely_named,
)
from bonelift.reconstruction.measurement_errors import MeasurementError, known_errors
from bonelift.surface.mesh import TriangleMesh

GOOD = {
    "cases": 100, "mean_abs": 1.0, "bias": 0.2, "no_skill": 3.0, "skill": 0.67, "skill_low": 0.5, "skill_high": 0.8,
    "correlation": 0.9,
}  # fmt: skip
TILT = MEASUREMENTS["palmar_tilt_3d"]


@pytest.fixture(scope="module")
def bones() -> dict[str, TriangleMesh]:
    wrist = sample_wrist(load_shape_model(), np.random.default_rng(983_100))
    return {"radius": wrist.radius, "ulna": wrist.ulna}


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Writes a packaged table for a model of weights "abc"."""
    told = {
        "format": 1, "model": {"name": "some-model", "weights_sha256": "abc"}, "method": "shape",
        "seeds": "1 to 100", "commit": "1234567",
        "inputs": {"pa": {"patients": 100, "measurements": {"palmar_tilt_3d": GOOD}}},
    }  # fmt: skip
    path = tmp_path / "errors.json"
    path.write_text(json.dumps(told))
    monkeypatch.setattr(measurement_errors, "TABLE_FILE", path)
    measurement_errors.packaged_table.cache_clear()
    yield path
    measurement_errors.packaged_table.cache_clear()


def pose(view: str) -> np.ndarray:
    camera = np.eye(4)
    axes = {"pa": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "lateral": [[0, -1, 0], [0, 0, -1], [1, 0, 0]]}
    camera[:3, :3], camera[2, 3] = axes[view], 970
    return camera


def test_every_measurement_of_whole_bones_is_found_once(bones):
    values = [*measure_bones(bones)]
    for number, view in enumerate(("pa", "lateral"), start=1):
        values += measure_film(bones, view, dict.fromkeys(bones, pose(view)), 1000.0, number)
    assert [value.facts.key for value in uniquely_named(values)] == list(MEASUREMENTS)
    assert all(np.isfinite(value.value) and not value.reason for value in values)
    assert {value.film for value in values} == {None, 1, 2}


def test_two_films_of_one_view_are_told_apart(bones):
    values = [
        value
        for number in (1, 2)
        for value in measure_film(bones, "pa", dict.fromkeys(bones, pose("pa")), 1000.0, number)
    ]
    names = [value.name for value in uniquely_named(values)]
    assert len(set(names)) == len(names) == 8
    assert "ulnar variance (PA film), image 2" in names


def test_what_cannot_be_measured_says_why_and_keeps_its_name(bones):
    upside_down = {name: TriangleMesh(-mesh.vertices, mesh.faces[:, ::-1]) for name, mesh in bones.items()}
    values = measure_bones(upside_down)
    assert [value.name for value in values] == [value.name for value in measure_bones(bones)]
    assert all(np.isnan(value.value) and "expected" in value.reason for value in values)
    assert all(row["value"] is None and row["note"] for row in measurement_rows(values))


def test_errors_are_told_for_the_model_and_the_films_they_were_measured_with(table):
    known = known_errors("abc", "shape", ["pa"])
    assert known.table is not None
    assert known.table.measurements["palmar_tilt_3d"] == MeasurementError(**GOOD)
    assert "some-model" in known.said
    assert "100 virtual patients" in known.said


@pytest.mark.parametrize(
    ("weights", "method", "views", "shared", "said"),
    [
        ("another", "shape", ["pa"], False, "another one is in use"),
        ("abc", "tl", ["pa"], False, "method 'tl'"),
        ("abc", "shape", ["lateral"], False, "the views lateral"),
        ("abc", "shape", ["lateral", "pa"], False, "the views pa and lateral"),
        ("abc", "shape", ["pa"], True, "calibrated cameras"),
    ],
)
def test_of_anything_else_the_errors_are_not_known(table, weights, method, views, shared, said):
    known = known_errors(weights, method, views, shared)
    assert known.table is None
    assert "not known" in known.said
    assert said in known.said


def test_without_a_table_nothing_is_claimed(table):
    table.unlink()
    assert known_errors("abc", "shape", ["pa"]).table is None


def test_a_table_of_another_format_is_not_read(table):
    table.write_text(json.dumps({"format": 99}))
    assert "no table" in known_errors("abc", "shape", ["pa"]).said


def test_the_packaged_table_is_whole():
    """Where a table is packaged, it is of a hundred patients at least, and every number of it is one."""
    if not measurement_errors.TABLE_FILE.exists():
        pytest.skip("no table of errors is packaged: scripts/measure_measurements.py makes it")
    told = json.loads(measurement_errors.TABLE_FILE.read_text(encoding="utf-8"))
    known = known_errors(told["model"]["weights_sha256"], told["method"], ["pa"])
    assert known.table is not None
    assert known.table.patients >= 100
    shown = {key for key, facts in MEASUREMENTS.items() if facts.view in (None, "pa")}
    assert set(known.table.measurements) == shown
    for error in known.table.measurements.values():
        assert error.mean_abs >= abs(error.bias)
        assert error.skill == pytest.approx(1 - error.mean_abs / error.no_skill, abs=1e-3)


def test_what_tells_no_more_than_the_mean_says_so():
    value = MeasuredValue(TILT, TILT.name, 40.0, error=MeasurementError(**GOOD))
    assert value.has_skill is True
    assert value.note == "outside of the normal range"
    poor = replace(value, error=replace(MeasurementError(**GOOD), skill_low=0.0))
    assert poor.has_skill is False
    assert poor.note == NO_SKILL
    assert replace(value, error=None).has_skill is None
    assert replace(value, value=10.0).note == ""


def test_a_row_holds_all_that_a_reader_needs():
    (row,) = measurement_rows([MeasuredValue(TILT, TILT.name, 12.0, error=MeasurementError(**GOOD))])
    assert (row["value"], row["unit"], row["kind"], row["film"]) == (12.0, "deg", "3D", None)
    assert (row["expected_error"], row["bias"], row["no_skill_error"], row["has_skill"]) == (1.0, 0.2, 3.0, True)
    assert (row["normal_low"], row["normal_high"]) == (3.8, 17.8)
    json.dumps(row, allow_nan=False)
