"""Reading radiographs: pixels, polarity, geometry and the origin of every fact."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from bonelift.errors import InputError
from bonelift.geometry import camera_from_file, default_film_camera
from bonelift.images import RadiographOptions, read_radiograph, write_png
from bonelift.origin import Origin
from builders.radiograph_files import DX, PATIENT_NAME, SECONDARY_CAPTURE, XA, dicom_radiograph, film_pixels, save

GIVEN = RadiographOptions(side="left", view="pa", pixel_spacing_mm=0.15)


def _bones_are_bright(pixels: np.ndarray) -> bool:
    """Truth of film_pixels: a shaft at 0.4 of the width, soft tissue at 0.5, air at 0.1."""
    shaft, flesh, air = (float(pixels[:, int(f * pixels.shape[1])].mean()) for f in (0.39, 0.52, 0.1))
    return shaft > flesh > air


def test_cr_with_everything_in_its_header(tmp_path: Path) -> None:
    film = read_radiograph(save(dicom_radiograph(), tmp_path / "film.dcm"))
    np.testing.assert_array_equal(film.pixels, film_pixels())
    assert (film.side, film.view) == ("left", "pa")
    assert film.camera.detector_spacing_mm == pytest.approx(0.15)
    assert film.camera.sdd_mm == 1000
    assert film.source_to_object_mm == 970
    assert film.provenance["pixel_spacing"].text.startswith("ImagerPixelSpacing (0018,1164)")
    assert film.provenance["side"].text == "Laterality (0020,0060)"
    assert film.provenance["sdd"] == Origin("assumed", "assumed 1000 mm", 1000.0)
    assert film.provenance["source_to_object"].assumed


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    film = read_radiograph(save(dicom_radiograph(), tmp_path / "film.png"))
    assert film.provenance["file_format"].text == "DICOM CR"
    write_png(tmp_path / "film.dcm", film_pixels())
    assert read_radiograph(tmp_path / "film.dcm", GIVEN).provenance["file_format"].text == "PNG, 16 bit grey"


def test_no_identity_leaves_the_reader(tmp_path: Path) -> None:
    path = save(dicom_radiograph(), tmp_path / "film.dcm")
    provenance = str(read_radiograph(path).provenance)
    assert "Rontgen" not in provenance
    assert "4711" not in provenance
    with pytest.raises(InputError) as caught:
        read_radiograph(path, RadiographOptions(side="right"))
    assert PATIENT_NAME not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("bits", [8, 16])
def test_rasters(tmp_path: Path, format_name: str, bits: int) -> None:
    if format_name == "JPEG" and bits == 16:
        return
    pixels = film_pixels() if bits == 16 else (film_pixels() // 16).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "film", format=format_name)
    film = read_radiograph(tmp_path / "film", GIVEN)
    # JPEG at Pillow's default quality stays within a few levels in the mean.
    assert np.abs(film.pixels - pixels).mean() < (3 if format_name == "JPEG" else 1e-6)
    assert film.provenance["polarity"].text == "inferred from the pixels"
    assert film.camera.detector_spacing_mm == pytest.approx(0.15)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("invert", ["auto", "yes", "no"])
def test_polarity_of_a_raster(tmp_path: Path, inverted: bool, invert: str) -> None:
    pixels = film_pixels()
    write_png(tmp_path / "film.png", 4095 - pixels if inverted else pixels)
    film = read_radiograph(
        tmp_path / "film.png",
        RadiographOptions("left", "pa", 0.15, invert="yes" if invert == "yes" else "auto")
        if invert != "no"
        else RadiographOptions("left", "pa", 0.15, invert="no"),
    )
    expected = {"auto": True, "yes": inverted, "no": not inverted}[invert]
    assert _bones_are_bright(film.pixels) == expected


@pytest.mark.parametrize(
    ("sop_class", "stored_bright", "elements"),
    [
        (DX, True, {"PixelIntensityRelationshipSign": -1}),
        (DX, False, {"PixelIntensityRelationshipSign": 1}),
        (DX, False, {"PixelIntensityRelationshipSign": 1, "PhotometricInterpretation": "MONOCHROME1"}),
        (DX, False, {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}),
        (DX, False, {"PhotometricInterpretation": "MONOCHROME1"}),
        (XA, True, {}),
        (XA, False, {}),
        (SECONDARY_CAPTURE, False, {}),
    ],
)
def test_polarity_of_dicom(tmp_path: Path, sop_class: str, stored_bright: bool, elements: dict[str, object]) -> None:
    pixels = film_pixels() if stored_bright else 4095 - film_pixels()
    film = read_radiograph(save(dicom_radiograph(pixels, sop_class, **elements), tmp_path / "film.dcm"))
    assert _bones_are_bright(film.pixels)


def test_rescale_and_window(tmp_path: Path) -> None:
    dataset = dicom_radiograph(RescaleSlope=2, RescaleIntercept=-100, WindowCenter=2000, WindowWidth=3000)
    film = read_radiograph(save(dataset, tmp_path / "film.dcm"))
    # PS3.3 C.11.2.1.2: linear between centre -+ half the width (and a half), here 501 to 3499 of 2 p - 100.
    inside = (film_pixels() * 2.0 - 100 > 510) & (film_pixels() * 2.0 - 100 < 3490)
    line = np.polyfit(film_pixels()[inside], film.pixels[inside], 1)
    np.testing.assert_allclose(np.polyval(line, film_pixels()[inside]), film.pixels[inside], rtol=1e-3)
    assert "VOI window" in film.provenance["display"].text


def test_a_window_that_hides_the_image_is_ignored(tmp_path: Path) -> None:
    dataset = dicom_radiograph(WindowCenter=30000, WindowWidth=2)
    film = read_radiograph(save(dataset, tmp_path / "film.dcm"))
    np.testing.assert_array_equal(film.pixels, film_pixels())
    assert "window ignored" in film.provenance["display"].text


def test_voi_lookup_table(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = (np.arange(4096) ** 2 // 256).astype(np.uint16).tolist()
    table.add_new(0x00283006, "US", table.LUTData)
    dataset = dicom_radiograph(VOILUTSequence=[table])
    film = read_radiograph(save(dataset, tmp_path / "film.dcm"))
    np.testing.assert_allclose(film.pixels, film_pixels().astype(np.int64) ** 2 // 256)


@pytest.mark.parametrize(
    ("elements", "spacing_mm", "source_to_object_mm", "origin"),
    [
        # PS3.3 10.7.1.3: at the detector; nothing calibrated.
        ({"ImagerPixelSpacing": [0.2, 0.2]}, 0.2, 970, "ImagerPixelSpacing"),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2]}, 0.2, 970, "ImagerPixelSpacing"),
        ({"ImagerPixelSpacing": None, "PixelSpacing": [0.2, 0.2]}, 0.2, 970, "PixelSpacing"),
        ({"ImagerPixelSpacing": None, "NominalScannedPixelSpacing": [0.1, 0.1]}, 0.1, 970, "NominalScanned"),
        # A fiducial beside the wrist: magnification 0.2 / 0.16 = 1.25, so the wrist is at 1000 / 1.25.
        (
            {"PixelSpacing": [0.16, 0.16], "PixelSpacingCalibrationType": "FIDUCIAL", "ImagerPixelSpacing": [0.2, 0.2]},
            0.2,
            800,
            "ImagerPixelSpacing",
        ),
        # Only the calibrated value: 0.16 mm at the wrist, assumed at 970 of 1000 mm.
        (
            {"PixelSpacing": [0.16, 0.16], "PixelSpacingCalibrationType": "GEOMETRY", "ImagerPixelSpacing": None},
            0.16 * 1000 / 970,
            970,
            "PixelSpacing",
        ),
        ({"EstimatedRadiographicMagnificationFactor": 1.25}, 0.15, 800, "ImagerPixelSpacing"),
        ({"DistanceSourceToDetector": 1200, "DistanceSourceToPatient": 1100}, 0.15, 1100, "ImagerPixelSpacing"),
        # A distance of 0 is a placeholder.
        ({"DistanceSourceToDetector": 0, "DistanceSourceToPatient": 0}, 0.15, 970, "ImagerPixelSpacing"),
    ],
)
def test_spacing_and_distances(
    tmp_path: Path, elements: dict[str, object], spacing_mm: float, source_to_object_mm: float, origin: str
) -> None:
    film = read_radiograph(save(dicom_radiograph(**elements), tmp_path / "film.dcm"))
    assert film.camera.detector_spacing_mm == pytest.approx(spacing_mm)
    assert film.source_to_object_mm == pytest.approx(source_to_object_mm)
    assert film.provenance["pixel_spacing"].text.startswith(origin)


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:120, :90].astype(np.float64)
    dataset = dicom_radiograph((10 * rows + 5 * columns).astype(np.uint16), ImagerPixelSpacing=[0.3, 0.15])
    film = read_radiograph(save(dataset, tmp_path / "film.dcm"))
    assert film.pixels.shape == (240, 90)
    assert film.camera.image_from_camera[0, 0] == pytest.approx(film.camera.image_from_camera[1, 1])
    # The point of the detector under stored pixel (row 50, column 40) keeps its value: 10 * 50 + 5 * 40 = 700.
    on_detector = np.array([(40 - 44.5) * 0.15, (50 - 59.5) * 0.3, 1000.0])
    column, row = film.camera.project(on_detector)
    assert column == pytest.approx(40)
    upper, lower = film.pixels[int(row), 40], film.pixels[int(row) + 1, 40]
    assert upper + (row - int(row)) * (lower - upper) == pytest.approx(700, abs=0.01)


def test_region_of_interest_keeps_the_camera(tmp_path: Path) -> None:
    path = save(dicom_radiograph(), tmp_path / "film.dcm")
    whole = read_radiograph(path)
    part = read_radiograph(path, RadiographOptions(roi=(20, 30, 80, 110)))
    np.testing.assert_array_equal(part.pixels, whole.pixels[30:110, 20:80])
    point = np.array([3.0, -2.0, 950.0])
    np.testing.assert_allclose(part.camera.project(point), whole.camera.project(point) - [20, 30])


def test_dark_bone_fluoroscopy_in_a_black_circle(tmp_path: Path) -> None:
    pixels = (4095 - film_pixels(200, 200)).astype(np.float64)
    rows, columns = np.mgrid[:200, :200]
    outside = np.hypot(rows - 99.5, columns - 99.5) > 95
    pixels[outside] = 0
    write_png(tmp_path / "film.png", pixels.astype(np.uint16))
    film = read_radiograph(tmp_path / "film.png", GIVEN)
    assert film.pixels.shape == (200, 200)  # a circle has no straight margin to trim
    bone = film.pixels[60:130, int(0.39 * 200) - 5].mean()
    assert film.pixels[outside].max() < 0.5 * bone


def test_black_blades_are_trimmed(tmp_path: Path) -> None:
    pixels = np.zeros((200, 160), dtype=np.uint16)
    pixels[30:180, 20:130] = film_pixels(150, 110) + 600
    write_png(tmp_path / "film.png", pixels)
    film = read_radiograph(tmp_path / "film.png", GIVEN)
    assert film.pixels.shape == (150, 110)
    # The central ray stays at the centre of the recorded image.
    np.testing.assert_allclose(film.camera.project([0, 0, 1.0]), [79.5 - 20, 99.5 - 30])


def test_padding_is_no_bone(tmp_path: Path) -> None:
    pixels = film_pixels()
    pixels[:10, :20] = 4095
    film = read_radiograph(save(dicom_radiograph(pixels, PixelPaddingValue=4095), tmp_path / "film.dcm"))
    assert film.pixels[:10, :20].max() < 500


def test_frame_of_a_multi_frame_file(tmp_path: Path) -> None:
    frames = np.stack([film_pixels(), film_pixels() + 50, film_pixels() + 100])
    path = save(dicom_radiograph(frames, XA), tmp_path / "run.dcm")
    for frame in (1, 2, 3):
        film = read_radiograph(path, RadiographOptions(frame=frame))
        np.testing.assert_array_equal(film.pixels, frames[frame - 1])
    assert film.provenance["frame"].text == "3 of 3"
    with pytest.raises(InputError, match="holds 3 frames; pass --frame 1 to 3"):
        read_radiograph(path)
    with pytest.raises(InputError, match="has no frame 4; expected 1 to 3"):
        read_radiograph(path, RadiographOptions(frame=4))


def test_compressed_rle(tmp_path: Path) -> None:
    dataset = dicom_radiograph()
    dataset.compress(RLELossless, generate_instance_uid=False)
    np.testing.assert_array_equal(read_radiograph(save(dataset, tmp_path / "film.dcm")).pixels, film_pixels())


def test_calibrated_camera(tmp_path: Path) -> None:
    write_png(tmp_path / "film.png", film_pixels())
    camera = default_film_camera(90, 120, 0.2, 1100)
    film = read_radiograph(tmp_path / "film.png", RadiographOptions("left", "pa", camera=camera))
    np.testing.assert_array_equal(film.camera.image_from_camera, camera.image_from_camera)
    assert film.source_to_object_mm == 1070
    with pytest.raises(InputError, match="is 90 x 120 pixels, but --camera is for 50 x 60"):
        read_radiograph(
            tmp_path / "film.png", RadiographOptions("left", "pa", camera=default_film_camera(50, 60, 0.2, 1100))
        )


def test_header_codes_of_the_view(tmp_path: Path) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399067008", "SCT", "lateral"
    dataset = dicom_radiograph(ViewPosition=None, ViewCodeSequence=[code], Laterality=None, ImageLaterality="R")
    film = read_radiograph(save(dataset, tmp_path / "film.dcm"))
    assert (film.side, film.view) == ("right", "lateral")
    assert film.provenance["view"].text == "ViewCodeSequence (0054,0220)"


@pytest.mark.reference_data
@pytest.mark.skipif("BONELIFT_DATA" not in os.environ, reason="BONELIFT_DATA is not set")
def test_real_films() -> None:
    folder = Path(os.environ["BONELIFT_DATA"])
    for path in sorted((folder / "radiographs").glob("*g")):
        film = read_radiograph(path, RadiographOptions("right", "pa", 0.144))
        assert film.provenance["polarity"].text == "inferred from the pixels", path.name
    for number in (1, 2):
        known = camera_from_file(folder / "specimen" / f"xr_calib_wrist_cam0{number}.txt")
        options = RadiographOptions("right", "pa", camera=known.camera, source_to_object_mm=known.source_to_object_mm)
        film = read_radiograph(folder / "specimen" / f"cam0{number}_0002.tif", options)
        assert film.provenance["polarity"].text.endswith("inverted)")
