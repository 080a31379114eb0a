"""--files and --dicom-identity on the command line: what cannot be done is said before the work begins."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bonelift.cli import main
from bonelift.errors import InputError
from bonelift.reconstruction.file_kinds import DEFAULT_KINDS, FILE_KINDS, file_kinds
from bonelift.reconstruction.output_files import OutputFiles
from builders.radiograph_files import dicom_radiograph, save


def test_kinds_are_words_with_commas_in_any_order() -> None:
    assert file_kinds("seg,stl") == ("stl", "seg")
    assert file_kinds(" STL , stl ") == ("stl",)
    assert file_kinds(",".join(FILE_KINDS)) == FILE_KINDS
    assert set(DEFAULT_KINDS) < set(FILE_KINDS)


@pytest.mark.parametrize(("words", "said"), [("stl,vtk", "'vtk'"), ("", "nothing"), (",", "nothing"), ("dcm", "'dcm'")])
def test_another_kind_ends_in_one_line_that_names_the_kinds(tmp_path, capsys, words, said) -> None:
    call = ["reconstruct", "film.dcm", "--files", words, "--out", str(tmp_path / "result")]
    assert main(call) == 2
    message = capsys.readouterr().err
    assert f"--files got {said}; expected some of stl,glb,seg,nifti,csv,dicom" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "result").exists()


def test_dicom_results_need_a_dicom_image(tmp_path, capsys) -> None:
    Image.fromarray(np.zeros((40, 30), np.uint8)).save(tmp_path / "film.png")
    call = ["reconstruct", str(tmp_path / "film.png"), "--files", "stl,dicom", "--out", str(tmp_path / "result")]
    assert main(call) == 2
    assert "film.png: is no DICOM file, and DICOM results refer to" in capsys.readouterr().err
    assert not (tmp_path / "result").exists()
    with pytest.raises(InputError, match="no DICOM image to refer to"):
        OutputFiles(("dicom",))


def test_without_highdicom_its_name_is_said(tmp_path, monkeypatch) -> None:
    film = save(dicom_radiograph(), tmp_path / "film.dcm")
    assert OutputFiles(("dicom",), (film,)).identity == "none"
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"pip install '.\[dicom\]'"):
        OutputFiles(("dicom",), (film,))
    assert OutputFiles(("stl",), (film,)).kinds == ("stl",)
