"""Models that left subjects out: what the scripts that train and score them say of what they saw."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.anatomy.statistical_shape import save_model
from bonelift.errors import InputError
from bonelift.experiments.real_bones_scores import RealBoneRow
from bonelift.networks.bundle import load_bundle


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))


@pytest.fixture
def without_py2d3d(tmp_path):
    path = tmp_path / "without.npz"
    save_model(path, replace(load_shape_model(), without=("Py2d3d",)))
    return path


def row(subject, bone, asd, model="", saw="seen", source="film PA", alignment="rigid"):
    return RealBoneRow(
        subject, bone, -40.0, source, 1.0, 0, "predicted", model, saw, alignment, asd, asd, 3 * asd, 5 * asd
    )


def test_a_bundle_says_whom_its_population_was_built_without(tmp_path, without_py2d3d, monkeypatch):
    import measure_real_bones
    import train_default_model

    monkeypatch.setattr(
        train_default_model, "model_of_run", lambda run, source, name: replace(load_bundle(), name=name)
    )
    monkeypatch.setattr(train_default_model, "add_graphs", lambda out: None)
    run = SimpleNamespace(folder=tmp_path / "work", is_done=lambda stage: True)
    source = SimpleNamespace(shape_model=load_shape_model(without_py2d3d))
    train_default_model.write_bundle(run, source, "short", tmp_path / "short")
    model, without = measure_real_bones.read_model_option(str(tmp_path / "short"))
    assert model.name == "short"
    assert without == {"Py2d3d"}
    # An S that is not of this run has seen everyone.
    monkeypatch.setattr(run, "is_done", lambda stage: False)
    with pytest.raises(InputError, match="no S was trained here"):
        train_default_model.write_bundle(run, source, "short", tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_packaged_weights_do_not_meet_a_population_that_left_somebody_out(
    tmp_path, without_py2d3d, monkeypatch, capsys
):
    import train_default_model

    monkeypatch.setattr(train_default_model.torch, "set_num_threads", lambda threads: None)
    words = ["train", "shape", "--work", str(tmp_path / "work"), "--shape-model", str(without_py2d3d)]
    monkeypatch.setattr(sys, "argv", [*words, "--from-packaged"])
    with pytest.raises(SystemExit) as stopped:
        train_default_model.main()
    assert stopped.value.code == 2
    assert "packaged weights have seen the subjects" in capsys.readouterr().err


def test_a_wrist_is_scored_by_those_that_left_it_out_and_by_those_that_saw_all():
    import measure_real_bones

    whole, blind, other = (SimpleNamespace(name=name) for name in ("whole", "blind", "other"))
    models = [(whole, set()), (blind, {"Py2d3d"}), (other, {"Manske", "Yr4"})]
    wrist = SimpleNamespace(subject="Py2d3d_00")
    assert measure_real_bones.networks_for(wrist, models) == [(whole, "seen"), (blind, "left out")]
    yr4 = SimpleNamespace(subject="Yr4")
    assert measure_real_bones.networks_for(yr4, models) == [(whole, "seen"), (other, "left out")]
    # A network that left others out has seen this one.
    assert measure_real_bones.networks_for(yr4, models[1:2]) == [(blind, "seen")]


def test_the_worth_of_having_seen_is_paired_over_bones():
    """Bones differ by tenths of a millimetre, and what is left out by 0.10 +- 0.01 from what is seen: only pairs tell
    so. The network of other training, and the bone that is in no population, do not count."""
    import real_bones_left_out

    rows = [row("Py2d3d_01", "radius", 9.0, "short-a", "left out"), row("Py2d3d_01", "radius", 0.1, "short-whole")]
    for number, subject in enumerate(("Py2d3d_00", "Py2d3d_02", "Py2d3d_03", "Yr4")):
        seen = 0.2 + 0.1 * number
        rows.append(row(subject, "radius", seen, "short-whole"))
        rows.append(row(subject, "radius", 0.0, "virtual-7"))
        rows.append(row(subject, "radius", seen + 0.10 + 0.01 * (-1) ** number, "short-a", "left out"))
    seen, left_out = real_bones_left_out.paired(rows, "short-whole", "film PA", "radius", "rigid")
    mean, low, high = real_bones_left_out.interval(left_out - seen)
    assert len(seen) == 4
    assert mean == pytest.approx(0.10)
    # SD of (+1, -1, +1, -1) / 100 is 0.01155; t of three degrees of freedom at 97.5 % is 3.182.
    assert high - mean == pytest.approx(3.182 * 0.01155 / 2, rel=1e-3)
    assert mean - low == pytest.approx(high - mean)
    assert np.isnan(real_bones_left_out.interval(np.array([0.1]))[1])


def test_bones_of_a_population_are_counted():
    from real_bones_left_out import bones_of

    # scripts/reference_bones.py: nine radii, of which one is not normal, and ten ulnae.
    assert (bones_of("radius", set()), bones_of("ulna", set())) == (8, 10)
    assert (bones_of("radius", {"Py2d3d"}), bones_of("ulna", {"Py2d3d"})) == (4, 4)
    assert (bones_of("radius", {"Manske", "Yr4"}), bones_of("ulna", {"Manske", "Yr4"})) == (4, 6)


def test_rows_and_networks_of_an_earlier_page_can_be_kept(tmp_path):
    import measure_real_bones
    from real_bones_left_out import Network, networks_table

    rows = [row("Yr4", "radius", 0.25, "short-a", "left out"), row("Yr4", "ulna", 0.5, "short-whole")]
    networks = [Network("short-a", ("Yr4",), 1440, 256, 2600), Network("short-whole", is_control=True)]
    measure_real_bones.write_results(tmp_path, rows, networks)
    read = measure_real_bones.read_rows(tmp_path / measure_real_bones.ROWS_FILE)
    # The quality of both is NaN, which is equal to nothing.
    assert [replace(one, quality=0.0) for one in read] == [replace(one, quality=0.0) for one in rows]
    assert measure_real_bones.read_networks(tmp_path / measure_real_bones.NETWORKS_FILE) == networks
    lines = networks_table(networks).splitlines()
    assert lines[2] == "| short-a | Yr4 | 7, 9 | 1440, 256 | 2600 |"
    assert lines[3] == "| short-whole | nobody | 8, 10 | as its card says |  |"
