"""The bench of reconstruct: medians of what was timed, the whole command, and a page that says what was measured."""

from __future__ import annotations

import json

import pytest

from bonelift.bench import reconstruct as bench
from bonelift.bench.reconstruct import CASES, ReconstructBenchSettings, markdown, run_reconstruct_bench
from bonelift.cli import main
from bonelift.errors import InputError
from bonelift.reconstruction.job import STEPS


@pytest.fixture
def timed(monkeypatch) -> list[int]:
    """A job whose step "stand" takes 1 s of the first patient, 2 s of the second, and so on; the number of films of
    each call that was timed."""
    calls: list[int] = []

    def job(films, model, how=None, clock=None):
        if clock is not None:
            clock.seconds = {"stand": float(len(calls) // len(CASES) + 1), "cut": 0.25}
            calls.append(len(films))

    monkeypatch.setattr(bench, "reconstruct", job)
    monkeypatch.setattr(bench, "films_of", lambda seed: zip(CASES, ([1], [1], [1], [1, 1]), strict=True))
    monkeypatch.setattr(bench, "_run_once", lambda film, out, cache: 4.0 if cache.name == "kernels" else 9.0)
    return calls


def test_steps_are_medians_over_patients(timed):
    found = run_reconstruct_bench(ReconstructBenchSettings(patients=3, repeats=2))
    assert timed == [1, 1, 1, 2] * 3
    assert found.median("PA film", "stand") == 2.0
    assert found.median("PA film", "locate") == 0.0
    assert found.totals("lateral film") == [1.25, 2.25, 3.25]
    assert found.command_s == {"kernels compiled": [4.0, 4.0], "not compiled": [9.0, 9.0]}
    page = markdown(found)
    assert "| stand | 2.00 (3.00) |" in page
    assert "| **all** | 2.25 (3.25) |" in page
    assert "| not compiled | 9.0 | 9.0, 9.0 | 10 |" in page
    assert all(f"| {step} |" in page for step in STEPS)


def test_the_command_writes_its_page(timed, tmp_path):
    out = tmp_path / "bench"
    assert main(["bench", "reconstruct", "--patients", "1", "--repeats", "1", "--out", str(out), "--quiet"]) == 0
    plain = json.loads((out / "bench-reconstruct.json").read_text())
    assert plain["seconds"]["PA film"]["stand"] == [1.0]
    assert (out / "bench-reconstruct.md").read_text().startswith("# Seconds of a reconstruction")


def test_films_are_of_the_case_that_they_are_called():
    found = dict(bench.films_of(973_000))
    assert list(found) == list(CASES)
    views = [[film.view for film in films] for films in found.values()]
    assert views == [["pa"], ["pa"], ["lateral"], ["pa", "lateral"]]
    assert (found["PA film shown mirrored"][0].pixels == found["PA film"][0].pixels[:, ::-1]).all()


def test_a_command_that_fails_is_told(tmp_path):
    with pytest.raises(InputError, match="ended with 2"):
        bench._run_once(tmp_path / "nothing.png", tmp_path / "out", tmp_path / "cache")


@pytest.mark.parametrize("wrong", [{"patients": 0}, {"repeats": 0}, {"seed": -1}])
def test_settings_that_measure_nothing_are_refused(wrong):
    with pytest.raises(InputError, match="bench"):
        ReconstructBenchSettings(**wrong)
