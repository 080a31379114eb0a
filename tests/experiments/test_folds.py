"""Folds: by patient, nested, saved; what mixes a patient or does not exist is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonelift.errors import InputError
from bonelift.experiments.folds import check_folds, draw_folds, read_folds, write_folds
from builders.bare_study import cohort


def test_the_papers_cohort_gives_33_pairs_and_72_never_seen_by_pix2pix():
    study = cohort(126, 105, 105, twice=47)
    folds = draw_folds(study, 4, seed=1)
    assert len(folds.pairs) == 33
    assert sorted(len(fold.test) for fold in folds.folds) == [31, 31, 32, 32]
    assert sorted(len(set(fold.test) & set(folds.pairs)) for fold in folds.folds) == [8, 8, 8, 9]
    with_film = {case.patient for case in study.cases if case.radiographs}
    assert len(with_film - set(folds.pairs)) == 72
    for fold in folds.folds:
        share = len(fold.tl.validation) / (len(fold.tl.training) + len(fold.tl.validation))
        assert share == pytest.approx(0.15, abs=0.01)


def test_a_lab_with_33_registered_films_keeps_exactly_those():
    folds = draw_folds(cohort(126, 105, 33), 4, seed=1)
    assert folds.pairs == tuple(f"p{n:03d}" for n in range(33))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5), st.integers(0, 30), st.integers(0, 20), st.integers(0, 1000))
def test_no_network_ever_saw_a_patient_it_is_tested_on(count, more, without_film, seed):
    films = 2 * count + more
    study = cohort(films + without_film, films, films)
    folds = draw_folds(study, count, seed)
    assert folds == draw_folds(study, count, seed)
    check_folds(folds, study)
    pairs = set(folds.pairs)
    seen_by_any_pix2pix: set[str] = {*folds.all_pairs.training, *folds.all_pairs.validation}
    for fold in folds.folds:
        for split in (fold.tl, fold.pix2pix):
            assert not set(fold.test) & {*split.training, *split.validation}
            assert not set(split.training) & set(split.validation)
        seen_by_any_pix2pix |= {*fold.pix2pix.training, *fold.pix2pix.validation}
        assert {*fold.test, *fold.tl.training, *fold.tl.validation} == {c.patient for c in study.cases}
    assert seen_by_any_pix2pix == pairs


def test_the_file_returns_the_folds(tmp_path):
    folds = draw_folds(cohort(12, 10, 9), 4, seed=3)
    write_folds(tmp_path / "folds.json", folds)
    assert read_folds(tmp_path / "folds.json") == folds
    assert folds.fold("fold-2") is folds.folds[1]
    assert folds.fold_testing(folds.folds[2].test[0]) is folds.folds[2]
    with pytest.raises(InputError, match="'fold-9' is not in"):
        folds.fold("fold-9")
    with pytest.raises(InputError, match="tested by no fold"):
        folds.fold_testing("stranger")


def _mix(content):
    content["folds"][0]["tl"]["training"].append(content["folds"][0]["test"][0])


def _test_twice(content):
    content["folds"][0]["test"].append(content["folds"][1]["test"][0])
    moved = content["folds"][1]["test"][0]
    for network in ("tl", "pix2pix"):
        for part in ("training", "validation"):
            content["folds"][0][network][part] = [p for p in content["folds"][0][network][part] if p != moved]


def _foreign_pair(content):
    stranger = next(p for p in content["folds"][0]["tl"]["training"] if p not in content["pairs"])
    content["all_pairs"]["training"].append(stranger)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_mix, "never divides a patient"),
        (_test_twice, "tested in two folds"),
        (_foreign_pair, "who is no pair"),
        (lambda content: content["folds"][0].pop("tl"), "cannot be read"),
        (lambda content: content.update(schema_version=7), "version"),
        (lambda content: content["folds"][0].update(test="p001"), "cannot be read"),
    ],
    ids=["mixed", "twice", "foreign pair", "incomplete", "version", "text"],
)
def test_folds_that_mix_a_patient_or_are_broken_are_refused(tmp_path, spoil, words):
    path = tmp_path / "folds.json"
    write_folds(path, draw_folds(cohort(24, 20, 20), 4, seed=3))
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=words) as caught:
        read_folds(path)
    assert "\n" not in str(caught.value)


def test_too_small_studies_and_foreign_folds_are_refused():
    with pytest.raises(InputError, match="bonelift register"):
        draw_folds(cohort(10, 10, 3), 4, seed=0)
    with pytest.raises(InputError, match="expected 2 or more"):
        draw_folds(cohort(10, 10, 10), 1, seed=0)
    folds = draw_folds(cohort(12, 12, 12), 4, seed=0)
    with pytest.raises(InputError, match="do not belong together"):
        check_folds(folds, cohort(13, 13, 13))


@pytest.mark.parametrize(
    ("patients", "registered", "folds", "expected"),
    [
        (6, 6, 4, r"6 patients.*4 folds need 8 patients, and 4 with .*; add patients, or pass --folds 3$"),
        (3, 3, 2, r"2 folds need 4 patients, and 4 with a registered radiograph; add patients$"),
        (12, 5, 6, r"6 folds need 12 patients, and 6 with .*; run bonelift register, or pass --folds 5"),
        (9, 3, 2, r"2 folds need 4 patients, and 4 with .*; run bonelift register$"),
    ],
)
def test_a_study_too_small_for_the_folds_is_told_how_many_it_can_have(patients, registered, folds, expected):
    with pytest.raises(InputError, match=expected):
        draw_folds(cohort(patients, patients, registered), folds, seed=1)


def test_where_everybody_is_a_pair_nobody_needs_the_translator_of_all_pairs():
    study = cohort(12, 12, 12)
    whole = draw_folds(study, 3, seed=1, pair_share=1.0)
    assert len(whole.pairs) == 12
    assert not whole.tests_others(whole.names)
    part = draw_folds(study, 3, seed=1)
    assert part.tests_others(part.names)
    with pytest.raises(InputError, match="--pair-share 0; expected more than 0"):
        draw_folds(study, 3, seed=1, pair_share=0)
