"""A model run by ONNX Runtime, without torch, gives what torch gives; a broken one says so in one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bonelift.errors import InputError
from bonelift.networks.bundle import load_bundle, new_bundle, save_bundle
from bonelift.networks.model import load_model
from bonelift.networks.model_files import CONFIG_NAME, DEFAULT_MODEL, NETWORK_OF
from bonelift.networks.onnx_export import add_graphs
from bonelift.networks.onnx_model import OnnxModel
from builders.toy_cohort import GRID, LOCATOR, PIX2PIX, TL


def example(program, shape, latent, rng, pictures=1):
    """Inputs of a program; two images to find a wrist in, one film of everything else, ``pictures`` of it to S.

    Those of S are as smooth as what it reads. Its steps look where the step before put the bones, and in white noise a
    rounding of that place is another grey value: four of them, one after the other, make 5e-6 to 5e-5.
    """
    view = np.array([1])
    smooth = gaussian_filter(rng.random((1, pictures, *shape), dtype=np.float32), (0, 0, 1, 1))
    return {
        "locate": (rng.random((2, 1, 160, 160), dtype=np.float32),),
        "translate": (rng.random((1, 1, *shape), dtype=np.float32), view),
        "read_latent": (0.3 * rng.random((1, 1, *shape), dtype=np.float32), view),
        "decode": (rng.standard_normal((1, latent)).astype(np.float32),),
        "read_shape": (0.3 * (smooth - smooth.min()) / np.ptp(smooth), view),
    }[program]


@pytest.mark.parametrize("program", NETWORK_OF)
def test_the_packaged_graphs_give_what_torch_gives(program):
    packaged, in_torch = load_model(), load_bundle()
    assert isinstance(packaged, OnnxModel)
    pictures = 2 if packaged.reads_film else 1
    inputs = example(program, packaged.film_shape, in_torch.tl.latent, np.random.default_rng(0), pictures)
    for ours, theirs in zip(packaged.run(program, *inputs), in_torch.run(program, *inputs), strict=True):
        # float32 sums of some thousand terms in another order: 1e-5 of the largest value.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, np.abs(theirs).max()))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    save_bundle(new_bundle("toy", GRID, TL, PIX2PIX, LOCATOR, {"patients": 3}), folder)
    assert load_model(folder).run  # Without graphs, by torch.
    assert not isinstance(load_model(folder), OnnxModel)
    assert add_graphs(folder) == ["locate.onnx", "translate.onnx", "read_latent.onnx", "decode.onnx"]
    return folder


def test_a_model_of_ones_own_is_exported(exported):
    without, within = load_model(exported), load_bundle(exported)
    assert isinstance(without, OnnxModel)
    assert (without.name, without.grid, without.metadata) == ("toy", GRID, {"patients": 3})
    for program in ("translate", "decode"):
        inputs = example(program, TL.film_shape, TL.latent, np.random.default_rng(1))
        np.testing.assert_allclose(without.run(program, *inputs)[0], within.run(program, *inputs)[0], atol=1e-5)
    with pytest.raises(InputError, match="has no program read_shape"):
        without.run("read_shape", np.zeros((1, 1, 32, 32), np.float32), np.array([0]))


def test_graphs_hold_neither_weights_nor_names_of_this_machine(exported):
    for path in [*exported.glob("*.onnx"), *DEFAULT_MODEL.glob("*.onnx")]:
        content = path.read_bytes()
        # Nodes alone: each of S's steps adds 40 kB of them, and would add 2.6 MB with its weights.
        assert len(content) < 250_000
        assert b"/site-packages/" not in content
        assert b"bonelift/networks" not in content


def test_a_damaged_graph_is_named(tmp_path, exported):
    folder = shutil.copytree(exported, tmp_path / "model")
    path = folder / "decode.onnx"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"decode\.onnx: sha256 is"):
        load_model(folder)


def test_a_graph_of_another_network_is_named(tmp_path, exported):
    folder = shutil.copytree(exported, tmp_path / "model")
    config = json.loads((folder / CONFIG_NAME).read_text())
    shutil.copy(DEFAULT_MODEL / "decode.onnx", folder)
    config["graphs"]["decode"] = json.loads((DEFAULT_MODEL / CONFIG_NAME).read_text())["graphs"]["decode"]
    (folder / CONFIG_NAME).write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"decode\.onnx does not fit the weights or cannot be read"):
        load_model(folder).run("decode", np.zeros((1, TL.latent), np.float32))


WITHOUT_TORCH = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NotInstalled())
from bonelift.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_reconstruct_needs_no_torch_and_training_says_that_it_does(tmp_path):
    def bonelift(*arguments):
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_TORCH, *arguments, "--quiet"], capture_output=True, text=True, check=False
        )

    done = bonelift("demo", "--out", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "report.html").is_file()
    for command, *arguments in (("train", "all", "--virtual", "3"), ("evaluate", str(tmp_path))):
        assert f"usage: bonelift {command}" in bonelift(command, "--help").stdout
        refused = bonelift(command, *arguments, "--preset", "smoke", "--run", str(tmp_path / "run"))
        assert refused.returncode == 2
        needs = f"bonelift: bonelift {command} needs PyTorch, which is not installed; run pip install '.[train]'"
        assert refused.stderr.startswith(needs)
        assert len(refused.stderr.strip().splitlines()) == 1
