"""Names that a lab invents and a DICOM header holds, in every spelling; and names that only look a little alike."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from bonelift.images.dicom_identity import identifying_element
from builders.radiograph_files import dicom_radiograph, save


def header(**elements: object) -> Dataset:
    return dicom_radiograph(**({"PatientName": "Nobody^Known", "PatientID": None} | elements))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DOE^JANE", "janedoe"), ("DOE^JANE", "Doe1"), ("DOE^JANE", "doej"), ("DOE^JANE", "jdoe-2"),
        ("DOE^JANE", "JANE"),
        ("DOE^JANE", "wrist-doe"), ("LI^WU", "li"), ("LI^WU", "wu-li"), ("LI^WU", "liwu3"), ("MÜLLER^Eva", "mueller"),
        ("MÜLLER^Eva", "muller7"), ("Mueller^Eva", "Müller"), ("O'BRIEN^Pat", "obrien"), ("Zzyzx^Quill", "quillwrist"),
        ("Zzyzx^Quill", "zzyzx2"), ("Strauß^Max", "strauss"), ("Sørensen^Bo", "sorensen"),
        ("de la Cruz^Ana", "delacruz"),
    ],
)  # fmt: skip
def test_a_name_counts_in_any_spelling(tmp_path, name, text):
    path = save(header(PatientName=name, SpecificCharacterSet="ISO_IR 192"), tmp_path / "a.dcm")
    assert identifying_element(path, text) == "PatientName"


@pytest.mark.parametrize(
    ("elements", "text", "keyword"),
    [
        ({"PatientID": "0012345"}, "12345", "PatientID"),
        ({"PatientID": "0012345"}, "h0012345", "PatientID"),
        ({"PatientID": "HOSP-4711"}, "w4711", "PatientID"),
        ({"PatientID": "AB12"}, "ab12", "PatientID"),
        ({"AccessionNumber": "ACC99881"}, "p-99881", "AccessionNumber"),
        ({"PatientBirthDate": "19500304"}, "04.03.1950", "PatientBirthDate"),
        ({"PatientBirthDate": "19500304"}, "w19500304", "PatientBirthDate"),
        ({"PatientBirthDate": "19500304"}, "500304", "PatientBirthDate"),
        ({"PatientMotherBirthName": "Quill"}, "quill-1", "PatientMotherBirthName"),
    ],
)
def test_numbers_and_dates_count_too(tmp_path, elements, text, keyword):
    assert identifying_element(save(header(**elements), tmp_path / "a.dcm"), text) == keyword


def test_other_ids_are_looked_at_where_dicom_puts_them_now(tmp_path):
    other = Dataset()
    other.PatientID = "X778899"
    path = save(header(OtherPatientIDsSequence=[other]), tmp_path / "a.dcm")
    assert identifying_element(path, "p778899") == "OtherPatientIDsSequence"


@pytest.mark.parametrize(
    "text", ["wrist-001", "case-0001", "p1", "p001", "1", "study-left", "w12", "radius7", "virtual-10"]
)
def test_study_numbers_are_nobodys(tmp_path, text):
    path = save(
        header(PatientName="Case^Al Wrist", PatientID="1", StudyID="1", PatientBirthDate="19010101"), tmp_path / "a.dcm"
    )
    assert identifying_element(path, text) is None
