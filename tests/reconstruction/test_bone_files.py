"""The files of a left and of a right wrist, opened by other programs' readers: where they are, which hand they show."""

from __future__ import annotations

import struct
from pathlib import Path

import highdicom
import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
import slicerio
import trimesh
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from bonelift.images.radiograph import Side
from bonelift.reconstruction.bone_files import LABEL_SPACING_MM, bone_labels, patient_surfaces, write_bones
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.dicom.files import write_dicom
from bonelift.reconstruction.dicom.source import result_series
from bonelift.reconstruction.file_kinds import FILE_KINDS
from bonelift.reconstruction.measured import measure_bones
from bonelift.surface.clip import clip_below
from builders.radiograph_files import dicom_radiograph, save

Float = NDArray[np.float64]
SIDES: tuple[Side, ...] = ("left", "right")
TO_THE_LEFT, TO_THE_BACK, TO_THE_HEAD = np.eye(3)  # LPS
ACROSS_MM = LABEL_SPACING_MM * np.sqrt(3) / 2
"""From the middle of a voxel to its corner: no surface of the inside of voxels lies farther from the surface itself."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[Side, Path]:
    """All kinds of files of a virtual wrist, as a left and as a right one; the demo's truth, cut as results are."""
    truth = load_demo_case().truth
    bones = {name: clip_below(mesh, -40.0) for name, mesh in truth.items()}
    measurements = measure_bones(truth)
    found = {}
    for side in SIDES:
        folder = tmp_path_factory.mktemp(side)
        surfaces = patient_surfaces(bones, side)
        labels = bone_labels(surfaces)
        write_bones(surfaces, labels, side, folder, FILE_KINDS)
        film = dicom_radiograph(StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(), StudyID="S-9")
        source = save(film, folder / "film.dcm")
        series = result_series([source], side, "none")
        write_dicom(folder / "dicom", series, surfaces, labels, measurements, b"%PDF-1.4 nothing")
        found[side] = folder
    return found


def check_hand(radius: trimesh.Trimesh, ulna: trimesh.Trimesh, side: Side, lps_from_file: Float) -> None:
    """What an anatomist sees, told from the bones and not from the axes; then the axes beside it."""
    distal, ulnar, palmar = directions(radius, ulna)
    # Fingers away from the viewer, palm up: the little finger of a right hand is to the right. So are three vectors.
    assert np.sign(np.cross(ulnar, palmar) @ distal) == (1 if side == "right" else -1)
    medial = TO_THE_LEFT if side == "right" else -TO_THE_LEFT
    assert lps_from_file @ distal @ -TO_THE_HEAD > 0.9
    assert lps_from_file @ ulnar @ medial > 0.85
    assert lps_from_file @ palmar @ -TO_THE_BACK > 0.85


def directions(radius: trimesh.Trimesh, ulna: trimesh.Trimesh) -> tuple[Float, Float, Float]:
    """(distal, ulnar, palmar) unit vectors of a forearm, found from the shape of its bones.

    The radius is broad at the hand; the ulna lies on its ulnar side; the middle of its joint surface looks 4 to 18
    degrees palmar. The flare and the few cm of the bone leave an error of 10 to 30 degrees; a wrong frame is off by 90
    or 180, and a mirrored one has the other sign of the triple product.
    """
    mm = _unit(radius)
    axis = np.linalg.svd(radius.vertices - radius.vertices.mean(axis=0), full_matrices=False)[2][0]
    along = radius.vertices @ axis
    across = np.linalg.norm(
        radius.vertices - radius.vertices.mean(axis=0) - np.outer(along - along.mean(), axis), axis=1
    )
    low, high = along < along.min() + 12 * mm, along > along.max() - 12 * mm
    distal = axis if across[high].max() > across[low].max() else -axis
    between = ulna.vertices.mean(axis=0) - radius.vertices.mean(axis=0)
    ulnar = between - (between @ distal) * distal
    ulnar /= np.linalg.norm(ulnar)
    third = np.cross(distal, ulnar)  # palmar or dorsal
    off = radius.triangles_center - radius.vertices[low if distal @ axis > 0 else high].mean(axis=0)  # from the shaft
    off -= np.outer(off @ distal, distal)
    joint = (radius.triangles_center @ distal > np.max(radius.vertices @ distal) - 20 * mm) & (
        (radius.face_normals @ distal > 0.6) & (np.linalg.norm(off, axis=1) < 8 * mm)
    )
    looks = radius.face_normals[joint].T @ radius.area_faces[joint]
    return distal, ulnar, third * np.sign(looks @ third)


def _unit(mesh: trimesh.Trimesh) -> float:
    """A millimetre in the mesh's unit: 1, or 0.001 of a mesh in metres."""
    return 1.0 if mesh.extents.max() > 1 else 0.001


@pytest.mark.parametrize("side", SIDES)
def test_stl_is_a_closed_body_of_the_right_hand_in_lps(folders, side) -> None:
    meshes = {}
    for bone in ("radius", "ulna"):
        content = (folders[side] / f"{bone}.stl").read_bytes()
        assert b"SPACE=LPS" in content[:80]
        assert b"units mm" in content[:80]
        meshes[bone] = trimesh.load_mesh(folders[side] / f"{bone}.stl")
        assert meshes[bone].is_watertight
        assert meshes[bone].is_winding_consistent
        assert meshes[bone].volume > 2000  # mm^3, outward
        assert meshes[bone].bounds[1][2] == pytest.approx(40, abs=1e-4)  # cut 40 mm above the joint
    check_hand(meshes["radius"], meshes["ulna"], side, np.eye(3))


@pytest.mark.parametrize("side", SIDES)
def test_glb_stands_upright_with_named_bones_in_metres(folders, side) -> None:
    scene = trimesh.load_scene(folders[side] / "bones.glb")
    assert set(scene.graph.nodes_geometry) == {f"{side} radius", f"{side} ulna"}
    radius, ulna = (scene.geometry[f"{side} {bone}"] for bone in ("radius", "ulna"))
    assert 0.04 < radius.extents.max() < 0.08
    distal, ulnar, palmar = directions(radius, ulna)
    assert distal @ [0, 1, 0] > 0.9  # fingers up
    assert palmar @ [0, 0, -1] > 0.85  # the back of the hand to the viewer, as a PA film hangs
    assert ulnar @ [1, 0, 0] * (1 if side == "right" else -1) > 0.85  # a right hand's thumb to the left
    check_hand(radius, ulna, side, np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]))
    colours = {name: mesh.visual.material.baseColorFactor[:3] for name, mesh in scene.geometry.items()}
    assert len({tuple(colour) for colour in colours.values()}) == 2


def inside_as_a_body(mask: NDArray[np.bool_], lps_from_voxel: Float) -> trimesh.Trimesh:
    """Surface of a mask's voxels, by trimesh, in LPS mm."""
    body = trimesh.voxel.ops.matrix_to_marching_cubes(np.pad(mask, 1)).copy()
    body.apply_translation([-1, -1, -1])
    body.apply_transform(lps_from_voxel)
    body.fix_normals()
    return body


def check_labels(labels: NDArray[np.integer], lps_from_voxel: Float, folder: Path, side: Side) -> None:
    """Both bones lie on their STL, and are of this hand."""
    bodies = {}
    assert np.linalg.norm(lps_from_voxel[:3, :3], axis=0) == pytest.approx([LABEL_SPACING_MM] * 3)
    assert LABEL_SPACING_MM <= 0.6
    for value, bone in ((1, "radius"), (2, "ulna")):
        mask = labels == value
        surface = trimesh.load_mesh(folder / f"{bone}.stl")
        assert mask.sum() * LABEL_SPACING_MM**3 == pytest.approx(surface.volume, rel=0.01)
        bodies[bone] = inside_as_a_body(mask, lps_from_voxel)
        points = bodies[bone].vertices[:: max(1, len(bodies[bone].vertices) // 300)]
        near = np.min(np.linalg.norm(points[:, None] - surface.triangles_center[None], axis=2), axis=1)
        # To the nearest triangle's middle, of triangles up to 2 mm; a turn or shift of the frame would show as 5 to 80.
        assert np.quantile(near, 0.9) < ACROSS_MM + 1.2
    check_hand(bodies["radius"], bodies["ulna"], side, np.eye(3))


@pytest.mark.parametrize("side", SIDES)
def test_seg_nrrd_opens_as_a_segmentation(folders, side) -> None:
    path = folders[side] / "labels.seg.nrrd"
    segmentation = slicerio.read_segmentation(str(path))
    check_labels(segmentation["voxels"], segmentation["ijkToLPS"], folders[side], side)
    found = {segment["name"]: segment for segment in segmentation["segments"]}
    assert set(found) == {f"{side} radius", f"{side} ulna"}
    assert found[f"{side} radius"]["terminology"]["type"] == ["SCT", "62413002", "Radius"]
    assert found[f"{side} ulna"]["terminology"]["type"] == ["SCT", "23416004", "Ulna"]
    assert found[f"{side} ulna"]["terminology"]["typeModifier"][2].lower() == side
    assert found[f"{side} radius"]["color"] != found[f"{side} ulna"]["color"]
    _, header = nrrd.read(str(path))
    assert header["space"] == "left-posterior-superior"


@pytest.mark.parametrize("side", SIDES)
def test_nifti_labels_lie_on_the_surfaces(folders, side) -> None:
    image = nibabel.load(folders[side] / "labels.nii.gz")
    assert image.header.get_xyzt_units()[0] == "mm"
    lps_from_ras = np.diag([-1.0, -1, 1, 1])
    check_labels(np.asarray(image.dataobj), lps_from_ras @ image.affine, folders[side], side)


@pytest.mark.parametrize("side", SIDES)
def test_dicom_seg_lies_on_the_surfaces(folders, side) -> None:
    segmentation = highdicom.seg.segread(folders[side] / "dicom" / "segmentation.dcm")
    volume = segmentation.get_volume(combine_segments=True, relabel=False)
    check_labels(np.asarray(volume.array), volume.affine, folders[side], side)
    labels = [item.SegmentLabel for item in segmentation.SegmentSequence]
    assert labels == [f"{side} radius", f"{side} ulna"]
    for item in segmentation.SegmentSequence:
        modifier = item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
        assert modifier.CodeMeaning.lower() == side


@pytest.mark.parametrize("side", SIDES)
def test_encapsulated_stl_is_the_file_itself(folders, side) -> None:
    for bone in ("radius", "ulna"):
        dataset = pydicom.dcmread(folders[side] / "dicom" / f"{bone}.dcm")
        content = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
        assert content == (folders[side] / f"{bone}.stl").read_bytes()
        assert len(content) == 84 + 50 * struct.unpack_from("<I", content, 80)[0]
        assert dataset.MeasurementUnitsCodeSequence[0].CodeValue == "mm"
        assert side in dataset.DocumentTitle


def test_without_a_bone_nothing_is_written(tmp_path) -> None:
    write_bones({}, None, "left", tmp_path, FILE_KINDS)
    assert not list(tmp_path.iterdir())
