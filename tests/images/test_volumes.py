"""Volumes, segmentations and landmarks: round trips, independent readers as oracles, and every way to be wrong."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import RLELossless, generate_uid

from bonelift.errors import InputError
from bonelift.geometry import apply_transform, rigid_from_vector
from bonelift.images import (
    LabelMap,
    Volume,
    read_labels,
    read_landmarks,
    read_volume,
    write_labels_nifti,
    write_labels_seg_nrrd,
    write_volume_nifti,
    write_volume_nrrd,
)
from builders.radiograph_files import CT, dicom_radiograph, save

SHAPE = (7, 6, 5)


def _world_from_voxel() -> np.ndarray:
    """Oblique axes, oblong voxels, far from the origin."""
    return rigid_from_vector([0.3, -0.2, 0.5, 12.5, -40.25, 130.75]) @ np.diag([0.4, 0.5, 0.625, 1.0])


def _volume(dtype: type = np.int16) -> Volume:
    return Volume(np.random.default_rng(3).integers(-900, 2000, SHAPE).astype(dtype), _world_from_voxel())


def _labels() -> LabelMap:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:3, 1:5, :3] = 1
    labels[4:6, 1:5, 1:4] = 2
    return LabelMap(labels, _world_from_voxel())


def _message(path: Path, read=read_volume, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path.parent) not in message
    return message


def _write_mha(path: Path, volume: Volume, compressed: bool = False, data_file: str = "LOCAL", **fields: str) -> None:
    """MetaImage as ITK writes it."""
    matrix = volume.world_from_voxel[:3, :3] / volume.spacing_mm
    voxels = volume.values.tobytes(order="F")
    voxels = zlib.compress(voxels) if compressed else voxels
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(compressed),
        "TransformMatrix": " ".join(repr(float(v)) for v in matrix.T.ravel()),
        "Offset": " ".join(repr(float(v)) for v in volume.world_from_voxel[:3, 3]),
        "ElementSpacing": " ".join(repr(float(v)) for v in volume.spacing_mm),
        "DimSize": " ".join(str(n) for n in volume.values.shape),
        "ElementType": {"int16": "MET_SHORT", "float32": "MET_FLOAT", "uint8": "MET_UCHAR"}[str(volume.values.dtype)],
    } | fields
    text = "".join(f"{key} = {value}\n" for key, value in header.items()) + f"ElementDataFile = {data_file}\n"
    path.write_bytes(text.encode() + (voxels if data_file == "LOCAL" else b""))
    if data_file != "LOCAL":
        (path.parent / data_file).write_bytes(voxels)


def _write_series(
    folder: Path, count: int = 5, tilt_mm: float = 0.0, **elements: object
) -> tuple[np.ndarray, np.ndarray]:
    """An oblique CT; returns its stored values (slices, rows, columns) and world_from_voxel."""
    folder.mkdir(exist_ok=True)
    stored = np.random.default_rng(5).integers(0, 3000, (count, 12, 10)).astype(np.uint16)
    axes = rigid_from_vector([0.1, 0.2, -0.3, 0, 0, 0])[:3, :3]
    origin = np.array([-20.0, 30.0, 400.0])
    for index in range(count):
        position = origin + axes[:, 2] * 0.625 * index + axes[:, 1] * tilt_mm * index
        dataset = dicom_radiograph(
            stored[index],
            CT,
            ImagerPixelSpacing=None,
            PixelSpacing=[0.5, 0.4],
            ImageOrientationPatient=[round(float(v), 6) for v in axes[:, :2].T.ravel()],
            ImagePositionPatient=[round(float(v), 6) for v in position],
            RescaleSlope=1,
            RescaleIntercept=-1024,
            SeriesInstanceUID=generate_uid(entropy_srcs=["series"]),
            SeriesNumber=3,
            **elements,
        )
        # Names in another order than places.
        save(dataset, folder / f"{(index * 7 + 3) % count:03d}.dcm")
    expected = np.eye(4)
    expected[:3, :3], expected[:3, 3] = axes * [0.4, 0.5, 0.625], origin
    return stored, expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
@pytest.mark.parametrize("file_name", ["ct.nrrd", "ct.nii", "ct.nii.gz"])
def test_volume_round_trip(tmp_path: Path, file_name: str, dtype: type) -> None:
    volume = Volume(np.abs(_volume(dtype).values), _world_from_voxel())
    (write_volume_nrrd if file_name.endswith("nrrd") else write_volume_nifti)(tmp_path / file_name, volume)
    back = read_volume(tmp_path / file_name)
    np.testing.assert_array_equal(back.values, volume.values)
    assert back.values.dtype == dtype
    # NIfTI keeps its matrix as float32: 130 mm to 1e-5.
    np.testing.assert_allclose(back.world_from_voxel, volume.world_from_voxel, atol=1e-5)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("data_file", ["LOCAL", "ct.raw"])
def test_metaimage(tmp_path: Path, compressed: bool, data_file: str) -> None:
    volume = _volume()
    _write_mha(tmp_path / "ct.mha", volume, compressed, data_file)
    back = read_volume(tmp_path / "ct.mha")
    np.testing.assert_array_equal(back.values, volume.values)
    np.testing.assert_allclose(back.world_from_voxel, volume.world_from_voxel, atol=1e-9)


def test_nifti_world_is_turned_into_lps(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([0.5, 0.5, 2.0, 1.0])), tmp_path / "ct.nii")
    at = apply_transform(read_volume(tmp_path / "ct.nii").world_from_voxel, [2, 4, 3])
    np.testing.assert_allclose(at, [-1.0, -2.0, 6.0])  # RAS (1, 2, 6)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("left-posterior-superior", (1, 2, 6)),
        ("RAS", (-1, -2, 6)),
        ("left-anterior-superior", (1, -2, 6)),
    ],
)
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_of_another_writer(tmp_path: Path, space: str, expected: tuple[int, ...], encoding: str) -> None:
    values = _volume().values
    header = {
        "space": space,
        "space directions": np.diag([0.5, 0.5, 2.0]),
        "space origin": np.zeros(3),
        "encoding": encoding,
        "endian": "big" if encoding == "raw" else "little",
    }
    nrrd.write(str(tmp_path / "ct.nrrd"), values, header)
    back = read_volume(tmp_path / "ct.nrrd")
    np.testing.assert_array_equal(back.values, values)
    np.testing.assert_allclose(apply_transform(back.world_from_voxel, [2, 4, 3]), expected)


def test_another_reader_reads_our_segmentation(tmp_path: Path) -> None:
    label_map = _labels()
    write_labels_seg_nrrd(tmp_path / "labels.seg.nrrd", label_map)
    values, header = nrrd.read(str(tmp_path / "labels.seg.nrrd"))
    np.testing.assert_array_equal(values, label_map.labels)
    assert header["space"] == "left-posterior-superior"
    np.testing.assert_allclose(header["space directions"].T, label_map.world_from_voxel[:3, :3])
    np.testing.assert_allclose(header["space origin"], label_map.world_from_voxel[:3, 3])
    assert (header["Segment0_Name"], header["Segment0_LabelValue"]) == ("radius", "1")
    assert (header["Segment1_Name"], header["Segment1_LabelValue"]) == ("ulna", "2")
    assert header["Segment0_Extent"] == "0 6 0 5 0 4"


def test_label_round_trips(tmp_path: Path) -> None:
    label_map = _labels()
    write_labels_seg_nrrd(tmp_path / "labels.seg.nrrd", label_map)
    write_labels_nifti(tmp_path / "labels.nii.gz", label_map)
    _write_mha(tmp_path / "labels.mha", Volume(label_map.labels, label_map.world_from_voxel))
    for name in ("labels.seg.nrrd", "labels.nii.gz", "labels.mha"):
        back = read_labels(tmp_path / name)
        np.testing.assert_array_equal(back.labels, label_map.labels)
        assert back.names == {1: "radius", 2: "ulna"}
        np.testing.assert_allclose(back.world_from_voxel, label_map.world_from_voxel, atol=1e-5)


def _write_slicer(path: Path, layers: np.ndarray, segments: list[tuple[str, int, int]]) -> None:
    keys = {}
    for number, (name, value, layer) in enumerate(segments):
        keys |= {
            f"Segment{number}_Name": name,
            f"Segment{number}_LabelValue": str(value),
            f"Segment{number}_Layer": str(layer),
        }
    header = {
        "space": "left-posterior-superior",
        "kinds": ["list", "domain", "domain", "domain"],
        "space directions": np.vstack([np.full(3, np.nan), np.eye(3)]),
        "space origin": np.zeros(3),
    }
    nrrd.write(str(path), layers, header | keys)


def test_slicer_layers_and_names(tmp_path: Path) -> None:
    layers = np.zeros((2, *SHAPE), dtype=np.uint8)
    layers[0][_labels().labels == 2] = 4
    layers[0, 0, 0, 0] = 9
    layers[1][_labels().labels == 1] = 4
    path = tmp_path / "wrist.seg.nrrd"
    _write_slicer(path, layers, [("Right ulna", 4, 0), ("scaphoid", 9, 0), ("Radius_R", 4, 1)])
    found = read_labels(path)
    assert found.names == {2: "ulna", 3: "scaphoid", 1: "radius"}
    expected = _labels().labels.copy()
    expected[0, 0, 0] = 3
    np.testing.assert_array_equal(found.labels, expected)
    layers[1] = layers[0]
    _write_slicer(path, layers, [("ulna", 4, 0), ("radius", 4, 1)])
    assert "overlaps another" in _message(path, read_labels)
    _write_slicer(path, layers, [("ulna", 4, 0), ("left ulna", 4, 1)])
    assert "both the same bone" in _message(path, read_labels)
    _write_slicer(path, layers, [("ulna", 4, 5)])
    assert "Layer is 5" in _message(path, read_labels)


def test_labels_must_be_labels(tmp_path: Path) -> None:
    write_volume_nrrd(tmp_path / "ct.nrrd", _volume())
    assert "expected 0 to 255" in _message(tmp_path / "ct.nrrd", read_labels)
    write_volume_nrrd(tmp_path / "p.nrrd", Volume(np.full(SHAPE, 0.5, np.float32), np.eye(4)))
    assert "fractions" in _message(tmp_path / "p.nrrd", read_labels)


@pytest.mark.parametrize("compressed", [False, True])
def test_ct_series(tmp_path: Path, compressed: bool) -> None:
    folder = tmp_path / "ct"
    stored, expected = _write_series(folder)
    (folder / "notes.txt").write_text("not a slice")
    save(dicom_radiograph(), folder / "scout.dcm")
    if compressed:
        for path in folder.glob("0*.dcm"):
            dataset = dcmread(path)
            dataset.compress(RLELossless, generate_instance_uid=False)
            dataset.save_as(path)
    volume = read_volume(folder)
    assert volume.values.dtype == np.int16
    np.testing.assert_array_equal(volume.values, stored.transpose(2, 1, 0).astype(int) - 1024)
    # Cosines and positions are rounded to 1e-6; slice steps follow.
    np.testing.assert_allclose(volume.world_from_voxel, expected, atol=1e-5)


def test_ct_series_that_are_not_one_volume(tmp_path: Path) -> None:
    empty = tmp_path / "none"
    empty.mkdir()
    assert "holds no CT slices" in _message(empty)

    _write_series(tmp_path / "gap", 6)
    (tmp_path / "gap" / "000.dcm").unlink()
    assert "slices are missing or unevenly spaced" in _message(tmp_path / "gap")

    _write_series(tmp_path / "twice")
    (tmp_path / "twice" / "copy.dcm").write_bytes((tmp_path / "twice" / "001.dcm").read_bytes())
    assert "lie at the same place" in _message(tmp_path / "twice")

    _write_series(tmp_path / "tilt", tilt_mm=0.11)
    # atan(0.11 / 0.625) is 10.0 degrees.
    assert "tilted by 10.0 degrees" in _message(tmp_path / "tilt")

    two = tmp_path / "two"
    _write_series(two)
    _write_series(tmp_path / "other", 4)
    for path in (tmp_path / "other").iterdir():
        dataset = dcmread(path)
        dataset.SeriesInstanceUID, dataset.SeriesNumber = generate_uid(entropy_srcs=["second"]), 8
        dataset.save_as(two / f"b{path.name}")
    message = _message(two)
    assert "2 CT series: series 3 (5 slices), series 8 (4 slices)" in message
    assert read_volume(two, series=8).values.shape == (10, 12, 4)
    assert "has no series 9" in _message(two, series=9)
    assert "pass the folder" in _message(two / "000.dcm")


def test_ct_series_with_a_damaged_slice(tmp_path: Path) -> None:
    _write_series(tmp_path / "ct")
    path = tmp_path / "ct" / "002.dcm"
    path.write_bytes(path.read_bytes()[:-50])
    assert "002.dcm: its pixel data are damaged or truncated" in _message(tmp_path / "ct")


def test_orientation_is_never_guessed(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.eye(4))
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nib.save(image, tmp_path / "ct.nii")
    assert "orientation is unknown" in _message(tmp_path / "ct.nii")
    nrrd.write(str(tmp_path / "ct.nrrd"), _volume().values, {"spacings": [1.0, 1.0, 1.0]})
    assert "space directions" in _message(tmp_path / "ct.nrrd")


def test_data_files_elsewhere_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _write_mha(tmp_path / "ct.mhd", _volume(), data_file="ct.raw")
    text = (tmp_path / "ct.mhd").read_text()
    (tmp_path / "in" / "ct.mhd").write_text(text.replace("ct.raw", "../ct.raw"))
    assert "expected a file in the same folder" in _message(tmp_path / "in" / "ct.mhd")
    assert read_volume(tmp_path / "ct.mhd").values.shape == SHAPE


def test_volume_bombs_and_lengths(tmp_path: Path) -> None:
    _write_mha(tmp_path / "long.mha", _volume(), compressed=True, DimSize="2 2 2")
    assert "damaged: more voxel bytes" in _message(tmp_path / "long.mha")
    _write_mha(tmp_path / "short.mha", _volume(), DimSize="70 6 5")
    assert "truncated: fewer voxel bytes" in _message(tmp_path / "short.mha")
    _write_mha(tmp_path / "huge.mha", _volume(), DimSize="99999 99999 99999")
    assert "at most 512 Mi voxels" in _message(tmp_path / "huge.mha")


def test_files_that_are_no_volumes(tmp_path: Path) -> None:
    (tmp_path / "empty.nii").touch()
    (tmp_path / "text.nrrd").write_text("a letter")
    (tmp_path / "packed.nii.gz").write_bytes(gzip.compress(b"a letter", mtime=0))
    assert "no such file" in _message(tmp_path / "missing.nii")
    assert "is empty" in _message(tmp_path / "empty.nii")
    assert "no volume" in _message(tmp_path / "text.nrrd")
    assert "no volume" in _message(tmp_path / "packed.nii.gz")
    values = _volume(np.float32).values.copy()
    values[1, 1, 1] = np.nan
    write_volume_nrrd(tmp_path / "nan.nrrd", Volume(values, np.eye(4)))
    assert "NaN" in _message(tmp_path / "nan.nrrd")


@pytest.mark.parametrize("kind", ["nrrd", "nii", "nii.gz", "mha"])
def test_damaged_volumes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"ct.{kind}"
    if kind == "mha":
        _write_mha(path, _volume(), compressed=True)
    else:
        (write_volume_nrrd if kind == "nrrd" else write_volume_nifti)(path, _volume())
    content = path.read_bytes()

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(
        length=st.one_of(st.just(len(content)), st.integers(0, len(content))),
        flips=st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8),
    )
    def check(length: int, flips: list[tuple[int, int]]) -> None:
        damaged = bytearray(content)
        for position, value in flips:
            damaged[position] = value
        path.write_bytes(bytes(damaged[:length]))
        message = ""
        try:
            assert isinstance(read_volume(path), Volume)
        except InputError as error:
            message = str(error)
        assert "\n" not in message

    check()


def _markups(**changes: object) -> dict:
    points = [
        {"label": "styloid", "position": [1.0, 2.0, 3.0], "positionStatus": "defined"},
        {"label": "later", "position": [0, 0, 0], "positionStatus": "undefined"},
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "RAS", "coordinateUnits": "mm", "controlPoints": points}
    return {"markups": [markup | changes]}


def test_landmarks(tmp_path: Path) -> None:
    path = tmp_path / "points.mrk.json"
    path.write_text(json.dumps(_markups()))
    landmarks = read_landmarks(path)
    assert list(landmarks) == ["styloid"]
    np.testing.assert_array_equal(landmarks["styloid"], [-1, -2, 3])
    path.write_text(json.dumps(_markups(coordinateSystem="LPS")))
    np.testing.assert_array_equal(read_landmarks(path)["styloid"], [1, 2, 3])
    for content, words in (
        (_markups(coordinateUnits="um"), "expected LPS or RAS in mm"),
        (_markups(coordinateSystem=0), "expected LPS or RAS in mm"),
        (_markups(controlPoints=[]), "holds no placed points"),
        (_markups(controlPoints=[{"label": "a", "position": [1, 2]}]), "not at three numbers"),
        (_markups(controlPoints=[7]), "a control point is damaged"),
        ({"markups": 3}, "no markups file"),
        ([], "no markups file"),
    ):
        path.write_text(json.dumps(content))
        assert words in _message(path, read_landmarks)
    path.write_text("{")
    assert "expected Slicer markups" in _message(path, read_landmarks)
