"""Wrong types, shapes, units and NaN given to the public functions: an InputError with what was got and expected."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bonelift
from bonelift.images.reading import RadiographOptions

GREY = np.random.default_rng(0).integers(0, 4096, (64, 48))
FACTS = {"side": "right", "view": "pa", "pixel_spacing_mm": 0.5, "trim": False}
CAMERA = bonelift.film_camera(40, 30, pixel_spacing_mm=1.0)
BLOCK = bonelift.Volume(np.full((4, 4, 4), 0.05), np.eye(4))
CT = bonelift.Volume(np.zeros((20, 20, 20)), np.eye(4))
LABELS = bonelift.LabelMap(np.repeat([1, 2], 4000).reshape(20, 20, 20).astype(np.uint8), np.eye(4))
MESH = bonelift.TriangleMesh(np.eye(3), np.array([[0, 1, 2]]))
SMALL = bonelift.TriangleMesh(np.eye(3) / 1000, np.array([[0, 1, 2]]))
METRES = np.diag([0.001, 0.001, 0.001, 1.0])


def spoilt(array, index, value):
    copy = np.array(array, dtype=np.float64)
    copy[index] = value
    return copy


@pytest.mark.parametrize(
    ("call", "got", "expected"),
    [
        (lambda: bonelift.read_radiograph(None, **FACTS), "source is NoneType None", "a path or an array"),
        (lambda: bonelift.read_radiograph(GREY[0], **FACTS), r"shape \(48,\)", r"\(rows, columns\)"),
        (lambda: bonelift.read_radiograph(spoilt(GREY, 3, np.nan), **FACTS), "48 NaN", "finite"),
        (lambda: bonelift.read_radiograph(GREY.astype("U4"), **FACTS), "array of shape", "real numbers"),
        (lambda: bonelift.read_radiograph(GREY, **FACTS | {"side": "both"}), "side is 'both'", "left or right"),
        (lambda: bonelift.read_radiograph(GREY, **FACTS | {"pixel_spacing_mm": "0.5"}), "str '0.5'", "a number"),
        (lambda: bonelift.read_radiograph(GREY, **FACTS | {"pixel_spacing_mm": np.nan}), "nan", "finite"),
        (lambda: bonelift.read_radiograph(GREY, **FACTS | {"pixel_spacing_mm": 500}), "500", "mm"),
        (lambda: bonelift.read_radiograph(GREY, **FACTS, sdd_mm=1.0), "1 mm", "mm"),
        (lambda: bonelift.read_radiograph(GREY, **FACTS, roi=(0, 0, 9)), "roi has 3", "x0, y0, x1, y1"),
        (lambda: bonelift.read_radiograph(GREY, **FACTS, frame=0), "int 0", "1 or more"),
        (lambda: bonelift.reconstruct([GREY] * 3, side="right"), "3 images", "one or two"),
        (lambda: bonelift.reconstruct([GREY] * 2, view=["pa"]), "view has 1", "one for each"),
        (
            lambda: bonelift.reconstruct(_film(), side="left"),
            "side was given",
            "read_radiograph",
        ),
        (lambda: bonelift.reconstruct(GREY, **_facts(), model=3), "model is int 3", "load_model"),
        (lambda: bonelift.reconstruct(GREY, **_facts(), method="best"), "'best'", "'shape' or 'tl'"),
        (lambda: bonelift.reconstruct(GREY, **_facts(), translator=3), "translator is int", "a function"),
        (lambda: bonelift.load_model("no-such-folder"), "no model there", "config.json"),
        (lambda: bonelift.project(BLOCK.values, CAMERA), "array of shape", "bonelift.Volume"),
        (lambda: bonelift.project(BLOCK, np.eye(3)), "camera is an array", "bonelift.XrayCamera"),
        (lambda: bonelift.project(bonelift.Volume(np.full((3, 3, 3), -1000.0), np.eye(4)), CAMERA), "-1000", "per mm"),
        (lambda: bonelift.project(bonelift.Volume(np.full((3, 3, 3), 900), np.eye(4)), CAMERA), "900", "per mm"),
        (lambda: bonelift.project(BLOCK, CAMERA, np.eye(3)), r"shape \(3, 3\)", r"\(4, 4\)"),
        (lambda: bonelift.project(BLOCK, CAMERA, np.diag([2.0, 1, 1, 1])), "not rigid", "determinant"),
        (lambda: bonelift.project(BLOCK, CAMERA, rule="exact"), "'exact'", "'joseph' or 'simpson'"),
        (lambda: bonelift.project(BLOCK, CAMERA, threads=0), "int 0", "1 to 1024"),
        (lambda: bonelift.project_torch(BLOCK.values, np.eye(4), CAMERA), "values is an array", "float32 tensor"),
        (lambda: bonelift.project(BLOCK, CAMERA, threads=10**9), "1000000000", "1 to 1024"),
        (lambda: bonelift.read_radiograph(GREY, **FACTS | {"side": np.eye(2)}), "side is array", "left or right"),
        (lambda: bonelift.read_radiograph(GREY, **FACTS | {"trim": "no"}), "trim is str 'no'", "True or False"),
        (lambda: bonelift.read_volume("ct.nrrd", hounsfield=None), "hounsfield is NoneType", "True or False"),
        (lambda: bonelift.load_model(device="gpu"), "gpu: PyTorch cannot use it", "expected cpu, or cuda"),
        (lambda: bonelift.load_model(device=0), "device is int 0", "'cpu' or 'cuda'"),
        (lambda: _torch_image(motion=[0] * 6), "motion is list", r"tensor \(1, 6\)"),
        (lambda: _torch_image(motion=np.nan), "motion is float nan", "float32"),
        (lambda: bonelift.attenuation(GREY), "ct is an array", "bonelift.Volume of HU"),
        (lambda: bonelift.attenuation(BLOCK, energy_kev=5), "5", "20 to 150 keV"),
        (lambda: bonelift.film_camera(0, 5, pixel_spacing_mm=1), "width_px is int 0", "1 to 10000"),
        (lambda: bonelift.film_camera(5, 5, pixel_spacing_mm=-1), "-1", "0.02 to 20 mm"),
        (lambda: bonelift.film_camera(5, 5, pixel_spacing_mm=1, sdd_mm=1.0), "1 mm", "taken as metres"),
        (lambda: bonelift.film_camera(10**9, 5, pixel_spacing_mm=1), "1000000000", "1 to 10000"),
        (lambda: bonelift.Volume([[[0.0]]], np.eye(4)), "volume is list", "an array of numbers"),
        (lambda: bonelift.Volume(np.zeros((2, 2, 2)), "RAS"), "world_from_voxel", "4x4 matrix"),
        (lambda: bonelift.LabelMap(np.full((2, 2, 2), 0.5), np.eye(4)), "float64", "whole numbers"),
        (lambda: bonelift.LabelMap(LABELS.labels, np.eye(4), ["radius"]), "list", "a dict"),
        (lambda: bonelift.LabelGrid((4, 4), 1.0, (0.0, 0.0, 0.0)), r"\(4, 4\)", "three whole numbers"),
        (lambda: bonelift.LabelGrid((4, 4, 4), np.nan, (0.0, 0.0, 0.0)), "nan", "above 0 mm"),
        (lambda: bonelift.XrayCamera("K", np.eye(4), 5, 5, 1000.0), "image_from_camera is str", "3x3"),
        (lambda: bonelift.XrayCamera(np.eye(3), np.eye(4), "5", 5, 1000.0), "'5' x 5 px", "numbers"),
        (lambda: bonelift.Radiograph(GREY.tolist(), CAMERA, "left", "pa", 970.0), "pixels are list", "an array"),
        (lambda: bonelift.Radiograph(_film().pixels, CAMERA, "left", "pa", 970.0), r"\(64, 48\)", r"\(30, 40\)"),
        (lambda: bonelift.Radiograph(_film().pixels, None, "left", "pa", 970.0), "NoneType", "bonelift.XrayCamera"),
        (lambda: bonelift.Radiograph(_film().pixels, _film().camera, "both", "pa", 970.0), "'both'", "left or right"),
        (lambda: bonelift.Radiograph(_film().pixels, _film().camera, "left", "pa", np.nan), "nan", "above 0 mm"),
        (lambda: bonelift.WristImage("ap", np.zeros((160, 128))), "'ap'", "'pa' or 'lateral'"),
        (lambda: bonelift.WristImage("pa", np.zeros(160)), r"shape \(160,\)", r"\(rows, columns\)"),
        (lambda: bonelift.Volume(np.zeros((2, 2)), np.eye(4)), r"shape \(2, 2\)", "three non-empty axes"),
        (lambda: bonelift.TriangleMesh(np.eye(3) * np.nan, [[0, 1, 2]]), "NaN", "finite mm"),
        (lambda: bonelift.TriangleMesh(np.eye(3), [[0, 1, 7]]), "0..7", "0..V-1"),
        (lambda: bonelift.TriangleMesh(np.zeros((4, 2)), [[0, 1, 2]]), r"\(4, 2\)", r"\(N, 3\)"),
        (lambda: bonelift.TriangleMesh(np.eye(3), [[0.5, 1, 2]]), "float64", "whole numbers"),
        (lambda: bonelift.compare_surfaces(MESH, "radius.stl"), "second is str", "bonelift.TriangleMesh"),
        (lambda: bonelift.compare_surfaces(MESH, SMALL), "second: its longest side is 0.001 mm", "taken as metres"),
        (lambda: bonelift.measure({"radius": SMALL, "ulna": SMALL}), "0.001 mm", "1 to 2000 mm"),
        (lambda: bonelift.bones_from_labels(np.full((2, 4, 4, 4), 255), _grid()), "255 to 255", "0 to 1"),
        (lambda: bonelift.project(bonelift.Volume(BLOCK.values, METRES), CAMERA), "0.001 mm", "taken as metres"),
        (lambda: bonelift.attenuation(bonelift.Volume(np.full((3, 3, 3), 60000), np.eye(4))), "60000", "expected HU"),
        (lambda: bonelift.compare_surfaces(MESH, MESH, align="affine"), "'affine'", "'none' or 'rigid'"),
        (lambda: bonelift.compare_surfaces(MESH, bonelift.TriangleMesh([], [])), "no triangles", "a bone"),
        (lambda: bonelift.measure({"radius": MESH}), r"bones\['ulna'\] is NoneType", "bonelift.TriangleMesh"),
        (lambda: bonelift.measure({"radius": MESH, "ulna": MESH}, side="l"), "'l'", "'left' or 'right'"),
        (lambda: bonelift.bones_from_labels(np.zeros((2, 3, 3, 3)), _grid()), r"\(2, 3, 3, 3\)", r"\(2, 4, 4, 4\)"),
        (lambda: bonelift.register(BLOCK, "no-labels.nrrd", []), "no-labels.nrrd: no such file", "expected a"),
        (lambda: bonelift.virtual_patient(-1), "int -1", "0 or more"),
        (lambda: bonelift.virtual_patient(1, voxel_mm=0.01), "0.01", "0.3 to 3 mm"),
        (lambda: bonelift.register(CT, LABELS, _film(), together="no"), "together is str 'no'", "True or False"),
        (lambda: bonelift.virtual_patient(1, whole_hand="no"), "whole_hand is str 'no'", "True or False"),
        (lambda: bonelift.virtual_patient(10**30), "int 10+", "0 or more"),
        (lambda: bonelift.virtual_radiograph(3), "patient is int 3", "virtual_patient"),
        (lambda: bonelift.simulate("study", 0, seed=1), "patients is int 0", "1 to 1000000"),
        (lambda: bonelift.simulate("study", 1, seed=1, views=["ap"]), "'ap'", "'pa' or 'lateral'"),
        (lambda: bonelift.simulate("study", 1, seed=1, views=3), "views is int 3", "a list of both"),
        (lambda: bonelift.simulate("study", 10**9, seed=1), "1000000000", "1 to 1000000"),
        (lambda: bonelift.train("study", "run", preset="smoke", device="gpu"), "device gpu", "expected cpu"),
        (lambda: bonelift.evaluate("study", "run", preset="smoke", device="gpu"), "device gpu", "expected cpu"),
        (lambda: bonelift.evaluate("study", "run", preset="smoke", only=1), "only is int 1", "names of folds"),
        (lambda: bonelift.evaluate("study", "run", preset="smoke", allow_failed=1), "int 1", "True or False"),
        (lambda: bonelift.train("study", "run", preset="big"), "'big'", "'smoke'"),
        (lambda: bonelift.train("study", "run", preset="smoke", minutes=0), "minutes is 0", "above 0"),
        (lambda: bonelift.evaluate("study", "run", preset="smoke", methods=print), "methods is", "a list of methods"),
        (lambda: bonelift.evaluate("study", "run", preset="smoke", folds=1), "folds is int 1", "2 or more"),
        (lambda: bonelift.check_study(7), "study is int 7", "a path"),
    ],
)
def test_what_was_got_and_what_was_expected_are_said_in_one_line(call, got, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bonelift.InputError, match=got) as caught:
        call()
    with pytest.raises(bonelift.InputError, match=expected):
        raise caught.value
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def _facts():
    return {name: FACTS[name] for name in ("side", "view", "pixel_spacing_mm")}


def _film():
    return bonelift.read_radiograph(GREY, **FACTS)


def _grid():
    return bonelift.LabelGrid((4, 4, 4), 1.0, (0.0, 0.0, 0.0))


def test_options_of_the_command_line_are_named_as_arguments():
    with pytest.raises(bonelift.InputError) as of_options:
        RadiographOptions(side="both")  # pyright: ignore[reportArgumentType]
    assert "--side" in str(of_options.value)
    with pytest.raises(bonelift.InputError) as caught:
        bonelift.read_radiograph(GREY)
    message = str(caught.value)
    assert "--" not in message
    for argument in ("side", "view", "pixel_spacing_mm"):
        assert argument in message


def test_a_mask_drawn_on_another_image_is_refused():
    film, small = _film(), np.zeros((3, 3), np.uint8)
    with pytest.raises(bonelift.InputError, match=r"a mask has shape \(3, 3\).*read the film with trim=False"):
        bonelift.register(CT, LABELS, film, masks=small)
    with pytest.raises(bonelift.InputError, match="masks has 2 entries for 1 films"):
        bonelift.register(CT, LABELS, film, masks=[None, None])


def _torch_image(motion):
    values = torch.full((4, 4, 4), 0.05)
    return bonelift.project_torch(values, np.eye(4), CAMERA, motion=motion)
