"""Fitting of S's descent steps: known maps are found, shifted bones are laid on their picture, nothing gets worse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.learning import descent
from bonelift.learning.augmentation import AffineRange
from bonelift.learning.checkpoint import load_checkpoint
from bonelift.learning.descent import DescentTraining, _sums_of_views, best_poses, train_descent
from bonelift.learning.loop import read_curve
from bonelift.learning.samples import FilmSamples, load_samples
from bonelift.learning.shape_regression import FilmDrrs, load_bones, validate_shape, validation_sources
from bonelift.networks.occluding_contour import POSE
from bonelift.networks.shape_regressor import ShapeRegressor, metric_matrices
from bonelift.networks.supervised_descent import projected, rotations
from builders.spot_films import PATIENTS, STILL, mean_reader, spot_bases, spot_folders, wrists, write_spots


@pytest.fixture(scope="module")
def bases() -> tuple[BoneBasis, BoneBasis]:
    return spot_bases()


@pytest.fixture(scope="module")
def folders(bases, tmp_path_factory) -> tuple[Path, Path]:
    """Training and validation."""
    return spot_folders(tmp_path_factory.mktemp("descent"), bases, films=True)


def test_a_known_map_is_found():
    torch.manual_seed(0)
    seen, weight, bias = 3 * torch.randn(200, 6) + 2, torch.randn(6, 2), torch.randn(2)
    target, view = seen @ weight + bias, torch.zeros(200, dtype=torch.long)
    half = torch.arange(200) % 2
    batches = [("bones", *(part[rows] for part in (seen, target, view, half))) for rows in (slice(50), slice(50, None))]
    sums = _sums_of_views(iter(batches))
    maps = (sums[0, 0] + sums[0, 1]).maps(1.0, (1e-9, 1e12))
    found, constant = maps[1e-9]
    torch.testing.assert_close(found, weight, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(constant, bias, rtol=1e-2, atol=1e-2)
    # A ridge beyond all measure leaves the mean of the target and nothing else.
    weak, mean_alone = maps[1e12]
    torch.testing.assert_close(seen.mean(0) @ weak + mean_alone, target.mean(0), rtol=1e-4, atol=1e-4)
    assert weak.abs().max() < 1e-6


def test_a_film_counts_as_often_as_its_weight_says():
    torch.manual_seed(2)
    bones, films = torch.randn(30, 3), torch.randn(20, 3) + 1
    target = {"bones": torch.randn(30, 2), "films": torch.randn(20, 2)}
    view = torch.zeros(30, dtype=torch.long)
    mixed = [("bones", bones, target["bones"], view, view), ("films", films, target["films"], view[:20], view[:20])]
    weighed = _sums_of_views(iter(mixed))[0, 0].maps(3.0, (2.0,))[2.0]
    threefold = [mixed[0], *[("bones", *mixed[1][1:])] * 3]
    repeated = _sums_of_views(iter(threefold))[0, 0].maps(1.0, (2.0,))[2.0]
    for ours, theirs in zip(weighed, repeated, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_step_for_half_of_the_patients_has_never_seen_them(bases):
    network = mean_reader(bases, 1)
    torch.manual_seed(3)
    numbers, inputs = network.outputs + POSE, network.descent[0].weight.shape[1]
    seen, target = torch.randn(40, inputs), torch.randn(40, numbers)
    view, half = torch.zeros(40, dtype=torch.long), torch.arange(40) % 2
    chosen = {0: dict.fromkeys(descent._parts(network), descent._Choice(200.0, 1.0))}
    sums = _sums_of_views(iter([("bones", seen, target, view, half)]))
    steps = descent._half_steps(network, 0, sums, chosen)
    for own, step in enumerate(steps):
        others = half != own
        alone = _sums_of_views(iter([("bones", seen[others], target[others], view[others], half[others])]))
        weight, bias = alone[0, 1 - own].maps(1.0, (100.0,))[100.0]
        torch.testing.assert_close(step(seen, view), seen @ weight + bias, rtol=1e-3, atol=1e-3)
    # Far fewer rows than inputs: what a map has seen it reads much better.
    left = [
        (target[half == own] - steps[other](seen, view)[half == own]).square().mean() for own, other in ((0, 0), (0, 1))
    ]
    assert left[0] > 3 * left[1]


def test_the_shape_of_a_bone_and_its_place_have_each_the_ridge_that_reads_them_best(bases):
    """One map knows the shape of the radius, another one its place, each nothing else."""
    network = mean_reader(bases, 1)
    parts, metrics = descent._parts(network), metric_matrices(*bases)
    torch.manual_seed(5)
    codes = torch.randn(30, network.outputs)
    reading, view = torch.zeros(30, network.outputs + POSE), torch.zeros(30, dtype=torch.long)
    watched = descent._Watched(codes, reading, view, codes, torch.zeros(30, POSE))
    maps = {}
    for ridge, name in ((1.0, "radius_shape"), (10.0, "radius_place")):
        weight = torch.zeros(network.outputs, network.outputs + POSE)
        weight[range(parts[name].start, parts[name].stop), range(parts[name].start, parts[name].stop)] = 1.0
        maps[ridge] = weight, torch.zeros(network.outputs + POSE)

    class Known:
        of_kind: ClassVar = {"bones": None}
        origin = torch.zeros(network.outputs)

        def maps(self, film_weight, ridges):
            return maps

    weight, _, chosen = descent._best_map(Known(), [watched], network, metrics, DescentTraining())
    assert {name: choice.ridge for name, choice in chosen.items()} == {"radius_shape": 1.0, "radius_place": 10.0}
    torch.testing.assert_close(weight, maps[1.0][0] + maps[10.0][0])


def test_pictures_of_one_patient_are_of_one_half(bases, folders):
    codes = load_bones(folders[0], bases, None).coded.codes
    halves = descent._halves(codes)
    patients = {tuple(code): set() for code in codes.tolist()}
    for code, half in zip(codes.tolist(), halves.tolist(), strict=True):
        patients[tuple(code)].add(half)
    assert all(len(found) == 1 for found in patients.values())
    assert 0.2 < halves.float().mean() < 0.8


def test_the_best_pose_lays_the_true_bones_on_the_film(bases):
    network = mean_reader(bases)
    torch.manual_seed(1)
    true = torch.randn(5, POSE) * 0.5
    codes, view = torch.randn(5, network.outputs), torch.tensor([0, 1, 0, 1, 0])
    motion = true * network.projected_points.pose_sd
    rigid = torch.eye(4).repeat(5, 1, 1)
    rigid[:, :3, :3], rigid[:, :3, 3] = rotations(motion[:, :3]), motion[:, 3:]
    projections = network.projected_points.projections[view] @ rigid
    found = best_poses(network, torch.zeros(5, network.outputs + POSE), view, codes, projections)
    points = network.projected_points.points(codes)
    left = (network.projected_points.on_film(points, found, view) - projected(points, projections)).norm(dim=-1)
    # The prior holds the depth back, which moves no point by more than a tenth of a pixel.
    assert left.max() < 0.1


def test_fitted_steps_lay_the_bones_on_the_film(bases, folders, tmp_path):
    network = mean_reader(bases)
    training, validation = folders
    metrics = train_descent(training, FilmDrrs(validation, None), network, bases, STILL, tmp_path)
    rows = [row["validation/drr_on_film_mm"] for row in read_curve(tmp_path) if "validation/drr_on_film_mm" in row]
    # Wrists lie 2.4 mm off, on average, and some degrees turned. A linear map is blind to the square of that, and the
    # second step begins where the first one ended.
    assert rows[0] < 1.2
    assert rows[1] < 0.9 * rows[0]
    assert metrics["drr_on_film_mm"] == pytest.approx(rows[-1], rel=1e-5)
    # Where the bones lie is read first; their shape only from there. The untouched reading is the mean bone.
    untouched = validated(mean_reader(bases, 1), validation, bases)
    assert metrics["drr_radius_rigid_mm"] < 0.7 * untouched["drr_radius_rigid_mm"]
    assert metrics["drr_ulna_rigid_mm"] <= untouched["drr_ulna_rigid_mm"] + 1e-6


def validated(network: ShapeRegressor, folder: Path, bases) -> dict[str, float]:
    sources = validation_sources(FilmDrrs(folder, None), bases, reads_film=False)
    return validate_shape(network, sources, metric_matrices(*bases), "cpu")


def test_a_step_that_does_not_help_is_left_out(bases, folders, tmp_path):
    network = mean_reader(bases, 1)
    _, validation = folders
    noise = tmp_path / "noise"
    held = wrists(range(50, 50 + PATIENTS))
    # Pictures of the mean wrist under the names of others.
    write_spots(noise, network, 3, held, torch.zeros(PATIENTS, network.outputs))
    few = DescentTraining(ridges=(1e-3,))
    train_descent(noise, FilmDrrs(validation, None), network, bases, STILL, tmp_path / "run", descent=few)
    assert not network.descent[0].weight[:, :, : network.outputs].any()


def test_the_same_call_gives_the_same_steps_and_goes_on(bases, folders, tmp_path):
    training, validation = folders
    varied = replace(STILL, affine=AffineRange(1.0, 1.0), variation=0.5)
    weights = []
    for run in ("first", "second", "first"):
        train_descent(training, FilmDrrs(validation, None), mean_reader(bases), bases, varied, tmp_path / run)
        weights.append(load_checkpoint(tmp_path / run / "checkpoint.safetensors")[0])
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name])
        assert torch.equal(tensor, weights[2][name])


def test_a_step_on_the_film_reads_what_the_translation_lost(bases, folders, tmp_path):
    """The generator's DRRs are empty here, and only the film shows the bones."""
    network = mean_reader(bases, steps=1, film_steps=1)
    empty = [FilmDrrs(folder, np.zeros_like(load_samples(folder, FilmSamples).drr)) for folder in folders]
    # A step on DRRs that is fitted already stays as it is.
    network.descent[0].bias.fill_(1e-3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    metrics = train_descent(folders[0], empty[1], network, bases, STILL, tmp_path, empty[0])
    # Wrists lie 2.4 mm off, on average. One linear map of samples that are no roots leaves half of it.
    assert metrics["gan_on_film_mm"] > 2.0
    assert metrics["film_on_film_mm"] < 1.5
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"descent.1.weight", "descent.1.bias"}
