"""Guards of honesty: nothing of a test patient reaches what is trained, validated, translated or called no skill.

Each guard spoils all that a run holds of some patients (films, DRRs, labels, surfaces, the bone as it is laid for the
mean) and runs the same steps again. What must not know these patients has to come out the same to the last bit; what
may know them has to change, so that the guard cannot pass by reading nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from bonelift.experiments import scores
from bonelift.experiments.folds import ALL_PAIRS
from bonelift.experiments.scores import MEAN_BONE
from bonelift.learning.checkpoint import load_checkpoint
from builders.toy_run import FOLDS, put_back_what_is_tested, score_fold, spoil, train_group, write_toy_images

FOLD = FOLDS.folds[0]
EVERYONE = {patient for fold in FOLDS.folds for patient in fold.test}
TL_STAGES = {"autoencoder", "predictor", "finetune"}
CLOCK = {"minutes", "peak_mib", "seconds"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("whole")
    write_toy_images(run)
    train_group(run, FOLD.name)
    return run


def spoilt(whole: Path, run: Path, patients: set[str]) -> Path:
    """A run with the same images but for those of ``patients``, trained anew."""
    shutil.copytree(whole / "images", run / "images")
    spoil(run, patients)
    train_group(run, FOLD.name)
    return run


@pytest.fixture(scope="module")
def test_patients_spoilt(whole, tmp_path_factory) -> Path:
    return spoilt(whole, tmp_path_factory.mktemp("spoilt"), set(FOLD.test))


def weights(run: Path, group: str) -> dict[str, torch.Tensor]:
    """Every tensor of every checkpoint of a group, optimisers included."""
    found = {}
    for path in sorted((run / group).rglob("checkpoint.safetensors")):
        found |= {f"{path.parent.name}/{name}": tensor for name, tensor in load_checkpoint(path)[0].items()}
    assert found
    return found


def changed(first: Path, second: Path, group: str) -> set[str]:
    """The stages whose weights differ."""
    before, after = weights(first, group), weights(second, group)
    assert before.keys() == after.keys()
    return {name.split("/")[0] for name in before if not torch.equal(before[name], after[name])}


def records(run: Path, group: str) -> dict[str, list[dict[str, float]]]:
    """Learning curves and last validations of a group, without the clock."""
    paths = sorted({*(run / group).rglob("*.jsonl"), *(run / group).rglob("*-done.json")})
    assert len(paths) > 1
    lines = {str(path.relative_to(run)): path.read_text().splitlines() for path in paths}
    for name, text in lines.items():
        if name.endswith(".json"):
            lines[name] = ["".join(text)]
    return {
        name: [{key: value for key, value in json.loads(line).items() if key not in CLOCK} for line in text]
        for name, text in lines.items()
    }


def test_a_fold_neither_trains_nor_validates_on_what_it_tests(whole, test_patients_spoilt):
    assert changed(whole, test_patients_spoilt, FOLD.name) == set()
    assert records(whole, FOLD.name) == records(test_patients_spoilt, FOLD.name)
    # The pix2pix of all pairs may know the pairs among them, and does: they were spoilt indeed.
    assert set(FOLD.test) & set(FOLDS.pairs)
    assert changed(whole, test_patients_spoilt, ALL_PAIRS) == {"pix2pix"}


def test_the_translator_of_those_who_are_no_pair_knows_pairs_alone(whole, tmp_path):
    run = spoilt(whole, tmp_path, EVERYONE - set(FOLDS.pairs))
    assert changed(whole, run, ALL_PAIRS) == set()
    assert records(whole, ALL_PAIRS) == records(run, ALL_PAIRS)
    assert changed(whole, run, FOLD.name) == TL_STAGES | {"shape", "descent"}


@pytest.mark.parametrize(("network", "stages"), [("tl", TL_STAGES), ("pix2pix", {"pix2pix"})])
def test_validation_patients_watch_and_choose_nothing(network, stages, whole, tmp_path):
    run = spoilt(whole, tmp_path, set(getattr(FOLD, network).validation))
    assert changed(whole, run, FOLD.name) & stages == set()
    watched = f"{FOLD.name}/{network}-done.json"
    assert records(whole, FOLD.name)[watched] != records(run, FOLD.name)[watched]


def test_scores_of_a_test_patient_know_nothing_else_of_the_patient(whole, test_patients_spoilt, monkeypatch):
    """The picture that is read and the surface that is compared: all else of the test patients is spoilt, and neither
    a score nor the no-skill row moves. As predicted alone: the same surfaces are then aligned, which takes its time."""
    monkeypatch.setattr(scores, "ALIGNMENTS", ("as predicted",))
    put_back_what_is_tested(whole, test_patients_spoilt, set(FOLD.test))
    before, after = score_fold(whole, FOLD.name), score_fold(test_patients_spoilt, FOLD.name)
    compared = 0
    for one, two in zip(before, after, strict=True):
        # A patient who is no pair is translated by the pix2pix of all pairs, which may know the spoilt pairs.
        translated = one.source == "GAN-DRR" and not one.pair
        if one.method == MEAN_BONE or (one.source in ("CT-DRR", "GAN-DRR") and not translated):
            assert (one.method, one.source, one.note) == (two.method, two.source, two.note)
            assert (one.asd_paper_mm, one.hd95_mm) == pytest.approx((two.asd_paper_mm, two.hd95_mm), abs=0, nan_ok=True)
            compared += one.note == ""
    no_skill = sum(row.method == MEAN_BONE for row in before)
    assert no_skill >= 2 * len(FOLD.test)
    assert compared > no_skill + 2 * len(set(FOLD.test) & set(FOLDS.pairs)), "too few of the fields have a surface"
