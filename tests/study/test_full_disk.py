"""A disk that is full, or a folder that was removed, ends a run of several cases: it is no fault of the first case."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from bonelift.errors import InputError, OutputPlaceError
from bonelift.geometry import default_film_camera
from bonelift.reconstruction.batch import run as batch
from bonelift.reconstruction.batch.cases import BatchCase
from bonelift.reconstruction.settings import JobSettings
from bonelift.study import ct_drrs_of_study, importing, normalisation
from bonelift.study.ct_drrs import DrrSettings
from bonelift.study.folder import Study, StudyCase, write_study
from bonelift.study.importing_case import ImportSettings
from bonelift.study.importing_sources import CaseSource
from bonelift.study.normalisation import NormaliseSettings
from bonelift.study.registration import whole_study
from bonelift.study.registration.case import RegistrationOptions

WHERE = {
    "drr": (ct_drrs_of_study, "_write_case"),
    "normalize": (normalisation, "normalised_folder"),
    "register": (whole_study, "_registered"),
    "import": (importing, "_imported_case"),
    "reconstruct": (batch, "read_radiographs"),
}
"""What works on one case, by command."""


@pytest.fixture
def study(tmp_path) -> Path:
    """Two cases with nothing but a CT's and labels' names."""
    folder = tmp_path / "study"
    folder.mkdir()
    for name in ("ct", "labels", "points"):
        (folder / name).write_text(name)
    cases = (StudyCase(case, f"p{case}", "right", "ct", "labels", "points", ()) for case in ("w01", "w02"))
    write_study(folder, Study(tuple(cases), "a test"))
    return folder


def run(command: str, study: Path, out: Path) -> object:
    if command == "drr":
        return ct_drrs_of_study.drrs_of_study(study, out, DrrSettings(), default_film_camera(20, 20, 1.0))
    if command == "normalize":
        return normalisation.normalise_study(study, out, NormaliseSettings())
    if command == "register":
        return whole_study.register_study(study, out, RegistrationOptions(), lambda *_: pytest.fail("is not asked"))
    if command == "import":
        sources = [CaseSource(case, f"p{case}", "right", study / "ct", study / "labels") for case in ("w01", "w02")]
        return importing.import_cases(out, sources, ImportSettings())
    cases = [BatchCase(case, ()) for case in ("w01", "w02")]
    return batch.run_batch(cases, out, Model(), JobSettings())  # type: ignore[arg-type]


class Model:
    weights_sha256 = "of no model"


@pytest.mark.parametrize("command", WHERE)
def test_a_place_that_takes_no_more_ends_the_run(command, study, tmp_path, monkeypatch) -> None:
    asked = []

    def full(*arguments: object) -> NoReturn:
        asked.append(arguments)
        raise OutputPlaceError("w01: cannot be written (No space left on device)")

    monkeypatch.setattr(*WHERE[command], full)
    with pytest.raises(OutputPlaceError, match="No space left"):
        run(command, study, tmp_path / "out")
    assert len(asked) == 1


@pytest.mark.parametrize("command", WHERE)
def test_a_case_that_is_wrong_does_not(command, study, tmp_path, monkeypatch) -> None:
    asked = []

    def wrong(*arguments: object) -> NoReturn:
        asked.append(arguments)
        raise InputError("w01: is damaged")

    monkeypatch.setattr(*WHERE[command], wrong)
    run(command, study, tmp_path / "out")
    assert len(asked) == 2
