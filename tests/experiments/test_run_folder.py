"""The run folder: pieces appear whole or not at all, and what changed under them is noticed."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from bonelift.errors import InputError
from bonelift.experiments.folds import draw_folds
from bonelift.experiments.presets import load_study_preset
from bonelift.experiments.run.case_records import CaseRecord, changed_file, fingerprint, require_usable
from bonelift.experiments.run.folder import RunPaths, claim_run, written_once
from bonelift.experiments.training import TrainingTask, train_network
from builders.bare_study import cohort


def record(case: str, patient: str, ct: str | None = None, failure: str = "", files=None) -> CaseRecord:
    return CaseRecord(case, patient, "right", files or {}, {"voxels_mm": [0.6, 0.6, 0.6]}, [], ct, failure)


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "scores" / "case-1"

    def half_written() -> None:
        with written_once(folder) as staging:
            (staging / "half.json").write_text("{")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"No space left on device.*run the same command again"):
        half_written()
    assert list((tmp_path / "scores").iterdir()) == []


def test_what_another_worker_finished_first_stands(tmp_path):
    folder = tmp_path / "case-1"
    with written_once(folder) as staging:
        (staging / "who").write_text("second")
        folder.mkdir()
        (folder / "who").write_text("first")
    assert (folder / "who").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["case-1"]


def test_a_failing_piece_is_not_there(tmp_path):
    with pytest.raises(ZeroDivisionError), written_once(tmp_path / "case-1"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("series", [True, False])
def test_content_counts_not_the_time(tmp_path: Path, series):
    """A file, or a DICOM series as a folder of files."""
    path = tmp_path / "ct"
    inner = path / "slice-2.dcm" if series else path
    if series:
        path.mkdir()
        (path / "slice-1.dcm").write_bytes(b"one")
    inner.write_bytes(b"two")
    held = record("c", "p", files={"ct": fingerprint(path)})
    inner.write_bytes(b"two")
    assert changed_file(tmp_path, held) == ""
    inner.write_bytes(b"owt")
    assert changed_file(tmp_path, held) == "ct"
    inner.unlink()
    assert changed_file(tmp_path, held) == "ct"


def test_a_missing_file_that_comes_back_is_a_change(tmp_path):
    held = record("c", "p", files={"ct": fingerprint(tmp_path / "ct")})
    assert changed_file(tmp_path, held) == ""
    (tmp_path / "ct").write_bytes(b"here")
    assert changed_file(tmp_path, held) == "ct"


def test_one_ct_under_two_patients_is_refused():
    records = [record("c1", "p1", "same"), record("c2", "p2", "same")]
    with pytest.raises(InputError, match="the same CT stands under patients p1, p2"):
        require_usable(records, allow_failed=True)
    require_usable([record("c1", "p1", "same"), record("c2", "p1", "same")], allow_failed=False)


def test_failed_cases_stop_a_run_unless_allowed():
    records = [record("c1", "p1", "one"), record("c2", "p2", None, "landmarks lack 'sigmoid_notch_volar'")]
    with pytest.raises(InputError, match=r"1 of 2 cases cannot be used, first case c2: landmarks lack"):
        require_usable(records, allow_failed=False)
    require_usable(records, allow_failed=True)


def test_samples_that_a_kill_left_of_a_network_that_is_done_are_removed(tmp_path: Path):
    """The kill fell between what says that it is done and the samples, which are patients' images."""
    study, paths = cohort(8, 6, 6), RunPaths(tmp_path)
    home = paths.network("fold-1")
    for network in ("tl", "pix2pix"):
        (home / "samples" / network / "training" / "films-00000").mkdir(parents=True)
    (home / "tl-done.json").write_text("{}")
    task, folds = TrainingTask("fold-1", "tl"), draw_folds(study, 2, seed=0)
    assert train_network(paths, study.cases, folds, load_study_preset("smoke"), task, 0) == {}
    assert [path.name for path in (home / "samples").iterdir()] == ["pix2pix"]


def test_a_kill_before_the_settings_had_their_name_leaves_a_run_that_is_begun_again(tmp_path: Path):
    study, paths, preset = cohort(8, 6, 6), RunPaths(tmp_path), load_study_preset("smoke")
    (tmp_path / f".{paths.settings.name}.elsewhere-1-0123456789ab.partial").write_text('{"sch')
    claim_run(paths, study, preset, 0, 2)
    assert claim_run(paths, study, preset, 0, 2)["folds"] == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "film.png").write_text("of the user")
    with pytest.raises(InputError, match="is not empty and no run of evaluate"):
        claim_run(RunPaths(tmp_path / "other"), study, preset, 0, 2)


def test_a_run_goes_on_with_other_outlines_and_with_no_other_network(tmp_path: Path):
    """`evaluate` learns no outlines, so a version that learns them otherwise may go on with a run."""
    study, paths, preset = cohort(8, 6, 6), RunPaths(tmp_path), load_study_preset("smoke")
    claim_run(paths, study, preset, 0, 2)
    networks = preset.networks
    otherwise = replace(networks, outline_training=replace(networks.outline_training, hidden=7))
    assert claim_run(paths, study, replace(preset, networks=otherwise), 0, 2)["folds"] == 2
    other = replace(networks, shape_training=replace(networks.shape_training, batch=7))
    with pytest.raises(InputError, match="was begun with another preset"):
        claim_run(paths, study, replace(preset, networks=other), 0, 2)
