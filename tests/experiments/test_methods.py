"""Methods side by side on toys: one protocol for all, and failures counted with their reasons."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.errors import InputError
from bonelift.experiments.folds import write_folds
from bonelift.experiments.methods import depth_faces, volumes
from bonelift.experiments.methods.builtin import METHODS, apart, methods_of
from bonelift.experiments.methods.nominal import film_places, nominal_film_camera, nominal_pose
from bonelift.experiments.methods.render_and_compare import RenderAndCompare
from bonelift.experiments.methods.volumes import BackProjection
from bonelift.experiments.own_methods import check_methods, learn_method, score_method, training_fold
from bonelift.experiments.results.method_rows import NO_SKILL, compared, method_row, rows_of_films
from bonelift.experiments.results.methods import write_methods
from bonelift.experiments.results.tables import by_shape, collect_scores, input_of
from bonelift.experiments.run.folder import RunPaths, claim_run
from bonelift.experiments.scores import score_case
from bonelift.experiments.true_size import TRUE_SIZE, at_size_of
from bonelift.film.standard import FILM_ORIGIN_PX, FILM_SHAPE
from bonelift.images import LAPTOP_GRID
from bonelift.learning.bases import packaged_bases
from bonelift.learning.cyclegan import build_cyclegan, cyclegan_step
from bonelift.learning.samples import DrrSamples, FilmSamples, load_samples
from bonelift.networks.own_network import WristImage
from bonelift.reconstruction.against_truth import distances_from_truth
from bonelift.registration import moving_bone, project_bone
from bonelift.registration.nominal_bone import nominal_attenuation
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import soft_label
from builders.toy_cohort import PIX2PIX
from builders.toy_run import FOLDS, SEED, STUDY, toy_preset, train_group, write_toy_images


class Nearest:
    """The bones of the training patient whose image is most alike."""

    name, inputs = "nearest", ("GAN-DRR",)

    def learn(self, fold):
        known = [case.load() for case in fold.training]

        def tell(images):
            [image] = images
            return min(known, key=lambda data: np.abs(data.drrs[0] - image.drr).sum()).bones

        tell.updates = 7
        return tell


class Silent(Nearest):
    name = "silent"

    def learn(self, fold):
        return lambda images: None


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A toy run whose truth is wrists of the shape model, scored for one patient, with two methods beside ours."""
    paths = RunPaths(tmp_path_factory.mktemp("methods") / "run")
    claim_run(paths, STUDY, toy_preset(), SEED, 2)
    write_folds(paths.folds, FOLDS)
    write_toy_images(paths.run)
    model = load_shape_model()
    for case in STUDY.cases:
        for bone in ("radius", "ulna"):
            points = np.load(paths.images(case.case) / f"{bone}_points.npy")
            np.save(paths.images(case.case) / f"{bone}_vertices.npy", points)
            np.save(paths.images(case.case) / f"{bone}_faces.npy", getattr(model, bone).mean.faces.astype(np.int32))
    train_group(paths.run, "fold-1")
    fixed = (FOLDS, toy_preset())
    score_case(paths, CASE, STUDY.cases, *fixed, SEED)
    for method in (Nearest(), Silent()):
        learn_method(paths, STUDY.cases, *fixed, method, "fold-1", SEED)
        score_method(paths, CASE, STUDY.cases, *fixed, method, SEED)
    write_methods(paths.run)
    return paths.run


CASE = next(
    case
    for case in STUDY.cases
    if case.patient in FOLDS.fold("fold-1").test and case.patient not in FOLDS.pairs and case.radiographs
)


def test_a_method_of_ones_own_stands_beside_ours_and_what_knows_nothing(run):
    rows = rows_of_films(collect_scores(RunPaths(run))[0])
    ours = {"GAN-DRR", by_shape("GAN-DRR")}  # who is no pair has no histogram-matched film
    assert {input_of(row) for row in rows} == {*ours, *NO_SKILL, "nearest: GAN-DRR", "silent: GAN-DRR"}
    assert {row.case for row in rows} == {CASE.case}
    table = {name: method_row(RunPaths(run), FOLDS, name, rows) for name in {input_of(row) for row in rows}}
    nearest = table["nearest: GAN-DRR"]
    assert (nearest.films, nearest.failed, nearest.cost.updates) == (1, 0, 7)
    assert nearest.cost.peak_mib > 0
    assert 0.1 < nearest.summaries["radius", "rigid"].mean < 20
    assert np.isfinite(table[TRUE_SIZE].skill)
    preset = toy_preset().networks
    stages = (preset.autoencoder_training, preset.predictor_training, preset.finetune_training)
    assert table["GAN-DRR"].cost.updates == sum(stage.loop.updates for stage in stages)


def test_what_fails_is_counted_with_its_reason(run):
    page = (run / "methods.md").read_text()
    [line] = [line for line in page.splitlines() if line.startswith("| silent: GAN-DRR | 0 |")]
    assert "| none | none | none | none |" in line
    assert "| 1 of 1 |" in line
    assert "| silent: GAN-DRR | 1 | silent: gave back nothing (None); expected bones named radius and ulna |" in page
    assert page.startswith(("Best on the radius after rigid alignment:", "No method gave a bone."))
    assert (run / "figures" / "methods.png").stat().st_size > 10_000


def test_unknown_methods_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such method; expected FILE\.py:NAME or one of render-and-compare"):
        methods_of(["magic"])
    (tmp_path / "own.py").write_text("class Mine:\n    name = 'mine'\n\nhalf = 1 / 2\n")
    assert methods_of([f"{tmp_path / 'own.py'}:Mine"])[0].name == "mine"
    with pytest.raises(InputError, match=r"own\.py has no magic"):
        methods_of([f"{tmp_path / 'own.py'}:magic"])
    with pytest.raises(InputError, match="is no Python file"):
        methods_of([f"{tmp_path / 'none.py'}:magic"])
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(InputError, match=r"cannot be used .ZeroDivisionError"):
        methods_of([f"{tmp_path / 'broken.py'}:magic"])


def test_films_that_a_cyclegan_learns_from_are_of_other_patients_than_its_drrs(run, tmp_path):
    paths = RunPaths(Path(shutil.copytree(run, tmp_path / "run")))
    method = METHODS["cyclegan-tl"]
    assert learn_method(paths, STUDY.cases, FOLDS, toy_preset(), method, "fold-1", SEED) == ""
    fold = training_fold(paths, STUDY.cases, FOLDS, toy_preset(), method, "fold-1", SEED)
    updates = toy_preset().networks.pix2pix_training.loop.updates
    shown = [case for case in fold.training if case.with_films]
    assert 0 < len(shown) < len(fold.training)
    made = {name: load_samples(fold.shared / f"cyclegan-{updates}" / "samples" / name, kind) for name, kind in
            (("films", FilmSamples), ("drrs", DrrSamples))}  # fmt: skip
    assert len(made["films"].radiograph) == sum(len(case.load().films) for case in shown)
    assert len(made["drrs"].drr) == sum(len(case.load().drrs) for case in fold.training if not case.with_films)
    learned = json.loads((fold.folder / "learned.json").read_text())
    assert learned["updates"] == updates


@pytest.mark.parametrize("name", ["attention-unet", "depth-faces"])
def test_a_network_on_ct_drrs_learns_and_is_found_again(run, monkeypatch, name):
    """One layer in the place of MONAI's networks: it learns, and is loaded instead of trained again."""
    layers = SimpleNamespace(
        AttentionUnet=lambda *_, **__: torch.nn.Conv3d(4, 3, 1), UNet=lambda *_, **__: torch.nn.Conv2d(4, 6, 1)
    )
    for module in (volumes, depth_faces):
        monkeypatch.setattr(module, "monai_nets", lambda: layers)
    fold = training_fold(RunPaths(run), STUDY.cases, FOLDS, toy_preset(), METHODS[name], "fold-1", SEED)
    learned = METHODS[name].learn(fold)
    curve = [json.loads(line) for line in (fold.folder / "network" / "curve.jsonl").read_text().splitlines()]
    assert learned.updates == fold.preset.predictor_training.loop.updates == curve[-1]["update"]
    drr = fold.training[0].load().drrs[0]
    bones = learned([WristImage("pa", drr)])
    assert set(bones) == {"radius", "ulna"}
    again = METHODS[name].learn(fold)
    for mine, theirs in zip(learned.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with pytest.raises(InputError, match="no bone-only image"):
        learned([WristImage("pa", None)])


def test_nobody_shows_an_unpaired_translator_both_film_and_drr(run):
    fold = training_fold(RunPaths(run), STUDY.cases, FOLDS, toy_preset(), METHODS["cyclegan-tl"], "fold-1", SEED)
    for with_films in (0, 1, len(fold.training)):
        cases = [replace(case, with_films=number < with_films) for number, case in enumerate(fold.training)]
        if with_films == 0:
            with pytest.raises(InputError, match="0 training patients with films"):
                apart(cases)
            continue
        shown, others = apart(cases)
        assert shown
        assert all(case.with_films for case in shown)
        assert {case.patient for case in shown}.isdisjoint(case.patient for case in others)
        assert {case.case for case in (*shown, *others)} == {case.case for case in cases}


def test_a_method_can_have_fewer_updates_and_its_row_says_so(run):
    last = next(one for one in methods_of(["all", "swin-unetr@0.1"]) if one.name == "swin-unetr")
    assert len(methods_of(["all", "swin-unetr@0.1"])) == len(METHODS)
    assert last.note.endswith("only 0.1 of the updates that the others had")
    seen = []
    method = replace(METHODS["attention-unet"], how=seen.append, share=0.1)
    fold = training_fold(RunPaths(run), STUDY.cases, FOLDS, toy_preset(), method, "fold-1", SEED)
    method.learn(fold)
    whole = toy_preset().networks.predictor_training.loop.updates
    assert seen[0].preset.predictor_training.loop.updates == round(0.1 * whole) < whole
    for share in ("0", "2", "half"):
        with pytest.raises(InputError, match="expected a share of the updates"):
            methods_of([f"swin-unetr@{share}"])


def test_both_generators_and_judges_of_a_cyclegan_learn():
    networks = build_cyclegan(PIX2PIX, 0)
    parts = {"generators": (networks.to_drr, networks.to_film), "judges": (networks.judge_drr, networks.judge_film)}
    optimisers = {
        name: torch.optim.Adam([p for part in of for p in part.parameters()], 1e-3) for name, of in parts.items()
    }
    before = [p.clone() for of in parts.values() for part in of for p in part.parameters()]
    film, drr, view = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32), torch.zeros(2, dtype=torch.long)
    scalars = cyclegan_step(networks, optimisers, film, drr, (view, view))
    assert all(np.isfinite(value) for value in scalars.values())
    after = [p for of in parts.values() for part in of for p in part.parameters()]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


def test_a_mean_bone_at_the_true_size_differs_in_shape_alone():
    mean = load_shape_model().radius.mean
    truth = mean.transformed(np.diag([1.1, 1.1, 1.1, 1.0]))
    sized = at_size_of(clip_below(mean, -60.0), truth)
    # The scale is found by iteration to a thousandth of its size: 0.03 mm at 30 mm.
    assert surface_distances(sized, clip_below(truth, SHOWN_ABOVE_MM)).asd_surface_mm < 0.05


def test_voxels_see_the_pixel_that_they_fall_on():
    places = film_places(LAPTOP_GRID, "pa")
    centres = LAPTOP_GRID.centres_mm()
    at = np.unravel_index(np.argmin(np.linalg.norm(centres, axis=-1)), LAPTOP_GRID.shape)
    # Within half a voxel of the origin, 1.25 mm of 0.5 mm a pixel.
    assert np.linalg.norm(places[at] - np.array(FILM_ORIGIN_PX["pa"])) < 1.25 * np.sqrt(3) / 2 / 0.5 * 1.1
    ramp = torch.arange(FILM_SHAPE[1], dtype=torch.float32).expand(2, 1, *FILM_SHAPE)
    seen = BackProjection(LAPTOP_GRID, FILM_SHAPE, 8)(ramp, torch.tensor([0, 1]))
    assert seen.shape == (2, 4, *LAPTOP_GRID.shape)
    inside = (places[..., 0] > 0) & (places[..., 0] < FILM_SHAPE[1] - 1) & (places[..., 1] > 0)
    inside &= places[..., 1] < FILM_SHAPE[0] - 1
    np.testing.assert_allclose(seen[0, 0].numpy()[inside], places[..., 0][inside], atol=1e-2)


def test_render_and_compare_finds_a_bone_of_its_own_modes():
    """The image is that of a wrist up to two SD from the mean in some modes; the fit has to come nearer than the mean
    bone, wherever it stops."""
    radius, ulna = packaged_bases()
    bases = {"radius": radius, "ulna": ulna}
    codes = {name: np.zeros(basis.length) for name, basis in bases.items()}
    codes["radius"][:5], codes["ulna"][:5] = [2, -1.5, 1.5, 0, 0], [1.5, 0, 0, 0, 0]
    true = {name: bases[name].decode(code) for name, code in codes.items()}
    solid = moving_bone(
        *nominal_attenuation(np.maximum(*(soft_label(mesh, LAPTOP_GRID) for mesh in true.values())), LAPTOP_GRID)
    )
    camera = nominal_film_camera()
    drr = project_bone(solid, camera, nominal_pose(camera, "pa")[None])[0].astype(np.float32)
    found = RenderAndCompare(bases)([WristImage("pa", drr)])

    def distance(mesh: TriangleMesh) -> float:
        return distances_from_truth(clip_below(mesh, SHOWN_ABOVE_MM), true["radius"], "rigid").asd_surface_mm

    assert distance(found["radius"]) < 0.7 * distance(radius.decode(np.zeros(radius.length)))
    with pytest.raises(InputError, match="shows no bone"):
        RenderAndCompare(bases)([WristImage("pa", np.zeros_like(drr))])


def test_tests_are_of_ranks_where_differences_are_not_normal():
    rng = np.random.default_rng(2)
    base = rng.normal(1, 0.1, 24)
    normal = {"a": base, "b": base + rng.normal(0.3, 0.1, 24), "c": base + rng.normal(0, 0.1, 24)}
    skewed = {**normal, "b": base + 0.05 + rng.exponential(0.3, 24) ** 3}
    for groups, is_normal, name in ((normal, True, "repeated-measures ANOVA"), (skewed, False, "Friedman")):
        values = {
            method: dict(zip("abcdefghijklmnopqrstuvwx", v.tolist(), strict=True)) for method, v in groups.items()
        }
        tests = compared(values)
        assert tests.normal is is_normal
        assert tests.omnibus is not None
        assert tests.omnibus.test == name
        by_pair = {(pair.first, pair.second): pair for pair in tests.pairs}
        assert by_pair["a", "b"].p < 0.01
        assert by_pair["a", "b"].ci_high < 0


def test_every_built_in_method_has_a_title():
    assert all(method.title and method.name == name for name, method in METHODS.items())
    check_methods(list(METHODS.values()))
