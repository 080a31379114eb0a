"""The main job with a stand-in for the networks: whatever they would predict, its place in space must be right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from numpy.typing import NDArray

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.anatomy.side import mirror_transform, mirrored_pose
from bonelift.film.standard import film_from_landmarks, nominal_camera_from_radius
from bonelift.geometry import (
    apply_transform,
    default_film_camera,
    invert_rigid,
    rotation_about_axis,
    rotation_angle,
    translation,
)
from bonelift.images import LAPTOP_GRID, RADIUS, ULNA, Radiograph, Side, View
from bonelift.images.volume_reading import read_labels
from bonelift.networks.bundle import ModelBundle, load_bundle, new_bundle
from bonelift.networks.inference import LocatedWrist
from bonelift.networks.inference import locate as run_locator
from bonelift.networks.locator import LocatorConfig
from bonelift.networks.pix2pix import Pix2pixConfig
from bonelift.networks.tl_embedding import TlConfig
from bonelift.origin import Origin
from bonelift.phantom.patient import make_patient
from bonelift.phantom.xray import draw_settings, expose
from bonelift.phantom.xray_geometry import LOCATOR_SPREAD, draw_geometry
from bonelift.reconstruction import bones as bones_module
from bonelift.reconstruction import job, locate, reading
from bonelift.reconstruction.agreement import film_agreement
from bonelift.reconstruction.bones import BONES
from bonelift.reconstruction.job import Reconstruction, reconstruct
from bonelift.reconstruction.judge import distal_width_mm, latent_distance, support_overlap
from bonelift.reconstruction.locate import LocateSettings
from bonelift.reconstruction.measured import measure_bones
from bonelift.reconstruction.place import PlaceSettings
from bonelift.reconstruction.result_json import reconstruction_json
from bonelift.reconstruction.save import save
from bonelift.reconstruction.scale import ScaleSettings, scale
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.stopwatch import Stopwatch
from bonelift.registration import moving_bone, project_bone
from bonelift.registration.nominal_bone import CORTEX_PER_MM, nominal_attenuation
from bonelift.surface.files import read_mesh
from builders.result_schema import schema_faults
from builders.toy_wrist import toy_radius, toy_ulna

Float = NDArray[np.float64]
FIELDS = np.stack([toy_radius(), toy_ulna()])
SPACING_MM = 0.25
SOURCE_TO_OBJECT_MM = 970.0
ASSUMED_SDD = Origin("assumed", "assumed 1000 mm", 1000.0)
QUICK = JobSettings(place=replace(PlaceSettings(), wrist=replace(PlaceSettings().wrist, starts=2, generations=10)))


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    torch.manual_seed(0)
    tl = TlConfig(encoder_channels=(2, 2, 2), decoder_channels=(4, 2, 2), predictor_channels=(2, 2, 2, 4),
                  predictor_hidden=4)  # fmt: skip
    return new_bundle("stand-in", LAPTOP_GRID, tl, Pix2pixConfig((2, 2), 2), LocatorConfig((2, 2)))


class Scene:
    """A wrist before a film: the toy bones at a known pose, and the radiograph of one view of it."""

    def __init__(self, side: Side, view: View, from_ulnar: bool = False) -> None:
        self.camera = default_film_camera(560, 640, SPACING_MM)
        self.from_ulnar = from_ulnar
        nominal = nominal_camera_from_radius(self.camera, view, SOURCE_TO_OBJECT_MM, from_ulnar)
        nominal[:2, 3] = [3.0, -20.0]
        tilt = rotation_about_axis([1, 0.5, 0], 0.05)
        pose = nominal.copy()
        pose[:3, :3] = tilt[:3, :3] @ nominal[:3, :3]
        # Poses are of right bones in a right-handed scene; a left wrist is that scene in a mirror.
        self.side: Side = side
        self.camera_from_own = pose if side == "right" else mirrored_pose(pose)
        self.mirror = mirror_transform() if side == "left" else np.eye(4)
        landmarks = np.array([[0.0, 0, 0], [0, 0, -40], [21, -3, -3]])
        self.origin_px, self.shaft_px, self.ulnar_head_px = self.camera.project(
            apply_transform(self.camera_from_own, landmarks)
        )
        self.radiograph = Radiograph(self.image(), self.camera, side, view, SOURCE_TO_OBJECT_MM, {"sdd": ASSUMED_SDD})

    def image(self) -> NDArray[np.float32]:
        return self.projection(self.camera, self.camera_from_own @ self.mirror).astype(np.float32)

    @staticmethod
    def projection(camera, camera_from_right: Float) -> Float:
        parts = []
        for field in FIELDS:
            values, radius_from_voxel = nominal_attenuation(field, LAPTOP_GRID)
            bone = moving_bone(values, radius_from_voxel)
            parts.append(project_bone(bone, camera, camera_from_right[None])[0])
        return np.sum(parts, axis=0)


def stand_in(monkeypatch: pytest.MonkeyPatch, scene: Scene, confidence: float = 0.99) -> None:
    """Networks that know the answer: landmarks off by a few px, the true bone-only film, the true fields."""
    located = LocatedWrist(
        scene.origin_px + np.array([4.0, -3.0]),
        scene.shaft_px - np.array([2.0, 0.0]),
        scene.ulnar_head_px,
        confidence,
        np.full(3, 0.9),
        0,
        scene.from_ulnar,
    )
    film = film_from_landmarks(scene.radiograph, located.origin_px, located.shaft_px, scene.from_ulnar)
    canonical_from_right = (scene.mirror @ scene.camera_from_own) @ scene.mirror
    drr = scene.projection(film.camera, canonical_from_right).astype(np.float32)

    def seen(radiograph: Radiograph, _bundle: ModelBundle, looks: list[tuple[float, bool]]) -> list[LocatedWrist]:
        """Upright, hung as it is, and with the palm where it points; nothing otherwise."""
        right = [look == (0.0, scene.from_ulnar) and not radiograph.hangs_mirrored for look in looks]
        return [replace(located, confidence=confidence if yes else 0.001) for yes in right]

    monkeypatch.setattr(locate, "look", seen)
    monkeypatch.setattr(reading, "translate", lambda _film, _view, _bundle: drr)
    monkeypatch.setattr(bones_module, "decode_fields", lambda _latent, _bundle: FIELDS)


@pytest.mark.parametrize(
    ("side", "view", "from_ulnar"),
    [
        ("right", "pa", False),
        ("left", "pa", False),
        ("left", "lateral", False),
        ("left", "lateral", True),
        ("right", "lateral", True),
    ],
)
def test_bones_are_placed_where_they_are_on_either_side(monkeypatch, tmp_path, bundle, side, view, from_ulnar):
    scene = Scene(side, view, from_ulnar)
    stand_in(monkeypatch, scene)
    steps: list[str] = []
    result = reconstruct([scene.radiograph], bundle, QUICK, Stopwatch(steps.append))
    assert tuple(steps) == job.STEPS == tuple(result.timings_s)
    placed = result.placed[0]

    for matrix in (placed.world_from_radius, *placed.world_from_bone.values()):
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0)
    for name in BONES:
        true = result.bones.surfaces[name].transformed(scene.camera_from_own @ scene.mirror)  # type: ignore[union-attr]
        shift = placed.bones_world[name].vertices - true.vertices
        # Noise-free and with the true bone: a few hundredths of a mm in the image plane; depth is loose (prior).
        assert np.abs(shift[:, :2]).mean() < 0.3
        step = scene.camera_from_own @ invert_rigid(placed.world_from_bone[name])
        assert np.rad2deg(rotation_angle(step)) < 3
    check_quality_is_good(result)
    check_files(result, tmp_path, side)


def test_the_packaged_locator_sees_to_which_side_the_palm_points():
    patient, rng = make_patient(700_031, load_shape_model()), np.random.default_rng(3)
    geometry = draw_geometry(rng, "lateral", (400, 300), 0.4, replace(LOCATOR_SPREAD, shift_mm=10.0))
    pixels = expose(patient.body, geometry.camera, geometry.camera_from_radius, rng, draw_settings(rng))
    model = load_bundle()
    found = {}
    for swapped in (False, True):
        image = np.ascontiguousarray(pixels[:, ::-1]) if swapped else pixels
        radiograph = Radiograph(image, geometry.camera, "right", "lateral", geometry.source_to_object_mm)
        found[swapped] = run_locator(radiograph, model)
        assert found[swapped].from_ulnar == swapped
    np.testing.assert_allclose(found[True].origin_px, [299, 0] + [-1, 1] * found[False].origin_px, atol=1e-3)
    assert np.linalg.norm(found[False].origin_px - geometry.origin_px) * 0.4 < 8  # median error 1.3 mm


def check_quality_is_good(result: Reconstruction) -> None:
    assert result.quality.score > 0.5, result.quality
    assert {flag.severity for flag in result.quality.flags} == {"info"}
    # The toy model says nothing of its training nor of its errors, and nobody says how far the detector was.
    said = [flag.text for flag in result.quality.flags]
    for part in ("unusual was not checked", "no error in mm", "source-to-detector"):
        assert sum(part in text for text in said) == 1, said
    assert len(said) == 3


def check_files(result: Reconstruction, folder: Path, side: Side) -> None:
    """What is saved is the patient's own side, in the patient frame, and the JSON leads from it to the X-ray."""
    save(result, folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "radius.stl", "ulna.stl", "bones.glb", "labels.seg.nrrd", "gan_drr.png", "overlay.png", "report.html",
        "reconstruction.json", "measurements.csv",
    }  # fmt: skip
    facts = json.loads((folder / "reconstruction.json").read_text())
    assert schema_faults(facts) == []
    radius, ulna = read_mesh(folder / "radius.stl"), read_mesh(folder / "ulna.stl")
    assert radius.volume_mm3 > 0  # outward normals survive the mirror
    for name in BONES:  # to other programs both are closed bodies, cut from the level of a field as they are here
        assert trimesh.load_mesh(folder / f"{name}.stl").is_volume
    ulnar_side = np.sign(ulna.vertices[:, 0].mean() - radius.vertices[:, 0].mean())
    assert ulnar_side == (1 if side == "right" else -1)
    for bone in (radius, ulna):  # cut 40 mm above the joint; the toy's styloids reach 12 and 8 mm below it
        assert bone.vertices[:, 2].max() == pytest.approx(40, abs=0.1)
        assert -15 < bone.vertices[:, 2].min() < 0
    tubercle = radius.vertices[radius.vertices[:, 1].argmax()]  # on the back of the toy radius, which is posterior
    assert tubercle[1] > 12
    pose = facts["images"][0]["pose"]
    world_from_patient = np.array(pose["bones"]["radius"]["world_from_patient"])
    patient_from_radius = np.array(facts["frame"]["patient_from_radius"])
    np.testing.assert_allclose(np.array(pose["world_from_patient"]) @ patient_from_radius, pose["world_from_radius"])
    expected = result.placed[0].bones_world["radius"].vertices.mean(axis=0)
    assert np.allclose(radius.transformed(world_from_patient).vertices.mean(axis=0), expected, atol=0.2)
    labels = read_labels(folder / "labels.seg.nrrd")
    for label, mesh in ((RADIUS, radius), (ULNA, ulna)):
        inside = np.argwhere(labels.labels == label)
        points = apply_transform(labels.world_from_voxel, inside)
        # The middle of the inside against that of the vertices, which crowd where the surface bends.
        assert np.allclose(points.mean(axis=0)[:2], mesh.vertices.mean(axis=0)[:2], atol=2.0)
    assert facts["side"] == side
    assert facts["model"]["method"] == "tl"
    assert facts["quality"]["score"] == pytest.approx(result.quality.score)
    assert all(entry["value"] is not None or entry["note"] for entry in facts["measurements"])
    text = (folder / "report.html").read_text() + json.dumps(facts)
    assert "not a medical device" in text
    assert str(folder.parent) not in text


def test_an_image_without_a_wrist_gives_no_bone_and_says_so(monkeypatch, tmp_path, bundle):
    scene = Scene("right", "pa")
    stand_in(monkeypatch, scene, confidence=0.2)
    result = reconstruct([scene.radiograph], bundle, QUICK)
    assert result.bones is None
    assert result.quality.score == 0
    assert result.quality.verdict == "not usable"
    save(result, tmp_path)
    assert not list(tmp_path.glob("*.stl"))
    assert "no wrist was found" in (tmp_path / "report.html").read_text()
    facts = json.loads((tmp_path / "reconstruction.json").read_text())
    assert facts["world_from_radius"] is None
    assert schema_faults(facts) == []


def test_of_two_images_one_without_a_wrist_is_left_out_and_flagged(monkeypatch, tmp_path, bundle):
    scene = Scene("right", "pa")
    stand_in(monkeypatch, scene)
    known = locate.look
    empty = Radiograph(scene.radiograph.pixels, scene.camera, "right", "lateral", SOURCE_TO_OBJECT_MM)
    monkeypatch.setattr(
        locate,
        "look",
        lambda radiograph, model, looks: [
            replace(seen, confidence=0.1) if radiograph is empty else seen for seen in known(radiograph, model, looks)
        ],
    )
    alone, both = reconstruct([scene.radiograph], bundle, QUICK), reconstruct([scene.radiograph, empty], bundle, QUICK)
    assert [film.radiograph.view for film in both.films] == ["pa"]
    assert len(both.placed) == len(both.drrs) == 1
    assert both.quality.score == pytest.approx(alone.quality.score)
    assert any(flag.text.startswith("lateral view: no wrist was found") for flag in both.quality.flags)
    save(both, tmp_path)
    assert (tmp_path / "radius.stl").is_file()


def test_bones_that_come_out_empty_are_flagged(monkeypatch, tmp_path, bundle):
    scene = Scene("right", "pa")
    stand_in(monkeypatch, scene)
    monkeypatch.setattr(bones_module, "decode_fields", lambda _latent, _bundle: np.zeros_like(FIELDS))
    result = reconstruct([scene.radiograph], bundle, QUICK)
    assert result.placed == ()
    assert result.quality.score == 0
    assert {"no radius was reconstructed", "no ulna was reconstructed"} <= {f.text for f in result.quality.flags}
    save(result, tmp_path)
    assert (tmp_path / "report.html").is_file()
    assert schema_faults(json.loads((tmp_path / "reconstruction.json").read_text())) == []


def test_bones_that_do_not_fit_the_image_are_flagged(monkeypatch, bundle):
    """A wrist half as large again: an infant's film with an adult's bones, or the other way round."""
    scene = Scene("right", "pa")
    stand_in(monkeypatch, scene)
    shrunken = np.zeros_like(FIELDS)
    shrunken[:, 12:40, 10:30, 12:36] = FIELDS[:, ::2, ::2, ::2]
    monkeypatch.setattr(bones_module, "decode_fields", lambda _latent, _bundle: shrunken)
    result = reconstruct([scene.radiograph], bundle, QUICK)
    assert result.quality.score < 0.1
    assert result.quality.verdict == "not usable"
    assert any("wide at the wrist" in flag.text for flag in result.quality.flags)


def calibrated_pair(scene: Scene, turn_deg: float, distance: Origin | None = None) -> list[Radiograph]:
    """The scene's film twice, as if taken by cameras that look at the wrist from directions so far apart."""
    world_from_wrist = translation(scene.camera.back_project(scene.origin_px + np.array([4.0, -3.0]), 970.0))
    about = world_from_wrist @ rotation_about_axis([0, 1.0, 0], np.deg2rad(turn_deg)) @ np.linalg.inv(world_from_wrist)
    provenance = {**scene.radiograph.provenance, "camera": Origin("option", "option --camera")}
    if distance is not None:
        provenance["source_to_object"] = distance
    return [
        replace(scene.radiograph, camera=replace(scene.camera, camera_from_world=pose), provenance=provenance)
        for pose in (np.eye(4), about)
    ]


def test_two_calibrated_views_share_one_pose(monkeypatch, bundle):
    """The second film's own canonical world leads back to the first one's."""
    scene = Scene("left", "pa")
    stand_in(monkeypatch, scene)
    result = reconstruct(calibrated_pair(scene, 15.0), bundle, QUICK)
    first, second = result.placed
    assert np.allclose(first.world_from_radius, second.world_from_radius)
    assert len(first.wrist.similarity_per_view) == 2
    assert not any("do not meet" in flag.text for flag in result.quality.flags)


def test_cameras_whose_rays_do_not_meet_at_the_wrist_share_no_world(monkeypatch, bundle):
    """Two camera files that say nothing of the pose: the same camera, twice, or one far beside the wrist."""
    scene = Scene("right", "pa")
    stand_in(monkeypatch, scene)
    same, turned = calibrated_pair(scene, 0.0), calibrated_pair(scene, 30.0)
    lifted = replace(turned[1].camera, camera_from_world=turned[1].camera.camera_from_world @ translation([0, 60.0, 0]))
    apart = [turned[0], replace(turned[1], camera=lifted)]
    for pair in (same, apart):
        result = reconstruct(pair, bundle, QUICK)
        assert [len(film.wrist.similarity_per_view) for film in result.placed] == [1, 1]
        assert any("do not meet" in flag.text for flag in result.quality.flags)


@pytest.mark.parametrize(
    ("distance", "found_mm"),
    [(Origin("assumed", "30 mm in front", 800.0), 970.0), (Origin("option", "assumed by the user", 800.0), 800.0)],
)
def test_an_assumed_distance_is_taken_from_where_the_rays_meet(monkeypatch, bundle, distance, found_mm):
    """What decides is the kind of the origin, whatever its words."""
    scene = Scene("right", "pa")
    stand_in(monkeypatch, scene)
    pair = [replace(film, source_to_object_mm=800.0) for film in calibrated_pair(scene, 40.0, distance)]
    scaled = scale([locate.locate_wrist(film, bundle, LocateSettings())[0] for film in pair], ScaleSettings())
    assert scaled.together
    assert not scaled.cameras_apart
    for sighting in scaled.sightings:
        assert sighting.radiograph.source_to_object_mm == pytest.approx(found_mm, abs=0.5)
        origin = sighting.radiograph.provenance["source_to_object"]
        assert origin.kind == ("from rays" if distance.assumed else "option")
        assert origin.value == pytest.approx(found_mm, abs=0.5)


def test_settings_are_saved_whole(monkeypatch, bundle):
    """Every constant of every search for a pose, and so what the result can be made again from."""
    scene = Scene("right", "pa")
    stand_in(monkeypatch, scene)
    saved = json.loads(json.dumps(reconstruction_json(reconstruct([scene.radiograph], bundle, QUICK), [])))["settings"]
    assert saved["place"]["wrist"]["starts"] == 2
    assert saved["fit"]["shape"]["cost_of_sd"] == JobSettings().fit.shape.cost_of_sd
    assert saved == json.loads(json.dumps(QUICK.as_json()))


# --- parts -----------------------------------------------------------------------------------------------------------


def test_nominal_bone_is_a_shell_that_keeps_the_outline():
    values, radius_from_voxel = nominal_attenuation(FIELDS[0], LAPTOP_GRID, extension_mm=12.0)
    assert values.max() <= CORTEX_PER_MM + 1e-9
    heights = radius_from_voxel[2, 3] + radius_from_voxel[2, 2] * np.arange(values.shape[2])
    assert heights[0] < LAPTOP_GRID.first_centre_mm[2] - 11
    # Volume within the grid: half-level outlines of the coarse and the fine label agree to a few percent.
    fine_volume = (values[:, :, heights > LAPTOP_GRID.first_centre_mm[2]] > 0).sum() * radius_from_voxel[2, 2] ** 3
    coarse_volume = (FIELDS[0] > 0.1).sum() * LAPTOP_GRID.spacing_mm**3
    assert fine_volume == pytest.approx(coarse_volume, rel=0.2)
    shaft = values[:, :, np.argmin(np.abs(heights + 35))]
    centre = tuple(np.argwhere(shaft > 0).mean(axis=0).astype(int))
    assert shaft[centre] < 0.2 * shaft.max()  # marrow in the middle, cortex around it


def test_recorded_is_the_part_of_the_film_inside_the_image():
    """A film pixel at (column, row) is recorded where its centre, taken back to the image, lies on a pixel."""
    scene = Scene("left", "pa")
    cropped = replace(
        scene.radiograph, pixels=scene.radiograph.pixels[:, :200], camera=replace(scene.camera, width_px=200)
    )
    film = film_from_landmarks(cropped, scene.origin_px, scene.shaft_px)
    assert 0 < film.coverage < film_from_landmarks(scene.radiograph, scene.origin_px, scene.shaft_px).coverage
    for row, column in ((0, 0), (80, 10), (80, 64), (80, 120), (159, 127)):
        u, v, _ = np.linalg.inv(film.film_from_image) @ [column, row, 1.0]
        assert film.recorded[row, column] == (-0.5 <= u <= 199.5 and -0.5 <= v <= scene.camera.height_px - 0.5)


def test_overlap_of_equal_images_is_one_and_of_disjoint_ones_zero():
    left, right, weights = np.zeros((10, 10)), np.zeros((10, 10)), np.ones((10, 10))
    left[:, :4], right[:, 6:] = 1, 1
    assert support_overlap(left, left, weights) == 1
    assert support_overlap(left, right, weights) == 0
    assert support_overlap(np.zeros((10, 10)), np.zeros((10, 10)), weights) == 0


def test_film_agreement_sees_a_bone_that_the_film_does_not_show():
    film, projected = np.zeros((60, 60)), np.zeros((60, 60))
    film[20:40, 25:35] = 1
    projected[20:40, 10:50] = 1  # as high, but four times as wide
    assert film_agreement(film, 2 * film + 1, np.ones(film.shape)) == pytest.approx(1.0)
    assert film_agreement(film, projected, np.ones(film.shape)) < 0.5
    assert film_agreement(film, projected, np.zeros(film.shape)) == 0


def test_latent_distance_is_in_units_of_the_training_spread():
    known = {"latent": {"mean": [1.0, 1.0], "sd": [2.0, 2.0], "distance_99": 1.5}}
    assert latent_distance(np.array([7.0, 7.0]), known) == pytest.approx(2.0)
    assert latent_distance(np.array([7.0, 7.0]), {}) is None


def test_measurements_have_units_and_a_reason_where_they_are_missing():
    surfaces = {name: bones_module.bone_surface(f, LAPTOP_GRID) for name, f in zip(BONES, FIELDS, strict=True)}
    # The toy's head is 28 mm wide and its styloid reaches 2 mm beyond it.
    assert distal_width_mm(surfaces["radius"]) == pytest.approx(29.0, abs=1.5)
    for value in measure_bones(surfaces):
        assert np.isfinite(value.value) == (value.reason == "")
        assert value.unit in {"mm", "deg"} or not np.isfinite(value.value)
