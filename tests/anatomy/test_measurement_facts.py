"""What is said of each measurement: complete, unique, and the same in the code, the drawings and the guide."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from bonelift.anatomy.film_measurements import LateralFilmMeasurements, PaFilmMeasurements
from bonelift.anatomy.measurement_facts import MEASUREMENTS, NormalRange, facts_of
from bonelift.anatomy.measurements import Measurements

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("kind", "view", "measured"),
    [("3D", None, Measurements), ("film", "pa", PaFilmMeasurements), ("film", "lateral", LateralFilmMeasurements)],
)
def test_everything_measured_is_explained_and_nothing_else(kind, view, measured):
    explained = facts_of(kind, view)
    assert {facts.field for facts in explained} == {field.name for field in fields(measured)}
    assert all(facts.field.endswith(f"_{facts.unit}") for facts in explained)


def test_no_name_stands_for_two_values():
    names = [facts.name for facts in MEASUREMENTS.values()]
    assert len(set(names)) == len(names) == len(MEASUREMENTS)
    for facts in MEASUREMENTS.values():
        assert facts.name.endswith({None: "(3D)", "pa": "(PA film)", "lateral": "(lateral film)"}[facts.view])


def test_every_range_is_one_and_names_its_source():
    for facts in MEASUREMENTS.values():
        assert facts.source
        if facts.normal is None:
            assert facts.no_range
        else:
            assert facts.normal.low < facts.normal.high
            assert any(year in facts.normal.source for year in ("1992", "2013", "2014", "2015", "2019", "2022"))


def test_a_range_of_a_mean_is_two_deviations_either_way():
    made = NormalRange.of_mean(10.8, 3.5, "somebody 2020")
    assert (made.low, made.high) == (3.8, 17.8)
    assert "10.8 ± 3.5" in made.source


def test_the_guide_says_what_the_code_says():
    guide = (DOCS / "measurements.md").read_text(encoding="utf-8")
    for facts in MEASUREMENTS.values():
        part = guide.split(f"### {facts.name}\n")[1].split("\n### ")[0]
        assert facts.definition in part
        assert facts.source in part
        assert (facts.no_range if facts.normal is None else facts.normal.source) in part
        assert f"images/measurements/{facts.key}.png" in part
        assert (DOCS / "images" / "measurements" / f"{facts.key}.png").stat().st_size > 2000
