"""The bench on a task small enough for a test: the table is complete, and says what is true of a known error."""

import argparse

import numpy as np
import pytest

from bonelift.bench.drr import (
    ADJOINT,
    BATCH,
    GRADIENT,
    OURS,
    PREPARED,
    SIMPSON,
    DrrBenchSettings,
    run_drr_bench,
)
from bonelift.bench.drr_report import bars, markdown
from bonelift.bench.scenes import disagreement_percent, make_scene, reference_sample
from bonelift.cli import bench
from bonelift.drr.reference import line_integrals
from bonelift.errors import InputError


def test_the_bench_reports_every_way_of_this_engine():
    result = run_drr_bench(
        DrrBenchSettings(repeats=1, threads=1, voxels=32, rows=40, columns=32, rays=40, peers=False, curves=False)
    )
    assert len({row.task for row in result.rows}) == 3
    assert [row.engine for row in result.rows[:6]] == [OURS, PREPARED, GRADIENT, SIMPSON, ADJOINT, BATCH]
    for row in result.rows:
        assert row.median_ms > 0
        assert row.ratio == 1 or row.engine != OURS
        # Voxels of 7.8 mm: the bones are one or two voxels wide, far from the accuracy of a real scene.
        assert row.error_mean < 3 or row.engine == ADJOINT
    assert {tilt.content for tilt in result.tilts} == {"bone only", "no empty space"}
    for tilt in result.tilts:
        assert tilt.simpson[0] < tilt.joseph[0]
        assert 0 < tilt.slope <= 1
    # A peer that is absent is no bar met.
    met = {what: met for what, value, _, met in bars(result) if np.isnan(value)}
    assert len(met) == 3
    assert not any(met.values())
    page = markdown(result)
    assert all(f"## {row.task}" in page for row in result.rows)


def test_a_known_error_is_reported_in_percent():
    scene = make_scene("no empty space", 16, (20, 16), 12.5, seed=1)
    truth = line_integrals(scene.volume, scene.camera)
    mean, maximum = disagreement_percent(truth + 0.01 * truth.max(), *reference_sample(scene, 100, seed=2))
    # The constant is 1 % of the largest of all rays; of the largest drawn one it is a little more.
    assert mean == pytest.approx(1.0, rel=0.05)
    assert maximum == pytest.approx(mean, rel=1e-6)


def test_a_strip_of_rows_is_the_same_scene():
    scene = make_scene("bone only", 24, (30, 24), 8.0, seed=1)
    whole, strip = line_integrals(scene.volume, scene.camera), scene.rows(10, 4)
    np.testing.assert_allclose(line_integrals(strip.volume, strip.camera), whole[10:14], rtol=1e-9, atol=1e-12)


def test_the_command_writes_its_folder(tmp_path):
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    options = parser.parse_args(
        [
            "drr",
            "--out",
            str(tmp_path / "bench"),
            "--repeats",
            "1",
            "--threads",
            "1",
            "--voxels",
            "16",
            "--no-peers",
            "--no-curves",
            "--no-tilts",
        ]
    )
    bench.measure_drr(options)
    assert {"bench-drr.md", "bench-drr.json"} <= {path.name for path in (tmp_path / "bench").iterdir()}
    with pytest.raises(InputError, match="positive"):
        DrrBenchSettings(repeats=0)
