"""What `evaluate` says that a run will cost: it adds up, grows with the study, and shrinks with what is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bonelift.errors import InputError
from bonelift.experiments.folds import draw_folds
from bonelift.experiments.presets import load_study_preset, with_share_of_updates
from bonelift.experiments.run.estimate import ExpectedCost, expected_cost, in_a_sentence, network_seconds
from bonelift.experiments.run.folder import RunPaths
from builders.bare_study import cohort

STUDY = cohort(patients=8, films=6, registered=6, twice=1)
FOLDS = draw_folds(STUDY, 2, seed=3)
LAPTOP = load_study_preset("laptop")


def cost(tmp_path, names=FOLDS.names, preset=LAPTOP) -> ExpectedCost:
    return expected_cost(RunPaths(tmp_path), STUDY.cases, FOLDS, names, preset)


def test_networks_are_those_of_the_folds_and_one_translator_more(tmp_path):
    one = network_seconds(LAPTOP)
    assert cost(tmp_path).networks_s == pytest.approx(2 * sum(one.values()) + one["pix2pix"])
    assert cost(tmp_path, FOLDS.names[:1]).networks_s == pytest.approx(sum(one.values()) + one["pix2pix"])


def test_every_part_of_the_folds_is_counted_once(tmp_path):
    both = [cost(tmp_path, (name,)) for name in FOLDS.names]
    assert cost(tmp_path).scores_s == pytest.approx(sum(part.scores_s for part in both))
    more = replace(LAPTOP, test_drrs=LAPTOP.test_drrs + 1)
    assert cost(tmp_path, preset=more).scores_s > cost(tmp_path).scores_s
    assert cost(tmp_path, preset=load_study_preset("paper")).total_s > 100 * cost(tmp_path).total_s


def test_what_is_there_costs_nothing_any_more(tmp_path):
    whole, paths = cost(tmp_path), RunPaths(tmp_path)
    assert whole.done == 0
    for case in STUDY.cases:
        paths.images(case.case).mkdir(parents=True)
    first = cost(tmp_path)
    assert first.images_s == 0
    assert first.done == pytest.approx(whole.images_s / whole.total_s)
    (tmp_path / "fold-1").mkdir()
    (tmp_path / "fold-1" / "tl-done.json").write_text("{}")
    assert first.networks_s - cost(tmp_path).networks_s == pytest.approx(network_seconds(LAPTOP)["tl"])


def test_the_sentence_names_the_parts_and_what_is_done():
    text = in_a_sentence(ExpectedCost(60.0, 7200.0, 600.0, 0.25), 2, "cpu")
    assert text.startswith("this will take about 2.2 h of one processor core, shared by 2 processes (images 60 s, ")
    assert "networks 2.0 h, scores 10 min); 25 % is done already" in text
    assert "GPU" in in_a_sentence(ExpectedCost(60.0, 7200.0, 600.0, 0.0), 1, "cuda")
    text = in_a_sentence(ExpectedCost(0.0, 10 * 86400.0, 0.0, 0.0), 1, "cpu")
    assert text.startswith("this will take about 240 h (10 days) of one processor core: too long without a GPU")


@pytest.mark.parametrize(("share", "updates", "warmup"), [(0.1, 240, 10), (1.0, 2400, 100), (5.0, 12_000, 500)])
def test_a_run_of_other_length_warms_up_for_as_much_shorter_or_longer(share, updates, warmup):
    loop = with_share_of_updates(LAPTOP, share).networks.predictor_training.loop
    assert (loop.updates, loop.warmup_updates) == (updates, warmup)


@pytest.mark.parametrize("share", [0.0, -1.0, 101.0, float("nan")])
def test_no_run_without_updates_or_without_an_end(share):
    with pytest.raises(InputError, match="--updates-share"):
        with_share_of_updates(LAPTOP, share)


def test_the_small_preset_is_minutes_on_one_core():
    """Its networks are small enough that all of a fold take less than a tenth of laptop's."""
    small, laptop = (sum(network_seconds(preset).values()) for preset in (load_study_preset("small"), LAPTOP))
    assert small < 0.1 * laptop
    assert load_study_preset("small").networks.grid == LAPTOP.networks.grid
