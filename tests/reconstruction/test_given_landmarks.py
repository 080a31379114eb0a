"""Landmarks that a person gives: they stay where they were put, through crop and squares, and say which way is up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.images.radiograph import Radiograph
from bonelift.images.reading import RadiographOptions, read_radiograph
from bonelift.networks.inference import LocatedWrist
from bonelift.reconstruction import locate
from bonelift.reconstruction.locate import LocateSettings, locate_wrist
from builders.radiograph_files import dicom_radiograph, film_pixels, save

POINTS = (40.0, 30.0, 45.0, 90.0)


def read(folder: Path, **options: object) -> Radiograph:
    elements = {"ImagerPixelSpacing": options.pop("spacing", [0.15, 0.15])}
    path = save(dicom_radiograph(film_pixels(200, 160), **elements), folder / "film.dcm")
    return read_radiograph(path, RadiographOptions(landmarks=POINTS, **options))


@pytest.mark.parametrize("roi", [None, (10, 20, 150, 190)])
@pytest.mark.parametrize("spacing", [[0.15, 0.15], [0.15, 0.3]])
def test_the_points_show_the_same_place_in_crop_and_squares(tmp_path: Path, roi, spacing) -> None:
    film = read(tmp_path, roi=roi, spacing=spacing)
    assert film.landmarks is not None
    again = film.landmarks.moved(np.linalg.inv(film.image_from_recorded))
    np.testing.assert_allclose([*again.origin_px, *again.shaft_px], POINTS, atol=1e-9)
    # Pixels of one place: the corner that the crop keeps is the corner of the image that is left.
    corner = np.array([*(roi[:2] if roi else (0, 0)), 1.0]) - [0.5, 0.5, 0]
    np.testing.assert_allclose((film.image_from_recorded @ corner)[:2], [-0.5, -0.5], atol=1e-9)
    assert film.provenance["landmarks"].kind == "option"


@pytest.mark.parametrize("points", [(40, 30, 40, 30), (-50, 0, 3, 3), (1, 1, 500, 20), (float("nan"), 0, 3, 3)])
def test_points_that_cannot_be_are_refused(tmp_path: Path, points) -> None:
    path = save(dicom_radiograph(), tmp_path / "film.dcm")
    with pytest.raises(InputError, match="--landmarks"):
        read_radiograph(path, RadiographOptions(landmarks=points))


@pytest.mark.parametrize("presence", [0.0, 0.9])
def test_the_locator_is_asked_only_how_the_picture_hangs(tmp_path: Path, monkeypatch, presence: float) -> None:
    """A stand-in for the network, which looks elsewhere and prefers the mirrored picture by far."""
    looked: list[float] = []

    def look(radiograph, model, looks):
        looked.extend(turn for turn, _ in looks)
        sure = 0.9 if radiograph.hangs_mirrored else 0.001
        away = np.array([5.0, 5.0])
        return [LocatedWrist(away, away + np.array([0, 90]), away, sure * presence, np.ones(3), *one) for one in looks]

    monkeypatch.setattr(locate, "look", look)
    film = read(tmp_path)
    seen = locate_wrist(film, model=None, settings=LocateSettings())  # type: ignore[arg-type]
    assert len(seen) == (1 if presence else 2)
    assert seen[0].found
    assert seen[0].presence == 1.0
    if presence:
        assert seen[0].radiograph.hangs_mirrored
    np.testing.assert_allclose(seen[0].located.origin_px, film.landmarks.origin_px)
    np.testing.assert_allclose(seen[0].located.shaft_px, film.landmarks.shaft_px)
    # The shaft of POINTS runs 5 px right on 60 px down; turned clockwise by atan(5 / 60) it points straight down.
    np.testing.assert_allclose(looked, np.rad2deg(np.arctan2(5, 60)))
