"""A patient who was not grown up, by the DICOM header: the limit is told, and nothing else of the header."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonelift.images.patient_age import not_grown_up
from bonelift.images.reading import read_radiograph
from builders.radiograph_files import dicom_radiograph, save


@pytest.mark.parametrize(
    ("elements", "under"),
    [
        ({"PatientAge": "011Y"}, 15),
        ({"PatientAge": "014Y"}, 15),
        ({"PatientAge": "015Y"}, 18),
        ({"PatientAge": "017Y"}, 18),
        ({"PatientAge": "018Y"}, None),
        ({"PatientAge": "091Y"}, None),
        ({"PatientAge": "020M"}, 15),
        ({"PatientAge": "003W"}, 15),
        ({"PatientBirthDate": "20120630", "StudyDate": "20230701"}, 15),
        ({"PatientBirthDate": "20050702", "StudyDate": "20230701"}, 18),  # 18 on the next day
        ({"PatientBirthDate": "20050630", "StudyDate": "20230701"}, None),
        ({"PatientAge": "040Y", "PatientBirthDate": "20120630", "StudyDate": "20230701"}, None),
        ({"PatientBirthDate": "20120630"}, None),
        ({"PatientBirthDate": "20300101", "StudyDate": "20230701"}, None),
        ({"PatientBirthDate": "18000101", "StudyDate": "20230701"}, None),
        ({}, None),
    ],
)
def test_the_limit_that_the_patient_was_below(elements: dict[str, str], under: int | None):
    found = not_grown_up(dicom_radiograph(**elements))
    assert (found and found[0]) == under


@pytest.mark.parametrize("age", ["", "ABC", "11", "-11Y", "9999Y", "011Y\\012Y"])
def test_an_age_that_is_none_says_nothing(age: str):
    dataset = dicom_radiograph()
    dataset.add_new("PatientAge", "LO", age)
    assert not_grown_up(dataset) is None


def test_the_radiograph_tells_the_limit_and_no_date(tmp_path: Path):
    born = {"PatientBirthDate": "20120630", "StudyDate": "20230701"}
    known = read_radiograph(save(dicom_radiograph(**born), tmp_path / "film.dcm")).provenance["patient_age"]
    assert (known.kind, known.text, known.value) == ("recorded", "under 15 years, the date of birth", 15.0)
    adult = read_radiograph(save(dicom_radiograph(PatientAge="040Y"), tmp_path / "adult.dcm"))
    assert "patient_age" not in adult.provenance
