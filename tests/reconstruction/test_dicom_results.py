"""DICOM results: what they refer to, whom they name, and whether other readers take them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import trimesh
from pydicom.uid import generate_uid

from bonelift.anatomy.measurement_facts import facts_of
from bonelift.errors import InputError
from bonelift.images.volume import LabelMap
from bonelift.reconstruction.dicom.files import write_dicom
from bonelift.reconstruction.dicom.source import result_series
from bonelift.reconstruction.measured import MeasuredValue
from bonelift.reconstruction.measurement_errors import MeasurementError
from bonelift.surface.mesh import TriangleMesh
from builders.canaries import Canaries, findings
from builders.radiograph_files import dicom_radiograph, save

STUDY, SERIES, OTHER_STUDY = (generate_uid(entropy_srcs=[word]) for word in ("study", "series", "other"))
PERSONAL = {
    "PatientName": "Röntgen^Anna", "PatientID": "PID-471101", "PatientBirthDate": "18720323", "PatientSex": "F",
    "AccessionNumber": "ACC-5583", "StudyID": "ST-9917", "StudyDate": "20201231", "StudyTime": "131415",
    "ReferringPhysicianName": "Doe^Quentin", "StudyDescription": "Wrist after a fall", "StudyInstanceUID": STUDY,
    "SeriesInstanceUID": SERIES, "SpecificCharacterSet": "ISO_IR 192", "InstitutionName": "Hospital of Nowhere",
}  # fmt: skip
FILES = ("segmentation.dcm", "measurements.dcm", "radius.dcm", "ulna.dcm", "report.dcm")


def film(folder: Path, name: str = "film.dcm", **elements: object) -> Path:
    uid = generate_uid(entropy_srcs=[name])
    return save(dicom_radiograph(**{**PERSONAL, "SOPInstanceUID": uid, **elements}), folder / name)


def results(folder: Path, sources: list[Path], identity: str = "none") -> dict[str, pydicom.Dataset]:
    box = trimesh.creation.box(extents=(10, 12, 30))
    bone = TriangleMesh(np.asarray(box.vertices), np.asarray(box.faces))
    labels = np.zeros((24, 28, 64), np.uint8)
    labels[2:10, 2:26, 2:62], labels[14:22, 2:26, 2:62] = 1, 2
    grid = LabelMap(labels, np.diag([0.5, 0.5, 0.5, 1.0]))
    series = result_series(sources, "left", identity)  # type: ignore[arg-type]
    write_dicom(folder, series, {"radius": bone, "ulna": bone}, grid, MEASURED, b"%PDF-1.4 .")
    return {name: pydicom.dcmread(folder / name) for name in FILES}


def measured() -> tuple[MeasuredValue, ...]:
    """One with an error, one without, one that tells nothing and one without a value."""
    facts = facts_of("3D", None)
    error = MeasurementError(100, 1.25, 0.1, 2.5, 0.5, 0.4, 0.6, 0.8)
    useless = MeasurementError(100, 2.5, 0.1, 2.5, 0.0, -0.2, 0.2, 0.0)
    return (
        MeasuredValue(facts[0], facts[0].name, 23.5, error=error),
        MeasuredValue(facts[2], facts[2].name, 11.25),
        MeasuredValue(facts[1], facts[1].name, 9.0, error=useless),
        MeasuredValue(facts[3], facts[3].name, float("nan"), "not there"),
    )


MEASURED = measured()


def referenced(dataset: pydicom.Dataset) -> set[str]:
    return {str(element.value) for element in dataset.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def test_by_default_nothing_of_the_patient_or_the_study_leaves_the_image(tmp_path) -> None:
    source, canaries = film(tmp_path), Canaries()
    canaries.respell(source, overwrite=False)
    found = results(tmp_path / "dicom", [source])
    assert len(canaries.places) > 5000
    assert findings(canaries, tmp_path / "dicom")[2] == []
    uids = [str(element.value) for element in pydicom.dcmread(source).iterall() if element.VR == "UI"]
    own = [uid for uid in uids if uid.startswith(STUDY[:20])]
    assert len(own) >= 3
    for name in FILES:
        content = (tmp_path / "dicom" / name).read_bytes()
        for value in (*PERSONAL.values(), *own):
            if value not in ("F", "ISO_IR 192"):
                assert str(value).encode("utf-8") not in content, (name, value)
        assert b"ntgen" not in content
        assert found[name].PatientIdentityRemoved == "YES" or name == "measurements.dcm"
        assert found[name].PatientName == ""
        assert found[name].PatientID in ("", None)
        assert found[name].PatientSex in ("", None)
    # The files of one result belong together, and point at one stand-in for the image.
    assert len({dataset.StudyInstanceUID for dataset in found.values()}) == 1
    stand_ins = set.union(*(referenced(dataset) for dataset in found.values()))
    assert len(stand_ins) == 1
    again = results(tmp_path / "again", [source])
    assert again["radius.dcm"].StudyInstanceUID != found["radius.dcm"].StudyInstanceUID


def test_with_the_source_s_identity_they_belong_to_its_study_and_refer_to_it(tmp_path) -> None:
    source = film(tmp_path)
    found = results(tmp_path / "dicom", [source], "source")
    image = pydicom.dcmread(source)
    for name, dataset in found.items():
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
                        "StudyDate", "StudyInstanceUID", "ReferringPhysicianName"):  # fmt: skip
            assert str(dataset[keyword].value) == str(image[keyword].value), (name, keyword)
        assert referenced(dataset) == {image.SOPInstanceUID}, name
        assert dataset.SOPInstanceUID != image.SOPInstanceUID
        assert dataset.SeriesInstanceUID != image.SeriesInstanceUID
    assert len({dataset.SOPInstanceUID for dataset in found.values()}) == len(FILES)
    assert found["segmentation.dcm"].FrameOfReferenceUID == found["radius.dcm"].FrameOfReferenceUID
    assert found["radius.dcm"].SeriesInstanceUID == found["ulna.dcm"].SeriesInstanceUID


@pytest.mark.parametrize("identity", ["none", "source"])
def test_two_images_are_both_referred_to_even_from_two_studies(tmp_path, identity) -> None:
    sources = [film(tmp_path), film(tmp_path, "lateral.dcm", StudyInstanceUID=OTHER_STUDY, Rows=120)]
    found = results(tmp_path / "dicom", sources, identity)
    for name, dataset in found.items():
        # A segmentation can name images of its own study only.
        alone = identity == "source" and name == "segmentation.dcm"
        assert len(referenced(dataset)) == (1 if alone else 2), name
    if identity == "source":
        assert all(dataset.StudyInstanceUID == STUDY for dataset in found.values())
        studies = {
            str(item.StudyInstanceUID)
            for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
            for item in found["measurements.dcm"].get(keyword, [])
        }
        assert studies == {STUDY, OTHER_STUDY}


def test_the_report_says_numbers_units_and_errors_and_leaves_out_what_tells_nothing(tmp_path) -> None:
    report = results(tmp_path / "dicom", [film(tmp_path)])["measurements.dcm"]
    text = json.dumps(report.to_json_dict())
    numbers = [item for item in report.iterall() if item.keyword == "NumericValue"]
    assert [float(item.value) for item in numbers] == [23.5, 1.25, 1.25, 11.25]  # value, error up and down, value
    assert MEASURED[0].name in text
    assert MEASURED[0].facts.key in text
    assert MEASURED[2].name not in text
    assert MEASURED[3].name not in text
    assert "7771000" in text  # left
    assert report.CompletionFlag == "COMPLETE"
    assert report.VerificationFlag == "UNVERIFIED"


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dcmtk (dsrdump, dcmdump) is not installed")
def test_dcmtk_reads_them(tmp_path) -> None:
    results(tmp_path / "dicom", [film(tmp_path)])
    said = subprocess.run(
        ["dsrdump", str(tmp_path / "dicom" / "measurements.dcm")], capture_output=True, text=True, check=True
    )
    assert "Imaging Measurement Report" in said.stdout
    assert f'"{MEASURED[0].name}")="23.5" (deg,UCUM' in said.stdout
    assert not said.stderr.strip()
    for name in FILES:
        dumped = subprocess.run(["dcmdump", str(tmp_path / "dicom" / name)], capture_output=True, text=True, check=True)
        assert not dumped.stderr.strip(), name


def test_without_a_measurement_there_is_no_report_and_one_bone_makes_one_segment(tmp_path) -> None:
    box = trimesh.creation.box(extents=(10, 12, 30))
    labels = np.zeros((24, 28, 64), np.uint8)
    labels[2:10, 2:26, 2:62] = 2
    series = result_series([film(tmp_path)], "right", "none")
    ulna = {"ulna": TriangleMesh(np.asarray(box.vertices), np.asarray(box.faces))}
    write_dicom(tmp_path / "dicom", series, ulna, LabelMap(labels, np.diag([0.5, 0.5, 0.5, 1.0])), MEASURED[2:])
    assert sorted(path.name for path in (tmp_path / "dicom").iterdir()) == ["segmentation.dcm", "ulna.dcm"]
    segments = pydicom.dcmread(tmp_path / "dicom" / "segmentation.dcm").SegmentSequence
    assert [(item.SegmentNumber, item.SegmentLabel) for item in segments] == [(1, "right ulna")]


def test_an_image_without_uids_cannot_be_referred_to(tmp_path) -> None:
    bare = film(tmp_path, StudyInstanceUID=None)
    with pytest.raises(InputError, match=r"film\.dcm: has no StudyInstanceUID.*--dicom-identity none"):
        result_series([bare], "left", "source")
    assert result_series([bare], "left", "none").references[0].StudyInstanceUID
    (tmp_path / "broken.dcm").write_bytes(bare.read_bytes()[:150])
    with pytest.raises(InputError, match=r"broken\.dcm"):
        result_series([tmp_path / "broken.dcm"], "left", "none")
