"""Every reader of files that somebody else wrote, with a sound file of each kind to damage."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import trimesh
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from bonelift.experiments.folds import draw_folds, read_folds, write_folds
from bonelift.experiments.run.case_records import CaseRecord, changed_file, read_record
from bonelift.experiments.run.folder import RunPaths, read_run
from bonelift.geometry import default_film_camera
from bonelift.geometry.camera_files import camera_from_file, write_camera_json
from bonelift.images import LabelMap, Volume, read_labels, read_landmarks, read_volume
from bonelift.images.bone_labels import read_bone_labels
from bonelift.images.dicom_identity import identifying_element
from bonelift.images.dicom_labels import VoxelGrid
from bonelift.images.markups import write_landmarks
from bonelift.images.masks import read_mask
from bonelift.images.nifti_files import write_volume_nifti
from bonelift.images.nrrd_files import write_labels_seg_nrrd, write_volume_nrrd
from bonelift.images.reading import RadiographOptions, read_radiograph
from bonelift.networks.model_files import CONFIG_NAME, DEFAULT_MODEL, read_config
from bonelift.storage.output_folder import MANIFEST_NAME, claim_folder, read_made_from
from bonelift.study.folder import Study, StudyCase, StudyRadiograph, read_pose, read_study, write_pose, write_study
from bonelift.study.importing import _check_spacing, _kept_case
from bonelift.study.importing_case import ImportSettings
from bonelift.study.importing_sources import CaseSource
from bonelift.study.importing_table import read_table
from bonelift.study.registration.film_files import failed_row
from bonelift.study.registration.whole_study import RECORD_FILE, read_rows
from bonelift.surface.files import read_mesh, write_stl
from bonelift.surface.glb import write_glb
from bonelift.surface.mesh import TriangleMesh
from builders.label_files import write_rtstruct
from builders.mutations import mutated_bytes, mutated_json
from builders.radiograph_files import CT, dicom_radiograph, film_pixels, save

CASE = StudyCase(
    "w01", "p01", "right", "w01/ct.nrrd", "w01/labels.nrrd", "w01/points.json",
    (StudyRadiograph("w01/pa.png", "pa", "w01/pa.json", "w01/pose.json", "no"),),
)  # fmt: skip
OPTIONS = RadiographOptions("left", "pa", 0.2)
SETTINGS = {"poses": 3, "view": "pa"}
SPACING = (Study((CASE,), ""), ImportSettings(0.6))
AFFINE = np.diag([0.7, 0.6, 0.9, 1.0])


NAMES = (
    "radiograph pictures", "radiograph DICOM", "masks", "DICOM identity", "CT series", "volumes", "labels",
    "bone labels",
    "bone outlines", "camera text", "table", "mesh .stl", "mesh .ply", "mesh .obj", "mesh .glb", "camera JSON",
    "landmarks", "pose", "study.json", "imported case", "voxels of a study", "settings", "manifest",
    "register rows", "folds", "run.json", "case record", "model config",
)  # fmt: skip


@dataclass(frozen=True)
class FuzzedReader:
    """file: the name that is read, below a folder. seeds: sound contents. read: of the folder and the file's path.

    json: damage entries rather than bytes.
    """

    name: str
    file: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path, Path], object]
    json: bool = False

    def damaged(self, number: int) -> bytes:
        """Mutant ``number``: the same on every call."""
        rng = random.Random(f"{self.name} {number}")
        seed = rng.choice(self.seeds)
        return mutated_json(rng, json.loads(seed)) if self.json else mutated_bytes(rng, seed)


def _saved(folder: Path, name: str, write: Callable[[Path], object]) -> bytes:
    write(folder / name)
    return (folder / name).read_bytes()


def _picture(kind: str, **how: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((film_pixels(48, 40) // 16).astype(np.uint8)).save(stream, kind, **how)
    return stream.getvalue()


def _drawings() -> tuple[bytes, ...]:
    """A mask in grey, with alpha, of a palette and of 1 bit."""
    bone = np.zeros((48, 40), np.uint8)
    bone[10:, 10:20] = 255
    indexed = Image.fromarray(bone // 255, mode="P")
    indexed.putpalette([0, 0, 0, 200, 0, 0])
    found = []
    for image in (Image.fromarray(bone), Image.fromarray(np.dstack([bone, bone])), indexed, Image.fromarray(bone > 0)):
        for kind in ("PNG", "TIFF"):
            stream = io.BytesIO()
            image.save(stream, kind)
            found.append(stream.getvalue())
    return tuple(found)


def _pictures() -> tuple[bytes, ...]:
    wide = []
    for dtype in ("u2", "u4", "f8"):
        stream = io.BytesIO()
        tifffile.imwrite(stream, film_pixels(48, 40).astype(dtype))
        wide.append(stream.getvalue())
    return _picture("PNG"), _picture("JPEG"), _picture("TIFF"), _picture("TIFF", compression="tiff_lzw"), *wide


def _films(folder: Path) -> tuple[bytes, ...]:
    found = [_saved(folder, "f.dcm", lambda p: save(dicom_radiograph(film_pixels(48, 40)), p))]
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        dataset = dicom_radiograph(film_pixels(48, 40), WindowCenter=900, WindowWidth=2000, PixelPaddingValue=0)
        dataset.file_meta.TransferSyntaxUID = syntax
        found.append(_saved(folder, "f.dcm", lambda p, d=dataset: save(d, p)))
    return tuple(found)


def _slices(folder: Path) -> list[bytes]:
    hu = np.arange(20 * 16, dtype=np.uint16).reshape(16, 20)
    return [
        _saved(folder, "s.dcm", lambda p, k=k: save(dicom_radiograph(
            hu, CT, ImagerPixelSpacing=None, BitsStored=16, HighBit=15, PixelSpacing=[0.5, 0.5],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, k], RescaleSlope=1,
            RescaleIntercept=-1024, SeriesInstanceUID="1.2", SeriesNumber=3, PixelPaddingValue=63536), p))
        for k in range(4)
    ]  # fmt: skip


def _volumes(folder: Path) -> tuple[bytes, ...]:
    values = np.arange(9 * 8 * 7, dtype=np.int16).reshape(9, 8, 7)
    volume = Volume(values, AFFINE)
    nrrd = _saved(folder, "a.nrrd", lambda p: write_volume_nrrd(p, volume))
    nifti = _saved(folder, "a.nii", lambda p: write_volume_nifti(p, volume))
    head = (
        b"ObjectType = Image\nNDims = 3\nBinaryData = True\nOffset = 0 0 0\nElementSpacing = 0.7 0.6 0.9\n"
        b"DimSize = 9 8 7\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    text = (
        b"NRRD0005\ntype: short\ndimension: 3\nspace: LPS\nsizes: 9 8 7\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
        b"encoding: ascii\n\n" + b" ".join(b"%d" % v for v in values.ravel())
    )
    return nrrd, nifti, gzip.compress(nifti, mtime=0), head + values.tobytes(order="F"), text


def _labels(folder: Path) -> tuple[bytes, ...]:
    labels = np.zeros((9, 8, 7), np.uint8)
    labels[1:4, 1:7, 1:6], labels[5:8, 1:7, 1:6] = 1, 2
    seg = _saved(folder, "l.seg.nrrd", lambda p: write_labels_seg_nrrd(p, LabelMap(labels, AFFINE)))
    floats = _saved(folder, "l.nii", lambda p: write_volume_nifti(p, Volume(labels.astype(np.float32), AFFINE)))
    return seg, floats


def _meshes(folder: Path, suffix: str) -> tuple[bytes, ...]:
    points = np.array([[0, 0, 0], [20, 0, 0], [0, 30, 0], [0, 0, 40], [20, 30, 40]], dtype=np.float64)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 4], [1, 4, 3], [2, 3, 4]], dtype=np.int32)
    mesh = TriangleMesh(points, faces)
    if suffix == ".glb":
        return (_saved(folder, "m.glb", lambda p: write_glb(p, {"radius": mesh, "ulna": mesh})),)
    if suffix == ".stl":
        return (_saved(folder, "m.stl", lambda p: write_stl(p, mesh)),)
    lines = (
        "".join(f"{x:g} {y:g} {z:g}\n" for x, y, z in points),
        "".join(f"3 {i} {j} {k}\n" for i, j, k in faces.tolist()),
    )
    if suffix == ".obj":
        text = "".join(f"v {line}\n" for line in lines[0].splitlines())
        return ((text + "".join(f"f {i} {j} {k}\n" for i, j, k in (faces + 1).tolist())).encode(),)
    properties = "property float x\nproperty float y\nproperty float z\n"
    head = (
        f"ply\nformat ascii 1.0\nelement vertex 5\n{properties}element face 6\nproperty list uchar int vertex_indices\n"
    )
    return (
        (head + "end_header\n" + "".join(lines)).encode(),
        _saved(folder, "m.ply", lambda p: trimesh.Trimesh(points, faces).export(p)),
    )


def readers(folder: Path) -> dict[str, FuzzedReader]:
    """All of them. folder: an empty one, to write the sound files in."""
    labels, slices = _labels(folder), _slices(folder)
    table = b"case,patient,side,ct,labels,landmarks,radiograph,view,sdd_mm,ct_series,radius_label\n" + (
        b"w1,p1,right,ct,l.nrrd,p.json,f.png,pa,1000,3,1\nw1,,,,,,g.png,lateral,,,\n"
    )
    maya = (
        b"image size\n40,48\n\ncamera matrix\n5000,0,19\n0,5000,23\n0,0,1\n\nrotation\n1,0,0\n0,1,0\n0,0,1\n\n"
        b"translation\n0\n0\n900\n"
    )
    study = _saved(folder, "study.json", lambda p: write_study(p.parent, Study((CASE,), "a test")))
    film = {"label": "radial styloid", "position": [1.0, 2.0, 3.0], "positionStatus": "defined"}
    markups = _saved(folder, "p.json", lambda p: write_landmarks(p, {"a": np.zeros(3), "b": np.ones(3)}))
    slicer = json.dumps({"markups": [{"coordinateSystem": "RAS", "coordinateUnits": ["mm"], "controlPoints": [film]}]})
    record = CaseRecord(
        "w01", "p01", "right", {"w01/ct.nrrd": {"bytes": 1, "changed_ns": 2, "sha256": "a"}}, {}, [], None
    )
    folds = _saved(folder, "folds.json", lambda p: write_folds(p, draw_folds(_patients(), 2, 0)))
    run = {"schema_version": 1, "preset": {}, "seed": 0, "folds": 2, "cases": {"w01": asdict(CASE)}}
    imported = {"case": asdict(CASE), "inputs_sha256": "a", "ct": {"voxels_mm": [0.6, 0.6, 0.6]}}
    rows = {"rows": [asdict(failed_row("w01", "pa", "pa", "why"))]}
    manifest = {"written_by": "bonelift", "files": ["a"], "made_from": {"files": {"ct": "a"}}}
    camera = _saved(folder, "c.json", lambda p: write_camera_json(p, default_film_camera(40, 48, 0.4), 970.0))
    pose = _saved(folder, "pose.json", lambda p: write_pose(p, np.eye(4)))
    as_bytes = {name: json.dumps(value, default=str).replace("NaN", "null").encode() for name, value in
                (("record", asdict(record)), ("run", run), ("imported", imported), ("rows", rows),
                 ("manifest", manifest), ("settings", SETTINGS))}  # fmt: skip
    by_path = lambda read: lambda _, path: read(path)  # noqa: E731
    found = [
        FuzzedReader("radiograph pictures", "a", _pictures(), lambda _, p: read_radiograph(p, OPTIONS)),
        FuzzedReader("radiograph DICOM", "a", _films(folder), lambda _, p: read_radiograph(p)),
        FuzzedReader("masks", "a.png", _drawings(), by_path(read_mask)),
        FuzzedReader("DICOM identity", "a", _films(folder), lambda _, p: identifying_element(p, "mueller-1950")),
        FuzzedReader("CT series", "ct/3.dcm", (slices[3],), lambda f, _: read_volume(_with_slices(f, slices))),
        FuzzedReader("volumes", "a", _volumes(folder), by_path(read_volume)),
        FuzzedReader("labels", "a", labels, by_path(read_labels)),
        FuzzedReader("bone labels", "a", labels, by_path(read_bone_labels)),
        FuzzedReader("bone outlines", "a", (_outlines(folder),), lambda _, p: read_bone_labels(p, grid=OUTLINED)),
        FuzzedReader("camera text", "a", (maya, camera), by_path(camera_from_file)),
        FuzzedReader("table", "a.csv", (table, table.replace(b",", b";")), by_path(read_table)),
    ]
    for suffix in (".stl", ".ply", ".obj", ".glb"):
        found.append(FuzzedReader(f"mesh {suffix}", f"a{suffix}", _meshes(folder, suffix), by_path(read_mesh)))
    config = (DEFAULT_MODEL / CONFIG_NAME).read_bytes()
    of_json: list[tuple[str, str, tuple[bytes, ...], Callable[[Path, Path], object]]] = [
        ("camera JSON", "a", (camera,), by_path(camera_from_file)),
        ("landmarks", "a", (markups, slicer.encode()), by_path(read_landmarks)),
        ("pose", "a", (pose,), by_path(read_pose)),
        ("study.json", "study.json", (study,), lambda f, _: read_study(f)),
        (
            "imported case",
            "w01/import.json",
            (as_bytes["imported"],),
            lambda f, p: _kept(f, p),
        ),
        ("voxels of a study", "w01/import.json", (as_bytes["imported"],), lambda f, _: _check_spacing(f, *SPACING)),
        ("settings", "s.json", (as_bytes["settings"],), lambda f, _: claim_folder(f, "s.json", SETTINGS, "DRRs")),
        ("manifest", MANIFEST_NAME, (as_bytes["manifest"],), lambda f, _: read_made_from(f)),
        ("register rows", RECORD_FILE, (as_bytes["rows"],), lambda f, _: read_rows(f)),
        ("folds", "folds.json", (folds,), by_path(read_folds)),
        ("run.json", "run.json", (as_bytes["run"],), lambda f, _: read_run(RunPaths(f))),
        ("case record", "record.json", (as_bytes["record"],), lambda f, _: changed_file(f, read_record(f))),
        ("model config", CONFIG_NAME, (config,), lambda f, _: read_config(f)),
    ]
    found += [FuzzedReader(name, file, seeds, read, json=True) for name, file, seeds, read in of_json]
    return {reader.name: reader for reader in found}


OUTLINED = VoxelGrid((12, 12, 6), np.eye(4))


def _outlines(folder: Path) -> bytes:
    labels = np.zeros(OUTLINED.shape, np.uint8)
    labels[2:6, 2:6, 1:5], labels[8:11, 2:6, 1:5] = 1, 2
    names = {1: "radius", 2: "ulna"}
    return _saved(folder, "rt.dcm", lambda p: write_rtstruct(p, LabelMap(labels, np.eye(4), names), names))


def _kept(folder: Path, path: Path) -> object:
    return _kept_case(folder / "w01", CaseSource("w01", "p02", "right", path, path), "a")


def _with_slices(folder: Path, slices: list[bytes]) -> Path:
    for number, content in enumerate(slices[:3]):
        (folder / "ct" / f"{number}.dcm").write_bytes(content)
    return folder / "ct"


def _patients() -> Study:
    cases = [StudyCase(f"w{n}", f"p{n}", "right", "ct", "l", "p", CASE.radiographs) for n in range(6)]
    return Study(tuple(cases), "a test")
