"""Everything that a film does not say is named at once, with the options that give it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bonelift.images import RadiographOptions, read_radiograph, write_png
from bonelift.images.dicom_identity import patients_differ
from bonelift.images.missing_facts import MissingFactsError
from bonelift.reconstruction.inputs import ImageInput, read_radiographs
from builders.radiograph_files import dicom_radiograph, film_pixels, save


def png(folder, name="film.png"):
    write_png(folder / name, film_pixels())
    return folder / name


def lacking(call) -> MissingFactsError:
    with pytest.raises(MissingFactsError) as caught:
        call()
    return caught.value


def test_one_message_names_all_and_the_options_that_give_it(tmp_path):
    error = lacking(lambda: read_radiograph(png(tmp_path)))
    assert [fact.name for film in error.films for fact in film.missing] == ["side", "view", "pixel_spacing"]
    for words in ("which side it shows and which view", "how large a pixel is", "--side left or right", "--view pa or"):
        assert words in str(error)
    for option in ("--pixel-spacing-mm", "--sdd-mm", "--source-to-object-mm", "--hanging", "--invert"):
        assert option in str(error)


def test_what_was_given_is_not_asked_for(tmp_path):
    given = RadiographOptions(side="left", sdd_mm=1100.0, hanging="mirrored", invert="no")
    text = str(lacking(lambda: read_radiograph(png(tmp_path), given)))
    assert "--view" in text
    assert "--source-to-object-mm" in text
    assert not any(option in text for option in ("--side", "--sdd-mm", "--hanging", "--invert"))
    (only,) = lacking(lambda: read_radiograph(png(tmp_path), replace(given, view="pa"))).films[0].missing
    assert only.name == "pixel_spacing"


def test_a_header_answers_for_itself(tmp_path):
    path = save(dicom_radiograph(Laterality=None, ViewPosition=None), tmp_path / "film.dcm")
    error = lacking(lambda: read_radiograph(path))
    assert [fact.name for fact in error.films[0].missing] == ["side", "view"]
    assert "--pixel-spacing-mm" not in str(error)
    assert "--invert" not in str(error)  # PhotometricInterpretation says it


def test_two_films_are_asked_about_together(tmp_path):
    films = [ImageInput(png(tmp_path, name), RadiographOptions(side="left")) for name in ("pa.png", "lat.png")]
    error = lacking(lambda: read_radiographs(films))
    assert [film.name for film in error.films] == ["pa.png", "lat.png"]
    assert str(error).count("--pixel-spacing-mm") == 1
    assert "once for each image" in str(error)


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        ({}, {}, False),
        ({}, {"PatientID": "4712"}, True),
        ({}, {"PatientName": "Roentgen^A"}, False),  # one number: one patient, however the name is written
        ({"PatientID": None}, {"PatientID": "4712"}, False),  # nothing to compare with but the name
        ({"PatientID": None}, {"PatientID": "", "PatientName": "Curie^Marie"}, True),
        ({"PatientID": None, "PatientName": None}, {"PatientID": None, "PatientName": "Curie^Marie"}, False),
    ],
)
def test_two_patients_are_told_from_their_headers(tmp_path, first, second, differ):
    paths = [save(dicom_radiograph(**e), tmp_path / f"{n}.dcm") for n, e in enumerate((first, second))]
    assert patients_differ(*paths) is differ
    assert patients_differ(paths[0], png(tmp_path)) is False


def test_pixels_weigh_more_than_names(tmp_path):
    """The same picture under two names, and two patients: each one sentence that repeats no identity."""
    known = RadiographOptions(side="left", view="pa", pixel_spacing_mm=0.15)
    twice = [ImageInput(png(tmp_path, name), known) for name in ("a.png", "b.png")]
    with pytest.raises(ValueError, match="hold the same picture"):
        read_radiographs(twice)
    two = [
        ImageInput(save(dicom_radiograph(PatientID=number), tmp_path / f"{n}.dcm"), RadiographOptions())
        for n, number in enumerate(("SECRET-1", "SECRET-2"))
    ]
    with pytest.raises(ValueError, match="name two patients") as caught:
        read_radiographs(two)
    assert "SECRET" not in str(caught.value)
